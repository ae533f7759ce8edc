"""AIS of Boltzmann machines against enumeration of all their units."""

import itertools
import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from genmodel_bench.metrics import METRICS, Subject, ais
from genmodel_bench.metrics.ais import AIS, scored
from genmodel_bench.metrics.boltzmann import (
    LogZ,
    base_logits,
    log_unnormalised,
    log_z,
    log_z_estimates,
    schedule,
)
from genmodel_bench.metrics.features import NotApplicable
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus


@dataclass
class Units:
    W: Tensor
    b: Tensor
    c: Tensor


def machine(n_visible, n_hidden, *, seed=0, scale=1.0):
    draw = torch.Generator().manual_seed(seed)
    W, b, c = (
        scale * torch.randn(*shape, generator=draw, dtype=torch.float64)
        for shape in ((n_visible, n_hidden), (n_visible,), (n_hidden,))
    )
    return Units(W, b, c)


def every(n):
    """All 2^n states of n units, (2^n, n)."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)), dtype=torch.float64)


def exact(m):
    """log Z by enumeration of the hidden units."""
    h = every(len(m.c))
    return float((h @ m.c + softplus(h @ m.W.T + m.b).sum(1)).logsumexp(0))


def a_model(*machines):
    return Subject(torch.empty(0), SimpleNamespace(rbms=machines))


def images(*, levels=2, side=3, n=40):
    draw = torch.Generator().manual_seed(1)
    train, test = (
        torch.rand(n, 1, side, side, generator=draw, dtype=torch.float64).round() for _ in range(2)
    )
    return SimpleNamespace(train=train, test=test, valid=test[:0], folds=(), levels=levels)


def test_both_ways_of_enumerating_give_one_partition_function():
    m = machine(5, 4)
    found = float(log_unnormalised([m], every(5))[0].logsumexp(0))
    assert found == pytest.approx(exact(m), abs=1e-12)
    one = machine(1, 1)
    a, b, w = float(one.b), float(one.c), float(one.W)
    assert exact(one) == pytest.approx(
        math.log(1 + math.exp(a) + math.exp(b) + math.exp(a + b + w)), abs=1e-12
    )


def test_temperatures_are_those_of_the_source():
    betas = schedule(14_500)
    steps = [b - a for a, b in itertools.pairwise(betas)]
    assert (len(betas), betas[0], betas[500], betas[4500], betas[-1]) == (14_501, 0, 0.5, 0.9, 1)
    assert [steps[0], steps[500], steps[4500]] == pytest.approx([1e-3, 1e-4, 1e-5], rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_log_z_is_within_three_of_its_errors(seed):
    m = machine(16, 12, seed=seed)
    torch.manual_seed(seed)
    v = (torch.rand(200, 16, dtype=torch.float64) < m.b.sigmoid()).double()
    z = log_z(log_z_estimates(m, base_logits(v), schedule(600), 100))
    assert abs(z.value - exact(m)) < 3 * z.stderr
    assert z.low < exact(m) < z.high
    assert 10 < z.ess < 100


def test_weights_are_exact_with_no_variance_where_the_base_model_is_the_machine():
    m = replace(machine(6, 4), W=torch.zeros(6, 4, dtype=torch.float64))
    # of hidden biases other than 0 the weights are all alike too
    z = log_z(log_z_estimates(m, m.b, schedule(100), 10))
    assert z.value == pytest.approx(exact(m), abs=1e-10)
    assert z.variance < 1e-20
    assert z.ess == pytest.approx(10)


@pytest.mark.parametrize("betas", [[0.0, 1.0], [0.0, 0.3, 0.8, 1.0]])
def test_estimates_of_z_are_unbiased_at_few_temperatures(betas):
    m = machine(5, 4, scale=0.5)
    torch.manual_seed(0)
    found = log_z_estimates(m, torch.zeros_like(m.b), betas, 100_000)
    w = (found - exact(m)).exp()
    error = float(w.std()) / len(w) ** 0.5
    assert error < 0.02
    assert abs(float(w.mean()) - 1) < 4 * error
    # and their logarithm is too low in expectation
    assert float(found.mean()) + 4 * float(found.std()) / len(w) ** 0.5 < exact(m)


def test_float32_weights_are_those_of_float64():
    m = machine(16, 12)
    torch.manual_seed(0)
    betas, a0 = schedule(2_000), m.b
    small = Units(*(part.float() for part in (m.W, m.b, m.c)))
    z = log_z(log_z_estimates(small, a0.float(), betas, 200))
    assert abs(z.value - exact(m)) < 3 * z.stderr


def test_probabilities_of_all_images_sum_to_one():
    m, data = machine(9, 5, scale=0.5), images()
    data.test = every(9).view(-1, 1, 3, 3)
    torch.manual_seed(0)
    result = AIS(temperatures=1_000)(a_model(m), data)
    log_p = -result.arrays["nll"] + result.scores["log_z"].value - exact(m)
    assert float(log_p.logsumexp(0)) == pytest.approx(0, abs=1e-10)
    assert abs(float((-result.arrays["nll"]).logsumexp(0))) < 3 * result.scores["log_z"].stderr


def log_p_of_net(below, top, v):
    """log p of the images v of a net of two machines, by enumeration."""
    h = every(len(below.c))
    log_top = log_unnormalised([top], h)[0] - exact(top)
    logits = h @ below.W.T + below.b  # (2^n, d)
    log_v = v @ logsigmoid(logits).T + (1 - v) @ logsigmoid(-logits).T
    return (log_v + log_top).logsumexp(1)


def test_bound_of_a_net_is_below_its_log_probability():
    below, top, v = machine(6, 4), machine(4, 3, seed=1), every(6)
    torch.manual_seed(0)
    draws = torch.stack([log_unnormalised([below, top], v)[0] for _ in range(1_500)]) - exact(top)
    log_p, error = log_p_of_net(below, top, v), draws.std(0) / 1_500**0.5
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-12)
    assert bool((draws.mean(0) < log_p - 3 * error).all())  # q is not the posterior of any image
    # weights of draws of q are unbiased estimates of p(v): 4.5 errors for 64 images
    w = (draws - log_p).exp()
    assert bool(((w.mean(0) - 1).abs() < 4.5 * w.std(0) / 1_500**0.5).all())


def test_bound_of_a_net_whose_top_mirrors_its_bottom_is_the_machines_log_probability():
    below, v = machine(6, 4), every(6)
    top = Units(below.W.T.contiguous(), below.c, below.b)
    found = log_unnormalised([below, top], v)[0] - exact(top)
    torch.testing.assert_close(found, log_unnormalised([below], v)[0] - exact(below), atol=1e-10, rtol=0)


def test_a_net_of_three_machines_is_one_of_two_under_a_mirrored_third():
    below, middle, v = machine(6, 4), machine(4, 3, seed=1), every(6)
    mirrored = Units(middle.W.T.contiguous(), middle.c, middle.b)
    found = []
    for stack in ([below, middle], [below, middle, mirrored]):
        torch.manual_seed(0)  # the first layer is drawn first
        found.append(log_unnormalised(stack, v)[0])
    torch.testing.assert_close(*found, atol=1e-10, rtol=0)


def test_scores_say_their_kind_and_both_errors():
    data = images()
    torch.manual_seed(0)
    one = AIS(temperatures=100)(a_model(machine(9, 4)), data).scores
    net = AIS(temperatures=100)(a_model(machine(9, 4), machine(4, 3)), data).scores
    assert [found["nll"].settings["kind"] for found in (one, net)] == ["≥", "≈"]
    nll, z = one["nll"], one["log_z"]
    assert (nll.better, nll.unit, nll.settings["support"]) == ("lower", "nats", "binary")
    assert nll.stderr == pytest.approx(math.hypot(nll.settings["stderr_test"], z.stderr))
    assert nll.settings["stderr_ais"] == z.stderr > 0
    assert z.settings["low"] < z.value < z.settings["high"]
    assert one["bits"].value == pytest.approx(nll.value / (9 * math.log(2)))
    assert not nll.warning


def test_chains_that_miss_the_machine_give_a_warning():
    m = machine(9, 8, scale=12.0)
    torch.manual_seed(0)
    scores = AIS(temperatures=100, chains=20)(a_model(m), images()).scores
    assert "effective of 20 AIS chains" in scores["nll"].warning
    assert scores["log_z"].settings["low"] is None or scores["ess"].value < 10


def test_grey_images_have_no_probability_under_binary_units():
    with pytest.raises(NotApplicable, match="the model's support is binary, that of the data 17 levels"):
        AIS()(a_model(machine(9, 4)), images(levels=17))


def test_settings_that_cannot_be_are_refused():
    for changes in ({"temperatures": 99}, {"chains": 1}, {"draws": 0}):
        with pytest.raises(ValueError, match=r"^ais: expected temperatures ≥ 100"):
            AIS(**changes)
    assert METRICS["ais"].temperatures == 14_500


def a_machine(n, m, seed=0):
    draw = torch.Generator().manual_seed(seed)
    W, b, c = (torch.randn(*s, generator=draw, dtype=torch.float64) for s in ((n, m), (n,), (m,)))
    return SimpleNamespace(W=W, b=b, c=c)


def test_log_z_is_the_log_of_the_mean_weight_with_its_error():
    found = log_z(torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64).log() + 100)
    stderr = 7**0.5 / 3**0.5 / 3  # of weights 1, 2, 6
    assert found.value == pytest.approx(100 + math.log(3))
    assert found.stderr == pytest.approx(stderr)
    assert found.low == -math.inf and found.high == pytest.approx(100 + math.log(3 + 9 * stderr))
    assert found.ess == pytest.approx(81 / 41)
    assert found.variance == pytest.approx(float(torch.tensor([1.0, 2.0, 6.0]).log().var()))


def test_the_base_model_has_nine_tenths_of_the_means_and_a_twentieth():
    v = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    torch.testing.assert_close(base_logits(v).sigmoid(), torch.tensor([0.05, 0.95, 0.5]))


def test_train_is_of_as_many_training_images(binary_images):
    data, machine = binary_images, a_machine(9, 4)
    scores = AIS(temperatures=100, chains=20)(
        Subject(torch.empty(0), SimpleNamespace(rbms=(machine,))), data
    ).scores
    for name, images in (("nll", data.test), ("train", data.train[: len(data.test)])):
        of_images = log_unnormalised([machine], images.flatten(1))[0].mean()
        assert scores[name].value == pytest.approx(scores["log_z"].value - float(of_images))


def test_a_net_s_bound_is_the_mean_over_draws(binary_images):
    data, machines = binary_images, (a_machine(9, 4), a_machine(4, 3, seed=1))
    metric = AIS(temperatures=100, chains=20, draws=7)
    torch.manual_seed(0)
    found = metric.bound(machines, data.test.flatten(1))
    torch.manual_seed(0)
    each = torch.stack([log_unnormalised(machines, data.test.flatten(1))[0] for _ in range(7)])
    torch.testing.assert_close(found, each.mean(0))


def test_the_base_model_is_of_training_images(monkeypatch, binary_images):
    data, seen = binary_images, []
    monkeypatch.setattr(ais, "base_logits", lambda v: seen.append(v) or base_logits(v))
    AIS(temperatures=100, chains=20)(Subject(torch.empty(0), SimpleNamespace(rbms=(a_machine(9, 4),))), data)
    assert torch.equal(seen[0], data.train.flatten(1))


@pytest.mark.parametrize(("ess", "warned"), [(9.9, True), (10.1, False)])
def test_fewer_than_ten_effective_chains_are_warned_of(ess, warned):
    z = LogZ(1.0, 0.5, 1.4, 0.1, 1.0, ess)
    assert bool(scored(torch.rand(5), z, {"chains": 100}, "lower").warning) == warned
