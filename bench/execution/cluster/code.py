"""How does this package become one folder, as a wheel lays it out? In a clone, models and metrics lie beside the rest."""

from __future__ import annotations

import shutil
from pathlib import Path

from genmodel_bench import metrics, models


def lay_out(folder: Path) -> None:
    """Copy this package into `folder`, as `genmodel_bench`."""
    sources = {
        "": Path(__file__).parents[2],
        "models": Path(models.__file__).parent,
        "metrics": Path(metrics.__file__).parent,
    }
    for name, source in sources.items():
        target = folder / "genmodel_bench" / name
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
