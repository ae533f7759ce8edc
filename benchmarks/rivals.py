"""How do others compute log p under a Parzen window, and precision and coverage?

One function each: x: (n, d), s: (N, d), float32 -> (n,), nats; at the end samples and
real images, (n, d), float32 -> {name: value}.

SciPy's `gaussian_kde` is not among them: its windows have the samples' covariance (times
a factor), not a given σ in all directions, and at N = 10,000, d = 784 that covariance is
singular for MNIST, whose edge pixels are constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import torch
from torch import Tensor

Rival = Callable[[Tensor, Tensor, float], Tensor]


def log_norm(N: int, d: int, sigma: float) -> float:
    """Return the logarithm of the number that a sum of N windows is divided by."""
    return math.log(N) + d * math.log(sigma * math.sqrt(2 * math.pi))


def released(x: Tensor, s: Tensor, sigma: float) -> Tensor:
    """Broadcast all differences at once, as the authors' `parzen_ll.py` does in Theano.

    10 points at a time: the 100 of that script take 9 GB.
    """
    parts = []
    for batch in x.split(10):
        a = (batch[:, None, :] - s[None, :, :]) / sigma  # (10, N, d)
        e = -0.5 * a.square().sum(2)  # (10, N)
        largest = e.max(1, keepdim=True).values
        parts.append(largest[:, 0] + (e - largest).exp().sum(1).log())
    return torch.cat(parts) - log_norm(len(s), x.shape[1], sigma)


def chunked(x: Tensor, s: Tensor, sigma: float) -> Tensor:
    """Compute ‖x‖² + ‖s‖² − 2 x·s for 1,000 points at a time, then torch's logsumexp.

    This is what people write who know that formula.
    """
    parts, s2 = [], s.square().sum(1)
    for batch in x.split(1000):
        d2 = batch.square().sum(1, keepdim=True) + s2 - 2 * batch @ s.T  # (1000, N)
        parts.append((-d2 / (2 * sigma**2)).logsumexp(1))
    return torch.cat(parts) - log_norm(len(s), x.shape[1], sigma)


def cdist(x: Tensor, s: Tensor, sigma: float) -> Tensor:
    """Call torch.cdist for 1,000 points at a time, then torch's logsumexp.

    This is what people write who do not know the formula of `chunked`.
    """
    parts = [(-torch.cdist(batch, s).square() / (2 * sigma**2)).logsumexp(1) for batch in x.split(1000)]
    return torch.cat(parts) - log_norm(len(s), x.shape[1], sigma)


def scipy_float64(x: Tensor, s: Tensor, sigma: float) -> Tensor:
    """Call SciPy's cdist and logsumexp in float64: the oracle, slow on its one thread."""
    from scipy.spatial.distance import cdist as distances
    from scipy.special import logsumexp

    # (n, N)
    d2 = distances(x.cpu().double().numpy(), s.cpu().double().numpy(), "sqeuclidean")
    return torch.from_numpy(logsumexp(-d2 / (2 * sigma**2), axis=1) - log_norm(len(s), x.shape[1], sigma))


def keops(x: Tensor, s: Tensor, sigma: float) -> Tensor:
    """Reduce a symbolic (n, N) matrix with KeOps; the matrix is never stored.

    Compiled code, for all threads of a CPU or for CUDA.
    """
    from pykeops.torch import LazyTensor

    points, centres = LazyTensor(x[:, None, :].contiguous()), LazyTensor(s[None, :, :].contiguous())
    d2 = ((points - centres) ** 2).sum(-1)  # (n, N), symbolic
    return (-d2 / (2 * sigma**2)).logsumexp(1).view(-1) - log_norm(len(s), x.shape[1], sigma)


def kernel_density(s: Tensor, sigma: float) -> Any:
    """Return scikit-learn's KernelDensity, its tree of the centres built."""
    from sklearn.neighbors import KernelDensity

    return KernelDensity(bandwidth=sigma).fit(s.cpu().numpy())


def score_density(density: Any, x: Tensor) -> Tensor:
    """Return the log density of x under a KernelDensity."""
    return torch.from_numpy(density.score_samples(x.cpu().numpy()))


def prdc_package(samples: Tensor, real: Tensor, k: int) -> dict[str, float]:
    """Call the package `prdc` of Naeem et al., which makes whole matrices."""
    from prdc import compute_prdc

    with redirect_stdout(StringIO()):
        found = compute_prdc(real.cpu().numpy(), samples.cpu().numpy(), k)
    return {name: float(value) for name, value in found.items()}


def torch_fidelity(samples: Tensor, real: Tensor, k: int) -> dict[str, float]:
    """Call torch-fidelity: precision and recall, 10,000 rows at a time as it does."""
    from torch_fidelity.metric_prc import calculate_precision_recall_part

    return dict(zip(("precision", "recall"), calculate_precision_recall_part(samples, real, k), strict=True))
