import pytest
import torch
from genmodel_bench.models import MODELS, references
from genmodel_bench.models.base import pick
from genmodel_bench.models.densities import mixture, ppca


def fitted(config, x):
    model = config.build(tuple(x.shape[1:]))
    model.initialise(x)
    return model


def test_data_returns_each_training_image_once_before_any_twice():
    x = torch.rand(20, 1, 3, 3)
    samples = fitted(references.Data(), x).sample(30)
    _, counts = samples.flatten(1).unique(dim=0, return_counts=True)
    assert sorted(counts.tolist()) == [1] * 10 + [2] * 10


@pytest.mark.parametrize("n", [1, 5, 12])
def test_pick_takes_rows_evenly(n):
    rows = torch.arange(5)
    counts = torch.bincount(pick(rows, n), minlength=5)
    assert int(counts.sum()) == n
    assert int(counts.max() - counts.min()) <= 1


def test_mean_is_the_mean_image():
    x = torch.rand(40, 2, 3, 3)
    samples = fitted(references.Gaussian(rank=0), x).sample(4)
    torch.testing.assert_close(samples, x.mean(0).expand(4, -1, -1, -1))


def test_the_rows_that_calibrate_are_data_prototypes_a_gaussian_and_the_mean():
    assert {name: config for name, config in MODELS.items() if config.REFERENCE} == {
        "data": references.Data(),
        "kmeans": references.KMeans(clusters=10_000, iterations=20),
        "gaussian": references.Gaussian(rank=None),
        "mean": references.Gaussian(rank=0),
        "mixture": mixture.Config(),
        "ppca": ppca.Config(),
    }


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_a_gaussian_of_low_rank_has_the_leading_directions_of_the_covariance(rank):
    x = torch.rand(300, 1, 2, 2) @ torch.rand(2, 2)
    factor = fitted(references.Gaussian(rank=rank), x).factor
    # the best approximation of a covariance by one of this rank (Eckart and Young 1936)
    U, S, V = torch.linalg.svd(torch.cov(x.flatten(1).double().T, correction=0))
    expected = U[:, :rank] @ S[:rank].diag() @ V[:rank]
    torch.testing.assert_close((factor @ factor.T).double(), expected, atol=1e-6, rtol=0)


def test_gaussian_has_the_moments_of_the_data():
    # far from 0 and 1, so that nothing is clipped; over 50,000 draws the standard errors
    # are ≤ 0.1/√50,000 = 0.0005
    x = 0.5 + 0.05 * torch.randn(300, 1, 2, 2)
    x[:, 0, 0, 0] = x[:, 0, 1, 1]
    model = fitted(references.Gaussian(), x)
    samples = model.sample(50_000).flatten(1)
    torch.testing.assert_close(samples.mean(0), x.flatten(1).mean(0), atol=2e-3, rtol=0)
    torch.testing.assert_close(
        torch.cov(samples.T), torch.cov(x.flatten(1).T, correction=0), atol=1e-4, rtol=0
    )


def test_gaussian_is_clipped():
    samples = fitted(references.Gaussian(), torch.rand(50, 1, 2, 2).round()).sample(500)
    assert samples.min() == 0
    assert samples.max() == 1


def test_kmeans_finds_separate_clusters():
    centres = torch.tensor([0.1, 0.5, 0.9])
    x = (centres.repeat(30)[:, None, None, None] + 0.01 * torch.randn(90, 1, 2, 2)).clamp(0, 1)
    torch.manual_seed(1)
    prototypes = fitted(references.KMeans(clusters=3, iterations=50), x).prototypes
    found = prototypes.flatten(1).mean(1).sort().values
    assert len(found) == 3
    # Lloyd's algorithm from random images may merge two clusters; every centroid is still
    # the mean of one or two whole ones
    for value in found:
        assert min(abs(float(value) - c) for c in (0.1, 0.3, 0.5, 0.7, 0.9)) < 0.02


def test_more_iterations_of_lloyds_algorithm_lie_closer_to_the_images():
    x, errors = torch.rand(300, 1, 2, 2), []
    for iterations in (1, 3, 100):
        torch.manual_seed(1)
        prototypes = fitted(references.KMeans(clusters=20, iterations=iterations), x).prototypes
        errors.append(float(torch.cdist(x.flatten(1), prototypes.flatten(1)).min(1).values.square().sum()))
    assert errors == sorted(errors, reverse=True)
    assert len(set(errors)) == 3


def test_kmeans_of_as_many_centroids_as_images_is_the_data():
    x = torch.rand(15, 1, 2, 2)
    prototypes = fitted(references.KMeans(clusters=1000), x).prototypes
    torch.testing.assert_close(prototypes.flatten(1).unique(dim=0), x.flatten(1).unique(dim=0))
