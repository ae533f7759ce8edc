import pytest
import torch
from genmodel_bench.models.shared.optim import Momentum, adam


def test_momentum_is_its_recurrence():
    params = [torch.nn.Parameter(torch.randn(3)), torch.nn.Parameter(torch.randn(2, 2))]
    expected, inc = [p.detach().clone() for p in params], [torch.zeros_like(p) for p in params]
    optimiser = Momentum(params, lr=0.3, momentum=0.6)
    for _ in range(4):
        gradients = [torch.randn_like(p) for p in params]
        optimiser.apply(gradients)
        for i, g in enumerate(gradients):
            inc[i] = 0.6 * inc[i] - 0.3 * g
            expected[i] = expected[i] + inc[i]
        torch.testing.assert_close([p.detach() for p in params], expected)


def test_a_scheduled_rate_and_momentum_are_those_of_the_next_step():
    p = torch.nn.Parameter(torch.zeros(1))
    optimiser = Momentum([p], lr=1.0, momentum=0.5)
    optimiser.apply([torch.tensor([1.0])])  # inc = −1
    optimiser.lr.fill_(0.1)
    optimiser.momentum.fill_(0.8)
    optimiser.apply([torch.tensor([2.0])])  # inc = −0.8 − 0.2
    assert p.item() == pytest.approx(-2)


def test_increments_are_in_the_state_that_a_checkpoint_holds():
    params = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    first, second = (Momentum([p], lr=1.0, momentum=0.5) for p in params)
    first.apply([torch.ones(2)])
    second.load_state_dict(first.state_dict())
    second.apply([torch.zeros(2)])
    torch.testing.assert_close(params[1].detach(), torch.full((2,), -0.5))


def test_gradients_become_the_parameters_type_and_are_one_for_each():
    p = torch.nn.Parameter(torch.zeros(2))
    optimiser = Momentum([p], lr=1.0, momentum=0.0)
    optimiser.apply([torch.ones(2, dtype=torch.bfloat16)])
    assert p.grad.dtype == torch.float32
    torch.testing.assert_close(p.detach(), -torch.ones(2))
    with pytest.raises(ValueError, match="zip"):
        optimiser.apply([torch.ones(2)] * 2)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.8)])
def test_adam_is_adam(betas):
    # Kingma and Ba (2015), algorithm 1
    p = torch.nn.Parameter(torch.randn(3, dtype=torch.float64))
    expected, m, v = p.detach().clone(), 0, 0
    optimiser = adam(iter([p]), lr=0.1) if betas == (0.9, 0.999) else adam([p], lr=0.1, betas=betas)
    for t in range(1, 5):
        p.grad = g = torch.randn(3, dtype=torch.float64)
        optimiser.step()
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
        corrected = (v / (1 - betas[1] ** t)).sqrt() + 1e-8
        expected = expected - 0.1 * m / (1 - betas[0] ** t) / corrected
        torch.testing.assert_close(p.detach(), expected)
    assert optimiser.defaults["fused"]
