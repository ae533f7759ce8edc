"""Toy data: the density is the one that their points come from."""

import pickle

import numpy as np
import pytest
import torch
from genmodel_bench.data import toys
from genmodel_bench.data.dataset import dataset_of_parts
from genmodel_bench.data.registry import load
from genmodel_bench.execution.evidence import Evidence
from genmodel_bench.metrics.known import GaussianMixture
from scipy.stats import chi2, kstest, multivariate_normal
from test_data import ROOT, check, needs_mnist

DIGESTS = {"ring": "68b32ff61d7c75e2", "grid": "f761e9788b0d844e"}


@pytest.fixture(scope="module", params=DIGESTS)
def data(request):
    return load(request.param)


def test_points_are_images_of_two_pixels_well_inside(data):
    check(data)
    assert data.shape == (1, 1, 2)
    assert [len(data.train), len(data.valid), len(data.test)] == [10_000, 2_000, 10_000]
    centres = torch.tensor(data.density.centres)
    assert torch.stack([centres.min(), centres.max()]).tolist() == pytest.approx([0.1, 0.9])
    # no point is on the edge, where those beyond it would have been moved
    assert 0.05 < data.train.min()
    assert data.train.max() < 0.95
    assert data.digest == DIGESTS[data.name]


def test_geometry_is_that_of_the_literature():
    centres = 2 * (np.array(toys.ring().centres) - 0.5) / 0.4  # radius 2
    assert np.hypot(*centres.T) == pytest.approx(2)
    assert np.hypot(*np.diff(centres, axis=0).T) == pytest.approx(4 * np.sin(np.pi / 8))
    assert 2 * toys.ring().sd / 0.4 == pytest.approx(0.02)
    centres = 4 * (np.array(toys.grid().centres) - 0.5) / 0.4
    assert {tuple(np.rint(centre)) for centre in centres} == {
        (x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)
    }
    assert 4 * toys.grid().sd / 0.4 == pytest.approx(0.05)


def test_density_is_scipys_and_integrates_to_one():
    density = GaussianMixture(((0.3, 0.4), (0.7, 0.5)), (0.2, 0.8), 0.05)
    x = torch.rand(50, 2, dtype=torch.float64)
    expected = sum(
        w * multivariate_normal(centre, 0.05**2).pdf(x.numpy())
        for w, centre in zip(density.weights, density.centres, strict=True)
    )
    np.testing.assert_allclose(density.log_prob(x).exp(), expected, rtol=1e-10)
    # The midpoint rule with steps of 0.4 sd is exact to exp(−2 (π / 0.4)²).
    side = (torch.arange(50, dtype=torch.float64) + 0.5) / 50
    lattice = torch.cartesian_prod(side, side)
    assert float(density.log_prob(lattice).exp().mean()) == pytest.approx(1, abs=1e-7)


def test_density_wants_points_of_its_dimension():
    with pytest.raises(ValueError, match="got points of 64 coordinates, expected 2"):
        toys.ring().log_prob(torch.rand(3, 1, 8, 8))


def test_points_agree_with_the_density(data):
    # Level 1e-3 for each of the tests below, on data that are always the same.
    x = torch.cat([data.train, data.test]).flatten(1).double()
    y = torch.cat([data.labels["train"], data.labels["test"]])
    k = len(data.density.weights)
    expected = len(y) / k
    assert ((y.bincount(minlength=k) - expected).square() / expected).sum() < chi2.ppf(0.999, k - 1)
    z = (x - torch.tensor(data.density.centres, dtype=torch.float64)[y]) / data.density.sd
    for values, law in (
        (z[:, 0], "norm"),
        (z[:, 1], "norm"),
        (z.square().sum(1), lambda r: chi2.cdf(r, 2)),
    ):
        assert kstest(values.numpy(), law).pvalue > 1e-3
    # log p of Gaussians far apart is −log k − log 2πσ² − r²/2; r²/2 has mean 1 and sd 1
    mean = -np.log(k) - np.log(2 * np.pi * data.density.sd**2) - 1
    assert float(data.density.log_prob(x).mean()) == pytest.approx(mean, abs=4 / len(x) ** 0.5)


def test_the_density_goes_with_the_data_and_counts_in_the_digest(data):
    moved = data.to(torch.device("cpu"))
    sent = pickle.loads(pickle.dumps(data.mapped(lambda tensor: tensor.numpy()))).mapped(torch.from_numpy)
    for each in (moved, sent, Evidence(data)):
        assert each.density == data.density
        assert each.stacked == 0
    parts = [data.train[:20], data.valid[:5], data.test[:5]]
    digests = {
        dataset_of_parts("x", parts, None, density=density, stacked=stacked).digest
        for density, stacked in ((None, 0), (toys.ring(), 0), (toys.grid(), 0), (None, 2))
    }
    assert len(digests) == 4


@needs_mnist
@pytest.mark.slow
def test_stacked_labels_are_those_of_the_channels():
    data, mnist = load("stacked-mnist", root=ROOT), load("mnist", root=ROOT)
    check(data)
    assert data.shape == (3, 28, 28)
    assert data.stacked == 10
    assert data.digest == "c2e2c415b2bba159"
    assert [len(data.train), len(data.valid), len(data.test)] == [50_000, 10_000, 10_000]
    for split in ("valid", "test"):  # the 10,000 images of each are searched: train would be slow
        channels = getattr(data, split)[:30].view(90, 784)
        singles = getattr(mnist, split).flatten(1)
        exact = "donot_use_mm_for_euclid_dist"  # by products the distance to itself is not 0
        apart, index = torch.cdist(channels, singles, compute_mode=exact).min(1)
        assert apart.max() == 0
        digits = mnist.labels[split][index].view(30, 3)
        assert (digits @ torch.tensor([100, 10, 1])).equal(data.labels[split][:30])
    assert len(set(data.labels["train"].tolist())) == 1000
