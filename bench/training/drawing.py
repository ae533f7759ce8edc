"""How are samples drawn of a trained model: with the weights after which epoch, and from which random numbers?"""

from __future__ import annotations

from collections.abc import Mapping

from genmodel_bench.models.base import Model
from genmodel_bench.training.seeding import draw_seed, seed_everything
from torch import Tensor


def chosen_epoch(checkpoint: str, checks: Mapping[int, float]) -> int | None:
    """Return the epoch whose weights are sampled, of those with a check on validation images, in nats by epoch; None of none.

    'last' is the end of training, 'best' the epoch with the highest value, the first of equals.
    """
    if not checks:
        return None
    return max(checks) if checkpoint == "last" else max(sorted(checks), key=lambda epoch: checks[epoch])


def prepared(model: Model, weights: Mapping[str, Tensor] | None) -> Model:
    """Return a trained model ready to be sampled and scored, with these weights, or its own where there are none."""
    if weights is not None:
        model.load_state_dict(weights)
    return model.eval()


def draw(model: Model, n: int, k: int, *, base_seed: int, dataset: str, family: str) -> Tensor:
    """Return draw k of a model that is prepared: n samples, (n, c, h, w), on the CPU. Seeds the generators."""
    seed_everything(draw_seed(base_seed, dataset, family, k))
    samples: Tensor = model.sample(n)
    return samples.cpu()
