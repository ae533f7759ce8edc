"""Which checkpoint of a training is selected, and how do the others score on validation?

After each epoch whose weights the training loop stores, the log-likelihood of the first
1,000 validation images is recorded: by the model itself where it has one (exactly, or by
an importance-weighted bound of 50 draws for each image), else by Parzen windows, of 1,000
samples, with the best σ of the paper's grid. The same random numbers are used each time.
'last' takes the end of training, 'best' the epoch with
the highest value. Test images are not used.

'best' is not the default: with few samples the Parzen estimate prefers smooth ones, and
may choose an early epoch whose samples are prototypes. On MNIST it chose a VAE's first
epoch, which scores lower with 10,000 samples than its last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from genmodel_bench.metrics.capabilities import Density, Posterior
from genmodel_bench.metrics.log_probs import negative_log_likelihoods
from genmodel_bench.metrics.windows import PAPER_SIGMAS, parzen_log_probs
from genmodel_bench.models.base import Model
from genmodel_bench.training.seeding import check_seed, seed_everything
from torch import Tensor

SAMPLES = 1000
IMAGES = 1000
WEIGHTS = 50
"""Draws of q(z|x) for each image, for models with an approximate posterior."""


@dataclass(frozen=True)
class Check:
    """The validation score, in nats, of the weights after an epoch of the last stage."""

    epoch: int
    value: float


@torch.no_grad()
def validation_score(samples: Tensor, valid: Tensor) -> float:
    """Return the mean Parzen log-likelihood of `valid` under `samples`, in nats.

    Both are (n, c, h, w). Only the first 1,000 of `valid` are used. σ is the best of the
    paper's grid.
    """
    log_probs = parzen_log_probs(valid[:IMAGES].flatten(1), samples.flatten(1), PAPER_SIGMAS)
    return float(log_probs.mean(1).max())


@torch.no_grad()
def own_score(model: object, valid: Tensor) -> float | None:
    """Return a model's own mean log-likelihood of images (n, c, h, w), nats, or None.

    None where it has none, or the pixels are not of its grey levels.
    """
    levels = getattr(model, "levels", 2)
    steps = valid * (levels - 1)
    if not bool((steps - steps.round()).abs().max() < 1e-3):
        return None
    if isinstance(model, Density):
        return -float(negative_log_likelihoods(model, valid).mean())
    if isinstance(model, Posterior):
        parts = [model.log_weights(valid[i : i + 100], WEIGHTS) for i in range(0, len(valid), 100)]
        return float(torch.cat(parts, dim=1).double().logsumexp(0).mean()) - math.log(WEIGHTS)
    return None


def checked(model: Model, epoch: int, valid: Tensor, *, base_seed: int, dataset: str, family: str) -> Check:
    """Return the check of `model` after `epoch`, on validation images (n, c, h, w).

    Seeds the default generators.

    Raises:
        ValueError: the score is not finite, as with samples that are not.
    """
    seed_everything(check_seed(base_seed, dataset, family))
    value = own_score(model, valid[:IMAGES])
    if value is None:
        value = validation_score(model.sample(SAMPLES), valid)
    if not math.isfinite(value):
        raise ValueError(f"after epoch {epoch} the validation score is {value}")
    return Check(epoch, value)
