"""How is anybody's Python object found: as `module:Object`, or by an installed package?

A package offers models, metrics and data sets by entry points, in its pyproject.toml:

    [project.entry-points."genmodel_bench.models"]
    my-ae = "mylab.ae:Config"

Nothing of it is imported before it is asked for by its name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from contextlib import chdir
from functools import cache
from importlib import import_module, invalidate_caches
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Literal

from genmodel_bench.errors import BenchError

Kind = Literal["models", "metrics", "datasets"]

SPEC = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
"""What `module:Object` looks like; the object may be an attribute of a class."""


def is_spec(text: str) -> bool:
    """Return whether a text has the form `module:Object`."""
    return bool(SPEC.fullmatch(text))


@cache
def installed(kind: Kind) -> Mapping[str, str]:
    """Return what installed packages offer, as `module:Object` by name."""
    found = sorted(entry_points(group=f"genmodel_bench.{kind}"), key=lambda entry: entry.name)
    return MappingProxyType({entry.name: entry.value.partition("[")[0].strip() for entry in found})


def named_object(spec: str) -> Any:
    """Return the object that `module:Object` names; its module is imported.

    Raises:
        BenchError: the module cannot be imported, or has no such object.
    """
    if not is_spec(spec):
        raise BenchError(f"{spec}: expected module:Object, as mylab.ae:Config, by its name in an import")
    module, _, path = spec.partition(":")
    invalidate_caches()  # a file that was written a moment ago is found too
    try:
        with chdir("."):  # wherever the module goes, results are written from here
            found: Any = import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise BenchError(f"{spec}: {module} imports {error.name}, which is not installed") from error
        text = f"no module {error.name!r} in this folder or among installed packages"
        raise BenchError(f"{spec}: {text}; start where it can be imported") from error
    except (Exception, SystemExit) as error:
        raise BenchError(f"{spec}: importing {module} raised {_said(error)}") from error
    for name in path.split("."):
        try:
            there = hasattr(found, name)
        except Exception as error:  # of a module's own __getattr__
            raise BenchError(f"{spec}: looking for {name!r} in {module} raised {_said(error)}") from error
        if not there:
            close = difflib.get_close_matches(name, [n for n in dir(found) if n[0] != "_"], n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise BenchError(f"{spec}: {module} has no {name!r}{hint}")
        found = getattr(found, name)
    return found


def _said(error: BaseException) -> str:
    """Return an error's type, text and the place in the source where it was raised."""
    at, trace = "", error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith("<frozen"):
            at = f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})"
        trace = trace.tb_next
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}{'' if isinstance(error, SyntaxError) else at}"
