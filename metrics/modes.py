"""How many modes of the data do samples reach, and how evenly?

    modes       how many modes have at least one sample; higher is better
    kl          KL(f ‖ p) in nats, of the share f of samples in each mode from its
                probability p in the data; lower is better
    error       share of real test images that are put into another mode than their own,
                or into none: how far the two above may be trusted

What a mode is and which one an image is of, `metrics/assigning.py` says: a Gaussian of a
known density, or a label as a network sees it. For a Gaussian the rule is that of the
literature: a mode counts if it is the nearest one to a sample within 3 sd; 1.1 % of real
points are further away. `kl` is of all samples, each at its nearest mode.

`modes_floor` and `kl_floor` are those of as many test images, where there are as many.

What it misses: what happens within a mode, so that one image of each is enough; images of
none, which a network puts somewhere; and how many samples are good, which is for the
metric `known-density` to say: even noise all over the plane reaches the modes of `ring`,
with kl 0.012.
Bias: both depend on N. A perfect sampler has kl (k − 1) / 2N in the mean, with k modes,
and reaches Σ 1 − (1 − p)ᴺ of them. N is that of the run, 10,000 unless it says otherwise;
the literature has 2,500 for points and 26,000 for stacked MNIST.
Standard error: over samples. Of `modes` the jackknife's, the root of the number of modes
that have a single sample; of `kl` by the delta method, which near 0 is √2 too large. Of
`error` over test images.
Published on stacked MNIST, N = 26,000: DCGAN 99.0 modes and KL 3.40 as Srivastava et al.
ran it, 78.9 ± 6.46 and 4.50 ± 0.127 as Lin et al. did. They have other classifiers.
Source: Srivastava et al. (2017), arXiv 1705.07761; Lin et al. (2018), arXiv 1712.04086.
Differs from the papers: frequencies of the nearest mode, where the code of Lin et al.
counts only samples within 3 sd, and has none where there is no such sample.
Reference implementation: loops over samples and modes in its tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from genmodel_bench.metrics.assigning import Modes as Found
from genmodel_bench.metrics.assigning import modes_of
from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Estimate, Quantity, score
from genmodel_bench.metrics.evidence import remembered
from genmodel_bench.metrics.papers import SRIVASTAVA_2017
from torch import Tensor

PROMISES = (("real", "one class"), ("real", "mean image"))


def reached(modes: Tensor) -> Estimate:
    """Return how many different modes there are among those of samples, (n,) int64."""
    _, counts = torch.unique(modes, return_counts=True)
    n, once = len(modes), int((counts == 1).sum())
    # the jackknife: too large where there are hardly more samples than modes
    return Estimate(len(counts), math.sqrt((n - 1) / n * once * (1 - once / n)) if n else 0.0)


def kl_of_modes(modes: Tensor, probabilities: Tensor) -> Estimate:
    """Return KL(f ‖ p) in nats, of the shares f of modes among samples.

    modes: of samples, (n,), int64. probabilities: of the modes, (k,).
    """
    shares = modes.bincount(minlength=len(probabilities)).double() / len(modes)
    there = shares > 0
    ratio = (shares[there] / probabilities.double()[there]).log()
    value = (shares[there] * ratio).sum()
    variance = (shares[there] * (ratio - value).square()).sum() / len(modes)
    return Estimate(float(value), math.sqrt(float(variance)))


@dataclass(frozen=True)
class Modes:
    """Modes reached, and the KL divergence of their frequencies.

    within: how many sd a sample may be from the centre of a mode that it counts for.
    """

    within: float = 3.0
    min_samples: int = 2
    needs: tuple[type, ...] = ()
    columns: ClassVar = {
        "modes": Column(
            "modes",
            "modes of the data that have a sample",
            "modes",
            1,
            floor="modes_floor",
            promises=PROMISES,
        ),
        "kl": Column(
            "KL modes",
            "KL divergence of the samples' shares of the modes from the probabilities of these",
            "modes",
            4,
            floor="kl_floor",
            promises=PROMISES,
        ),
        "error": Column(
            "error %", "real test images that are not put into their own mode", "modes", 2, factor=100
        ),
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        SRIVASTAVA_2017,
        """@inproceedings{lin2018pacgan,
            author = {Lin, Zinan and Khetan, Ashish and Fanti, Giulia and Oh, Sewoong},
            title = {{PacGAN}: The power of two samples in generative adversarial networks},
            booktitle = {Advances in Neural Information Processing Systems},
            year = {2018}}""",
    )

    @torch.no_grad()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score `subject` by the modes of `reference`.

        Raises:
            NotApplicable: the data have neither a known density nor labels that do.
        """
        found = remembered(reference, f"{self!r}", lambda: modes_of(reference, self.within))
        real = found.of(reference.test)
        known = found.own >= 0
        right = (real.counts & (real.mode == found.own))[known].double()
        n, m = len(subject.samples), len(right)
        error = Estimate(1 - float(right.mean()), math.sqrt(float(right.var(correction=0)) / m))
        settings = {"N": n, "modes": len(found.probabilities), "folds": 0, **found.about}
        quantities = {
            "modes": Quantity("modes", "higher", "samples"),
            "kl": Quantity("nats", "lower", "samples"),
        }
        draws = [self.estimates(x, found) for x in (subject.samples, *subject.redraws)]
        scores = {k: score([[e[k] for e in draws]], of, settings) for k, of in quantities.items()}
        wrong = Quantity("share", "neither", "test examples", m)
        scores["error"] = score([[error]], wrong, settings)
        if len(reference.test) >= n:
            floor = self.estimates(reference.test[:n], found)
            for name, of in quantities.items():
                scores[f"{name}_floor"] = score([[floor[name]]], replace(of, better="neither"), settings)
        return Result(scores)

    def estimates(self, x: Tensor, found: Found) -> dict[str, Estimate]:
        """Return what is said of one set of images (n, c, h, w)."""
        ours = found.of(x)
        return {
            "modes": reached(ours.mode[ours.counts]),
            "kl": kl_of_modes(ours.mode, found.probabilities),
        }
