from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from genmodel_bench.metrics import distances
from genmodel_bench.metrics.features import features
from genmodel_bench.metrics.nearness import (
    cells_of,
    centres,
    held_to_train,
    nearest_others,
    shifted_to_train,
    train_to_train,
)
from genmodel_bench.metrics.neighbours import nearest_shifted
from scipy.spatial.distance import cdist


@dataclass
class Remembering:
    """A reference that keeps what is made of it."""

    train: torch.Tensor
    test: torch.Tensor
    made: dict = field(default_factory=dict)

    def remembered(self, key, make):
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    stored = remembered


@pytest.mark.parametrize("block", [(1, 1), (3, 7), (20, 5), (64, 64)])
@pytest.mark.parametrize("resident", [8 * 5 * 10, 10**6])
def test_nearest_other_is_that_of_a_loop(block, resident, monkeypatch):
    monkeypatch.setattr(distances, "block_shape", lambda device: block)
    monkeypatch.setattr(distances, "RESIDENT", resident)
    x = torch.rand(29, 5, dtype=torch.float64)
    apart = cdist(x, x)
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_allclose(nearest_others(x).numpy(), apart.min(1), rtol=1e-12)


def test_the_nearest_other_of_a_duplicate_is_at_distance_exactly_zero():
    x = torch.rand(300, 784)
    x[7] = x[200]
    found = nearest_others(x)
    assert (found == 0).nonzero().flatten().tolist() == [7, 200]


def test_distances_of_real_images_are_made_once_for_each_features_and_fold(few):
    reference = Remembering(few.train, few.test)
    for name in ("pixels", "pca", "pixels"):
        extract = features(name, reference)
        x, train = extract.of(few.test), extract.of(few.train)
        for fold, images in enumerate((few.test, few.valid)):
            distance, index = held_to_train(reference, extract, images, fold)
            torch.testing.assert_close(distance, (extract.of(images) - train[index]).norm(dim=1))
        apart = cdist(train, train) + np.diag(np.full(200, np.inf))
        np.testing.assert_allclose(train_to_train(reference, extract).numpy(), apart.min(1), rtol=1e-4)
        assert len(x) == 40
    assert len(reference.made) == 10  # pixels, pca; of both: train, train to train, folds


def test_shifted_distances_are_kept_by_their_number(few):
    reference = Remembering(few.train, few.test)
    whole, some = (shifted_to_train(reference, few.test[:n], 0) for n in (40, 10))
    torch.testing.assert_close(whole, nearest_shifted(few.test, few.train.flatten(1))[0])
    torch.testing.assert_close(some, whole[:10])


def test_centres_are_those_of_k_means_of_the_principal_components(few):
    codes = features("pca", few).of(few.train)
    middles = centres(few, 4)
    (cell,) = cells_of([few.train], few, 4)
    assert torch.equal(cell, torch.cdist(codes, middles).argmin(1))
    means = torch.stack([codes[cell == k].mean(0) for k in range(4)])
    torch.testing.assert_close(middles, means, rtol=1e-3, atol=1e-3)  # the last step of k-means
    torch.testing.assert_close(centres(few, 4), middles)
