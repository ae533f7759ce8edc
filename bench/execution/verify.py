"""Are stored files as they were written, and do rows agree with the files?"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from genmodel_bench.cells.cell import Cell
from genmodel_bench.execution.artefacts import sample_paths
from genmodel_bench.execution.checks import read_checks
from genmodel_bench.execution.rows import measured
from genmodel_bench.storage import sealed
from genmodel_bench.storage.finding import Finding
from genmodel_bench.storage.plain import from_json
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store
from genmodel_bench.training import checkpoint


def artefacts(cache: Path) -> Iterator[Finding]:
    """Yield a finding for each stored file that is not as it was written.

    The last finding counts the intact ones.
    """
    whole = 0
    for path in sorted(files_under(cache)):
        fault = fault_of(path, cache)
        if fault:
            yield Finding(str(path.relative_to(cache)), False, fault)
        elif fault is not None:
            whole += 1
    yield Finding("artefacts", True, f"{whole} files are as they were written")


def fault_of(path: Path, cache: Path) -> str | None:
    """Return what is wrong with a stored file, or '' if nothing is.

    None if the file has no seal, or was deleted meanwhile.
    """
    epoch = re.fullmatch(r"epoch-(\d+)", path.stem) if path.parent.parent == cache / "fits" else None
    if path.is_dir():
        return "is a folder in the place of a file"
    try:
        if path.suffix == ".pt":
            return (
                ""
                if checkpoint.fits(path, path.read_bytes())
                else "was changed since it was written, or belongs to another fit"
            )
        if path.suffix == ".safetensors":
            sealed.load(path, f"{path.parent.name}/{int(epoch[1])}" if epoch else path.stem)
            return ""
        if path.parent == cache / "checks" and path.suffix == ".json":
            return "" if read_checks(path) else "was changed since it was written, or belongs to another fit"
    except FileNotFoundError:  # deleted meanwhile by a run
        return None
    except sealed.Broken as error:
        return str(error).removeprefix(f"{path}: ")
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return None


def files_under(cache: Path) -> Iterator[Path]:
    """Yield every file under a folder, following links.

    A folder whose name is that of a stored file is yielded too.
    """
    seen: set[str] = set()
    for folder, folders, files in os.walk(cache, followlinks=True):
        if os.path.realpath(folder) in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(os.path.realpath(folder))
        yield from (Path(folder) / name for name in files)
        yield from (
            Path(folder) / name for name in folders if Path(name).suffix in (".pt", ".safetensors", ".json")
        )


def rows(results: Path, records: Sequence[tuple[Record, Cell | None]]) -> Iterator[Finding]:
    """Yield a finding for each row that was edited or disagrees with its artefacts.

    The last finding counts the others.

    records: each row with its cell, or None if today's code would make another cell.
    """
    intact = compared = 0
    for record, cell in records:
        store = Store(results, record.dataset)
        faults = [record.doubt] if record.doubt else []
        faults += other_weights(record, cell, store) if cell else []
        found = other_scores(record, store)
        faults += found or []
        if faults:
            name = f"{record.dataset} {record.name} seed {record.seed} {record.quantity or record.metric}"
            yield Finding(name, False, "; ".join(faults))
        else:
            intact += 1
            compared += found is not None
    yield Finding(
        "rows",
        True,
        f"{intact} are as they were made; of {compared} of them the scores are there and say the same",
    )


def other_weights(record: Record, cell: Cell, store: Store) -> Iterator[str]:
    """Yield each disagreement of a row with the weights and samples it was made from.

    Files that do not exist are left out.
    """
    if not record.ok:
        return
    folder, epoch = store.artefact("fits", cell.fit_key), record.checkpoint_epoch
    if epoch is not None:
        path = checkpoint.snapshot_path(folder, epoch)
        try:
            if sealed.header(path).get("digest", record.weights) != record.weights:
                yield f"the weights in {path.relative_to(store.cache)} are not those of the row"
        except (FileNotFoundError, sealed.Broken):
            pass  # missing, or reported by `artefacts`
    for path in sample_paths(cell, epoch, store):
        try:
            about = from_json(sealed.header(path).get("about", "{}"))
            if about.get("weights", record.weights) != record.weights:
                yield f"the samples in {path.relative_to(store.cache)} come from other weights than the row's"
        except (FileNotFoundError, ValueError, AttributeError):
            pass  # as above


def other_scores(record: Record, store: Store) -> list[str] | None:
    """Return how a row disagrees with what is stored with its arrays, [] if it agrees.

    None where these are not stored.
    """
    try:
        _, about, _ = sealed.load(
            store.artefact("scores", f"{record.score_key}.safetensors"), record.score_key
        )
    except (FileNotFoundError, sealed.Broken):
        return None
    kept = json.loads(about).get(record.quantity)
    return (
        []
        if kept == measured(record)
        else [f"says {measured(record)[:4]}, but what was kept with its arrays is {kept and kept[:4]}"]
    )
