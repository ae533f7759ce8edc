"""How does a name become part of a file's, and which folder has the results of who names none?"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import quote


def folder_name(dataset: str) -> str:
    """Return a data set's name as one component of a path: 'folder:/a b' -> 'folder%3A%2Fa%20b', a long one cut and hashed."""
    name = quote(dataset, safe="").replace(".", "%2E")
    return name if len(name) <= 120 else f"{name[:100]}-{hashlib.sha256(dataset.encode()).hexdigest()[:16]}"


def file_name(name: str) -> str:
    """Return a name as part of a file's: ASCII letters, digits and '-' are kept, the rest becomes '_' and a hash tells such names apart.

    A name with its options, as in 'gan-ns epochs=100', is spelt so often that it goes without the hash: 'gan-ns_epochs_100'.
    """
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_")[:100]
    if re.fullmatch(r"[A-Za-z0-9-]+( [A-Za-z0-9]+=[A-Za-z0-9]+)*", name) and len(name) <= 100:
        return plain
    return f"{plain or 'unnamed'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def default_results() -> Path:
    """Return the results folder of who names none: `results` in a clone of this project, `bench-results` in any other folder.

    A project of somebody else may have a folder `results` of its own.
    """
    package = Path(__file__).resolve().parents[1]
    return Path("results" if package == Path.cwd() / "bench" else "bench-results")
