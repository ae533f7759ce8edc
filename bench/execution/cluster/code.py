"""How is this package copied into one folder, laid out as in a wheel?

In a clone, the models and metrics lie beside the folder of the rest.
"""

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
