"""HMC on targets whose moments are known."""

import pytest
import torch
from genmodel_bench.metrics.hmc import energy, hmc, leapfrog, state_at

CENTRE = torch.tensor([1.0, -2.0], dtype=torch.float64)
SCALE = torch.tensor([0.5, 2.0], dtype=torch.float64)


def ell(z):
    """log N(z; CENTRE, SCALE²), up to a constant."""
    return -0.5 * ((z - CENTRE) / SCALE).square().sum(1)


def target(weight):
    """Mean and variance of N(z; 0, I) exp(weight · ell)."""
    precision = 1 + weight / SCALE**2
    return weight * CENTRE / SCALE**2 / precision, 1 / precision


def points(n, mean=0.0, var=1.0):
    torch.manual_seed(0)
    return mean + torch.as_tensor(var).sqrt() * torch.randn(n, 2, dtype=torch.float64)


@pytest.mark.parametrize("weight", [0.0, 1.0, 3.0])
def test_the_target_is_invariant_even_at_steps_so_long_that_many_are_refused(weight):
    mean, var = target(weight)
    n, step = 40_000, 1.1 * float(var.min().sqrt())
    state = state_at(points(n, mean, var), ell)
    refused = 0.0
    for _ in range(3):
        state, accepted = hmc(state, ell, weight, step, 3)
        refused += float(1 - accepted.mean()) / 3
    assert refused > 0.03
    # five standard errors of a mean, and of a variance, of n independent points
    assert bool(((state.z.mean(0) - mean).abs() < 5 * (var / n).sqrt()).all())
    assert bool(((state.z.var(0) / var - 1).abs() < 5 * (2 / n) ** 0.5).all())
    assert abs(float(torch.corrcoef(state.z.T)[0, 1])) < 5 / n**0.5


def test_chains_from_elsewhere_come_to_the_target():
    mean, var = target(3.0)
    state = state_at(points(20_000) + 3, ell)
    for _ in range(60):
        state, _ = hmc(state, ell, 3.0, 0.1, 5)
    assert bool(((state.z.mean(0) - mean).abs() < 5 * (var / 20_000).sqrt()).all())
    assert bool(((state.z.var(0) / var - 1).abs() < 5 * (2 / 20_000) ** 0.5).all())


def test_a_trajectory_runs_back_from_its_end_with_the_momentum_turned():
    state, p = state_at(points(50), ell), torch.randn(50, 2, dtype=torch.float64)
    end, q = leapfrog(state, p, ell, 2.0, 0.3, 7)
    back, r = leapfrog(end, -q, ell, 2.0, 0.3, 7)
    assert float((end.z - state.z).abs().max()) > 1
    torch.testing.assert_close(back.z, state.z, atol=1e-12, rtol=0)
    torch.testing.assert_close(-r, p, atol=1e-12, rtol=0)


def test_energy_errors_fall_with_the_square_of_the_step_and_all_is_accepted():
    state, p = state_at(points(2_000), ell), torch.randn(2_000, 2, dtype=torch.float64)
    errors = []
    for n in (10, 100):  # a trajectory of one length
        end, q = leapfrog(state, p, ell, 2.0, 1 / n, n)
        errors.append(float((energy(end, q, 2.0) - energy(state, p, 2.0)).abs().mean()))
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.1)
    _, accepted = hmc(state, ell, 2.0, 1e-4, 10)
    assert float(accepted.min()) > 1 - 1e-4


def test_a_diverged_trajectory_is_refused():
    state = state_at(points(10), lambda z: -z.pow(4).sum(1))
    new, accepted = hmc(state, lambda z: -z.pow(4).sum(1), 1e6, 1e3, 10)
    assert bool((accepted == 0).all())
    assert torch.equal(new.z, state.z)


def test_gradients_are_taken_where_they_are_disabled():
    with torch.no_grad():
        state = state_at(points(5), ell)
    torch.testing.assert_close(state.gradient, -(state.z - CENTRE) / SCALE**2)
    assert not (state.z.requires_grad or state.value.requires_grad or state.gradient.requires_grad)
