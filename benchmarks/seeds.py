"""How can several seeds of one small model be trained?

One after another, side by side, or all in one batched step. The batched step is written
by hand for the VAE, as `torch.func` needs it: noise is passed in, weights are stacked
along a first dimension. Each seed keeps its own generator and draws in the harness's
order, so that it sees the minibatches and the noise of its solo run.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import torch
from genmodel_bench.models.autoencoders import vae
from genmodel_bench.training.loop import fit
from genmodel_bench.training.seeding import seed_everything
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn.functional import binary_cross_entropy_with_logits


def alone(config: Any, x: Tensor, seed: int) -> dict[str, Tensor]:
    """Train one seed on images x: (n, c, h, w), by the harness; return its weights."""
    model, _ = fit(config, x, seed=seed)
    return {name: p.detach() for name, p in model.named_parameters()}


def one_after_another(config: Any, x: Tensor, seeds: Sequence[int]) -> list[dict[str, Tensor]]:
    """Train the seeds one after another, as `bench run --jobs 1` does."""
    return [alone(config, x, seed) for seed in seeds]


class SideBySide:
    """Worker processes that share the threads, like those of `bench run --jobs N`.

    Starting them is not timed.
    """

    def __init__(self, jobs: int, threads: int, device: torch.device) -> None:
        self.jobs, self.device = jobs, str(device)
        share = max(1, threads // jobs)
        self.pool = ProcessPoolExecutor(
            jobs, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(share,)
        )

    def __call__(self, config: Any, x: Tensor, seeds: Sequence[int]) -> list[dict[str, Tensor]]:
        """Train the seeds, as many at a time as there are processes."""
        return list(self.pool.map(partial(from_array, config, x.cpu().numpy(), self.device), seeds))


def from_array(config: Any, x: Any, device: str, seed: int) -> dict[str, Any]:
    """Train one seed in a worker process; images and weights are passed as arrays."""
    weights = alone(config, torch.tensor(x, device=device), seed)
    return {name: p.cpu().numpy() for name, p in weights.items()}


def batched(config: vae.Config, x: Tensor, seeds: Sequence[int]) -> list[dict[str, Tensor]]:
    """Train all seeds of a VAE in shared steps; weights are stacked, (seeds, ...)."""
    models, generators = zip(*(begun(config, x, seed) for seed in seeds), strict=True)
    weights = {name: p.detach().clone() for name, p in stack_module_state(list(models))[0].items()}
    slopes = vmap(grad_and_value(partial(negative_bound, models[0])))
    optimiser = torch.optim.Adam(weights.values(), lr=config.lr, fused=True)
    size = config.batch_size
    for _ in range(config.epochs):
        # (seeds, n)
        orders = torch.stack([torch.randperm(len(x), generator=g, device=x.device) for g in generators])
        for i in range(len(x) // size):
            # (seeds, size, c, h, w) -> (seeds, size, d)
            minibatch = x[orders[:, i * size : (i + 1) * size]].flatten(2)
            eps = torch.stack(
                [torch.randn(size, config.latent, generator=g, device=x.device) for g in generators]
            )
            gradients, _ = slopes(weights, minibatch, eps)
            for name, p in weights.items():
                p.grad = gradients[name]
            optimiser.step()
    return [{name: p[k] for name, p in weights.items()} for k in range(len(seeds))]


def begun(config: vae.Config, x: Tensor, seed: int) -> tuple[vae.VAE, torch.Generator]:
    """Return an untrained VAE as in the harness, and a generator in the same state."""
    seed_everything(seed)
    model = config.build((x.shape[1], x.shape[2], x.shape[3])).to(x.device)
    model.initialise(x)
    generator = torch.Generator(x.device)
    generator.set_state(torch.cuda.get_rng_state(x.device) if x.is_cuda else torch.get_rng_state())
    return model, generator


def negative_bound(model: vae.VAE, weights: dict[str, Tensor], x: Tensor, eps: Tensor) -> Tensor:
    """Return the loss of `vae.VAE.step` for the weights of one seed.

    x: (n, d) is the minibatch, eps: (n, k) the noise.
    """

    def net(part: str, value: Tensor) -> Any:
        own = {name.removeprefix(f"{part}."): p for name, p in weights.items() if name.startswith(part)}
        return functional_call(getattr(model, part), own, (value,))

    mu, log_var = net("encoder", x).chunk(2, dim=1)
    logits = net("decoder", mu + (0.5 * log_var).exp() * eps)
    reconstruction = binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    return (reconstruction + vae.gaussian_kl(mu, log_var)).mean()


def furthest(a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]]) -> float:
    """Return the largest difference between two lists of weights."""
    pairs = [
        (torch.as_tensor(w[name]).cpu(), torch.as_tensor(v[name]).cpu())
        for w, v in zip(a, b, strict=True)
        for name in w
    ]
    return max(float((p - q).abs().max()) for p, q in pairs)
