"""Which metrics are there? One line each, in the order of the tables.

The first one is that of the paper's Table 1. A new metric is one new file and one line
here.
"""

from genmodel_bench.metrics.base import Metric, Reference, Result, Score, Subject
from genmodel_bench.metrics.birthday import Birthday
from genmodel_bench.metrics.fld import FLD
from genmodel_bench.metrics.frechet import Frechet
from genmodel_bench.metrics.histogram import Histogram
from genmodel_bench.metrics.kernel import Kernel
from genmodel_bench.metrics.memorisation import Memorisation
from genmodel_bench.metrics.mind_features import Mind
from genmodel_bench.metrics.mind_pixels import MindPixels
from genmodel_bench.metrics.mmd import Mmd
from genmodel_bench.metrics.neighbours import Neighbours
from genmodel_bench.metrics.parzen import Parzen
from genmodel_bench.metrics.parzen_audit import ParzenAudit

__all__ = ["METRICS", "STANDARD", "Metric", "Reference", "Result", "Score", "Subject"]

METRICS: dict[str, Metric] = {
    "parzen": Parzen(),
    "neighbours": Neighbours(),
    "histogram": Histogram(),
    "mind-pixels": MindPixels(),
    "frechet": Frechet(),
    "frechet-random": Frechet("random"),
    "frechet-pca": Frechet("pca"),
    "kernel": Kernel(),
    "kernel-random": Kernel("random"),
    "kernel-pca": Kernel("pca"),
    "mmd": Mmd(),
    "mind": Mind(),
    "memorisation": Memorisation(),
    "birthday": Birthday(),
    "fld": FLD(),
    "fld-pca": FLD(features="pca"),
    "parzen-audit": ParzenAudit(),
}
STANDARD = {name: METRICS[name] for name in ("parzen", "neighbours", "histogram", "mind-pixels")}
"""Those that a run computes unless others are named. They need no labels."""
