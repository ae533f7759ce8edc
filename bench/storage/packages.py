"""Which modules' code is followed, and where does it lie?"""

from __future__ import annotations

import site
import sys
import sysconfig
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

HOME = ("genmodel_bench",)
"""Packages whose code is followed even if installed; others only if they are not."""


def is_ours(module: str) -> bool:
    """Return whether a module is of this project."""
    return module.partition(".")[0] in HOME


@cache
def followed(module: str) -> bool:
    """Return whether a module's code is followed.

    That is this project's code, and any that is neither installed nor standard library.
    """
    top = module.partition(".")[0]
    if is_ours(top):
        return True
    if top in sys.stdlib_module_names or top == "__main__":
        return False
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return False
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    there = [Path(place).resolve() for place in places if place and Path(place).exists()]
    return bool(there) and not any(place.is_relative_to(folder) for place in there for folder in _installed())


@cache
def _installed() -> list[Path]:
    """Return the folders of installed packages and of the standard library."""
    paths = sysconfig.get_paths()
    found = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [Path(path).resolve() for path in (*found, *site.getsitepackages(), site.getusersitepackages())]


def spec_of(module: str) -> ModuleSpec | None:
    """Return the spec of a module, or None where there is none.

    Unlike `find_spec` of a submodule, this imports no parent package, such as torch.
    """
    first, *rest = module.split(".")
    spec = find_spec(first)
    for i in range(len(rest)):
        if spec is None or spec.submodule_search_locations is None:  # the parent is a module, not a package
            return None
        name, places = ".".join([first, *rest[: i + 1]]), spec.submodule_search_locations
        # The finders of an editable installation know folders outside their package.
        found = (finder.find_spec(name, places) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((each for each in found if each), None)
    return spec
