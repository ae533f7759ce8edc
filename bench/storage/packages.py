"""Which modules' code is followed, and where does it lie?"""

from __future__ import annotations

import re
import site
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
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


def versions_of(tops: Iterable[str]) -> list[tuple[str, str]]:
    """Return name and version of the packages that offer top-level modules, sorted.

    What this project needs itself is left out: its versions stand in each row, and do not
    outdate it. So is what was not installed as a package.
    """
    offered = _offered() if tops else {}
    names = {_plain(name) for top in tops for name in offered.get(top, ())} - _needed()
    return sorted((name, version(name)) for name in names)


@cache
def _offered() -> dict[str, list[str]]:
    """Return the packages that offer each top-level module."""
    return dict(packages_distributions())


@cache
def _needed() -> frozenset[str]:
    """Return this project and the packages that it needs, without its extras."""
    try:
        lines = requires("genmodel-bench") or []
    except PackageNotFoundError:
        lines = []
    names = [re.match(r"[\w.-]+", line) for line in lines if "extra ==" not in line]
    return frozenset({"genmodel-bench", *(_plain(name[0]) for name in names if name)})


def _plain(name: str) -> str:
    """Return a package's name in the one form in which names compare."""
    return re.sub(r"[-_.]+", "-", name).lower()


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
