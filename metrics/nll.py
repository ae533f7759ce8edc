"""What log-probability does a model itself give to test images?

    NLL = −mean log p(x)                                   nats per image
    bits = NLL / (d log 2)                                 bits per pixel and channel

p is the model's exact probability of an image of so many grey levels. Of a density of
dequantised images (`Density.dequantised`), noise is added to the test images once,
x' = (k + u) / levels, and NLL = −mean log p(x') + d log(levels): a density, uniform
over the cells of the right levels, has 0, and by Jensen's inequality the NLL is, in
expectation, no less than that of ∫ p over the cell of an image (Theis et al. 2016).

    nll      of the test images; lower is better
    bits     the same per dimension
    train    the NLL of as many training images; the difference is what was overfitted

NLL of different supports, binary or of 17 levels, with noise or without, never compare.
Standard error: over test images.
Cost: one pass of the model over twice the test images.
Source: Theis, van den Oord, Bethge (2016), A note on the evaluation of generative models,
arXiv 1511.01844, sections 3.1 and 3.2; the measure itself is a textbook one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from genmodel_bench.metrics.base import Reference, Result, Subject
from genmodel_bench.metrics.capabilities import Density
from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.distances import full_precision
from genmodel_bench.metrics.log_probs import negative_log_likelihoods
from genmodel_bench.metrics.papers import THEIS_2016
from genmodel_bench.metrics.supports import bits, nats, support_of
from torch import Tensor

ROUNDING = 0.01
"""By how many nats the log of a probability may be above 0."""


def checked_likelihoods(model: Density, x: Tensor) -> Tensor:
    """Return −log p of images x: (n, c, h, w) -> (n,), float64, nats.

    Raises:
        ValueError: `log_prob` does not return one number for each image, one is not
            finite, or a probability is above 1.
    """
    found = negative_log_likelihoods(model, x)
    if found.shape != (len(x),):
        raise ValueError(f"log_prob: got {tuple(found.shape)} for {len(x)} images, expected ({len(x)},)")
    if not found.isfinite().all():
        raise ValueError(f"log_prob: not finite for {int((~found.isfinite()).sum())} of {len(x)} images")
    if not model.dequantised and found.min() < -ROUNDING:
        raise ValueError(
            f"log_prob: log p = {float(-found.min()):.4g} of an image, expected at most 0: p is a "
            "probability of images of grey levels"
        )
    return found


@dataclass(frozen=True)
class NLL:
    """The exact negative log-likelihood of test images."""

    min_samples: int = 1
    needs: tuple[type, ...] = (Density,)
    columns: ClassVar = {
        "nll": Column(
            "NLL",
            "−log p of the test images, nats per image, p the model's own exact probability, or density "
            "of images with noise",
            "density",
            2,
            examples="nll",
        ),
        "bits": Column("bits/dim", "the same in bits per pixel and channel", "density", 3),
        "train": Column("NLL train", "the same of as many training images", "density", 2),
    }
    SOURCES: ClassVar[tuple[str, ...]] = (THEIS_2016,)

    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score the model of `subject` on the test and training images of `reference`.

        Raises:
            NotApplicable: its probability is of images of other grey levels.
            ValueError: what its `log_prob` returns is no log-probability of each image.
        """
        model = subject.model
        assert isinstance(model, Density)
        support = support_of(model.levels, reference, dequantised=model.dequantised)
        settings = {"folds": 0, "support": support, "kind": "="}
        test = reference.test
        with full_precision():
            found = checked_likelihoods(model, test)
            train = checked_likelihoods(model, reference.train[: len(test)])
        nll = nats(found, settings, better="lower")
        scores = {
            "nll": nll,
            "bits": bits(nll, test[0].numel()),
            "train": nats(train, settings, better="neither"),
        }
        return Result(scores, {"nll": found})
