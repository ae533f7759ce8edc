"""Modes and known densities: counts by loops, divergences by closed forms."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from genmodel_bench.contract import check_metric
from genmodel_bench.data import toys
from genmodel_bench.data.dataset import assemble, dataset_of_parts
from genmodel_bench.data.registry import load
from genmodel_bench.execution.evidence import Evidence
from genmodel_bench.metrics import Subject
from genmodel_bench.metrics.assigning import modes_of
from genmodel_bench.metrics.comparison import Estimate
from genmodel_bench.metrics.features import NotApplicable
from genmodel_bench.metrics.known import GaussianMixture
from genmodel_bench.metrics.known_density import KnownDensity
from genmodel_bench.metrics.modes import Modes, kl_of_modes, reached
from genmodel_bench.metrics.plane import cells, jensen_shannon, masses, shares
from scipy.stats import binom, norm

LOG2 = math.log(2)


@pytest.fixture(scope="module")
def ring():
    return load("ring")


def points(density, n, seed=0, only=None, shift=0.0):
    """n points of a density, of its first components only, in float32 as samples are."""
    stream = np.random.RandomState(seed)
    labels = stream.randint(only or len(density.weights), size=n)
    x = np.array(density.centres)[labels] + density.sd * (stream.standard_normal((n, 2)) + shift)
    return torch.from_numpy(x).float()[:, None, None]


def scores(metric, samples, data):
    return {name: score.value for name, score in metric(Subject(samples), data).scores.items()}


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_real_points_reach_all_modes_at_the_floor(name):
    data = load(name)
    k, n = len(data.density.weights), 10_000
    for found in (
        scores(Modes(), points(data.density, n, seed=5), data),
        {q: scores(Modes(), data.test, data)[f"{q}_floor"] for q in ("modes", "kl")},
    ):
        assert found["modes"] == k
        # 2N · KL is χ² of k − 1 degrees, whose standard deviation is √2(k − 1)
        assert 2 * n * found["kl"] == pytest.approx(k - 1, abs=4 * math.sqrt(2 * (k - 1)))
    # 3 sd in the plane: exp(−9/2) of real points are further away
    share = math.exp(-4.5)
    error = scores(Modes(), data.test, data)["error"]
    assert error == pytest.approx(share, abs=4 * math.sqrt(share / n))


def test_a_sampler_of_half_of_the_modes_is_log_2_away(ring):
    found = scores(Modes(), points(ring.density, 10_000, only=4), ring)
    assert found["modes"] == 4
    assert found["kl"] == pytest.approx(LOG2, abs=4 * 3 / 20_000 + 1e-3)  # bias (4 − 1) / 2N, 4 times
    # on half of the cells q = 2p, on the others 0: ½ (log 4/3 + ½ log 2/3 + ½ log 2)
    jsd = (math.log(4 / 3) + math.log(2 / 3) / 2 + LOG2 / 2) / 2
    found = scores(KnownDensity(), points(ring.density, 10_000, only=4), ring)
    assert found["jsd"] == pytest.approx(jsd, abs=0.006)  # the bias of equal distributions
    assert found["good"] == pytest.approx(1 - math.exp(-4.5), abs=4e-3)


def test_modes_are_counted_as_by_a_loop(ring):
    x = torch.rand(400, 1, 1, 2, generator=torch.Generator().manual_seed(1))
    x = torch.cat([x, points(ring.density, 5)])
    nearest, good = [], set()
    for point in x.flatten(1).double().tolist():
        apart = [math.dist(point, centre) for centre in ring.density.centres]
        nearest.append(min(range(8), key=lambda k: apart[k]))
        if min(apart) <= 3 * ring.density.sd:
            good.add(nearest[-1])
    shares = [nearest.count(k) / len(x) for k in range(8)]
    found = scores(Modes(), x, ring)
    assert found["modes"] == len(good) < 8
    assert found["kl"] == pytest.approx(sum(f * math.log(8 * f) for f in shares if f), abs=1e-12)


def test_errors_of_modes_are_the_spread_over_samples():
    p = torch.arange(1, 41, dtype=torch.float64).square()
    q = torch.full((40,), 1 / 40, dtype=torch.float64)
    draws = torch.multinomial(p.expand(2000, -1), 300, replacement=True)
    kls = [kl_of_modes(draw, q) for draw in draws]
    spread = np.std([each.value for each in kls])
    assert np.mean([each.stderr for each in kls]) == pytest.approx(spread, rel=0.1)
    counts = [reached(draw) for draw in draws]
    spread = np.std([each.value for each in counts])
    # the jackknife's variance is too large in the mean (Efron and Stein), here below 2
    assert 1 < np.mean([each.stderr**2 for each in counts]) / spread**2 < 2


def test_masses_are_scipys_and_sum_to_one():
    density = GaussianMixture(((0.02, 0.4), (0.7, 0.5)), (0.25, 0.75), 0.04)
    cuts = np.linspace(0, 1, 26)
    cuts[[0, -1]] = -np.inf, np.inf
    expected = 0
    for w, (x, y) in zip(density.weights, density.centres, strict=True):
        across, up = (np.diff(norm(mean, 0.04).cdf(cuts)) for mean in (x, y))
        expected = expected + w * np.outer(across, up)
    found = masses(density, 0.04)
    assert cells(0.04) == 25
    np.testing.assert_allclose(found, expected.ravel(), atol=1e-12)
    assert float(found.sum()) == pytest.approx(1, abs=1e-12)
    for each in (toys.ring(), toys.grid()):
        assert float(masses(each, each.sd).sum()) == pytest.approx(1, abs=1e-12)


def test_points_are_counted_in_the_cells_of_the_masses():
    x = torch.tensor([[0.0, 0.0], [0.1, 0.9], [1.0, 1.0], [0.6, 0.3]])[:, None, None]
    found = shares(x, 0.25).view(4, 4)
    assert found[0, 0] == found[0, 3] == found[3, 3] == found[2, 1] == 0.25


def test_jsd_of_closed_forms():
    one, two = torch.eye(2, dtype=torch.float64)
    assert jensen_shannon(one, two, 10).value == pytest.approx(LOG2, abs=1e-12)
    assert jensen_shannon(one, one, 10).value == 0
    # uniform on [0, 1] and on [a, 1 + a]: a log 2
    u, v = torch.zeros(2, 140, dtype=torch.float64)
    u[:100], v[40:] = 0.01, 0.01
    assert jensen_shannon(u, v, 10).value == pytest.approx(0.4 * LOG2, abs=1e-12)


@pytest.mark.parametrize(("shift", "jsd"), [(0.5, 0.0303113), (1, 0.1114215), (2, 0.3368308)])
def test_jsd_of_shifted_gaussians_is_that_of_the_line(shift, jsd):
    # N(0, 1) against N(δ, 1), by quadrature; the other coordinate says nothing. In cells
    # of h = sd / 5 a part of about h² / 12 = 0.3 % of what log q / p varies by is lost.
    near = GaussianMixture(((0.5, 0.5),), (1.0,), 0.05)
    far = GaussianMixture(((0.5 + 0.05 * shift, 0.5),), (1.0,), 0.05)
    p, q = masses(near, 0.01), masses(far, 0.01)
    assert jensen_shannon(q, p, 1).value == pytest.approx(jsd, rel=4e-3)
    assert jensen_shannon(masses(far, 0.05), masses(near, 0.05), 1).value < jsd  # coarser is less


def test_jsd_of_equal_distributions_is_its_bias():
    density = GaussianMixture(((0.3, 0.4), (0.7, 0.5)), (0.5, 0.5), 0.05)
    n, p = 500, masses(density, 0.05)
    k = torch.arange(n + 1, dtype=torch.float64)
    expected = 0.0
    for mass in p.tolist():
        q = k / n
        term = (torch.xlogy(q, 2 * q / (mass + q)) + mass * (2 * mass / (mass + q)).log()) / 2
        expected += float((torch.from_numpy(binom.pmf(k.numpy(), n, mass)) * term).sum()) if mass > 0 else 0
    found = [jensen_shannon(shares(points(density, n, seed), 0.05), p, n) for seed in range(200)]
    values = np.array([each.value for each in found])
    assert values.mean() == pytest.approx(expected, abs=4 * values.std() / math.sqrt(200))
    # the delta method is √2 too large where distributions are equal
    assert 1 < np.mean([each.stderr for each in found]) / values.std() < 2


def test_shifted_points_of_the_ring_lose_log_density(ring):
    # log p falls by (r + s)²/2 − r²/2, in the mean by s² / 2 for each coordinate
    plain, moved = (scores(KnownDensity(), points(ring.density, 10_000, shift=s), ring) for s in (0, 0.5))
    lost = plain["log_prob"] - moved["log_prob"]
    assert lost == pytest.approx(0.25, abs=4 * 0.5 * math.sqrt(2) / 100)  # sd of r · s over 10⁴ points
    entropy = math.log(8) + math.log(2 * math.pi * math.e * ring.density.sd**2)
    assert plain["log_prob"] == pytest.approx(-entropy, abs=0.04)


def test_floors_are_of_as_many_test_points_as_samples(ring):
    found = Modes()(Subject(ring.test), ring).scores
    assert found["kl"].value == found["kl_floor"].value
    few = dataset_of_parts(
        "ring", [ring.train, ring.valid, ring.test[:50]],
        [ring.labels["train"], ring.labels["valid"], ring.labels["test"][:50]], density=ring.density,
    )  # fmt: skip
    for metric in (Modes(), KnownDensity()):
        assert not any("floor" in name for name in scores(metric, ring.test, few))
        check_metric(metric, data=few)


def blocks(n, seed, channels=1):
    """Images whose class is the quarter of 8 × 8 that is bright, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    digits = torch.randint(4, (n, channels), generator=generator)
    x = 0.2 * torch.rand(n, channels, 8, 8, generator=generator)
    for k in range(4):
        i, j = 4 * (k // 2), 4 * (k % 2)
        x[:, :, i : i + 4, j : j + 4] += 0.7 * (digits == k)[:, :, None, None]
    return x, digits


def test_labels_are_modes_as_the_classifier_sees_them():
    x, digits = blocks(360, 0)
    y = 10 * digits[:, 0] + 5  # labels need not be 0, 1, …
    y[-1] = 99  # of a test image of no training class
    splits = [torch.arange(200), torch.arange(200, 220), torch.arange(220, 360)]
    data = Evidence(assemble("blocks", x, y, splits))
    samples, seen = blocks(200, 1)
    found = modes_of(data, 3.0)
    assert found.of(samples).mode.equal(seen[:, 0])
    assert found.own.tolist() == [*digits[220:-1, 0].tolist(), -1]
    got = Modes()(Subject(samples[seen[:, 0] < 2]), data).scores
    assert (got["modes"].value, got["error"].value, got["error"].n) == (2, 0, 139)
    p = [float((digits[:200] == k).double().mean()) for k in (0, 1)]
    q = [float((seen[seen < 2] == k).double().mean()) for k in (0, 1)]
    expected = sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert got["kl"].value == pytest.approx(expected, abs=1e-12)


def test_stacked_images_are_classified_channel_by_channel():
    x, digits = blocks(360, 0, channels=2)
    y = digits @ torch.tensor([4, 1])
    y[-10:] = 15 - y[-10:]  # labels of the last test images are wrong: 15 − y is never y
    cut = [slice(0, 200), slice(200, 220), slice(220, 360)]
    data = Evidence(dataset_of_parts("blocks", [x[s] for s in cut], [y[s] for s in cut], stacked=4))
    samples, seen = blocks(200, 1, channels=2)
    found = modes_of(data, 3.0)
    assert found.of(samples).mode.equal(seen @ torch.tensor([4, 1]))
    shares = digits[:200].flatten().bincount().double() / 400
    torch.testing.assert_close(found.probabilities, torch.outer(shares, shares).flatten())
    got = scores(Modes(), samples, data)
    assert got["modes"] == 16
    assert got["error"] == pytest.approx(10 / 140)


def test_data_without_labels_or_density_have_no_modes(few):
    plain = assemble("x", few.test, None, [torch.arange(20), torch.arange(20, 30), torch.arange(30, 40)])
    with pytest.raises(NotApplicable, match="neither a known density nor labels"):
        Modes()(Subject(few.test), plain)
    with pytest.raises(NotApplicable, match="not drawn from a known density"):
        KnownDensity()(Subject(few.test), few)


def test_samples_that_reach_no_mode_are_none_of_it():
    assert reached(torch.empty(0, dtype=torch.int64)) == Estimate(0, 0.0)


def test_the_floor_of_a_known_density_is_of_test_images():
    density = GaussianMixture(((0.5, 0.5),), (1.0,), 0.05)
    near, far = torch.full((10, 1, 1, 2), 0.5), torch.full((10, 1, 1, 2), 0.9)
    data = SimpleNamespace(train=far, valid=far, test=near, folds=(), density=density)
    scores = KnownDensity()(Subject(far, None), data).scores
    assert (scores["good"].value, scores["good_floor"].value) == (0, 1)
