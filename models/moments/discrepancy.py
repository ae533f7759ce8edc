"""How far are two sets of points apart by a kernel, and where does that push one of them?

    MMD² = mean k(x, x′) + mean k(y, y′) − 2 · mean k(x, y),
    k(a, b) = Σ_s exp(−‖a − b‖² / 2s)

over all pairs, i = j too: the biased estimate. Every x is drawn to the y and away from
the other x,

    L ∂L/∂x_i = 1/N² Σ_j k′(x_i, x_j) (x_j − x_i) − 1/NM Σ_j k′(x_i, y_j) (y_j − x_i),
    L = √MMD²,    k′(a, b) = Σ_s exp(−‖a − b‖² / 2s) / s,

which is written out here instead of left to autograd: one product makes both sums.

Source: Gretton et al. (2012), A Kernel Two-Sample Test, JMLR 13; Li, Swersky and
Zemel (2015), Generative Moment Matching Networks, arXiv 1502.02761.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def root_mmd(x: Tensor, y: Tensor, variances: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return √MMD² of two sets, 0-d, and its gradient with respect to x: (n, d).

    x: (n, d), y: (m, d). MMD² is the biased estimate; its kernel is the sum of the
    Gaussian ones of `variances`.
    Where both sets are the same, MMD² is 0 but for rounding and the root has no slope.
    Rounding is about the machine's epsilon for each kernel: below that, the slope of the
    root is taken there, so that a gradient of 0 stays one of 0.
    """
    n, m = len(x), len(y)
    both = torch.cat([x, y])  # (n + m, d)
    of_x, of_y = half_squares(both, x), half_squares(y, y)  # (n + m, n), (m, m)
    slopes, k_x, k_y = torch.zeros_like(of_x), torch.empty_like(of_x), torch.empty_like(of_y)
    mmd2 = x.new_zeros(())
    for s in variances:
        torch.mul(of_x, -1 / s, out=k_x).exp_()
        torch.mul(of_y, -1 / s, out=k_y).exp_()
        mmd2 += k_x[:n].mean() + k_y.mean() - 2 * k_x[n:].mean()
        slopes.add_(k_x, alpha=1 / s)
    slopes[:n] *= 2 / n**2
    slopes[n:] *= -2 / (n * m)
    gradient = slopes.T @ both - slopes.sum(0)[:, None] * x  # (n, d)
    least = len(variances) * torch.finfo(x.dtype).eps
    return mmd2.clamp_min(0).sqrt(), gradient / (2 * mmd2.clamp_min(least).sqrt())


def half_squares(a: Tensor, b: Tensor) -> Tensor:
    """Return ‖a_i − b_j‖² / 2 by one product: (n, d), (m, d) -> (n, m)."""
    of_a, of_b = (0.5 * c.square().sum(1) for c in (a, b))
    return torch.addmm(of_b, a, b.T, alpha=-1).add_(of_a[:, None])
