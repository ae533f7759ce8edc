"""Can a classifier tell samples from test images?

A classifier is trained on half of both, and scored on the other half
(`metrics/discriminator.py`). D(x) is its probability that x is real; with

    V = mean of log D over real + mean of log(1 − D) over samples,

    jsd         log 2 + V/2, in nats: in expectation no more than the Jensen–Shannon
                divergence, and the divergence itself for the best D
    criterion   V: C(G) = −log 4 + 2 JSD of Goodfellow et al. (2014) is no less
    accuracy    mean share told right, of both; 1/2 where they cannot be told apart
    auc         probability that a real image has a higher D than a sample
    p           of as high an accuracy, if they have the same distribution

Of the first four, lower is better. jsd is 0 where nothing is found, and at most log 2.
Samples are first rounded to the grey levels of the real images, where these have at most
256: 8-bit images would be known by their levels alone.

What it measures: any difference that the classifier learns from N/2 images; on images
often one of texture or edges, invisible at a glance, and most models are found out.
What it misses: copies, which are as real as it gets (see the gain).
Bias: jsd is too low: by what the net does not learn, from few images most. It compares
within one N, one data set and this net alone. MNIST's test images differ from its
training images by other writers: the floor shows it.
Standard error: over held-out images, with the trained classifier held fixed; auc's by
DeLong et al. (1988). Of p there is none.
p: normal, H0 with mean 1/2 and variance r (1 − r) (1/n + 1/m)/4, r being the share called
real: 1/(4 n_te) of Lopez-Paz and Oquab where r = 1/2 and n = m.
Only the first draw is scored. The halves, the nets' first weights and the batches are the
same for all rows; D's logit is the mean of all nets'.
Reference: the closed form of two Gaussians, and `sklearn.metrics` for the AUC.
Source: Lopez-Paz and Oquab (2017), arXiv 1610.06545; Goodfellow et al. (2014), eq. 6.
Cost: 10 s a net on one thread for twice 10,000 images of MNIST, test and training images
each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from genmodel_bench.metrics.arrays import for_arrays
from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Estimate, Quantity, compared
from genmodel_bench.metrics.discriminator import told_apart
from genmodel_bench.metrics.features import Features
from genmodel_bench.metrics.papers import GOODFELLOW_2014
from torch import Tensor
from torch.nn.functional import logsigmoid


@for_arrays
def classifier_two_sample_test(
    samples: Tensor, real: Tensor, *, nets: int = 1, seed: int = 0
) -> Mapping[str, Estimate]:
    """Return how well a classifier tells held-out halves of two sets apart.

    samples, real: (n, c, h, w), images, for a convolutional net; or (n, d), for logistic
        regression; tensors or NumPy arrays, all float32 or all float64. As many are used
        as the smaller set has: half of these for training, half for the scores.
    nets: how many nets are averaged.

    jsd and criterion are in nats; each is an `Estimate`, with a `value` and a `stderr`.

    >>> import numpy as np
    >>> samples, real = np.random.default_rng(0).normal(size=(2, 4000, 3))
    >>> jsd = classifier_two_sample_test(samples + [2, 0, 0], real)["jsd"]  # truth: 0.337
    >>> print(f"{jsd.value:.2f} ± {jsd.stderr:.2f}")
    0.32 ± 0.01

    Raises:
        ValueError: fewer than 20 rows; value types differ.
    """
    n = min(len(samples), len(real))
    if n < 20:
        raise ValueError(f"classifier_two_sample_test: got {n} rows, expected at least 20 of each set")
    found = told_apart(samples, real, nets=nets, seed=seed)
    return scores(found.samples, found.real)


def scores(samples: Tensor, real: Tensor) -> Mapping[str, Estimate]:
    """Return the scores of logits of D, float64: of samples (m,), of real images (n,)."""
    m, n = len(samples), len(real)
    by_real, by_sample = logsigmoid(real), logsigmoid(-samples)
    v = float(by_real.mean() + by_sample.mean())
    error = math.sqrt(float(by_real.var()) / n + float(by_sample.var()) / m)
    right, wrong = float((real > 0).double().mean()), float((samples > 0).double().mean())
    called = (n * right + m * wrong) / (n + m)
    spread = math.sqrt(called * (1 - called) * (1 / n + 1 / m) / 4)
    accuracy = (right + 1 - wrong) / 2
    z = (accuracy - 0.5) / spread if spread else 0.0
    of_accuracy = math.sqrt(right * (1 - right) / n + wrong * (1 - wrong) / m) / 2
    below, above = placements(real, samples), 1 - placements(samples, real)
    return {
        "jsd": Estimate(math.log(2) + v / 2, error / 2),
        "criterion": Estimate(v, error),
        "accuracy": Estimate(accuracy, of_accuracy),
        "auc": Estimate(float(below.mean()), math.sqrt(float(below.var()) / n + float(above.var()) / m)),
        "p": Estimate(math.erfc(z / math.sqrt(2)) / 2, 0.0),
    }


def placements(x: Tensor, among: Tensor) -> Tensor:
    """Return which share of `among` each x lies above, equal ones half: both (n,)."""
    ordered = among.sort().values
    lower, upper = (torch.searchsorted(ordered, x, right=right) for right in (False, True))
    return (lower + upper).double() / (2 * len(among))


@dataclass(frozen=True)
class C2ST:
    """The classifier two-sample test, by the protocol of `comparison`.

    features: "pixels": images as they are, and nets; else rows, and logistic regression.
    nets: how many nets are averaged.
    """

    features: str = "pixels"
    nets: int = 1
    min_samples: int = 20
    needs: tuple[type, ...] = ()
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "jsd": Quantity("nats", "lower", "held-out samples and test examples"),
        "criterion": Quantity("nats", "lower", "held-out samples and test examples"),
        "accuracy": Quantity("share", "lower", "held-out samples and test examples"),
        "auc": Quantity("probability", "lower", "held-out samples and test examples"),
        "p": Quantity("probability", "neither", "held-out samples and test examples"),
    }
    columns: ClassVar[Mapping[str, Column]] = {
        "jsd": Column(
            "JSD ≥",
            "lower bound on the Jensen–Shannon divergence of samples and test images, from a classifier that "
            "tells held-out ones apart; 0 where none does, at most log 2 = 0.693",
            floor="jsd_floor",
            promises=(("real", "noisy"), ("real", "blurred"), ("real", "mean image"), ("real", "one class")),
        ),
        "criterion": Column(
            "C(G) ≥",
            "the same as the criterion of Goodfellow et al. (2014), −log 4 + 2 JSD",
            floor="criterion_floor",
        ),
        "accuracy": Column(
            "told apart %",
            "held-out samples and test images that the classifier tells right; 50 where it cannot",
            decimals=1,
            factor=100,
            floor="accuracy_floor",
        ),
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{lopezpaz2017revisiting,
            author = {Lopez-Paz, David and Oquab, Maxime},
            title = {Revisiting Classifier Two-Sample Tests},
            booktitle = {International Conference on Learning Representations},
            year = {2017}}""",
        GOODFELLOW_2014,
    )

    def prepare(self, x: Tensor) -> Tensor:
        """Return x as it is: nothing is made of one set alone."""
        return x

    def estimate(self, x: Tensor, real: Tensor) -> Mapping[str, Estimate]:
        """Return the scores of two sets of N, samples and real images."""
        return classifier_two_sample_test(x, real, nets=self.nets)

    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score the first draw against the test images of `reference`, or of each fold.

        Raises:
            NotApplicable: the data lack what the features need.
            ValueError: there are fewer than 20 test images.
        """
        first = Subject(subject.samples.detach(), subject.model)
        whole = Features(lambda x: x, {"features": "pixels"}) if self.features == "pixels" else None
        found = compared(self, first, reference, extract=whole, nets=self.nets)
        return Result({name: score for name, score in found.scores.items() if not name.startswith("p_gain")})
