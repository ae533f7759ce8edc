from dataclasses import replace

import pytest
import torch
from genmodel_bench.data.dataset import Fold
from genmodel_bench.metrics import Subject
from genmodel_bench.metrics.copying import c_t, near_copies
from genmodel_bench.metrics.distances import nearest
from genmodel_bench.metrics.memorisation import Memorisation
from genmodel_bench.metrics.nearness import cells_of
from genmodel_bench.metrics.neighbours import nearest_shifted
from scipy.stats import kstest

NAMES = ("nearer_train", "c_t", "authenticity", "shifted_copies")


def scored(samples, reference, **settings):
    return Memorisation(**settings)(Subject(samples), reference).scores


def images(n):
    """Independent images, whose border is empty: shifts lose nothing."""
    return torch.nn.functional.pad(torch.rand(n, 1, 2, 2) ** 2, (2, 2, 2, 2))


def moved(x):
    return torch.roll(x, (1, -1), (2, 3))


def test_copies_have_the_closed_form_of_each(digits):
    scores = scored(digits.train[torch.randperm(len(digits.train))[:300]], digits)
    assert scores["nearer_train"].value == 1
    assert scores["authenticity"].value == 0
    assert scores["shifted_copies"].value == 1
    assert scores["c_t"].value < -3 * scores["c_t"].stderr
    assert [scores[f"{name}_p"].value for name in NAMES] == pytest.approx([0.001, 0, 0, 0], abs=1e-9)


def test_unseen_images_are_within_the_error_of_the_floors(digits):
    scores = scored(digits.valid, digits)
    for name in NAMES:
        score, floor = scores[name], scores[f"{name}_floor"]
        assert abs(score.value - floor.value) < 4 * (score.stderr**2 + floor.stderr**2) ** 0.5
        assert scores[f"{name}_p"].value > 0.01


def test_copies_moved_by_a_pixel_are_found_under_shifts_alone(few):
    reference = replace(few, train=images(2000), test=images(400))
    samples = moved(reference.train[:400])
    scores = scored(samples, reference)
    assert scores["shifted_copies"].value == 1
    assert scores["shifted_copies_p"].value < 1e-9
    assert abs(scores["nearer_train"].value - 0.5) < 4 * scores["nearer_train"].stderr


@pytest.mark.slow
def test_p_of_held_out_images_is_uniform_over_splits(few):
    metric, found = Memorisation(permutations=39, near=0.3), []
    for seed in range(200):
        torch.manual_seed(seed)
        reference = replace(few, train=images(100), test=images(100))
        scores = metric(Subject(images(100)), reference).scores
        found.append([scores[f"{name}_p"].value for name in NAMES])
    for name, ps in zip(NAMES, zip(*found, strict=True), strict=True):
        assert kstest(ps, "uniform").pvalue > 0.01, name


@pytest.mark.slow
def test_five_per_cent_of_moved_copies_are_found_among_10_000(few):
    found = []
    for seed in range(3):
        torch.manual_seed(seed)
        reference = replace(few, train=images(10_000), test=images(10_000))
        samples = torch.cat([moved(reference.train[:500]), images(9500)])[torch.randperm(10_000)]
        scores = Memorisation(permutations=9)(Subject(samples), reference).scores
        found.append(scores["shifted_copies_p"].value <= 0.05)
    assert sum(found) >= 0.8 * len(found)


def test_scores_are_those_of_the_draws_that_are_scored(few):
    draws = [few.valid, few.train[:40], few.train[40:80]]
    torch.manual_seed(1)
    first = scored(draws[0], few)
    torch.manual_seed(1)
    found = Memorisation()(Subject(draws[0], None, draws[1:]), few).scores
    assert {name: score.value for name, score in found.items()} == {n: s.value for n, s in first.items()}
    both = Memorisation(draws=2)(Subject(draws[0], None, draws[1:]), few).scores["authenticity"]
    assert both.value == pytest.approx((first["authenticity"].value + 0) / 2, rel=1e-12)
    assert both.draw_sd == pytest.approx(first["authenticity"].value / 2**0.5, rel=1e-12)


def test_folds_are_scored_one_by_one_and_averaged(few):
    folds = tuple(Fold(few.valid, few.test[i : i + 20]) for i in (0, 20))
    alone = [scored(few.valid, replace(few, test=fold.test)) for fold in folds]
    found = scored(few.valid, replace(few, folds=folds))
    for name in (*NAMES, "authenticity_floor"):
        values = torch.tensor([each[name].value for each in alone]).double()
        assert found[name].value == pytest.approx(float(values.mean()), rel=1e-6)
        assert found[name].stderr == pytest.approx(float(values.std()) / 2**0.5, rel=1e-6)
        assert (found[name].stderr_over, found[name].n, found[name].settings["N"]) == ("folds", 2, 20)


def test_what_two_scores_must_share_is_in_their_settings(few):
    scores = scored(torch.rand(100, *few.shape), few, features="pca")
    expected = {"N": 40, "folds": 0, "train": 200, "test": 40, "features": "pca"}
    for name in ("nearer_train", "c_t", "authenticity"):
        assert expected.items() <= scores[name].settings.items()
    assert scores["shifted_copies"].settings["features"] == "pixels"


def test_only_the_first_samples_are_shifted(few):
    samples = torch.cat([few.train[:20], few.valid[:20]])
    assert scored(samples, few, shifted=20)["shifted_copies"].value == 1
    found = scored(samples, few)["shifted_copies"]
    assert (found.n, found.settings["N"]) == (40, 40)
    found = scored(samples, few, shifted=20)["shifted_copies"]
    assert (found.n, found.settings["N"]) == (20, 20)


def test_shifted_samples_are_compared_with_shifted_test_images(few):
    moved = few.train[: len(few.test)].roll(1, 3)  # each a pixel from a training image
    reference = replace(few, test=moved)
    ours, held = (nearest_shifted(x, few.train.flatten(1))[0] for x in (few.valid, moved))
    scores = Memorisation(near=0.5)(Subject(few.valid, None), reference).scores
    assert scores["shifted_copies"].value == near_copies(ours, held, 0.5).value < 0.1


def test_c_t_is_of_the_cells_that_samples_and_test_images_are_in(few):
    train, test, samples = (torch.rand(n, 1, 4, 4) ** 2 for n in (400, 300, 300))
    reference = replace(few, train=train, test=test)
    cells, held_cells = cells_of((samples, test), reference, 3)
    ours, held = (nearest(x.flatten(1), train.flatten(1))[0] for x in (samples, test))
    expected = c_t(ours, held, cells, held_cells)
    found = Memorisation(shifted=10)(Subject(samples, None), reference).scores["c_t"]
    assert cells.unique().numel() == 3 and found.value == pytest.approx(expected.value)
