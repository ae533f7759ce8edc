"""Two rows are told apart as statistics say, with all that is uncertain in them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from genmodel_bench.report.compare import (
    FEWEST,
    LEVEL,
    Difference,
    Standing,
    corrected,
    detectable,
    difference,
    differences,
    ranking,
    standing,
)
from genmodel_bench.storage.record import Record
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t, ttest_ind, ttest_rel

EXACT = 1e-9
"""Relative: both sides are a few dozen operations in float64."""


def rng(seed=0):
    return np.random.default_rng(seed)


def row(name, *values, stderr=0.0, n=100, examples=None, trained=True):
    return Standing(name, values, stderr, n, examples, trained)


def numbers_of(found):
    return found.t, found.dof, found.p, found.low, found.high


def expected(result):
    """The same five numbers of a test of scipy."""
    interval = result.confidence_interval(0.95)
    return result.statistic, result.df, result.pvalue, interval.low, interval.high


def test_with_equal_seeds_it_is_the_paired_t_test_over_images():
    shared = rng().normal(0, 30, 80)
    a, b = (shared + rng(seed).normal(0, 5, 80) for seed in (1, 2))
    rows = [row(name, *[float(x.mean())] * 3, examples=x, n=80) for name, x in (("a", a), ("b", b))]
    found = difference(*rows)
    assert found.paired
    assert numbers_of(found) == pytest.approx(expected(ttest_rel(a, b)), rel=EXACT)
    assert found.stderr == pytest.approx(found.examples) == pytest.approx((a - b).std(ddof=1) / 80**0.5)


@pytest.mark.parametrize(("m", "n"), [(3, 3), (2, 6), (10, 4)])
def test_without_an_error_over_images_it_is_the_test_of_welch(m, n):
    a, b = rng(1).normal(5, 1, m), rng(2).normal(4, 3, n)
    found = difference(row("a", *a), row("b", *b))
    assert not found.paired
    assert numbers_of(found) == pytest.approx(expected(ttest_ind(a, b, equal_var=False)), rel=EXACT)
    assert found.stderr == pytest.approx(found.seeds)


def test_the_parts_of_the_variance_add_up_and_have_their_own_degrees_of_freedom():
    found = difference(row("a", 1.0, 2.0, 3.0, stderr=0.3, n=101), row("b", 0.0, 2.0, stderr=0.4, n=500))
    # both squared standard errors, s² / m = 1 / 3, s² / n = 2 / 2; the fewer images count
    parts = {100: 0.3**2 + 0.4**2, 2: 1 / 3, 1: 1.0}
    total = sum(parts.values())
    assert found.value == 1
    assert found.stderr == pytest.approx(math.sqrt(total))
    assert (found.examples, found.seeds) == (pytest.approx(0.5), pytest.approx(math.sqrt(4 / 3)))
    assert found.dof == pytest.approx(total**2 / sum(v**2 / dof for dof, v in parts.items()))
    assert found.p == pytest.approx(2 * t.sf(1 / math.sqrt(total), found.dof), rel=EXACT)


def test_what_rows_share_cancels_where_their_images_are_paired():
    shared = rng().normal(0, 30, 200)
    both = [shared + rng(seed).normal(0, 1, 200) for seed in (1, 2)]
    alone = [
        row(name, 1.0, 2.0, stderr=float(x.std()) / 200**0.5, n=200)
        for name, x in zip("ab", both, strict=True)
    ]
    paired = [replace(r, examples=x) for r, x in zip(alone, both, strict=True)]
    assert difference(*alone).examples == pytest.approx(math.hypot(*(r.stderr for r in alone)))
    assert difference(*paired).examples < 0.1 * difference(*alone).examples
    # images of another number cannot be paired
    assert not difference(paired[0], replace(paired[1], examples=both[1][:100])).paired
    assert not difference(paired[0], alone[1]).paired


def test_equal_rows_without_any_error_are_not_told_apart_and_unequal_ones_are():
    same, other = row("a", 1.0, 1.0, 1.0), row("b", 1.5, 1.5, 1.5)
    assert difference(same, replace(same, name="b")).verdict == "not told apart"
    found = difference(same, other)
    assert (found.p, found.verdict, found.low, found.high) == (0, "lower", -0.5, -0.5)


@pytest.mark.parametrize(
    "other", [row("b", 9.0), row("b", 9.0, trained=False), row("b", 9.0, 9.1, 9.2, trained=False)]
)
def test_with_one_seed_or_a_users_samples_nothing_is_concluded(other):
    for pair in ((row("a", 1.0, 1.1, 1.2, stderr=0.1), other), (other, row("a", 1.0, 1.1, 1.2, stderr=0.1))):
        (found,) = differences(pair, better="higher")
        assert (found.verdict, found.p, found.corrected, found.seeds) == ("unknown", None, None, None)
        assert detectable(found, 1) is None
        assert found.sentence.endswith("spread over training unknown, no verdict")
        # the interval is of what is known
        known = math.hypot(0.1, 0.1 / 3**0.5)
        assert found.stderr == pytest.approx(known)
        assert found.low < found.value < found.high


numbers = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
seeds = st.lists(numbers, min_size=1, max_size=5)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(seeds, seeds, st.booleans(), st.sampled_from(["higher", "lower", "neither"]))
def test_exchanging_the_rows_exchanges_the_signs_and_nothing_else(first, second, paired, better):
    examples = rng().normal(size=(2, 10)) if paired else (None, None)
    a, b = (
        row(name, *values, stderr=0.5, n=10, examples=x)
        for name, values, x in zip("ab", (first, second), examples, strict=True)
    )
    there, back = difference(a, b, better=better), difference(b, a, better=better)
    assert (there.value, there.t) == pytest.approx((-back.value, -back.t))
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    for name in ("stderr", "examples", "seeds", "dof", "p", "paired"):
        assert getattr(there, name) == pytest.approx(getattr(back, name))
    opposite = {"higher": "lower", "lower": "higher"}
    assert there.verdict == opposite.get(back.verdict, back.verdict)
    if there.verdict in opposite:
        assert there.sentence == back.sentence


def pairs_of(ps):
    blank = difference(row("a", 1.0, 2.0), row("b", 1.0, 2.0))
    return [replace(blank, p=p, corrected=p) for p in ps]


def test_holms_correction_of_four_pairs_by_hand():
    # 0.005 · 4 = 0.02, 0.01 · 3 = 0.03, 0.03 · 2 = 0.06; 0.04 · 1 is less than that
    found = [d.corrected for d in corrected(pairs_of([0.01, 0.04, None, 0.03, 0.005]))]
    assert found == [pytest.approx(0.03), pytest.approx(0.06), None, pytest.approx(0.06), pytest.approx(0.02)]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.integers(1, 400).map(lambda k: k / 1000), min_size=1, max_size=8), st.integers(1, 99))
def test_a_corrected_p_value_is_the_least_level_at_which_holm_rejects(ps, level):
    alpha = (level + 0.5) / 1000  # no multiple of a p value: rounding decides nothing
    rejected = set()
    for k, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):  # Holm (1979): step down
        if ps[i] * (len(ps) - k) > alpha:
            break
        rejected.add(i)
    found = corrected(pairs_of(ps))
    assert {i for i, d in enumerate(found) if d.corrected <= alpha} == rejected
    assert all(d.p <= d.corrected <= 1 for d in found)


def test_the_sentence_says_which_row_is_better_and_by_how_much():
    low, high = row("low", -3.0, -3.1, -2.9), row("high", 2.0, 2.1, 1.9)
    for better, word in (("higher", "better"), ("lower", "worse")):
        sentence = difference(low, high, unit="nats", better=better).sentence
        assert sentence.startswith(f"high is above low by 5 ± 0.082 nats, which is {word} (95 % interval 4.7")
        assert "t = 61.24 with 4.0 degrees of freedom, p < 0.001" in sentence
    assert ", which" not in difference(low, high).sentence
    near = difference(low, replace(low, name="other", values=(-3.1, -3.2, -2.9))).sentence
    assert near.startswith("low and other are not told apart: low is above by 0.06667 ± 0.11 (")
    assert "interval −0.2" in near  # a true minus sign


def test_a_standing_is_of_all_scored_seeds_in_the_unit_of_print():
    records = [
        Record("d", "m", seed=i, value=v, stderr=e, n=n)
        for i, (v, e, n) in enumerate([(0.1, 0.01, 50), (None, None, None), (0.3, 0.03, 40)])
    ]
    found = standing("x", records, np.array([0.1, 0.3]), factor=100)
    assert found.values == (pytest.approx(10), pytest.approx(30))
    assert (found.stderr, found.n, found.trained) == (pytest.approx(2), 40, True)
    assert found.examples == pytest.approx([10, 30])
    assert found.variance == pytest.approx(200 / 2)
    assert standing("x", records[1:2]) is None
    assert standing("x", [replace(records[0], role="samples")]).trained
    assert not standing("x", [replace(records[0], role="samples", seed=None)]).trained


def test_rows_of_few_seeds_and_users_samples_bear_no_mark():
    three, worse = row("three", 5.0, 5.1, 5.2), row("worse", 1.0, 1.1, 1.2)
    others = [row("two", 9.0, 9.1), row("mine", 9.0, 9.1, 9.2, trained=False)]
    assert len(three.values) == FEWEST == 3
    found = ranking([*others, worse, three], better="higher")
    assert found.best == {"three"}
    assert set(found.detectable) == {"three", "worse"}
    # one row alone has nobody to be better than
    assert ranking([*others, three], better="higher").best == set()


@pytest.mark.parametrize(("better", "best"), [("higher", "top"), ("lower", "bottom")])
def test_the_best_is_in_the_direction_of_the_score_with_those_not_told_apart(better, best):
    rows = [row(name, x, x + 0.1, x + 0.2) for name, x in (("middle", 5.0), ("top", 9.0), ("bottom", 1.0))]
    assert ranking(rows, better=better).best == {best}
    near = next(r for r in rows if r.name == best)
    twin = replace(near, name="twin", values=tuple(v - 0.05 for v in near.values))
    found = ranking([*rows, twin], better=better)
    assert found.best == {best, "twin"}
    # of the best row, what was detectable is the difference to the second
    assert found.detectable[best] == found.detectable["twin"]


IMAGES = 50


def drawn(numbers, *, seed_sd, lift=0.0, models=6):
    """A simulated table: models of three seeds on the same test images.

    The images differ by far more than the models do. The difference of two models has a
    variance of 1 from the images, and of 2 · seed_sd² / 3 from the seeds. The first model
    is better by `lift`.
    """
    shared = numbers.normal(0, 20, IMAGES)
    own = numbers.normal(0, (IMAGES / 2) ** 0.5, (models, IMAGES))
    seeds = numbers.normal(0, seed_sd, (models, 3))
    found = []
    for k in range(models):
        images = shared + own[k] + lift * (k == 0)
        values = images.mean() + seeds[k]
        examples = images + seeds[k].mean()
        found.append(row(str(k), *values, stderr=images.std() / IMAGES**0.5, n=IMAGES, examples=examples))
    return found


def most(share, n):
    """The largest count of n that chance explains: three standard deviations above."""
    return n * share + 3 * math.sqrt(n * share * (1 - share))


TABLES = [30, pytest.param(1000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("seed_sd", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("n", TABLES)
def test_of_six_equal_models_hardly_ever_one_is_uniquely_best(n, seed_sd):
    numbers = rng(n)
    unique = sum(len(ranking(drawn(numbers, seed_sd=seed_sd), better="higher").best) == 1 for _ in range(n))
    assert unique <= most(LEVEL, n)


@pytest.mark.parametrize("n", TABLES)
def test_a_model_better_by_five_standard_errors_is_mostly_the_only_best(n):
    numbers = rng(n)
    tables = (drawn(numbers, seed_sd=0.1, lift=5.0 * (1 + 2 * 0.1**2 / 3) ** 0.5) for _ in range(n))
    missed = sum(ranking(rows, better="higher").best != {"0"} for rows in tables)
    # each of its five differences has to pass the quantile of 15 pairs
    each = norm.sf(5 - t.isf(LEVEL / 15 / 2, IMAGES - 1))
    assert 5 * each < 0.2
    assert missed <= most(5 * each, n)


@pytest.mark.parametrize("seed_sd", [0.1, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("n", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_two_equal_models_are_told_apart_in_one_of_twenty_cases(n, seed_sd):
    numbers = rng(n)
    pairs = (drawn(numbers, seed_sd=seed_sd, models=2) for _ in range(n))
    wrong = sum(difference(*pair).verdict != "not told apart" for pair in pairs)
    # the approximation of the degrees of freedom lets through 5.2 % at worst
    assert wrong <= most(0.052, n)


@pytest.mark.slow
def test_with_three_seeds_some_equal_models_of_six_are_told_apart_in_one_table_of_ten_at_most():
    """The degrees of freedom are an approximation, worst in the tail that Holm needs."""
    numbers, n = rng(), 1000
    wrong = {
        seed_sd: sum(
            any(d.verdict != "not told apart" for d in differences(drawn(numbers, seed_sd=seed_sd)))
            for _ in range(n)
        )
        for seed_sd in (0.3, 1.0, 3.0, 20.0)
    }
    assert all(wrong[seed_sd] <= most(LEVEL, n) for seed_sd in (0.3, 1.0, 20.0))
    assert wrong[3.0] <= most(0.09, n)  # where seeds are six times the images' variance


@pytest.mark.parametrize("pairs", [1, 15])
def test_a_detectable_difference_is_found_four_times_in_five(pairs):
    numbers, n, m, images = rng(pairs), 600, 16, 100
    # rows whose spreads are exactly those that the cases below are drawn from
    unit = (np.arange(m) - (m - 1) / 2) / np.std(np.arange(m), ddof=1)
    own = (np.arange(images) - (images - 1) / 2) / np.std(np.arange(images), ddof=1)
    zero = np.zeros(images)
    known = difference(row("a", *unit, examples=3 * own, n=images), row("b", *unit, examples=zero, n=images))
    size = detectable(known, pairs)
    seen = 0
    for _ in range(n):
        per_image = numbers.normal(0, 3, images)
        a = row("a", *(size + per_image.mean() + numbers.normal(size=m)), examples=per_image, n=images)
        seen += difference(a, row("b", *numbers.normal(size=m), examples=zero, n=images)).p <= LEVEL / pairs
    # 3 binomial standard deviations; 1 % for a shifted t in place of a non-central one
    assert seen / n == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / n) + 0.01)


def test_what_is_detectable_shrinks_with_seeds_and_grows_with_pairs():
    few, many = (
        difference(*(row(name, *rng(k).normal(size=m)) for k, name in enumerate("ab"))) for m in (3, 30)
    )
    assert detectable(many, 1) < detectable(few, 1)
    assert detectable(many, 1) < detectable(many, 15)
    # four times in five at 5 %, in the limit of many seeds: 1.96 + 0.84 standard errors
    certain = replace(many, dof=math.inf)
    assert isinstance(certain, Difference)
    assert detectable(certain, 1) == pytest.approx((1.959964 + 0.841621) * many.stderr, rel=1e-6)


def test_scores_of_different_numbers_of_samples_are_never_told_apart():
    rows = [
        replace(row("a", 1.0, 1.1, 1.2), samples=1000),
        replace(row("b", 9.0, 9.1, 9.2), samples=10_000),
    ]
    found = difference(*rows)
    assert found.verdict == "unknown"
    assert "their numbers of samples differ, no verdict" in found.sentence
    assert difference(replace(rows[0], samples=10_000), rows[1]).verdict == "lower"


def test_likelihoods_of_different_supports_are_never_told_apart():
    a, b = row("a", 1.0, 1.1, 1.2), row("b", 9.0, 9.1, 9.2)
    found = difference(replace(a, of="binary, ="), replace(b, of="17 levels, ="))
    assert found.verdict == "unknown"
    assert "one is a likelihood of binary, =, the other of 17 levels, =, no verdict" in found.sentence
    assert difference(replace(a, of="binary, ="), replace(b, of="binary, =")).verdict == "lower"


def test_a_standing_says_of_what_a_likelihood_is():
    settings = '{"support": "binary", "kind": "≤", "folds": 0}'
    scored = Record(
        "mnist", "a", seed=0, metric="bound", value=1.0, stderr=0.1, n=10, metric_settings=settings
    )
    found = [standing("a", [r]) for r in (scored, replace(scored, metric_settings="{}"))]
    assert [s.of for s in found if s] == ["binary, ≤", ""]
