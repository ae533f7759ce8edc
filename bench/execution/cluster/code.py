"""How is the code that cells run copied into one folder: this package, and others' code?

This package is laid out as in a wheel: in a clone, the models and metrics lie beside the
folder of the rest.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from genmodel_bench import metrics, models
from genmodel_bench.storage.code import followed_into
from genmodel_bench.storage.packages import spec_of

LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*")


def lay_out(folder: Path, modules: Iterable[str] = ()) -> None:
    """Copy this package into `folder`, as `genmodel_bench`, and others' code beside it.

    modules: of models and metrics; those from outside this project are copied with all of
        their top-level packages, and with those that they import. Packages installed from
        a wheel are not: they have to be installed on each machine.
    """
    sources = {
        "": Path(__file__).parents[2],
        "models": Path(models.__file__).parent,
        "metrics": Path(metrics.__file__).parent,
    }
    for name, source in sources.items():
        target = folder / "genmodel_bench" / name
        shutil.copytree(source, target, ignore=LEFT_OUT, dirs_exist_ok=True)
    for top in followed_into(*modules):
        spec = spec_of(top)
        for place in (spec.submodule_search_locations if spec else None) or ():
            shutil.copytree(place, folder / top, ignore=LEFT_OUT, dirs_exist_ok=True)
        if spec and spec.origin and not spec.submodule_search_locations:
            shutil.copy2(spec.origin, folder)
