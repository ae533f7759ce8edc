"""How does a name become part of a file name, and which folder does a path mean?"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import quote

from genmodel_bench.errors import BadOption, BenchError


def folder_name(dataset: str) -> str:
    """Return a data set's name as one component of a path.

    'folder:/a b' becomes 'folder%3A%2Fa%20b'; what is then over 120 characters is cut and
    a hash is added.

    Raises:
        BenchError: the name has signs that do not print, as line ends and what is not
            UTF-8; a table would hold them.
    """
    if not dataset.isprintable():
        raise BenchError(
            f"data set {dataset!r}: the name has signs that do not print; rename the folder, or link it "
            "under a plain name"
        )
    name = quote(dataset, safe="").replace(".", "%2E")
    return name if len(name) <= 120 else f"{name[:100]}-{hashlib.sha256(dataset.encode()).hexdigest()[:16]}"


def file_name(name: str) -> str:
    """Return a name as part of a file name.

    ASCII letters, digits and '-' are kept, the rest becomes '_', and a hash tells apart
    names that this makes equal. A name with its options, as in 'gan-ns epochs=100', is so
    common that it gets no hash: 'gan-ns_epochs_100'.
    """
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_")[:100]
    if re.fullmatch(r"[A-Za-z0-9-]+( [A-Za-z0-9]+=[A-Za-z0-9]+)*", name) and len(name) <= 100:
        return plain
    return f"{plain or 'unnamed'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def in_home(path: Path | str) -> Path:
    """Return a path with a leading '~' expanded, as the shell does not after '='.

    Every path that a user gives comes through here once, so that what reads and what
    writes mean the same file.

    Raises:
        BadOption: the home folder, or that of the user who is named, is not known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BadOption(f"{path}: the home folder is not known here; write the whole path") from None


def results_at(results: Path | str | None) -> Path:
    """Return the results folder that a user names; None stands for the default one.

    Raises:
        BadOption: it begins with a '~' that stands for no folder, or is not UTF-8, which
            safetensors cannot open: all would be made again in every run.
    """
    path = in_home(results) if results else default_results()
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise BadOption(f"--results: got {str(path)!r}, which is not UTF-8; choose another folder") from None
    return path


def default_results() -> Path:
    """Return the results folder for a command that names none.

    `results` in a clone of this project, `bench-results` in any other folder, since
    another project may have a folder `results` of its own.
    """
    package = Path(__file__).resolve().parents[1]
    try:
        in_clone = package == Path.cwd() / "bench"
    except OSError:  # the folder was deleted: what writes to it will say so
        in_clone = False
    return Path("results" if in_clone else "bench-results")
