"""May a row of somebody's samples be called so?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from genmodel_bench.errors import BadOption
from genmodel_bench.models import MODELS
from genmodel_bench.storage.looks import is_blank, looked_like
from genmodel_bench.storage.record import Record


def default_name(samples: Sequence[Any]) -> str:
    """Return the name of a row that was given none: of the first file, or "samples"."""
    first = samples[0] if samples else None
    return Path(os.path.realpath(first)).stem if isinstance(first, (str, Path)) else "samples"


def checked_name(name: str) -> str:
    """Return `name` if a user's row may have it.

    Raises:
        BadOption: a registered model has it or a name that prints alike, or it does not
            print on one line.
    """
    if name in MODELS:
        raise BadOption(f"--name: {name!r} is a registered model; choose another name for your samples")
    if not name.strip() or not name.isprintable():
        raise BadOption(f"--name: got {name!r}, expected printable text; choose another with --name")
    if is_blank(name):
        raise BadOption(f"--name: got {name!r}, expected no blanks at its ends, nor several in a row")
    check_prints_like(name, MODELS, "the registered model")
    return name


def check_prints_like(name: str, others: Iterable[str], what: str) -> None:
    """Check that a name prints unlike others. Raises BadOption."""
    like = looked_like(name, others)
    if like is not None:
        raise BadOption(f"--name: {name!r} prints like {what} {like!r}; choose another name for your samples")


def check_looks(name: str, records: Sequence[Record]) -> None:
    """Check that a name prints unlike the other rows of a table. Raises BadOption."""
    models = dict.fromkeys(text for r in records if r.role != "samples" for text in (r.model, r.name))
    if name in models:
        raise BadOption(
            f"--name: {name!r} is a model's row in the table; choose another name for your samples"
        )
    check_prints_like(name, models, "the row")
    names = dict.fromkeys(r.model for r in records if r.role == "samples")
    check_prints_like(name, names, "the row")
