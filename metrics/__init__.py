"""Which metrics are there? One line each, in the order of the tables.

The first one is that of the paper's Table 1. A new metric is one new file and one line
here.
"""

from genmodel_bench.metrics.base import Metric, Reference, Result, Score, Subject
from genmodel_bench.metrics.c2st import C2ST, classifier_two_sample_test
from genmodel_bench.metrics.histogram import Histogram
from genmodel_bench.metrics.mind_pixels import MindPixels
from genmodel_bench.metrics.neighbours import Neighbours
from genmodel_bench.metrics.parzen import Parzen
from genmodel_bench.metrics.prdc import PRDC, precision_recall_density_coverage

__all__ = [
    "METRICS",
    "Metric",
    "Reference",
    "Result",
    "Score",
    "Subject",
    "classifier_two_sample_test",
    "precision_recall_density_coverage",
]

METRICS: dict[str, Metric] = {
    "parzen": Parzen(),
    "neighbours": Neighbours(),
    "histogram": Histogram(),
    "mind-pixels": MindPixels(),
    "prdc-pca": PRDC("pca"),
    "c2st": C2ST(),
}
