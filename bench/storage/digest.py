"""What does a result depend on, as a hash? Values, and the source code that computed it.

Code is hashed as a canonical walk of its syntax tree, the same on every Python from 3.11 on: type names and fields that hold anything.
What cannot change a number is not in it: comments, layout, docstrings, annotations, where an import stands and what it is called here, the
texts of `raise`, `assert` and warnings, Protocols that only declare, and the class variables that reach a result by value (`BY_VALUE`).
An imported name counts as what it stands for, so that importing another function under the same name is another code.
"""

from __future__ import annotations

import ast
import hashlib
import json
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from genmodel_bench.errors import BenchError

HOME = ("genmodel_bench",)
"""The package whose code is followed even where it is installed; others are followed unless they are."""
BY_VALUE = ("SETTINGS", "KIND", "ONLY", "INPUTS")
"""Class variables of a Config that are ingredients by value, or none: they are not part of its code."""
IGNORED = ("annotation", "returns", "type_comment", "type_params", "ctx", "kind", "simple", "msg", "cause")
"""Fields of syntax nodes that change no number."""
TOLD = ("warnings.warn", "warn", "add_note")
"""Calls that say something to people, as statements."""


def content_digest(*parts: Any) -> str:
    """Return 16 hex digits of the SHA-256 of JSON values (tuples as lists, key order of no matter)."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return 16 hex digits of the SHA-256 of a file's content. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


@dataclass(frozen=True)
class Source:
    """A module's own digest, and the names (`attribute`, `module`) that it takes from other modules that are followed."""

    digest: str
    uses: frozenset[tuple[str, str]]


@cache
def code_digests(*modules: str) -> dict[str, str]:
    """Return a digest of each of the modules and of all that they import and that is followed, by module, sorted.

    Who takes which name from whom is the entry "imports", where there is anything to say. A package's `__init__` counts only where it
    is itself imported from, so that a new line in a registry changes no model's digest. Raises BenchError for a module without source.
    """
    found: dict[str, Source] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = source_of(name)
            todo += [module for _, module in found[name].uses]
    digests = {name: found[name].digest for name in sorted(found)}
    joins = sorted([source.digest, name, found[module].digest] for source in found.values() for name, module in source.uses)
    return digests | ({"imports": content_digest(joins)} if joins else {})


@cache
def source_of(module: str) -> Source:
    """Return what a module's source says, read the first time it is asked for: an edit while a run goes on is not taken for what ran."""
    spec = None if module == "__main__" else _spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise BenchError(f"digest: {module!r} has no source file to hash; define models and metrics in a module that can be imported")
    path = Path(spec.origin)
    if path.suffix != ".py":
        return Source(file_digest(path), frozenset())
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    return walked(path.read_text(encoding="utf-8"), package)


def walked(text: str, package: str = "") -> Source:
    """Return what a source text of a module of `package` says."""
    tree = ast.parse(text)
    names = dict(_imported_names(tree, package))
    walk = _Walk(names)
    canonical = walk.body(tree.body)
    mentioned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    # What nothing mentions is imported for what that does; what only annotations mention is not used.
    alone = {("", origin.module) for name, origin in names.items() if origin.module and name not in mentioned}
    return Source(content_digest(canonical), frozenset(walk.uses | alone))


@dataclass(frozen=True)
class _Origin:
    """What an imported name stands for: `text` in the canonical walk, "" for a module, and the module where that is followed."""

    text: str
    module: str = ""


def _imported_names(tree: ast.Module, package: str) -> Iterator[tuple[str, _Origin]]:
    """Yield every name that an import binds, wherever it stands, and what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                if not _followed(alias.name):
                    yield bound, _Origin(alias.name if alias.asname else bound)
                else:
                    yield bound, _Origin("", alias.name)
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                bound, inner = alias.asname or alias.name, f"{source}.{alias.name}"
                if not _followed(source):
                    yield bound, _Origin(inner)
                elif _spec(inner):  # `from package import x` is of a submodule x where there is one, else of the package itself
                    yield bound, _Origin("", inner)
                else:
                    yield bound, _Origin(alias.name, source)


class _Walk:
    """Turns syntax nodes into lists and texts, and notes which imported names it came across."""

    def __init__(self, names: Mapping[str, _Origin]) -> None:
        self.names = names
        self.uses: set[tuple[str, str]] = set()
        self.modules: dict[str, list[str]] = {}

    def node(self, node: ast.AST) -> Any:
        """Return the canonical form of an expression, a statement or a part of one."""
        match node:
            case ast.Constant():
                return ["Constant", _constant(node.value)]
            case ast.Name() | ast.Attribute() if (dotted := self.dotted(node)) is not None:
                return ["Name", dotted]
            case ast.JoinedStr():
                return ["JoinedStr", _merged([self.node(part) for part in node.values])]
            case ast.Raise(exc=ast.Call(func=kind)):
                return ["Raise", self.node(kind)]
            case ast.ClassDef():
                return ["ClassDef", *self.fields(node, skip="body"), ["body", self.body(node.body, of_class=True)]]
            case ast.AnnAssign(value=ast.expr() as value):
                return ["Assign", ["targets", [self.node(node.target)]], ["value", self.node(value)]]
            case _:
                return [type(node).__name__, *self.fields(node)]

    def fields(self, node: ast.AST, skip: str = "") -> Iterator[list[Any]]:
        """Yield name and canonical content of each field that holds anything."""
        for name, value in ast.iter_fields(node):
            if value is None or value == [] or name in IGNORED or name == skip:
                continue
            if isinstance(value, list):
                statements = bool(value) and isinstance(value[0], ast.stmt)
                yield [name, self.body(value) if statements else [self.value(each) for each in value]]
            else:
                yield [name, self.value(value)]

    def value(self, value: Any) -> Any:
        """Return the canonical form of what stands in a field or a list of them."""
        return self.node(value) if isinstance(value, ast.AST) else value

    def body(self, statements: list[ast.stmt], *, of_class: bool = False) -> list[Any]:
        """Return the statements that count; in a class a field without a value is one."""
        found = []
        for node in statements:
            if of_class and isinstance(node, ast.AnnAssign):
                if not _is_by_value(node):
                    of_all = any(isinstance(n, (ast.Name, ast.Attribute)) and _last(n) == "ClassVar" for n in ast.walk(node.annotation))
                    value = [self.node(node.value)] if node.value else []
                    found.append(["ClassVar" if of_all else "Field", self.node(node.target), *value])
            elif self.counts(node):
                found.append(self.node(node))
        return found

    def counts(self, node: ast.stmt) -> bool:
        """Return whether a statement can change a number."""
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.Expr(value=ast.Constant()):
                return False
            case ast.Expr(value=ast.Call(func=(ast.Name() | ast.Attribute()) as called)):
                return (self.dotted(called) or _last(called)) not in TOLD
            case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.AnnAssign(value=None):
                return False
            case ast.Assign() | ast.AnnAssign():
                return not _is_by_value(node)
            case ast.If(test=(ast.Name() | ast.Attribute()) as test, orelse=[]):
                return _last(test) != "TYPE_CHECKING"
            case ast.ClassDef():
                return not self.only_declares(node)
        return type(node).__name__ != "TypeAlias"

    def only_declares(self, node: ast.ClassDef) -> bool:
        """Return whether a class is a Protocol that says what is there, and does nothing."""
        bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
        if not any(isinstance(base, (ast.Name, ast.Attribute)) and _last(base) == "Protocol" for base in bases):
            return False
        fields = (ast.FunctionDef, ast.AsyncFunctionDef)
        methods = [statement for statement in node.body if isinstance(statement, fields)]
        others = [s for s in node.body if not isinstance(s, (*fields, ast.AnnAssign)) and self.counts(s)]
        return not others and not any(self.counts(s) for method in methods for s in method.body)

    def dotted(self, node: ast.expr) -> str | None:
        """Return 'torch.nn.Linear' for what comes from a package that is not followed, 'f' for the f of a module that is.

        None for an attribute of anything that is not imported.
        """
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
        origin = self.names.get(node.id) if isinstance(node, ast.Name) else None
        if origin is None:
            return node.id if isinstance(node, ast.Name) and not attributes else None
        text = ".".join([part for part in (origin.text, *attributes) if part])
        if origin.module:
            # Of functions of one name in several modules, the one that is used first is the first.
            order = self.modules.setdefault(text, [])
            order += [origin.module] * (origin.module not in order)
            text += f"@{k}" if (k := order.index(origin.module)) else ""
            self.uses.add((text, origin.module))
        return text


def _constant(value: Any) -> Any:
    """Return a literal as JSON that tells 1 from 1.0 and True."""
    if isinstance(value, str):
        return value
    return [type(value).__name__, value.hex() if isinstance(value, bytes) else repr(value)]


def _merged(parts: list[Any]) -> list[Any]:
    """Return the parts of an f-string with neighbouring texts in one and without empty ones: Pythons cut them differently."""
    found: list[Any] = []
    for part in parts:
        if part == ["Constant", ""]:
            continue
        if part[0] == "Constant" and found and found[-1][0] == "Constant":
            found[-1] = ["Constant", found[-1][1] + part[1]]
        else:
            found.append(part)
    return found


def _last(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


def _is_by_value(node: ast.stmt) -> bool:
    """Return whether a statement assigns a class variable that reaches a result by value."""
    targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id in BY_VALUE for target in targets)


@cache
def _followed(module: str) -> bool:
    """Return whether a module's code is followed: this project's, and whatever is neither installed nor of the standard library."""
    top = module.partition(".")[0]
    if top in HOME:
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
    """Return the folders into which packages are installed, and that of the standard library."""
    paths = sysconfig.get_paths()
    found = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [Path(path).resolve() for path in (*found, *site.getsitepackages(), site.getusersitepackages())]


def _spec(module: str) -> ModuleSpec | None:
    """Return where a module's source lies, or None where there is no such module; no package it lies in is imported, as torch would be."""
    first, *rest = module.split(".")
    spec = find_spec(first)
    for i in range(len(rest)):
        if spec is None or spec.submodule_search_locations is None:  # the parent is a module, not a package
            return None
        name, places = ".".join([first, *rest[: i + 1]]), spec.submodule_search_locations
        # Those of an editable installation know where a folder lies that is not below its package.
        found = (finder.find_spec(name, places) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((each for each in found if each), None)
    return spec
