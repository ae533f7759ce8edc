"""How does a restricted Boltzmann machine learn from a minibatch, and how does a Gibbs chain of it move?

Binary v and h have the energy and, with σ the logistic function, the conditionals

    E(v, h) = −v·W h − b·v − c·h,      p(h|v) = σ(v W + c),      p(v|h) = σ(h Wᵀ + b),

and the gradient of the log-likelihood is ⟨v hᵀ⟩_data − ⟨v hᵀ⟩_model. Contrastive divergence (CD-k) takes the second term from k
Gibbs steps started at the data; persistent CD (PCD-k) from chains that go on from one update to the next.

Source: Hinton (2002), Training products of experts by minimizing contrastive divergence, eq. 5; Tieleman (2008),
Training restricted Boltzmann machines using approximations to the likelihood gradient; Hinton (2010), A practical
guide to training restricted Boltzmann machines.
Differs from the papers: nothing; grey pixels in [0, 1] stand for the probability of a binary one (Hinton 2010, section 3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus


class RBM(nn.Module):
    """Weights W: (n_visible, n_hidden), biases b and c, and `chains` persistent Gibbs chains (their hidden states)."""

    def __init__(self, n_visible: int, n_hidden: int, *, chains: int) -> None:
        super().__init__()
        self.W = nn.Parameter(0.01 * torch.randn(n_visible, n_hidden), requires_grad=False)
        self.b = nn.Parameter(torch.zeros(n_visible), requires_grad=False)
        self.c = nn.Parameter(torch.zeros(n_hidden), requires_grad=False)
        self.register_buffer("chains", torch.rand(chains, n_hidden).round())
        self.chains: Tensor

    def hidden(self, v: Tensor) -> Tensor:
        """Return p(h = 1 | v): (n, n_visible) -> (n, n_hidden)."""
        return (v @ self.W + self.c).sigmoid()

    def visible(self, h: Tensor) -> Tensor:
        """Return p(v = 1 | h): (n, n_hidden) -> (n, n_visible)."""
        return linear(h, self.W, self.b).sigmoid()

    def free_energy(self, v: Tensor) -> Tensor:
        """Return F(v) = −b·v − Σ_j softplus(v W + c)_j, −log p(v) up to log Z: (n, n_visible) -> (n,), nats."""
        return -v @ self.b - softplus(v @ self.W + self.c).sum(1)

    def gibbs(self, h: Tensor, steps: int) -> Tensor:
        """Return the hidden states h: (n, n_hidden) after `steps` full Gibbs steps h -> v -> h."""
        for _ in range(steps):
            h = draw(self.hidden(draw(self.visible(h))))
        return h

    def gradients(self, v: Tensor, *, steps: int, persistent: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return the estimated ascent direction of the mean log-likelihood of v: (n, n_visible), for W, b and c.

        A persistent estimate moves `chains` on, in place; the other starts its chains at v.
        """
        positive = self.hidden(v)
        h = self.gibbs(self.chains if persistent else draw(positive), steps - 1)
        model_v = draw(self.visible(h))
        negative = self.hidden(model_v)
        if persistent:
            self.chains.copy_(draw(negative))
        n, m = len(v), len(model_v)
        return (
            v.T @ positive / n - model_v.T @ negative / m,
            v.mean(0) - model_v.mean(0),
            positive.mean(0) - negative.mean(0),
        )


def draw(p: Tensor) -> Tensor:
    """Return 0 or 1 for each probability of p, independently; as `torch.bernoulli`, several times faster on a CPU."""
    return (torch.rand_like(p) < p).to(p.dtype)
