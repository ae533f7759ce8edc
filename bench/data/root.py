"""Where do the files of data sets lie?"""

from __future__ import annotations

import os
from pathlib import Path

from genmodel_bench.errors import DataMissing
from genmodel_bench.storage.names import in_home

DEFAULT_ROOT = "~/.cache/genmodel-bench"


def data_root(given: Path | str | None) -> Path:
    """Return the root folder of the data sets' files.

    It is the one given, else BENCH_DATA, else `DEFAULT_ROOT`.

    Raises:
        DataMissing: it is in a home folder that is not known, as that of a container's
            user.
    """
    named = str(given or os.environ.get("BENCH_DATA") or "")
    if named:
        return in_home(named)
    try:
        return Path(DEFAULT_ROOT).expanduser()
    except RuntimeError as error:
        raise DataMissing(
            "data: no folder for data sets: HOME is unset, and this user has no home folder; "
            "name the folder with --data DIR or BENCH_DATA"
        ) from error
