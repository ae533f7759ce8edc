"""How probable are test images at least, under a model with a latent code?

With k draws z_1, …, z_k of the model's own q(z|x) and w_i = p(x, z_i) / q(z_i|x),

    L_k = log (1/k) Σ_i w_i,   E L_1 ≤ E L_k ≤ log p(x)                   nats per image

and L_k tends to log p(x) as k grows, with a gap of about Var(w) / (2 k p(x)²). With the
exact posterior as q, every weight is p(x).

    bound    −mean L_k of the test images: in expectation no less than the NLL; lower is
             better
    bits     the same per pixel and channel
    elbo     −mean L_1, estimated as the mean of the same k values log w_i
    ess      the effective number of draws, (Σ w)² / Σ w², mean over images: near 1, one
             draw has all of the weight and the bound may be loose
    active   how many units of the code the encoder uses: those of which the variance over
             test images of the mean of q exceeds 0.01 (Burda et al. 2016, section 4)

A bound is of the model and its encoder together: an encoder that is bad or overfitted
makes it loose, so that of two models the one with the better bound need not have the
better likelihood (Wu et al. 2017). It is for binary images: a product of Bernoullis is no
likelihood of grey pixels.
Draws are made for one image after another, always PART at a time, whatever memory there
is: an image has its numbers from the seed and those before it alone. Sums are taken in
float64.
Standard error: over test images; the draws' own part is within it. Of `active` none is
estimated: 0.
Cost: k passes through the decoder an image, in the memory of PART of them. L_5000 of
10,000 images takes 10 minutes on one busy core for a decoder of 50-200-200-784, and 20
for 20-500-500-784. `images` limits how many are scored, from the first.
Source: Burda, Grosse, Salakhutdinov (2016), Importance Weighted Autoencoders,
arXiv 1509.00519, eq. 8 and section 5, where k = 5000.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from genmodel_bench.metrics.base import Reference, Result, Score, Subject
from genmodel_bench.metrics.capabilities import Posterior
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.distances import full_precision
from genmodel_bench.metrics.supports import bits, nats, support_of
from torch import Tensor

PART = 250
"""How many draws are decoded at once: their pixels stay in a processor's cache."""
ACTIVE = 0.01
"""The least variance of an active unit's mean."""


@torch.no_grad()
def importance_bounds(model: Posterior, x: Tensor, k: int) -> Mapping[str, Tensor]:
    """Return the bound L_k, the ELBO and the effective draws of each of n images.

    x: (n, c, h, w), of pixels 0 or 1. Returns {"bound": nats, "elbo": nats, "ess":
    draws}, each (n,), float64. Random numbers are from torch's default generator.
    """
    found = []
    for i in range(len(x)):
        image = x[i : i + 1]
        parts = [min(PART, k - start) for start in range(0, k, PART)]
        log_w = torch.cat([log_weights(model, image, part) for part in parts])
        total = log_w.logsumexp(0)
        ess = (2 * total - (2 * log_w).logsumexp(0)).exp()
        found.append(torch.stack([total - math.log(k), log_w.mean(), ess]))
    return dict(zip(("bound", "elbo", "ess"), torch.stack(found, 1), strict=True))


def log_weights(model: Posterior, image: Tensor, k: int) -> Tensor:
    """Return log w of k draws for an image: (1, c, h, w) -> (k,), float64.

    Raises:
        ValueError: the model returns another shape.
    """
    found = model.log_weights(image, k)
    if found.shape != (k, 1):
        raise ValueError(f"log_weights: got {tuple(found.shape)} for {k} draws of 1 image, expected {(k, 1)}")
    return found[:, 0].double()


@torch.no_grad()
def active_units(model: Posterior, x: Tensor) -> tuple[int, int]:
    """Return how many units of the code are active on images x, and of how many."""
    parts = [x[start : start + PART] for start in range(0, len(x), PART)]
    means = torch.cat([model.encode(part)[0].double() for part in parts])  # (n, units)
    return int((means.var(0, correction=0) > ACTIVE).sum()), means.shape[1]


@dataclass(frozen=True)
class Bound:
    """The importance-weighted bound on the negative log-likelihood of test images.

    k: draws for each image.
    images: how many test images are scored, from the first; None for all.
    """

    k: int = 5000
    images: int | None = None
    min_samples: int = 1
    needs: tuple[type, ...] = (Posterior,)
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{burda2016importance,
            author = {Burda, Yuri and Grosse, Roger and Salakhutdinov, Ruslan},
            title = {Importance Weighted Autoencoders},
            booktitle = {International Conference on Learning Representations},
            year = {2016}, eprint = {1509.00519}, archivePrefix = {arXiv}}""",
    )

    @property
    def columns(self) -> Mapping[str, Column]:
        """The bound, the same in bits, the ELBO, and the active units."""
        text = f"by {self.k:,} draws of the model's own encoder, nats per image"
        return {
            "bound": Column(
                f"NLL ≤, L{self.k}",
                f"an upper bound on −log p of the test images {text}",
                "density",
                2,
                examples="bound",
            ),
            "bits": Column("bits/dim ≤", "the same in bits per pixel and channel", "density", 3),
            "elbo": Column("NLL ≤, ELBO", "the bound of one draw, the mean over these", "density", 2),
            "active": Column("active", "units of the code that the encoder uses", "density", 0),
        }

    @full_precision()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score the model of `subject` on the test images of `reference`.

        Raises:
            NotApplicable: the images are not binary.
        """
        model = subject.model
        assert isinstance(model, Posterior)
        support = support_of(2, reference)
        test = reference.test[: self.images]
        found = importance_bounds(model, test, self.k)
        count, units = active_units(model, test)
        active = Score(float(count), 0.0, "test examples", units, "units", "neither")
        settings = {"folds": 0, "support": support, "kind": "≤", "draws": self.k, "images": len(test)}
        bound = nats(-found["bound"], settings, better="lower")
        one = nats(-found["elbo"], settings, better="lower")
        scores = {
            "bound": bound,
            "bits": bits(bound, test[0].numel()),
            "elbo": one,
            "ess": replace(nats(found["ess"], settings, better="neither"), unit="draws"),
            "active": replace(active, settings=settings),
        }
        return Result(scores, {"bound": -found["bound"], "elbo": -found["elbo"]})
