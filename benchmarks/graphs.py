"""How much faster is a step captured as a CUDA graph? `python -m benchmarks.graphs`.

On a CUDA device, alone on it: the step of each stage of each model as it is written
(eager), and as `training/graph.py` captures it, in milliseconds, as a Markdown table.
"""

import sys
import time

import torch
from genmodel_bench.cells.plan import meant_for, settled
from genmodel_bench.data.registry import load
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.training.graph import captured

HEAD = ("model", "stage", "steps", "eager, ms", "graph, ms", "times faster", "training, s")


def milliseconds(step, x, calls):
    """Return the mean time of `calls` steps on the mini-batch x, after two."""
    for _ in range(2):
        step(x, None)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        step(x, None)
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls * 1e3


def rows(name, dataset):
    """Yield the row of each stage of a model."""
    torch.manual_seed(0)
    x = dataset.train.cuda()
    model = settled(name, settings_for(name, dataset.name), dataset.name).build(tuple(x.shape[1:])).cuda()
    model.train()
    model.initialise(x)
    for stage in model.stages():
        inputs = x if stage.inputs is None else stage.inputs(x)
        steps = stage.epochs * (len(inputs) // stage.batch_size)
        eager = milliseconds(stage.step, inputs[: stage.batch_size], 20)
        graph = milliseconds(captured(stage, model, inputs, None), inputs[: stage.batch_size], 200)
        times = f"{eager:.2f}", f"{graph:.3f}", f"{eager / graph:.1f}", f"{graph * steps / 1e3:.0f}"
        yield name, stage.name, f"{steps:,}", *times


def main(dataset="mnist"):
    """Print the table for a data set."""
    data = load(dataset)
    for row in (HEAD, (":--", ":--", *["--:"] * 5)):
        print("|", " | ".join(row), "|")
    for name in MODELS:
        if meant_for(name, dataset) and not MODELS[name].REFERENCE:
            for row in rows(name, data):
                print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
