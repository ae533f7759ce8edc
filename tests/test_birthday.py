from dataclasses import replace

import pytest
import torch
from genmodel_bench.data.dataset import Fold
from genmodel_bench.metrics import Subject, birthday
from genmodel_bench.metrics.birthday import Birthday
from scipy.spatial.distance import cdist
from scipy.stats import kstest


def images(n, d=4):
    return torch.rand(n, 1, 2, d // 2)


def scored(samples, reference, **settings):
    return Birthday(**settings)(Subject(samples), reference).scores


def test_resampled_training_images_have_a_support_of_their_number(digits):
    drawn = digits.train[torch.randint(len(digits.train), (300,))]
    scores = scored(drawn, digits)
    # about 37 pairs of 44,850: four standard errors, and a pair that is alike
    assert (
        abs(scores["estimate"].value - torch.tensor(len(digits.train)).log10())
        < 4 * scores["estimate"].stderr
    )
    assert scores["support_p"].value < 0.01


def test_pairs_are_those_nearer_than_training_images_are_to_one_another(few):
    samples = torch.cat([few.valid[:30], few.valid[:10] + 1e-4])
    found = scored(samples, few, near=0.2)["estimate"].value
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))[:40]
    own = cdist(*[few.train[order].flatten(1).double()] * 2)
    threshold = sorted(sorted(row)[1] for row in own)[7]
    apart = cdist(*[samples.flatten(1).double()] * 2)
    pairs = ((apart <= threshold * (1 + 1e-6)).sum() - 40) / 2
    assert pairs > 10
    # the median of a Poisson number is 2/3 below K + 1
    assert 10**found == pytest.approx(40 * 39 / 2 / (pairs + 2 / 3), rel=0.05)


def test_copies_of_one_image_have_a_support_of_one(few):
    scores = scored(few.train.mean(0).expand(40, *few.shape), few)
    assert scores["support"].value == 0
    assert scores["support_p"].value == 0.001
    assert scores["support_floor"].value > 2


@pytest.mark.slow
def test_p_of_held_out_images_is_uniform_over_splits(few):
    metric, found = Birthday(near=0.3, permutations=39), []
    for seed in range(200):
        torch.manual_seed(seed)
        reference = replace(few, train=images(100), test=images(100))
        found.append(metric(Subject(images(100)), reference).scores["support_p"].value)
    assert kstest(found, "uniform").pvalue > 0.01


@pytest.mark.slow
def test_duplicates_in_five_per_cent_are_found_among_10_000(few):
    found = []
    for seed in range(5):
        torch.manual_seed(seed)
        samples = images(10_000, 16)
        samples[:250] = samples[250:500]  # 500 of them are twice there
        reference = replace(few, train=images(10_000, 16), test=images(10_000, 16))
        found.append(scored(samples, reference, permutations=99)["support_p"].value <= 0.05)
    assert sum(found) >= 4


def test_score_is_the_mean_over_the_draws_that_are_scored(few):
    draws = [few.valid, few.train[:20].repeat(2, 1, 1, 1), few.train[:10].repeat(4, 1, 1, 1)]
    alone = [scored(x, few)["support"].value for x in draws]
    found = Birthday(draws=3)(Subject(draws[0], None, draws[1:]), few).scores["support"]
    assert found.value == pytest.approx(sum(alone) / 3, rel=1e-12)
    assert found.draw_sd == pytest.approx(float(torch.tensor(alone).double().std()), rel=1e-6)
    first = Birthday(draws=1)(Subject(draws[0], None, draws[1:]), few).scores["support"]
    assert (first.value, first.draw_sd) == (alone[0], None)


def test_folds_are_scored_one_by_one_and_averaged(few):
    folds = tuple(Fold(few.valid, few.test[i : i + 20]) for i in (0, 20))
    samples = few.train[:10].repeat(4, 1, 1, 1)
    alone = [scored(samples, replace(few, test=fold.test))["support"].value for fold in folds]
    found = scored(samples, replace(few, folds=folds))["support"]
    assert found.value == pytest.approx(sum(alone) / 2, rel=1e-12)
    assert (found.stderr_over, found.n, found.settings["N"]) == ("folds", 2, 20)


def test_support_is_that_of_the_features_asked_for(few):
    scores = scored(few.valid, few, features="pca")
    assert scores["support"].settings["features"] == "pca"


def test_what_is_exchanged_counts_pairs_within_and_across_the_sets(monkeypatch):
    seen, exchanged = [], birthday.exchanged
    monkeypatch.setattr(birthday, "exchanged", lambda w, m, p: seen.append(w) or exchanged(w, m, p))
    x, held = torch.rand(30, 2), torch.rand(30, 2)
    degrees = (torch.cdist(held, held) <= 0.3).sum(1) - 1
    birthday.Birthday(permutations=9).statistic(x, held, 0.3, degrees)
    both = torch.cat([x, held])
    expected = (torch.cdist(both, both, compute_mode="donot_use_mm_for_euclid_dist") <= 0.3).sum(1) - 1
    assert seen[0].tolist() == expected.tolist()
