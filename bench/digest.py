"""What does a result depend on, as a hash? Values, and the source code that computed it."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from bench.errors import BenchError

HOME = ("bench", "models", "metrics")
"""The packages whose code is followed; other packages are named by version in the records."""


def content_digest(*parts: Any) -> str:
    """Return 16 hex digits of the SHA-256 of JSON values (tuples as lists, key order of no matter)."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def code_digests(*modules: str) -> dict[str, str]:
    """Return a digest of the source of each of the modules and of all they import from this project, by module, sorted.

    They are taken of the syntax tree without docstrings: comments and layout change nothing. Assignments to SETTINGS are left out:
    hyper-parameters by data set reach a fit through its Config, which is hashed by value. A package's `__init__` counts only where
    it is itself imported from, so that a new line in a registry changes no model's digest.
    """
    return {name: content_digest(_normal_source(name)) for name in _closure(modules)}


def _closure(modules: tuple[str, ...]) -> list[str]:
    """Return `modules` and everything of this project they import, sorted."""
    seen: set[str] = set()
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += _local_imports(name)
    return sorted(seen)


def _spec(module: str) -> ModuleSpec | None:
    """Return where a module's source lies, or None where there is no such module; no package it lies in is imported, as torch would be."""
    first, *rest = module.split(".")
    spec = find_spec(first)
    for i in range(len(rest)):
        if spec is None or spec.submodule_search_locations is None:  # the parent is a module, not a package
            return None
        spec = PathFinder.find_spec(".".join([first, *rest[: i + 1]]), spec.submodule_search_locations)
    return spec


def _tree(module: str) -> ast.Module:
    spec = None if module == "__main__" else _spec(module)
    if spec is None or spec.origin is None:
        raise BenchError(f"digest: {module!r} has no source file to hash; define models and metrics in a module that can be imported")
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _local_imports(module: str) -> Iterator[str]:
    spec = _spec(module)
    package = module if spec and spec.submodule_search_locations is not None else module.rpartition(".")[0]
    for node in ast.walk(_tree(module)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            # `from package import x` is of a submodule x where there is one, else of the package itself.
            if source.split(".")[0] in HOME:
                inner = [f"{source}.{alias.name}" for alias in node.names]
                names = [name if _spec(name) else source for name in inner]
        yield from (name for name in names if name.split(".")[0] in HOME)


def _normal_source(module: str) -> str:
    tree = _tree(module)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [n for n in body if not (_is_text(n) or _is_settings(n))]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]  # it has one, as just read
    return ast.unparse(tree)


def _is_text(node: ast.stmt) -> bool:
    """Return whether a statement is a docstring, or a string that documents a constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_settings(node: ast.stmt) -> bool:
    """Return whether a statement assigns the hyper-parameters by data set."""
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "SETTINGS"
