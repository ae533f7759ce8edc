"""Is the negative log-likelihood of a model that of its density, in the right unit?"""

import math
from types import SimpleNamespace

import pytest
import torch
from genmodel_bench.metrics.base import Subject
from genmodel_bench.metrics.capabilities import Density
from genmodel_bench.metrics.features import NotApplicable
from genmodel_bench.metrics.nll import NLL
from genmodel_bench.metrics.supports import support


class Uniform:
    """Levels that are equally probable, or a density of 1 on [0, 1]^d."""

    def __init__(self, levels, dequantised=False):
        self.levels, self.dequantised, self.seen = levels, dequantised, []

    def log_prob(self, x):
        self.seen.append(x)
        log_p = 0.0 if self.dequantised else -math.log(self.levels) * x[0].numel()
        return torch.full((len(x),), log_p)


class Independent:
    """Binary pixels that are 1 with probability p."""

    levels, dequantised = 2, False

    def __init__(self, p):
        self.p = p

    def log_prob(self, x):
        return torch.where(x == 1, math.log(self.p), math.log(1 - self.p)).flatten(1).sum(1)


def scored(model, x, levels):
    images = SimpleNamespace(train=x, valid=x, test=x, folds=(), levels=levels)
    return NLL()(Subject(x, model), images)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_uniform_levels_have_the_log_of_their_number(levels):
    x = torch.randint(levels, (50, 1, 4, 4)) / (levels - 1)
    scores = scored(Uniform(levels), x, levels).scores
    assert scores["nll"].value == pytest.approx(16 * math.log(levels), rel=1e-6)
    assert scores["bits"].value == pytest.approx(math.log2(levels), rel=1e-6)
    # of a density of 1 over [0, 1] with noise, it is the same
    noisy = scored(Uniform(levels, dequantised=True), x, levels).scores
    assert noisy["nll"].value == pytest.approx(16 * math.log(levels), rel=1e-6)
    assert noisy["nll"].settings["support"] == support(levels) + " + noise"


def test_noise_is_added_within_the_cell_of_a_level():
    levels, x = 17, torch.arange(17.0).view(17, 1, 1, 1) / 16
    model = Uniform(levels, dequantised=True)
    scored(model, x.expand(17, 1, 8, 8), levels)
    for noisy in model.seen:
        assert torch.equal((noisy * levels).floor().clamp(max=16) / 16, x.expand(17, 1, 8, 8))
        u = noisy * levels - (x * 16)
        # uniform: its mean, within five standard errors
        assert float(u.mean()) == pytest.approx(0.5, abs=5 * (1 / 12 / u.numel()) ** 0.5)


def test_of_independent_pixels_it_is_the_cross_entropy_and_its_error_that_of_a_mean():
    torch.manual_seed(0)
    x = (torch.rand(400, 1, 3, 3) < 0.3).float()
    result = scored(Independent(0.2), x, 2)
    nll, q = result.scores["nll"], float(x.mean())
    assert nll.value == pytest.approx(-9 * (q * math.log(0.2) + (1 - q) * math.log(0.8)), rel=1e-5)
    assert nll.stderr == pytest.approx(float(result.arrays["nll"].std(correction=0)) / 20, rel=1e-6)
    assert (nll.n, nll.unit, nll.better) == (400, "nats", "lower")
    assert nll.settings == {"folds": 0, "support": "binary", "kind": "="}
    assert result.scores["train"].value == nll.value  # the same images here
    assert result.scores["bits"].stderr == pytest.approx(nll.stderr / 9 / math.log(2))


@pytest.mark.parametrize(
    ("log_prob", "message"),
    [
        (lambda x: -x, r"log_prob: got \(20, 1, 2, 2\) for 20 images, expected \(20,\)"),
        (lambda x: -x[1:, 0, 0, 0], r"log_prob: got \(19,\) for 20 images, expected \(20,\)"),
        (lambda x: x.flatten(1).sum(1) / 0 * 0, r"log_prob: not finite for 20 of 20 images"),
        (lambda x: x.flatten(1).sum(1) * 0 + 3, r"log_prob: log p = 3 of an image, expected at most 0"),
    ],
)
def test_what_is_no_log_probability_of_each_image_is_one_line(log_prob, message):
    model = SimpleNamespace(levels=2, dequantised=False, log_prob=log_prob)
    with pytest.raises(ValueError, match=message):
        scored(model, torch.ones(20, 1, 2, 2), 2)


def test_a_model_of_other_levels_has_no_number():
    x = torch.zeros(5, 1, 2, 2)
    with pytest.raises(NotApplicable, match="the model's support is binary, that of the data 17 levels"):
        scored(Independent(0.5), x, 17)
    with pytest.raises(NotApplicable, match=r"the model's support is 17 levels, that of the data \[0, 1\]"):
        scored(Uniform(17), x, 0)


def test_these_models_are_densities_and_others_are_not():
    assert isinstance(Independent(0.5), Density)
    assert not isinstance(torch.nn.Linear(2, 2), Density)


def test_train_is_the_nll_of_as_many_training_images(binary_images):
    data = binary_images
    model = SimpleNamespace(levels=2, dequantised=False, log_prob=lambda x: -x.flatten(1).sum(1))
    scores = NLL()(Subject(torch.empty(0), model), data).scores
    assert scores["nll"].value == pytest.approx(float(data.test.sum()) / 40)
    assert scores["train"].value == pytest.approx(float(data.train.sum()) / 40)


def test_noise_is_uniform_in_the_cell():
    seen, x = [], torch.arange(17.0).view(17, 1, 1, 1).expand(17, 1, 16, 16) / 16
    model = SimpleNamespace(
        levels=17, dequantised=True, log_prob=lambda x: seen.append(x) or torch.zeros(len(x))
    )
    NLL()(Subject(x, model), SimpleNamespace(train=x, valid=x, test=x, folds=(), levels=17))
    for noisy in seen:
        u = (noisy * 17 - x * 16).flatten()
        quantiles = u.quantile(torch.tensor([0.1, 0.5, 0.9]))
        torch.testing.assert_close(quantiles, torch.tensor([0.1, 0.5, 0.9]), atol=5 * 0.5 / 4352**0.5, rtol=0)
