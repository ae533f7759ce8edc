"""What of a module's source can change a number?

Code is a canonical walk of its syntax tree, type names and non-empty fields, which is the
same on every Python from 3.11 on. What cannot change a number is left out: comments,
layout, docstrings, annotations, where an import stands and which name it gets, the texts
of `raise`, `assert` and warnings, Protocols that only declare, what reaches a result as a
value of a Config (`BY_VALUE`), and what a Config or metric says for readers (`SHOWN`).
Imports by a computed name cannot be followed: a `Source` says whether there are some.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import resolve_name
from typing import Any

from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.packages import followed, spec_of

BY_VALUE = ("SETTINGS", "KIND", "ONLY", "INPUTS", "BOUNDS")
"""Attributes of a Config, a class with `build`, that are not part of its code.

They are ingredients by their value, or no ingredients at all.
"""
SHOWN = ("columns", "SOURCES")
"""Attributes of a Config, or of a metric, that are for readers alone.

A metric is a class with `__call__` and `needs`.
"""
IGNORED = ("annotation", "returns", "type_comment", "type_params", "ctx", "kind", "simple", "msg", "cause")
"""Fields of syntax nodes that cannot change a number."""
COMPUTED = ("import_module", "spec_from_file_location", "run_path", "run_module")
"""Functions that import or run code by a name that is known only when they are called."""
MARKS = ("ClassVar", "InitVar")
"""Annotations that change what a dataclass makes of a field."""


@dataclass(frozen=True)
class Origin:
    """What an imported name stands for.

    That is an `attribute` ("": the module itself, "*": all) of a followed `module`, or a
    dotted name in another module, as `text`. After `import a.b`, which binds `a`, the
    `prefix` is "a.b".
    """

    attribute: str = ""
    module: str = ""
    text: str = ""
    prefix: str = ""


@dataclass(frozen=True)
class Source:
    """The digest of a module's own code, and what it takes from other modules.

    uses: (name in the walk, attribute, module) of what it takes from followed modules.
    bindings: what each of its imported names stands for.
    defined: the names that it defines itself.
    others: the top-level modules that it imports and whose code is not followed.
    computes: whether it may import or run code by a name that it computes.
    """

    digest: str
    uses: frozenset[tuple[str, str, str]] = frozenset()
    bindings: tuple[tuple[str, tuple[Origin, ...]], ...] = ()
    defined: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    computes: bool = False


def walked(text: str, package: str = "") -> Source:
    """Return the `Source` of a module of `package` from its text."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))  # once: a process that starts reads all models and metrics
    only_typing = {id(inner) for node in nodes if _is_type_checking(node) for inner in ast.walk(node)}
    names: dict[str, list[Origin]] = {}
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in only_typing:
            for bound, origin in _bindings(node, package):
                names.setdefault(bound, [])
                names[bound] += [origin] * (origin not in names[bound])
    walk = _Walk(
        names,
        package,
        {name for name, origins in names.items() if len(origins) > 1}
        | (names.keys() & _bound_otherwise(nodes)),
        {node.attr for node in nodes if isinstance(node, ast.Attribute)} & {*BY_VALUE},
    )
    canonical = walk.body(tree.body)
    mentioned = {node.id for node in nodes if isinstance(node, ast.Name)}
    # A name that is mentioned nowhere was imported for its side effects or to be
    # re-exported; one that only annotations mention is not used.
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
        frozenset(o.text.partition(".")[0] for origins in names.values() for o in origins if o.text),
        any(_computes(node) for node in nodes),
    )


def _computes(node: ast.AST) -> bool:
    """Return whether a node names what imports, or runs code, by a computed name."""
    if isinstance(node, ast.Name) and node.id in ("__import__", "exec", "eval"):
        return True
    return isinstance(node, (ast.Name, ast.Attribute)) and _last(node) in COMPUTED


def _follows(module: str, package: str) -> bool:
    """Return whether a module of `package` is followed into another one.

    A package follows itself, even where it is installed.
    """
    return followed(module) or module.partition(".")[0] == package.partition(".")[0]


def _bindings(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, Origin]]:
    """Yield the names that an import binds, "*" for all, and what each stands for."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            module = {"module": alias.name} if _follows(alias.name, package) else {"text": alias.name}
            yield (
                (alias.asname, Origin(**module))
                if alias.asname
                else (alias.name.partition(".")[0], Origin(**module, prefix=alias.name))
            )
        return
    try:
        source = resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:  # it is tried, and raises: there is no such package around the module
        yield from (
            (alias.asname or alias.name, Origin(text=f"no package: {alias.name}")) for alias in node.names
        )
        return
    for alias in node.names:
        inner = f"{source}.{alias.name}"
        if not _follows(source, package):
            origin = Origin(text=inner)
        elif alias.name != "*" and spec_of(inner):
            # `from package import x` imports the submodule x where there is one.
            origin = Origin(module=inner)
        else:
            origin = Origin(alias.name, source)
        yield alias.asname or alias.name, origin


class _Walk:
    """Turns syntax nodes into lists and strings, and notes what they take from elsewhere.

    The place of an import counts only for `contested` names, which are also bound by
    another import or by other means. What a module has `read` of anything is code, also
    where a Config or metric would only say it.
    """

    def __init__(
        self, names: Mapping[str, list[Origin]], package: str, contested: set[str], read: set[str]
    ) -> None:
        self.names, self.package, self.contested, self.read = names, package, contested, read
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
                return ["ClassDef", *self.fields(node, skip="body"), ["body", self.class_body(node.body)]]
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
        """Return a call without the arguments that are text for people."""
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
        """Yield name and canonical content of each field that is not empty."""
        for name, value in ast.iter_fields(node):
            if value is None or value == [] or name in IGNORED or name == skip:
                continue
            if isinstance(value, list):
                statements = bool(value) and isinstance(value[0], ast.stmt)
                yield [name, self.body(value) if statements else [self.value(each) for each in value]]
            else:
                yield [name, self.value(value)]

    def value(self, value: Any) -> Any:
        """Return the canonical form of a field, or of one item of a list."""
        return self.node(value) if isinstance(value, ast.AST) else value

    def body(self, statements: list[ast.stmt]) -> list[Any]:
        """Return the canonical forms of the statements that count."""
        return [self.node(node) for node in statements if self.counts(node)]

    def class_body(self, statements: list[ast.stmt]) -> list[Any]:
        """Return what counts in a class body, fields without a value included."""
        members, found = {_member(node) for node in statements}, []
        left_out = (
            (*BY_VALUE, *SHOWN) if "build" in members else SHOWN if {"__call__", "needs"} <= members else ()
        )
        read = self.read | {name for node in statements for name in _own(node)}
        for node in statements:
            if _member(node) in left_out and _member(node) not in read:
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
        """Return whether a class is a Protocol that declares members and does nothing."""
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
        """Return what an imported name, or an attribute of one, stands for.

        Such as 'torch.nn.Linear', or '~f' for `f` of a followed module. None for anything
        else.
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
        """Return the name in the walk of an origin or its attribute; note its use."""
        if not origin.module:
            return ".".join([origin.text, *attributes])
        taken = origin.attribute or (attributes[0] if attributes else "")
        text = "~" + ".".join([part for part in (origin.attribute, *attributes) if part])
        # Modules that share a name are numbered in the order of their first use.
        order = self.modules.setdefault(text, [])
        order += [origin.module] * (origin.module not in order)
        text += f"@{k}" if (k := order.index(origin.module)) else ""
        self.uses.add((text, taken, origin.module))
        return text


def _bound_otherwise(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that a module's nodes bind by other means than imports."""
    found: set[str] = set()
    for node in nodes:
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
    """Yield the names that a module defines at its top level."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        else:
            yield from (
                n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            )


def _is_type_checking(node: ast.AST) -> bool:
    """Return whether a statement is only for type checkers."""
    if not isinstance(node, ast.If) or node.orelse or not isinstance(node.test, (ast.Name, ast.Attribute)):
        return False
    return _last(node.test) == "TYPE_CHECKING"


def _is_text(node: ast.expr) -> bool:
    """Return whether an expression is text: a literal, joined from some, or formatted."""
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
    """Return the parts of an f-string, adjacent texts joined and empty ones dropped.

    Versions of Python cut them differently.
    """
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


def _own(node: ast.stmt) -> Iterator[str]:
    """Yield the attributes that a statement of a class body reads of its own object."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
            if inner.value.id in ("self", "cls"):
                yield inner.attr


def _member(node: ast.stmt) -> str:
    """Return the name that a statement of a class body defines, or ""."""
    match node:
        case ast.FunctionDef(name=name):
            return name
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""
