"""How are samples drawn from a trained model: with which weights and which seed?"""

from __future__ import annotations

from collections.abc import Mapping

from genmodel_bench.models.base import Model
from genmodel_bench.training.seeding import draw_seed, seed_everything
from torch import Tensor


def chosen_epoch(checkpoint: str, checks: Mapping[int, float]) -> int | None:
    """Return the epoch whose weights are sampled, or None if none was checked.

    checkpoint: 'last' is the last epoch checked, the end of training; 'best' is the
        epoch with the highest value, the first one of equals.
    checks: the validation score in nats of each epoch that was checked.
    """
    if not checks:
        return None
    return max(checks) if checkpoint == "last" else max(sorted(checks), key=lambda epoch: checks[epoch])


def prepared(model: Model, weights: Mapping[str, Tensor] | None) -> Model:
    """Return a trained model in evaluation mode, ready to be sampled and scored.

    weights: loaded into the model in place; None leaves its own.
    """
    if weights is not None:
        model.load_state_dict(weights)
    return model.eval()


def draw(model: Model, n: int, k: int, *, base_seed: int, dataset: str, family: str) -> Tensor:
    """Return draw `k` of a prepared model: `n` samples, (n, c, h, w), on the CPU.

    Seeds the default generators.
    """
    seed_everything(draw_seed(base_seed, dataset, family, k))
    samples: Tensor = model.sample(n)
    return samples.cpu()
