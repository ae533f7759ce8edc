"""How far is annealed importance sampling of an RBM from its matrix products?"""

from types import SimpleNamespace

import torch
from genmodel_bench.metrics.boltzmann import log_z_estimates, schedule

from benchmarks.conftest import Title
from benchmarks.products import flops, multiply


def test_log_z(compare, place):
    """Time goes with the temperatures: 290 of the 14,500, in their shares."""
    d, hidden, chains, temperatures = place.size(784, 20), place.size(500, 10), 100, place.size(290, 29)
    W, b = 0.05 * torch.randn(d, hidden, device=place.device), torch.randn(d, device=place.device) - 2
    machine = SimpleNamespace(W=W, b=b, c=torch.zeros(hidden, device=place.device))
    betas = schedule(temperatures)
    products = [(chains, d, hidden), (chains, hidden, d)] * (len(betas) - 1)
    size = f"{d} × {hidden}, {chains} chains × {temperatures:,} temperatures"
    compare(
        Title("sampling", "`ais`, log Z of an RBM", "its matrix products", size),
        lambda: log_z_estimates(machine, b, betas, chains),
        multiply(products, place.device),
        target=1.5,
        flops=flops(products),
    )
