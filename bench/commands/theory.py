"""How is the paper's Figure 1 measured, stored and drawn?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genmodel_bench.cells.plan import seeds_of
from genmodel_bench.errors import BadOption
from genmodel_bench.report.figures.figure import Figure
from genmodel_bench.report.figures.theory import draw, store
from genmodel_bench.studies.theory import measure


def theory(seeds: int | Sequence[int] = (0,), *, results: Path) -> list[Figure]:
    """Measure the theory with one seed, and store it; return its figures.

    Raises:
        BadOption: there are several seeds.
    """
    chosen = seeds_of(seeds)
    if len(chosen) != 1:
        raise BadOption(f"--seeds: got {len(chosen)} seeds, but theory is one training; give its seed, as 0,")
    store(measure(chosen[0]), results)
    return draw(results)
