"""Which metrics are there? One line each, in the order of the tables.

The first one is that of the paper's Table 1. A new metric is one new file and one line
here.

Their functions take tensors or NumPy arrays. Where images come in batches, they are kept
until all are there:

>>> import torch
>>> from genmodel_bench.metrics import precision_recall_density_coverage
>>> samples, real, generator = [], [], torch.Generator().manual_seed(0)
>>> for _ in range(10):  # batches: (100, d) each, of features or pixels
...     samples.append(torch.rand(100, 8, generator=generator))
...     real.append(torch.rand(100, 8, generator=generator))
>>> found = precision_recall_density_coverage(torch.cat(samples), torch.cat(real), k=5)
>>> {name: round(estimate.value, 2) for name, estimate in found.items()}
{'coverage': 0.96, 'precision': 0.99, 'recall': 0.98, 'density': 1.0}
"""

from genmodel_bench.metrics.ais import AIS
from genmodel_bench.metrics.ais_decoder import AISDecoder
from genmodel_bench.metrics.base import Metric, Reference, Result, Score, Subject
from genmodel_bench.metrics.birthday import Birthday
from genmodel_bench.metrics.bound import Bound
from genmodel_bench.metrics.c2st import C2ST, classifier_two_sample_test
from genmodel_bench.metrics.fld import FLD, feature_likelihood_divergence
from genmodel_bench.metrics.frechet import Frechet, frechet_distance
from genmodel_bench.metrics.histogram import Histogram
from genmodel_bench.metrics.kernel import Kernel, kernel_distance
from genmodel_bench.metrics.known_density import KnownDensity
from genmodel_bench.metrics.memorisation import Memorisation
from genmodel_bench.metrics.mind_features import Mind
from genmodel_bench.metrics.mind_pixels import MindPixels
from genmodel_bench.metrics.mmd import Mmd
from genmodel_bench.metrics.modes import Modes
from genmodel_bench.metrics.neighbours import Neighbours
from genmodel_bench.metrics.nll import NLL
from genmodel_bench.metrics.parzen import Parzen
from genmodel_bench.metrics.parzen_audit import ParzenAudit, effective_neighbours
from genmodel_bench.metrics.permutations import kernel_test
from genmodel_bench.metrics.prdc import PRDC, precision_recall_density_coverage

__all__ = [
    "METRICS",
    "STANDARD",
    "Metric",
    "Reference",
    "Result",
    "Score",
    "Subject",
    "classifier_two_sample_test",
    "effective_neighbours",
    "feature_likelihood_divergence",
    "frechet_distance",
    "kernel_distance",
    "kernel_test",
    "precision_recall_density_coverage",
]

METRICS: dict[str, Metric] = {
    "parzen": Parzen(),
    "neighbours": Neighbours(),
    "histogram": Histogram(),
    "mind-pixels": MindPixels(),
    "nll": NLL(),
    "bound": Bound(),
    "ais": AIS(),
    "ais-decoder": AISDecoder(),
    "parzen-audit": ParzenAudit(),
    "fld": FLD(),
    "frechet": Frechet(),
    "kernel": Kernel(),
    "mmd": Mmd(),
    "mind": Mind(),
    "prdc": PRDC(),
    "c2st": C2ST(),
    "memorisation": Memorisation(),
    "birthday": Birthday(),
    "modes": Modes(),
    "known-density": KnownDensity(),
    "frechet-random": Frechet("random"),
    "frechet-pca": Frechet("pca"),
    "kernel-random": Kernel("random"),
    "kernel-pca": Kernel("pca"),
    "prdc-random": PRDC("random"),
    "prdc-pca": PRDC("pca"),
}
STANDARD = {name: METRICS[name] for name in ("parzen", "neighbours", "histogram", "mind-pixels")}
"""Those that a run computes unless others are named. They need no labels."""
