"""How does somebody begin a model or metric of his own? `bench new`.

It writes a file that works as it stands, and its test.
"""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from typing import Literal

from genmodel_bench.errors import BadOption

OBJECTS = {"model": "Config", "metric": "Metric"}
"""What the file of each kind defines."""
ARGUMENTS = {"model": "epochs=2, batch_size=20", "metric": ""}
"""What makes it small enough for a test."""


def new(kind: Literal["model", "metric"], name: str, folder: Path | str = ".") -> list[Path]:
    """Write a model or metric and its test into `folder`; return the files written.

    name: of a module, as 'ae', or of one in a package, as 'mylab.ae', whose folders are
        made.

    Raises:
        BadOption: the name is none of a module, or a file is there already.
    """
    parts, folder = name.split("."), Path(folder)
    if not all(re.fullmatch(r"[a-z_][a-z0-9_]*", part) and not iskeyword(part) for part in parts):
        raise BadOption(f"new: got {name[:60]!r}, expected the name of a module, as ae or mylab.ae")
    if parts[0] in sys.builtin_module_names or not _is_free(parts[0], folder):
        raise BadOption(f"new: {parts[0]} is the name of an installed package; choose another")
    source = folder.joinpath(*parts[:-1], f"{parts[-1]}.py")
    test = (folder / "tests" if (folder / "tests").is_dir() else folder) / f"test_{parts[-1]}.py"
    for path in (source, test):
        if path.exists():
            raise BadOption(f"new: {path} is there already; choose another name, or move it away")
    packages = [folder.joinpath(*parts[:i]) for i in range(1, len(parts))]
    for path in (path.with_suffix(".py") for path in packages):
        if path.exists():
            raise BadOption(f"new: {path} is a module, which a folder of its name would hide; choose another")
    package = folder
    for part in parts[:-1]:
        package /= part
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
    template = files("genmodel_bench.commands.templates").joinpath(f"{kind}.py")
    source.write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    made = OBJECTS[kind]
    test.write_text(
        f"from genmodel_bench.contract import check_{kind}\n"
        f"from {name} import {made}\n\n\n"
        f"def test_{kind}_keeps_its_promises():\n"
        f"    check_{kind}({made}({ARGUMENTS[kind]}))\n",
        encoding="utf-8",
    )
    return [source, test]


def _is_free(top: str, folder: Path) -> bool:
    """Return whether a top-level name belongs to nobody, or to what lies in `folder`."""
    spec = find_spec(top)
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    return all(Path(place).resolve().is_relative_to(folder.resolve()) for place in places if place)
