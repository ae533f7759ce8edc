"""Which source code does a result depend on, as a hash?

A module counts with all that it takes from others whose code is followed: an imported
name counts as what it stands for, through re-exports, so that importing another function
under the same name is other code.
"""

from __future__ import annotations

import json
import sys
import tokenize
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from genmodel_bench.errors import BenchError
from genmodel_bench.storage.digest import content_digest, file_digest
from genmodel_bench.storage.packages import followed, is_ours, spec_of, versions_of
from genmodel_bench.storage.syntax import Source, walked

_IMPORTED: dict[str, Any] = {}
"""The spec with which each module from outside was imported, as it was last seen."""
_AGAIN: Counter[str] = Counter()
"""How often each was imported anew since, as by `importlib.reload`."""


def code_digests(*modules: str) -> dict[str, str]:
    """Return a digest of each module and of every followed module it imports, by name.

    The entry "imports", where there is more than one module, is a digest of which module
    takes what from which. The `__init__` of a package of this project counts only where
    it is itself imported from, so that a new line in a registry changes no model's
    digest; that of any other package always counts.

    Of code that is not of this project, two more things count, each as an entry: the
    versions of the packages that it imports, except those that this project needs itself,
    as "package NAME"; and all files of a top-level package in which a module imports by a
    computed name, or beside such a module that is in no package, as "all of NAME".

    A module from outside that was imported again in this process is read again.

    Raises:
        BenchError: a module has no source.
    """
    _notice_reloads()
    return _code_digests(modules, _AGAIN.total())


def forget_code() -> None:
    """Forget all code that was read, as in another process."""
    for cached in (_code_digests, _source_of, all_of, followed):
        cached.cache_clear()


def _notice_reloads() -> None:
    """Count the modules from outside that were imported again."""
    for name, before in list(_IMPORTED.items()):
        now = getattr(sys.modules.get(name), "__spec__", None)
        if now is not None and now is not before:
            _IMPORTED[name] = now
            if before is not None:
                _AGAIN[name] += 1
                all_of.cache_clear()
                followed.cache_clear()


@cache
def _code_digests(modules: tuple[str, ...], again: int) -> dict[str, str]:
    found: dict[str, Source] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = source_of(name) if name in modules else _imported(name)
            todo += [module for _, _, module in found[name].uses]
            todo += _packages_of(name)
    digests = {name: found[name].digest for name in sorted(found)}
    joined = _Joined(found)
    if len(found) > 1:
        digests["imports"] = content_digest([joined.deep(name) for name in modules])
    theirs = {name: source for name, source in found.items() if not is_ours(name)}
    tops = {top for source in theirs.values() for top in source.others}
    digests |= {f"package {name}": content_digest(name, version) for name, version in versions_of(tops)}
    whole = sorted({name.partition(".")[0] for name, source in theirs.items() if source.computes})
    return digests | {f"all of {top}": all_of(top) for top in whole}


def followed_into(*modules: str) -> list[str]:
    """Return the top-level names of code from outside this project that modules run.

    Of packages that are installed as files of their own, and are the same wherever they
    are installed, none is among them.
    """
    found = {name.partition(".")[0] for name in code_digests(*modules) if " " not in name}
    return sorted(top for top in found if followed(top) and not is_ours(top))


@cache
def all_of(top: str) -> str:
    """Return the digest of all Python files of a package, or beside a module."""
    spec = spec_of(top)
    folders = [Path(place) for place in (spec.submodule_search_locations if spec else None) or ()]
    files = [(path.relative_to(folder), path) for folder in folders for path in folder.rglob("*.py")]
    if not folders and spec and spec.origin:
        beside = Path(spec.origin).parent.glob("*.py") if followed(top) else [Path(spec.origin)]
        files = [(Path(path.name), path) for path in beside]
    return content_digest(sorted([name.as_posix(), file_digest(path)] for name, path in files))


class _Joined:
    """Digests of modules together with all that they take from others.

    Within a cycle of imports, a module's own digest stands for it.
    """

    def __init__(self, found: dict[str, Source]) -> None:
        self.found = found
        self.known: dict[str, str] = {}
        self.under_way: list[str] = []

    def deep(self, module: str) -> str:
        """Return the digest of a module and of what it takes from others."""
        if module in self.under_way:
            return f"ring {self.source(module).digest}"
        if module not in self.known:
            self.under_way.append(module)
            source = self.source(module)
            taken = sorted([name, *self.taken(attribute, other)] for name, attribute, other in source.uses)
            packages = [self.deep(package) for package in _packages_of(module)]
            self.under_way.pop()
            self.known[module] = content_digest(source.digest, taken, packages)
        return self.known[module]

    def source(self, module: str) -> Source:
        """Return a module's `Source`; one reached only by re-exports is read here."""
        return self.found[module] if module in self.found else _imported(module)

    def taken(self, attribute: str, module: str, by: frozenset[tuple[str, str]] = frozenset()) -> list[Any]:
        """Return what stands for an attribute of a module.

        That is the module's digest and, where it only re-exports the attribute, what that
        stands for. `by` holds the re-exports followed so far, which may form a cycle.
        """
        source = self.source(module)
        found: list[Any] = [attribute, self.deep(module)]
        by |= {(attribute, module)}
        for name, origins in source.bindings:
            if (name == attribute and name not in source.defined) or attribute == "*":
                for origin in origins:
                    ring = origin.module in self.under_way or (origin.attribute, origin.module) in by
                    there = (
                        self.taken(origin.attribute, origin.module, by)
                        if origin.module and not ring
                        else [origin.attribute]
                    )
                    found.append(json.dumps([name, origin.text, *there]))
        return found


def _packages_of(module: str) -> list[str]:
    """Return the packages that a module lies in and that run with it, but not ours."""
    parts = module.split(".")
    if is_ours(module):
        return []
    names = [".".join(parts[:i]) for i in range(1, len(parts))]
    return [name for name in names if (spec := spec_of(name)) and spec.origin and Path(spec.origin).is_file()]


def _imported(module: str) -> Source:
    """Return the `Source` of an imported module; that of one that is absent says so.

    A module may try to import what there is on other machines alone.
    """
    try:
        return source_of(module)
    except BenchError:
        return Source("absent")


def source_of(module: str) -> Source:
    """Return the `Source` of a module, read the first time it is asked for.

    An edit during a run is therefore not taken for the code that ran.

    Raises:
        BenchError: there is no source file.
    """
    return _source_of(module, _AGAIN[module])


@cache
def _source_of(module: str, again: int) -> Source:
    if not is_ours(module):
        _IMPORTED[module] = getattr(sys.modules.get(module), "__spec__", None)
    spec = None if module == "__main__" else spec_of(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise BenchError(
            f"digest: {module!r} has no source file to hash; "
            "define models and metrics in a module that can be imported"
        )
    path = Path(spec.origin)
    if path.suffix != ".py":
        return Source(file_digest(path))
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    with tokenize.open(path) as file:  # in the encoding that its first lines declare
        return walked(file.read(), package)
