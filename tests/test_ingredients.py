"""One ingredient changes: exactly what depends on it is remade; `bench why` names it.

The model, the module it imports and the metric are files of the tests' own, which are
edited on disk.
"""

from dataclasses import replace

import pytest
import torch
from flat import altered
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.commands.why import why
from genmodel_bench.data.dataset import assemble
from genmodel_bench.execution.checks import epochs_of
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.execute import complete
from genmodel_bench.storage.store import Store


def changed_pixel(data):
    images, labels = torch.cat([data.train, data.valid, data.test]), torch.cat(list(data.labels.values()))
    images[7, 0, 3, 3] = 0.123
    return assemble(
        data.name, images, labels, [torch.arange(200), torch.arange(200, 240), torch.arange(240, 280)]
    )


def double(data):
    images, labels = (
        torch.cat([data.train, data.valid, data.test]).double(),
        torch.cat(list(data.labels.values())),
    )
    return assemble(
        data.name, images, labels, [torch.arange(200), torch.arange(200, 240), torch.arange(240, 280)]
    )


ALL, SAMPLES, SCORES, NOTHING = (
    (True, True, True),
    (False, True, True),
    (False, False, True),
    (False, False, False),
)
CASES = {
    # name: (the change, which of fit, samples and scores are remade, its name in `why`)
    "nothing": ({}, NOTHING, None),
    "a pixel of the data": ({"data": changed_pixel}, ALL, "content of the data set"),
    "a hyper-parameter": ({"config": {"lr": 0.2}}, ALL, "setting lr"),
    "a hyper-parameter of sampling alone": ({"config": {"width": 0.2}}, SAMPLES, "setting width"),
    "the model's source": ({"edit": ("net", "1e-3", "2e-3")}, ALL, "code of the model (plain.net)"),
    "source that the model imports": (
        {"edit": ("part", "clamp(0, 1)", "clamp(0.1, 1)")},
        ALL,
        "code of the model (plain.part)",
    ),
    "a comment in the model's source": (
        {"edit": ("net", "def build", "# why\n    def build")},
        NOTHING,
        None,
    ),
    "the training loop": ({"edit": ("loop", "0.5", "0.6")}, ALL, "code of the training loop (plain.loop)"),
    "the code that draws": ({"edit": ("draws", "0.5", "0.6")}, SAMPLES, "code of the drawing (plain.draws)"),
    "the code that scores": (
        {"edit": ("scores", "0.5", "0.6")},
        SCORES,
        "code of the scoring (plain.scores)",
    ),
    "the code of a selection that is not asked for": ({"edit": ("choice", "0.5", "0.6")}, NOTHING, None),
    "the precision": ({"cell": {"precision": "bf16", "options": {"precision": "bf16"}}}, ALL, "new"),
    "a file that the model opens": ({"input": b"1 2 4"}, ALL, "content of table.txt"),
    "an annotation": (
        {"edit": ("net", "def step(self, x, y):", "def step(self, x, y) -> dict:")},
        NOTHING,
        None,
    ),
    "the text of an error": ({"edit": ("part", "no clip", "cannot clip")}, NOTHING, None),
    "the seed": ({"cell": {"seed": 1}}, ALL, "new"),
    "N": ({"cell": {"samples": 60}}, SAMPLES, "new"),
    "the draws": ({"cell": {"draws": 3, "options": {"draws": 3}}}, SAMPLES, "new"),
    "the checkpoint": ({"cell": {"checkpoint": "best", "options": {"checkpoint": "best"}}}, None, "new"),
    "determinism": ({"cell": {"deterministic": True, "options": {"deterministic": True}}}, ALL, "new"),
    "a metric's settings": ({"metric": {"offset": 1.0}}, SCORES, "metric's offset"),
    "a metric's source": (
        {"edit": ("measure", "+ self.offset", "- self.offset")},
        SCORES,
        "code of the metric (plain.measure)",
    ),
}


def artefacts(store):
    """The finished fits, the draws and the arrays of scores that exist."""
    fits = {path.parent.name for path in store.cache.glob("fits/*/epoch-00003.safetensors")}
    return [
        fits,
        {p.name for p in store.cache.glob("samples/*")},
        {p.name for p in store.cache.glob("scores/*")},
    ]


@pytest.mark.parametrize("name", CASES)
def test_one_ingredient_remakes_what_depends_on_it_and_nothing_else(name, project, few, tmp_path):
    change, expected, called = CASES[name]
    store, cpu = Store(tmp_path / "results", "digits"), torch.device("cpu")
    config, metric = project()
    usual = Cell("digits", few.digest, "plain", config(), seed=0, protocol=Protocol(samples=50, draws=2))
    complete(usual, Context(few, store, {"brightness": metric()}, cpu))
    before, rows = artefacts(store), store.records()

    config, metric = project(*change.get("edit", ()))
    if "input" in change:
        (tmp_path / "code" / "plain" / "table.txt").write_bytes(change["input"])
    data = change.get("data", lambda same: same)(few)
    cell = altered(
        usual, config=config(**change.get("config", {})), dataset_digest=data.digest, **change.get("cell", {})
    )
    metrics = {"brightness": metric(**change.get("metric", {}))}
    parts = why(cell, store, metrics)
    outcome = complete(cell, Context(data, store, metrics, cpu))
    made = tuple(bool(now - then) for now, then in zip(artefacts(store), before, strict=True))

    assert outcome.reused == (expected == NOTHING)
    if expected is None:  # the best epoch may be the last one, whose samples are there
        assert (made[0], made[2]) == (False, True)
        assert made[1] == (outcome.records[0].checkpoint_epoch != epochs_of(cell)[-1])
    else:
        assert made == expected
    anew = [not part.verdict.startswith("reused") for part in parts]
    if called == "new":  # a row of its own
        assert all(part.verdict.startswith(("to be made", "begun or done")) for part in parts)
        assert len(store.records()) == len(rows) + 1
        assert rows[0] in store.records()
    else:
        assert tuple(anew) == expected
        assert all(called in part.verdict for part in parts if not part.verdict.startswith("reused"))
        assert len(store.records()) == len(rows)
    assert all(part.verdict.startswith("reused") for part in why(cell, store, metrics))


def test_another_type_of_the_pixels_is_another_content_and_never_served_the_old_numbers(
    project, few, tmp_path
):
    store, cpu = Store(tmp_path / "results", "digits"), torch.device("cpu")
    config, metric = project()
    usual = Cell("digits", few.digest, "plain", config(), seed=0, protocol=Protocol(samples=50, draws=2))
    assert complete(usual, Context(few, store, {"brightness": metric()}, cpu)).records[0].dtype == "float32"
    data = double(few)
    cell = replace(usual, dataset_digest=data.digest)
    verdicts = [part.verdict for part in why(cell, store, {"brightness": metric()})]
    assert verdicts == ["made anew: changed content of the data set"] * 3
    outcome = complete(cell, Context(data, store, {"brightness": metric()}, cpu))
    assert not outcome.reused
    (row,) = store.records()
    assert row.dtype == "float64"
    assert row.ok


def test_a_failed_cell_is_tried_again_and_why_says_so(project, few, tmp_path):
    store = Store(tmp_path / "results", "digits")
    config, metric = project("net", "return clipped(", "raise ValueError('out of luck')\n        return (")
    cell = Cell("digits", few.digest, "plain", config(), seed=0, protocol=Protocol(samples=50, draws=2))
    complete(cell, Context(few, store, {"brightness": metric()}, torch.device("cpu")))
    assert {part.verdict.partition(":")[0] for part in why(cell, store, {"brightness": metric()})} == {
        "tried again"
    }
    assert "out of luck" in why(cell, store, {"brightness": metric()})[0].verdict
