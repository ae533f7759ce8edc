"""Are tables, figures and pages what their records give?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from genmodel_bench.report.figures.figure import is_as_drawn, is_ours, sweep, texts_of
from genmodel_bench.report.figures.studies import draw_studies
from genmodel_bench.report.rebuild import Today, rebuild
from genmodel_bench.storage.finding import Finding
from genmodel_bench.storage.ingredients import equivalences_path
from genmodel_bench.storage.store import stores_of


def printed(results: Path, today: Today) -> Iterator[Finding]:
    """Yield a finding for each table, figure and page that its records do not give.

    The last one counts those that are right. All are made again from the same records and
    artefacts, in a folder that is deleted afterwards; a figure whose artefacts are gone
    is checked against its own digest.
    """
    with tempfile.TemporaryDirectory(prefix="bench-verify-") as folder:
        copy = Path(folder) / "results"
        copy.mkdir()
        for part in [
            *(store.folder for store in stores_of(results)),
            results / "theory",
            equivalences_path(results),
        ]:
            if part.is_dir():
                shutil.copytree(part, copy / part.name, ignore=shutil.ignore_patterns("*.lock", "*.tmp"))
            elif part.exists():
                shutil.copy2(part, copy)
        if (results / ".cache").is_dir():
            (copy / ".cache").symlink_to((results / ".cache").resolve(), target_is_directory=True)
        drawn = any(results.glob("*/figures/*.png"))
        expected = [path.relative_to(copy) for path in rebuild(copy, figures=drawn, today=today)]
        if not drawn:  # studies are drawn where no other figure is
            for store in stores_of(copy):
                sweep(store.folder / "studies", draw_studies(store.folder, store.cache))
        figures = [
            path.relative_to(results)
            for place in ("*/figures", "*/studies", "theory")
            for path in results.glob(f"{place}/*.png")
        ]
        whole = 0
        for path in sorted({*expected, *(path for path in figures if is_ours(results / path))}):
            fault = fault_of_print(path, results, copy)
            whole += fault == ""
            if fault:
                yield Finding(str(path), False, f"{fault}; `bench report` makes it anew")
    yield Finding("tables, figures, pages", True, f"{whole} are what their records give")


def fault_of_print(path: Path, results: Path, copy: Path) -> str | None:
    """Return what is wrong with a table, figure or page, made again under `copy`.

    '' if nothing is, None if the file is missing and need not exist.
    """
    there, again = results / path, copy / path
    if not there.exists():
        # A page has megabytes, and no clone has one, nor the one that leads to them.
        return None if path.name in ("report.html", "index.html") else "is not there"
    texts = texts_of(there)
    if path.suffix == ".png" and not is_as_drawn(there, texts):
        return "is not as it was drawn"
    if not again.exists():
        return "is of no row that is there"
    if path.suffix == ".png":
        return "" if texts == texts_of(again) else "is not what its records give"
    return (
        ""
        if path.suffix == ".pdf" or there.read_bytes() == again.read_bytes()
        else "is not what its records give"
    )
