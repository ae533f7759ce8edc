"""Which studies are there? One line each.

A new study is one file here, one line here, and one function that draws it
(`report/figures/studies.py`). `theory` (`studies/theory.py`) has no data set, and is
kept and drawn in its own way.
"""

from __future__ import annotations

from genmodel_bench.studies.helvetica import Helvetica
from genmodel_bench.studies.momentum_prior import MomentumPrior
from genmodel_bench.studies.saturation import Saturation
from genmodel_bench.studies.study import Study
from genmodel_bench.studies.synchrony import Synchrony

STUDIES: dict[str, Study] = {
    "helvetica": Helvetica(),
    "saturation": Saturation(),
    "synchrony": Synchrony(),
    "momentum-prior": MomentumPrior(),
}
