"""Is a probe of the audit what its name says?"""

from dataclasses import replace

import pytest
import torch
from genmodel_bench.data.registry import load
from genmodel_bench.execution.probes import PROBES, changed, halves, probe, sized


@pytest.fixture(scope="module")
def of():
    return halves(load("digits"))


def found_in(x, pool):
    """For each of x whether it is in the pool, image by image."""
    return torch.stack([(pool == image).flatten(1).all(1).any() for image in x])


def test_halves_share_no_image_index_and_keep_labels_with_their_images(of, digits):
    assert len(of.data.train) + len(of.unseen) == len(digits.train)
    together = torch.cat([of.data.train, of.unseen]).flatten(1).sort(0).values
    assert torch.equal(together, digits.train.flatten(1).sort(0).values)
    for images, labels in ((of.data.train, of.data.labels["train"]), (of.unseen, of.labels)):
        first = [int((digits.train == image).flatten(1).all(1).nonzero()[0]) for image in images[:20]]
        assert torch.equal(labels[:20], digits.labels["train"][first])


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_is_images_of_the_unit_interval_and_its_draws_differ(name, of):
    torch.manual_seed(0)
    draws = probe(name, of, 100, 3)
    assert len(draws) == 3
    for x in draws:
        assert x.shape == (100, 1, 8, 8)
        assert x.dtype == torch.float32
        assert 0 <= x.min() and x.max() <= 1
    assert torch.equal(draws[0], draws[1]) == (name == "mean image")


def test_copies_are_of_the_half_that_metrics_see_and_the_rest_is_unseen(of):
    for draw in probe("copies", of, 90, 2):
        assert found_in(draw, of.data.train).all()
    real = torch.cat(probe("real", of, 90, 2))
    assert found_in(real, of.unseen).all()
    assert found_in(real, of.data.train).float().mean() < 0.02  # images that are there twice
    few = probe("5% copies", of, 90, 2)
    assert [int(found_in(x, of.data.train).sum()) for x in few] == [5, 5]
    assert len(torch.unique(torch.cat([x[::20] for x in few]), dim=0)) == 10


def test_classes_that_are_missing_are_missing(of):
    names = {str(image.tolist()): int(y) for image, y in zip(of.unseen, of.labels, strict=True)}
    classes = {
        name: {names[str(image.tolist())] for image in torch.cat(probe(name, of, 150, 2))}
        for name in ("nine classes", "one class", "real")
    }
    assert classes == {"nine classes": set(range(9)), "one class": {0}, "real": set(range(10))}


def test_changes_are_those_that_are_named(of):
    torch.manual_seed(0)
    (real,), (shifted,), (noisy,), (blurred,) = (
        probe(name, of, 200, 1) for name in ("real", "shifted", "noisy", "blurred")
    )
    assert torch.equal(shifted[..., 1:], real[..., :-1])
    middle = (real > 0.4) & (real < 0.6)
    assert (noisy - real)[middle].std() == pytest.approx(0.1, rel=0.1)  # of some 600 pixels: ± 3 %
    inner = torch.zeros(1, 1, 8, 8)
    inner[0, 0, 4, 4] = 1.0
    spread = changed("blurred", inner)[0, 0]
    at = torch.arange(8.0)
    assert spread.sum() == pytest.approx(1.0, abs=1e-6)
    # five taps cut the tails off: a Gaussian of variance 1 keeps 0.94 of it
    assert ((at - 4).square() * spread.sum(0)).sum() == pytest.approx(0.9817, abs=2e-3)
    assert blurred.flatten(1).var(1).mean() < 0.7 * real.flatten(1).var(1).mean()


def test_centroids_are_no_images_and_the_mean_image_is_the_mean(of):
    torch.manual_seed(0)
    (centres,) = probe("kmeans", of, 100, 1)
    assert len(torch.unique(centres, dim=0)) == 70
    assert not found_in(centres, of.data.train).all()
    (mean,) = probe("mean image", of, 3, 1)
    assert torch.allclose(mean[2], of.data.train.mean(0))


def test_data_without_labels_have_no_probes_of_classes(of):
    bare = replace(of, labels=None)
    assert [probe(name, bare, 10, 1) is None for name in PROBES] == [
        name in ("nine classes", "one class") for name in PROBES
    ]


def test_a_size_takes_as_many_test_images_always_the_same(of):
    few = sized(of.data, 40)
    assert len(few.test) == 40
    assert torch.equal(few.test, sized(of.data, 80).test[:40])
    assert found_in(few.test, of.data.test).all()
