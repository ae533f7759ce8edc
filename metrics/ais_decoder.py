"""What log-likelihood do decoders give test images, all under one definition?

    p_σ(x) = ∫ p(z) N(x; g(z), σ² I) dz,    g the decoder, p(z) its prior

by annealed importance sampling with Hamiltonian Monte Carlo (`metrics/smoothed.py`). It
is a density of real pixels, as that of a Parzen window, which averages over draws of the
prior without annealing. Test images are scored as they are, without noise.

    log_likelihood    of the first test images, nats; higher is better. In expectation it
                      is a lower bound, which longer annealing raises
    gap               upper minus lower bound of images drawn from p_σ itself: so much too
                      low is the number, where real images are as easy as those
    sigma             the σ of the highest log-likelihood of validation images, by the
                      same estimator; another one for each decoder
    acceptance        of HMC's transitions, the mean

What it misses: how pixels vary around the decoder's outputs, which is no Gaussian; modes
of the posterior that no chain finds, on which real images may be harder than drawn ones.
Standard error: over test images; of the gap, over the images that were drawn.
Cost: images × chains × temperatures × leapfrogs gradients of the decoder.
Source: Wu, Burda, Salakhutdinov, Grosse (2017), On the quantitative analysis of
decoder-based generative models, arXiv 1611.04273.
Differs from the source: no noise on test images; step sizes are tuned on validation
images, one a temperature, and frozen; the weight of an image grows as t³, not by a
sigmoid; fewer temperatures and chains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from genmodel_bench.metrics.base import Reference, Result, Score, Subject
from genmodel_bench.metrics.capabilities import Latent
from genmodel_bench.metrics.column import Column, Curve
from genmodel_bench.metrics.distances import full_precision
from genmodel_bench.metrics.features import NotApplicable
from genmodel_bench.metrics.smoothed import Annealer, check_latent, in_gaussian_space
from genmodel_bench.metrics.supports import nats

POINTS = 40
"""Of the curve against σ."""


@dataclass(frozen=True)
class AISDecoder:
    """log p_σ of test images under a decoder, with the gap between both bounds.

    images: how many test images are scored, the first ones.
    valid_images: how many validation images choose σ and tune the steps, the first ones.
    simulated: of how many images of the model's own the gap is the mean.
    chains: for each image.
    temperatures: of the annealing; leapfrogs: steps between two of them.
    smallest_sigma: the smallest σ that is tried.
    """

    images: int = 100
    valid_images: int = 10
    simulated: int = 20
    chains: int = 4
    temperatures: int = 250
    leapfrogs: int = 10
    smallest_sigma: float = 0.03
    min_samples: int = 1
    needs: tuple[type, ...] = (Latent,)
    columns: ClassVar = {
        "log_likelihood": Column(
            "AIS p_σ",
            "log-density of the first test images under the decoder with Gaussian pixels around its outputs, "
            "by annealed importance sampling, nats per image",
            "density",
            1,
            curves={
                "sigma on validation": Curve(
                    "AIS against σ",
                    "σ, grey levels in [0, 1]",
                    "nats, validation images",
                    "Mean log-density of validation images against the width of the Gaussian pixels; the "
                    "highest chooses it.",
                    log_x=True,
                )
            },
        ),
        "gap": Column("AIS gap", "upper minus lower bound, of images drawn from the decoder", "density", 1),
    }
    SOURCES: ClassVar[tuple[str, ...]] = (
        """@inproceedings{wu2017quantitative,
            author = {Wu, Yuhuai and Burda, Yuri and Salakhutdinov, Ruslan and Grosse, Roger},
            title = {On the Quantitative Analysis of Decoder-Based Generative Models},
            booktitle = {International Conference on Learning Representations},
            year = {2017}, eprint = {1611.04273}, archivePrefix = {arXiv}}""",
    )

    def __post_init__(self) -> None:
        counts = (self.images, self.valid_images, self.simulated, self.chains, self.temperatures)
        if min(*counts, self.leapfrogs) < 1 or not 0 < self.smallest_sigma < 1:
            raise ValueError(f"ais-decoder: expected counts ≥ 1 and smallest_sigma in (0, 1), got {self}")

    @torch.no_grad()
    @full_precision()
    def __call__(self, subject: Subject, reference: Reference) -> Result:
        """Score the decoder of `subject` on the first test images of `reference`.

        Raises:
            NotApplicable: the decoder's images are those with noise.
            ValueError: the model's prior is none that is known, or `decode` cannot be
                differentiated.
        """
        assert isinstance(subject.model, Latent)
        if getattr(subject.model, "dequantised", False):
            raise NotApplicable("the decoder is of images with noise")
        check_latent(subject.model)
        decoder = in_gaussian_space(subject.model)
        eps = torch.randn_like(subject.model.latent(self.simulated))
        annealer = Annealer(decoder, eps.shape[1], self.chains, self.temperatures, self.leapfrogs)
        # (n, c, h, w) -> (n, d)
        valid = reference.valid[: self.valid_images].flatten(1)
        test = reference.test[: self.images].flatten(1)
        chosen = annealer.choose(valid, self.smallest_sigma)
        own = decoder(eps)
        own = own + chosen.sigma * torch.randn_like(own)
        bounds, acceptance = annealer.below(torch.cat([test, own]), chosen)
        gaps = annealer.above(own, eps, chosen) - bounds[len(test) :]
        found = bounds[: len(test)]
        warning = f"the smallest σ tried, {chosen.sigma:.3g}, is the best" if chosen.edge else ""
        if gaps.mean() > 1 + 0.01 * abs(found.mean()):
            warning = f"the annealing is too short: its bounds are {gaps.mean():.1f} nats apart"
        settings = {
            "folds": 0,
            "support": "real pixels",
            "kind": "≤",
            "sigma": chosen.sigma,
            "valid_images": len(valid),
            "chains": self.chains,
            "temperatures": self.temperatures,
            "leapfrogs": self.leapfrogs,
        }
        every = max(1, len(chosen.log_probs) // POINTS)
        curve = {f"{sigma:.4g}": mean for sigma, mean in list(chosen.log_probs.items())[::every]}
        value, gap = nats(found, settings, better="higher"), nats(gaps, settings, better="neither")
        scores = {
            "log_likelihood": replace(value, warning=warning, curves={"sigma on validation": curve}),
            "gap": replace(gap, stderr_over="images of the model's own", warning=warning),
            "sigma": Score(chosen.sigma, 0.0, "nothing: chosen", len(valid), "grey levels", "neither"),
            "acceptance": Score(acceptance, 0.0, "nothing: a mean", self.temperatures, "share", "neither"),
        }
        return Result(scores, {"log_likelihood": found, "gap": gaps})
