"""Are samples compared with the images that the protocol names, and averaged so?"""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from genmodel_bench.data.dataset import Fold, assemble
from genmodel_bench.metrics import Subject
from genmodel_bench.metrics.comparison import Estimate, Quantity, compared, jackknife, mean_of


@dataclass(frozen=True)
class Apart:
    """The difference of two means, with an error of 0.5; the larger one is `top`."""

    features: str = "pixels"
    quantities: ClassVar = {"apart": Quantity("grey", "lower"), "top": Quantity("grey", "higher")}

    def prepare(self, x):
        return x

    def estimate(self, x, real):
        apart = float((x.mean() - real.mean()).abs())
        return {"apart": Estimate(apart, 0.5), "top": Estimate(float(x.mean()), 0.1)}


def images(*grey):
    """Images of one pixel."""
    return torch.tensor(grey).reshape(-1, 1, 1, 1)


@pytest.fixture
def data():
    """400 training images of 0.1, a test image in two of 0.3, the others of 0.5."""
    x = torch.cat([images(0.1).expand(400, -1, -1, -1), images(*[0.3, 0.5] * 50)])
    return assemble("grey", x, None, [torch.arange(400), torch.arange(0), torch.arange(400, 500)])


def scores(data, *sets, metric=Apart()):
    return compared(metric, Subject(sets[0], None, sets[1:]), data).scores


def test_samples_are_compared_with_test_images_and_with_training_images(data):
    found = scores(data, images(0.2).expand(100, -1, -1, -1), images(0.3).expand(100, -1, -1, -1))
    assert found["apart"].value == pytest.approx((0.2 + 0.1) / 2)  # from 0.4
    # nearer to the training images by 0.1 in one draw, and farther by 0.1 in the other
    assert found["apart_gain"].value == pytest.approx((0.1 - 0.1) / 2, abs=1e-6)
    assert found["apart_gain"].draw_sd == pytest.approx(0.2 / 2**0.5)
    assert found["apart_floor"].value == pytest.approx(0.3)
    assert found["apart_gain_floor"].value == pytest.approx(0.3)
    assert found["apart_floor"].draw_sd is None
    assert found["apart"].stderr == 0.5
    assert found["apart_gain"].stderr == pytest.approx(0.5 * 2**0.5)
    assert [s.better for s in found.values()] == ["lower", *["neither"] * 3, "higher", *["neither"] * 3]
    assert found["apart"].settings == {"N": 100, "folds": 0, "features": "pixels", "dimensions": 1}


def test_a_gain_is_positive_where_the_score_is_better_against_training_images(data):
    found = scores(data, images(0.1).expand(100, -1, -1, -1))
    assert found["apart_gain"].value == pytest.approx(0.3)  # lower is better
    assert found["top_gain"].value == 0


@pytest.mark.parametrize(
    ("samples", "train", "test", "n"), [(50, 400, 100, 50), (300, 90, 100, 45), (300, 400, 80, 80)]
)
def test_n_is_the_least_of_samples_test_images_and_half_the_training_images(data, samples, train, test, n):
    few = replace(data, train=data.train[:train], test=data.test[:test])
    found = scores(few, images(0.2).expand(samples, -1, -1, -1))
    assert {s.n for s in found.values()} == {n}
    assert found["apart"].settings["N"] == n


@dataclass(frozen=True)
class Seen(Apart):
    """Keeps what it is given."""

    given: ClassVar = []

    def estimate(self, x, real):
        self.given.append((x.flatten().tolist(), real.flatten().tolist()))
        return {"apart": Estimate(0.0, 0.0), "top": Estimate(0.0, 0.0)}


def test_no_image_is_on_both_sides_and_samples_in_order_are_taken_from_all_over():
    train, test, samples = (torch.arange(n) / 1000 + at for n, at in ((400, 0.0), (100, 0.4), (1000, 0.0)))
    x = torch.cat([train, test]).reshape(-1, 1, 1, 1)
    data = assemble("order", x, None, [torch.arange(400), torch.arange(0), torch.arange(400, 500)])
    Seen.given.clear()
    scores(data, samples.reshape(-1, 1, 1, 1), metric=Seen())
    (unseen, held), (_, seen), (ours, _), _ = Seen.given
    assert sorted(held) == test.tolist()
    assert set(unseen) | set(seen) <= set(train.tolist())
    assert not set(unseen) & set(seen)
    assert len(set(ours)) == 100
    # the mean of 100 of 1,000 drawn without repeats has a standard deviation of 0.027
    assert sum(ours) / 100 == pytest.approx(0.5, abs=0.1)


def test_folds_are_compared_by_themselves_and_their_spread_is_the_error(data):
    folds = tuple(Fold(data.valid, images(*[grey] * 20)) for grey in (0.3, 0.5, 0.9))
    found = scores(replace(data, folds=folds), images(0.2).expand(100, -1, -1, -1))
    assert found["apart"].value == pytest.approx((0.1 + 0.3 + 0.7) / 3)
    spread = torch.tensor([0.1, 0.3, 0.7]).std() / 3**0.5
    assert found["apart"].stderr == pytest.approx(float(spread))
    assert (found["apart"].stderr_over, found["apart"].n) == ("folds", 3)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    torch.manual_seed(0)
    x, y = torch.randn(1000, dtype=torch.float64), 3 * torch.randn(1000, dtype=torch.float64)
    error = jackknife(lambda rows: float(x[rows].mean() - y[rows].mean()), 1000, x.device)
    # from ten blocks it is known to 1/√18 = 24 %
    assert error == pytest.approx((10 / 1000) ** 0.5, rel=0.5)


def test_the_error_of_a_mean_is_the_deviation_over_the_root_of_n():
    found = mean_of(torch.tensor([0.0, 2.0, 4.0, 6.0]))
    assert (found.value, found.stderr) == (3, pytest.approx(5**0.5 / 2))
