"""How do rows of the first form of runs.csv come to today's keys without training? `python -m bench.migrate RESULTS --source CHECKOUT`.

CHECKOUT holds the source that made them. A row whose code, hashed as it was then, is that source, is of that source: its ingredients are
written under today's digests of the same source, and what stood there before stays in `formerly`. Every other row is refused, and then
nothing is written. Whether today's code gives the same bits as that source is another question: `bench vouch`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from bench import digest
from bench.atomic import write_atomically
from bench.digest import content_digest
from bench.errors import BenchError
from bench.ingredients import Vouched, score_key_of
from bench.record import Record, as_json, read_records, to_csv
from bench.report.figure import HOLDS, OF, holds, is_as_drawn, texts_of
from bench.report.lines import lines_of
from bench.store import stores_of

SOURCE = """
import importlib.util, json, sys
from pathlib import Path
from bench.artefacts import epochs_of, sample_paths
from bench.checkpoint import load_latest, snapshot_path
from bench.digest import code_digests
from bench.origin import same_cell
from bench.store import Store, read_results
from bench import sealed
import torch

spec = importlib.util.spec_from_file_location("digest_of_today", sys.argv[2])
today = importlib.util.module_from_spec(spec)
sys.modules["digest_of_today"] = today
spec.loader.exec_module(today)
modules = [".".join(path.with_suffix("").parts) for home in ("bench", "models", "metrics") for path in sorted(Path(home).glob("*.py"))]
modules = [name for name in modules if "__" not in name]
then = {}
for name in modules:
    then |= code_digests(name)
roles = {name: today.code_digests(name) for name in modules if name.startswith(("models", "metrics", "bench.selection"))}
roles["training loop"] = today.code_digests("bench.harness", "bench.determinism")
roles["drawing"] = {"bench.subject": today.source_of("bench.subject").digest}
roles["scoring"] = {"bench.rows": today.source_of("bench.rows").digest}
cells = {}
for r in read_results(Path(sys.argv[1])):
    cell = same_cell(r) if r.role != "samples" else None
    if cell is None or r.cell in cells:
        continue
    store, trace = Store(Path(sys.argv[1]), r.dataset), []
    folder = store.artefact("fits", cell.fit_key)
    state = load_latest(folder, torch.device("cpu")) if folder.exists() else None
    for epoch in epochs_of(cell) if state else []:
        trace.append([f"{state['log'][0][-1]['stage']} {epoch}", sealed.header(snapshot_path(folder, epoch))["digest"]])
    for k, path in enumerate(sample_paths(cell, r.checkpoint_epoch, store)):
        if path.exists():
            trace.append([f"draw {k}", sealed.tensors_digest({"": sealed.load(path, path.stem)[0]["samples"]})])
    cells[r.cell] = {"same": (cell.id, cell.recipe) == (r.cell, r.recipe), "sampling": list(cell.config.SAMPLING), "trace": trace}
print(json.dumps({"then": then, "roles": roles, "cells": cells}))
"""


def main() -> None:
    """Migrate a results folder, or say in one line why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--source", type=Path, required=True, help="A checkout of the source that made the rows.")
    asked = parser.parse_args()
    try:
        for folder, count in migrate(asked.results.resolve(), asked.source.resolve()).items():
            typer.echo(f"{folder}: {count} rows are of this source, and are under today's keys")
    except BenchError as error:
        sys.exit(f"migrate: {error}")


def migrate(results: Path, source: Path) -> dict[str, int]:
    """Rewrite the rows and figures under `results`; return how many rows of each data set. Raises BenchError, and writes nothing then."""
    told = subprocess.run(
        [sys.executable, "-c", SOURCE, str(results), str(Path(digest.__file__).resolve())], cwd=source, capture_output=True, text=True
    )
    if told.returncode:
        raise BenchError(f"{source} does not tell of its source ({told.stderr.strip().splitlines()[-1]})")
    known = json.loads(told.stdout.splitlines()[-1])
    stores = stores_of(results)
    moved = {store: [migrated(r, known) if json.loads(r.formerly) else r for r in read_records(store.path)] for store in stores}
    for store, records in moved.items():
        write_atomically(store.path, to_csv(records).encode())
        renamed = renamed_sources(records)
        for path in sorted((store.folder / "figures").glob("*.png")):
            rename_source(path, renamed)
    return {store.dataset: sum(bool(json.loads(r.formerly)) for r in records) for store, records in moved.items()}


def migrated(record: Record, known: Mapping[str, Any]) -> Record:
    """Return a row of the first form under today's digests of the source that made it. Raises BenchError for one of another source."""
    name = f"{record.dataset} {record.name} seed {record.seed} {record.metric} {record.quantity}"
    if not record.intact:
        raise BenchError(f"{name}: was edited since it was made; repair or remove it")
    former = json.loads(record.formerly)["ingredients"]
    for part in former.values():
        for ingredient, value in part.items():
            module = ingredient.removeprefix("code of ")
            if module != ingredient and known["then"].get(module) != value:
                raise BenchError(f"{name}: {module} is {known['then'].get(module)} in the source, and {value} in the row")
    parts, roles = json.loads(record.ingredients), known["roles"]
    trace = []
    if record.role != "samples":
        cell = known["cells"].get(record.cell, {"same": False})
        if not cell["same"]:
            raise BenchError(f"{name}: the source would make another cell or by another recipe")
        kind = parts["fit"]["kind of model"]
        parts["fit"]["code of the model"] = roles[kind.rpartition(".")[0]]
        parts["fit"]["code of the training loop"] = roles["training loop"]
        parts["samples"]["code of the drawing"] = roles["drawing"]
        if "code of the selection" in parts["samples"]:
            parts["samples"]["code of the selection"] = roles["bench.selection"]
        trace = cell["trace"]
    metric = next(ingredient for ingredient in former["score"] if ingredient == f"code of metrics.{record.metric}")
    parts["score"]["code of the metric"] = roles[metric.removeprefix("code of ")]
    parts["score"]["code of the scoring"] = roles["scoring"]
    key = score_key_of(parts, Vouched())
    return replace(record, ingredients=as_json(parts), score_key=key, trace=as_json(trace)).sealed().settled(Vouched())


def renamed_sources(records: Sequence[Record]) -> dict[str, str]:
    """Return by what names the figures of rows knew their sources, and by which they do now."""
    found: dict[str, str] = {}
    for line in lines_of([r.settled(Vouched()) for r in records]):
        for r in (r for r in line.neighbours[:1] if json.loads(r.formerly)):
            found[json.loads(r.formerly)["score_key"]] = r.score_key
        for r in (r for r in line.likelihoods[:1] if json.loads(r.formerly)):
            before, curve = json.loads(r.formerly)["recipe"], [[*line.curve("validation by epoch").items()]]
            found[content_digest(r.cell, r.weights, before)] = content_digest(r.cell, r.weights, r.recipe)
            found[content_digest(r.cell, r.weights, before, curve)] = content_digest(r.cell, r.weights, r.recipe, curve)
    return found


def rename_source(path: Path, renamed: Mapping[str, str]) -> None:
    """Let a figure on disk name its source as today, and hold the digest of its pixels, which stay as they are."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    texts = texts_of(path)
    if OF not in texts or is_as_drawn(path, texts):
        return
    of = renamed.get(texts[OF], texts[OF])
    beside = path.with_suffix(".pdf")
    pdf = beside.read_bytes().replace(f"/Keywords ({texts[OF]})".encode(), f"/Keywords ({of})".encode())
    texts = {name: text for name, text in texts.items() if name != HOLDS} | {OF: of}
    with Image.open(path) as image:
        named, dpi = PngInfo(), image.info.get("dpi")
        for name, text in texts.items():
            named.add_itxt(name, text)
        named.add_itxt(HOLDS, holds(image.convert("RGB"), pdf, texts))
        image.load()
        image.save(path, "PNG", dpi=dpi, pnginfo=named)
    write_atomically(beside, pdf)


if __name__ == "__main__":
    main()
