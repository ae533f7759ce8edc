import pytest
import torch
from genmodel_bench.metrics import Subject
from genmodel_bench.metrics.frechet import Frechet
from genmodel_bench.metrics.kernel import Kernel
from genmodel_bench.metrics.mind_features import Mind
from genmodel_bench.metrics.mmd import Mmd


def test_images_that_are_all_one_have_three_times_its_squared_distance_to_test_images(few):
    image = few.train.mean(0, keepdim=True)
    scores = Mind("pixels")(Subject(image.expand(few.test.shape)), few).scores
    by_image = 3 * (few.test - image).double().flatten(1).square().sum(1)
    # float32 projections, over whole bases
    assert scores["mind"].value == pytest.approx(float(by_image.mean()), rel=1e-5)
    assert scores["mind"].stderr == pytest.approx(float(by_image.std(correction=0)) / 40**0.5, rel=1e-4)
    assert list(scores) == ["mind", "mind_gain", "mind_floor", "mind_gain_floor"]
    assert scores["mind"].settings == {
        "N": 40,
        "folds": 0,
        "features": "pixels",
        "dimensions": 64,
        "slices": 256,
    }


def test_two_gaussians_near_the_closed_form():
    n, k, mean, sd = 2000, 8, 0.5, 1.5
    metric = Mind("pixels")
    found = metric.estimate(torch.randn(n, k) * sd + mean, torch.randn(n, k))["mind"]
    expected = 3 * k * mean**2 + 3 * k * (sd - 1) ** 2
    # four standard errors, and the bias: two sets of one Gaussian have about 0.1
    assert found.value == pytest.approx(expected, abs=4 * found.stderr + 0.1)


def test_directions_are_the_same_for_all_rows_and_take_nothing_from_the_seed(few):
    subject, found = Subject(few.train), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(Mind("pca")(subject, few).scores)
        assert torch.rand(()) == torch.rand((), generator=torch.Generator().manual_seed(seed))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "metric",
    [Frechet("pca"), Kernel("pca"), Mmd("pca", permutations=9), Mind("pca")],
    ids=lambda m: type(m).__name__,
)
def test_orders_that_columns_promise_hold_for_digits(metric, digits):
    three = digits.train[digits.labels["train"] == 3]
    blurred = torch.nn.functional.avg_pool2d(digits.valid, 3, 1, 1)
    probes = {
        "real": digits.valid,
        "blurred": blurred,
        "shifted": digits.valid.roll(1, -1),
        "nine classes": digits.train[digits.labels["train"] != 3][:300],
        "one class": three.repeat(3, 1, 1, 1)[:300],
        "mean image": digits.train.mean(0).expand(300, *digits.shape),
    }
    found = {probe: metric(Subject(x), digits).scores for probe, x in probes.items()}
    for name, column in metric.columns.items():
        value = {probe: scores[name].value for probe, scores in found.items()}
        for better, worse in column.promises:
            assert value[better] < value[worse], f"{name}: {better} {value[better]}, {worse} {value[worse]}"
