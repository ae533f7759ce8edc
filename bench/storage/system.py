"""On which systems does this project run?"""

from __future__ import annotations

import sys

from genmodel_bench.errors import BenchError


def check_system() -> None:
    """Check that the system is one on which rows can be made.

    Raises:
        BenchError: it is Windows, where no test has run. Which process is alive, how
            Ctrl-C reaches a worker and how a file in use is replaced is all otherwise.
    """
    if sys.platform == "win32":
        raise BenchError("bench does not run on Windows itself; run it under WSL, its Linux")
