"""What does a result depend on, as a hash? Values, and the source code that computed it.

Code is hashed as a canonical walk of its syntax tree, the same on every Python from 3.11 on: type names and fields that hold anything.
What cannot change a number is not in it: comments, layout, docstrings, annotations, where an import stands and what it is called here, the
texts of `raise`, `assert` and warnings, Protocols that only declare, and what reaches a result by value of a Config (`BY_VALUE`).
An imported name counts as what it stands for, through whatever it is handed on by, so that importing another function under the same
name is another code. What is imported by a name that is computed (`importlib.import_module`) is not followed.
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
"""What a class with `build`, a Config, assigns that is an ingredient by value, or none: it is not part of its code."""
IGNORED = ("annotation", "returns", "type_comment", "type_params", "ctx", "kind", "simple", "msg", "cause")
"""Fields of syntax nodes that change no number."""
MARKS = ("ClassVar", "InitVar")
"""Annotations that say what a field of a dataclass is."""


def content_digest(*parts: Any) -> str:
    """Return 16 hex digits of the SHA-256 of JSON values (tuples as lists, key order of no matter)."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return 16 hex digits of the SHA-256 of a file's content. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


@dataclass(frozen=True)
class Origin:
    """What an imported name stands for: an attribute ("": the module, "*": all) of a followed module, or a dotted text of another one.

    After `import a.b`, which binds `a`, the `prefix` is "a.b".
    """

    attribute: str = ""
    module: str = ""
    text: str = ""
    prefix: str = ""


@dataclass(frozen=True)
class Source:
    """A module's own digest, and what it has of other modules.

    `uses` holds (name in the walk, attribute, module) of what it takes from modules that are followed, `bindings` what its imported names
    stand for, `defined` the names that it defines itself.
    """

    digest: str
    uses: frozenset[tuple[str, str, str]] = frozenset()
    bindings: tuple[tuple[str, tuple[Origin, ...]], ...] = ()
    defined: frozenset[str] = frozenset()


@cache
def code_digests(*modules: str) -> dict[str, str]:
    """Return a digest of each of the modules and of all that they import and that is followed, by module, sorted.

    Who takes what from whom is the entry "imports", where there is anything to say. The `__init__` of a package of this project counts only
    where it is itself imported from, so that a new line in a registry changes no model's digest; that of any other package always does.
    Raises BenchError for a module without source.
    """
    found: dict[str, Source] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = source_of(name)
            todo += [module for _, _, module in found[name].uses]
            todo += _packages_of(name)
    digests = {name: found[name].digest for name in sorted(found)}
    joined = _Joined(found)
    return digests | (
        {"imports": content_digest([joined.deep(name) for name in modules])} if len(found) > 1 else {}
    )


class _Joined:
    """Digests of modules together with all that they take from others; within a ring of imports, a module's own digest stands for it."""

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
        """Return what a module says; one that is only handed on from is read when it is asked for."""
        return self.found[module] if module in self.found else source_of(module)

    def taken(self, attribute: str, module: str, by: frozenset[tuple[str, str]] = frozenset()) -> list[Any]:
        """Return what stands for an attribute of a module: the module, and where it only hands the attribute on, what that stands for.

        `by` holds what it was handed on by, which may be a ring.
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
    """Return the packages that a module lies in and that are run with it, but for those of this project."""
    parts = module.split(".")
    if parts[0] in HOME:
        return []
    names = [".".join(parts[:i]) for i in range(1, len(parts))]
    return [name for name in names if (spec := _spec(name)) and spec.origin and Path(spec.origin).is_file()]


@cache
def source_of(module: str) -> Source:
    """Return what a module's source says, read the first time it is asked for: an edit while a run goes on is not taken for what ran."""
    spec = None if module == "__main__" else _spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise BenchError(
            f"digest: {module!r} has no source file to hash; define models and metrics in a module that can be imported"
        )
    path = Path(spec.origin)
    if path.suffix != ".py":
        return Source(file_digest(path))
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    return walked(path.read_text(encoding="utf-8"), package)


def walked(text: str, package: str = "") -> Source:
    """Return what a source text of a module of `package` says."""
    tree = ast.parse(text)
    only_typing = {
        id(inner) for node in ast.walk(tree) if _is_type_checking(node) for inner in ast.walk(node)
    }
    names: dict[str, list[Origin]] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in only_typing:
            for bound, origin in _bindings(node, package):
                names.setdefault(bound, [])
                names[bound] += [origin] * (origin not in names[bound])
    walk = _Walk(
        names,
        package,
        {name for name, origins in names.items() if len(origins) > 1}
        | (names.keys() & _bound_otherwise(tree)),
    )
    canonical = walk.body(tree.body)
    mentioned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    # What nothing mentions is imported for what that does, or to be handed on; what only annotations mention is not used.
    alone = {
        ("", "", o.module)
        for name, origins in names.items()
        if name not in mentioned
        for o in origins
        if o.module
    }
    return Source(
        content_digest(canonical),
        frozenset(walk.uses | alone),
        tuple(sorted((name, tuple(origins)) for name, origins in names.items())),
        frozenset(_defined(tree)),
    )


def _bindings(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, Origin]]:
    """Yield the names that an import binds, "*" for all, and what each stands for."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            module = {"module": alias.name} if _followed(alias.name) else {"text": alias.name}
            yield (
                (alias.asname, Origin(**module))
                if alias.asname
                else (alias.name.partition(".")[0], Origin(**module, prefix=alias.name))
            )
        return
    source = resolve_name("." * node.level + (node.module or ""), package)
    for alias in node.names:
        inner = f"{source}.{alias.name}"
        if not _followed(source):
            origin = Origin(text=inner)
        elif alias.name != "*" and _spec(
            inner
        ):  # `from package import x` is of a submodule x where there is one
            origin = Origin(module=inner)
        else:
            origin = Origin(alias.name, source)
        yield alias.asname or alias.name, origin


class _Walk:
    """Turns syntax nodes into lists and texts, and notes what they take from other modules.

    The place of an import counts for `contested` names alone, which are bound in other ways too.
    """

    def __init__(self, names: Mapping[str, list[Origin]], package: str, contested: set[str]) -> None:
        self.names, self.package, self.contested = names, package, contested
        self.uses: set[tuple[str, str, str]] = set()
        self.modules: dict[str, list[str]] = {}

    def node(self, node: ast.AST) -> Any:
        """Return the canonical form of an expression, a statement or a part of one."""
        match node:
            case ast.Constant():
                return ["Constant", _constant(node.value)]
            case ast.Name() | ast.Attribute() if (imported := self.imported(node)) is not None:
                return ["Imported", imported]
            case ast.Name():
                return ["Name", node.id]
            case ast.JoinedStr():
                return ["JoinedStr", _merged([self.node(part) for part in node.values])]
            case ast.Raise(exc=ast.Call() as error):
                return ["Raise", self.without_texts(error)]
            case ast.Expr(value=ast.Call(func=(ast.Name() | ast.Attribute()) as called) as call) if (
                self.is_told(called)
            ):
                return ["Expr", self.without_texts(call)]
            case ast.ClassDef():
                is_config = any(
                    isinstance(part, ast.FunctionDef) and part.name == "build" for part in node.body
                )
                return [
                    "ClassDef",
                    *self.fields(node, skip="body"),
                    ["body", self.class_body(node.body, is_config=is_config)],
                ]
            case ast.AnnAssign(value=ast.expr() as value):
                return ["Assign", ["targets", [self.node(node.target)]], ["value", self.node(value)]]
            case ast.Import() | ast.ImportFrom():
                return [
                    "Import",
                    [[bound, self.text_of(origin, [])] for bound, origin in _bindings(node, self.package)],
                ]
            case _:
                return [type(node).__name__, *self.fields(node)]

    def without_texts(self, call: ast.Call) -> list[Any]:
        """Return a call without those of its arguments that are texts for people."""
        kept = [self.node(argument) for argument in call.args if not _is_text(argument)]
        named = [
            [keyword.arg, self.node(keyword.value)]
            for keyword in call.keywords
            if not _is_text(keyword.value)
        ]
        return [self.node(call.func), kept, named]

    def is_told(self, called: ast.Name | ast.Attribute) -> bool:
        """Return whether a call warns, or adds a note to an error."""
        return self.imported(called) == "warnings.warn" or (
            isinstance(called, ast.Attribute) and called.attr == "add_note"
        )

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

    def body(self, statements: list[ast.stmt]) -> list[Any]:
        """Return the statements that count."""
        return [self.node(node) for node in statements if self.counts(node)]

    def class_body(self, statements: list[ast.stmt], *, is_config: bool) -> list[Any]:
        """Return the statements of a class that count; a field without a value is one."""
        found = []
        for node in statements:
            if is_config and _is_by_value(node):
                continue
            if isinstance(node, ast.AnnAssign):
                inner = {
                    _last(n) for n in ast.walk(node.annotation) if isinstance(n, (ast.Name, ast.Attribute))
                }
                value = [self.node(node.value)] if node.value else []
                found.append(["Field", *sorted(inner & {*MARKS}), self.node(node.target), *value])
            elif self.counts(node):
                found.append(self.node(node))
        return found

    def counts(self, node: ast.stmt) -> bool:
        """Return whether a statement can change a number."""
        match node:
            case ast.Import() | ast.ImportFrom():
                return any(
                    bound == "*" or bound in self.contested for bound, _ in _bindings(node, self.package)
                )
            case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.AnnAssign(value=None):
                return False
            case ast.ClassDef():
                return not self.only_declares(node)
        return not _is_type_checking(node) and type(node).__name__ != "TypeAlias"

    def only_declares(self, node: ast.ClassDef) -> bool:
        """Return whether a class is a Protocol that says what is there, and does nothing."""
        bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
        if not any(
            isinstance(base, (ast.Name, ast.Attribute)) and _last(base) == "Protocol" for base in bases
        ):
            return False
        fields = (ast.FunctionDef, ast.AsyncFunctionDef)
        methods = [statement for statement in node.body if isinstance(statement, fields)]
        others = [s for s in node.body if not isinstance(s, fields) and self.counts(s)]
        return not others and not any(self.counts(s) for method in methods for s in method.body)

    def imported(self, node: ast.expr) -> str | None:
        """Return what an imported name, or an attribute of one, stands for: 'torch.nn.Linear', '~f' of a module that is followed.

        None for anything else.
        """
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.names:
            return None
        path = ".".join([node.id, *attributes])
        origins = self.names[node.id]
        prefixed = [o for o in origins if o.prefix and f"{path}.".startswith(f"{o.prefix}.")]
        longest = max((len(o.prefix) for o in prefixed), default=0)
        chosen = [o for o in origins if not o.prefix or len(o.prefix) == longest or not prefixed]
        texts = []
        for origin in chosen:
            seen = len(origin.prefix.split(".")) - 1 if origin in prefixed else 0
            texts.append(self.text_of(origin, attributes[seen:]))
        return " or ".join(texts)

    def text_of(self, origin: Origin, attributes: list[str]) -> str:
        """Return what an origin, or an attribute of it, is in the walk, and note that it is used."""
        if not origin.module:
            return ".".join([origin.text, *attributes])
        taken = origin.attribute or (attributes[0] if attributes else "")
        text = "~" + ".".join([part for part in (origin.attribute, *attributes) if part])
        # Of what has one name in several modules, that of the module which is used first is the first.
        order = self.modules.setdefault(text, [])
        order += [origin.module] * (origin.module not in order)
        text += f"@{k}" if (k := order.index(origin.module)) else ""
        self.uses.add((text, taken, origin.module))
        return text


def _bound_otherwise(tree: ast.Module) -> set[str]:
    """Return the names that a module binds anywhere by other means than imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store() | ast.Del()):
                found.add(node.id)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.arg():
                found.add(node.arg)
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                found.add(name)
    return found


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module defines at its top."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        else:
            yield from (
                n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            )


def _is_type_checking(node: ast.AST) -> bool:
    """Return whether a statement is there for type checkers alone."""
    if not isinstance(node, ast.If) or node.orelse or not isinstance(node.test, (ast.Name, ast.Attribute)):
        return False
    return _last(node.test) == "TYPE_CHECKING"


def _is_text(node: ast.expr) -> bool:
    """Return whether an expression is a text: a literal, put together of some, or formatted."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return _is_text(node.left) or _is_text(node.right)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="format" | "join")):
            return True
    return False


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
    """Return whether a statement of a Config assigns what reaches a result by value."""
    targets = (
        [node.target]
        if isinstance(node, ast.AnnAssign)
        else node.targets
        if isinstance(node, ast.Assign)
        else []
    )
    return len(targets) == 1 and isinstance(targets[0], ast.Name) and targets[0].id in BY_VALUE


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
