"""Do the tables put Parzen beside the models' own likelihoods, support by support?"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from genmodel_bench.models.shared.levels import drawn
from genmodel_bench.report.tables.likelihoods import interval, kendall
from genmodel_bench.report.tables.render import to_markdown
from genmodel_bench.report.tables.table import table1
from genmodel_bench.storage.plain import as_json
from test_report import parzen

BINARY, LEVELS = "binary", "17 levels"


def own(model, value, *, metric="nll", quantity="nll", support=BINARY, kind="=", **changes):
    """Rows of a likelihood of a model's own, one for each seed."""
    settings = as_json({"folds": 0, "support": support, "kind": kind})
    more = {"metric": metric, "quantity": quantity, "better": "lower", "metric_settings": settings}
    return parzen(model, [value, value + 1], **(more | changes))


def table_of(*rows):
    return table1([r for group in rows for r in group])


def shown(table, title):
    """A column by model, without rows that have none."""
    values = table.numbers["mnist", title].dropna()
    return {key[1]: value for key, value in values.items()}


def test_each_row_has_its_exact_likelihood_or_the_best_substitute():
    table = table_of(
        parzen("a", [10, 12]), own("a", 90), own("a", 95, metric="bound", quantity="bound", kind="≤"),
        parzen("b", [20, 22]), own("b", 80, metric="bound", quantity="bound", kind="≤"),
        parzen("c", [0, 2]), own("c", 70, metric="ais", kind="≥"),
        parzen("d", [5, 7]),
    )  # fmt: skip
    assert shown(table, "own log p") == {"a": -90.5, "b": -80.5, "c": -70.5}
    assert shown(table, "kind") == {"a": "=", "b": "≤", "c": "≥"}
    assert shown(table, "Parzen") == {"a": 11, "b": 21, "c": 1}
    assert shown(table, "rank Parzen") == {"b": 1, "a": 2, "c": 3}
    assert shown(table, "rank own") == {"c": 1, "b": 2, "a": 3}
    assert "Kendall's τ of both over 3 rows is −0.33 (no interval)" in to_markdown(table)


def test_rows_rank_within_their_support_alone():
    table = table_of(
        parzen("a", [1, 1]), own("a", 90), parzen("b", [2, 2]), own("b", 80),
        parzen("c", [3, 3]), own("c", 10, support=LEVELS), parzen("d", [4, 4]), own("d", 20, support=LEVELS),
        parzen("e", [5, 5]),
        own("e", 600, metric="ais-decoder", quantity="log_likelihood", better="higher", support="p_σ"),
    )  # fmt: skip
    assert shown(table, "rank own") == {"b": 1, "a": 2, "c": 1, "d": 2, "e": 1}
    assert shown(table, "rank Parzen") == {"b": 1, "a": 2, "d": 1, "c": 2, "e": 1}
    assert shown(table, "own log p")["e"] == 600.5
    assert table.agreement == []  # of two rows nothing is said


def test_a_decoder_counts_under_gaussian_pixels_where_it_has_no_other_likelihood():
    """Ranks, and τ, are of the rows that show a likelihood of the support."""
    decoder = {"metric": "ais-decoder", "quantity": "log_likelihood", "better": "higher", "support": "p_σ"}
    table = table_of(
        parzen("a", [1, 1]),
        own("a", 90, metric="bound", quantity="bound", kind="≤"),
        own("a", 600, **decoder),
        parzen("b", [2, 2]), own("b", 500, **decoder), parzen("c", [3, 3]), own("c", 400, **decoder),
        parzen("d", [4, 4]), own("d", 300, **decoder),
    )  # fmt: skip
    assert shown(table, "own log p") == {"a": -90.5, "b": 500.5, "c": 400.5, "d": 300.5}
    assert shown(table, "rank own") == {"a": 1, "b": 1, "c": 2, "d": 3}
    said = "on mnist, p_σ, N = 10000: Kendall's τ of both over 3 rows is −1.00 (no interval)"
    assert table.agreement == [said]


def test_rows_of_another_number_of_samples_are_ranked_by_themselves():
    table = table_of(
        parzen("a", [1, 1]), own("a", 90), parzen("b", [2, 2]), own("b", 80),
        parzen("c", [3, 3], samples=200), own("c", 70, samples=200),
    )  # fmt: skip
    assert shown(table, "rank Parzen") == {"a": 2, "b": 1, "c": 1}
    assert table.agreement == []


def test_bounds_among_exact_likelihoods_are_named():
    table = table_of(
        parzen("a", [1, 1]), own("a", 90), parzen("b", [2, 2]), own("b", 80, kind="≥"),
        parzen("c", [3, 3]), own("c", 70, kind="≥"),
    )  # fmt: skip
    assert table.agreement[0].startswith(
        "on mnist, binary, N = 10000, exact ones and bounds alike: Kendall's τ"
    )


def test_the_best_of_a_likelihood_is_marked_among_its_like():
    """A bound, and a row of another support, are not compared with exact likelihoods."""
    exact = [
        row for m, v in (("a", 90), ("b", 80), ("c", 85)) for row in [*parzen(m, [1, 2, 3]), *three(m, v)]
    ]
    other = [*parzen("d", [1, 2, 3]), *three("d", 10, support=LEVELS)]
    table = table1([*exact, *other])
    assert {key[1] for _, title, key in table.marks if "nll" in title} == {"b"}


def three(model, value, **changes):
    settings = as_json({"folds": 0, "support": changes.get("support", BINARY), "kind": "="})
    return parzen(
        model, [value, value + 0.1, value - 0.1], stderr=0.1,
        metric="nll", quantity="nll", better="lower", metric_settings=settings,
    )  # fmt: skip


def test_published_values_stand_beside_rows_of_the_published_data():
    rows = [*parzen("made", [1, 2], dataset="mnist-larochelle"), *own("made", 89, dataset="mnist-larochelle")]
    table = table1(rows)
    assert table.numbers["mnist-larochelle", "own published"].tolist() == [-88.4]
    for options, stands in (({"checkpoint": "best", "epochs": 7}, True), ({"masks": 2}, False)):
        changed = table1([replace(r, options=as_json(options)) for r in rows])
        assert changed.numbers["mnist-larochelle", "own published"].notna().all() == stands
    small = table1([*parzen("made", [1], dataset="digits"), *own("made", 89, dataset="digits")])
    assert small.numbers["digits", "own published"].isna().all()


def test_tau_counts_pairs_in_order():
    pairs = [(1, 1), (2, 3), (3, 2), (4, 4)]  # five of six pairs agree
    assert kendall(pairs) == pytest.approx((5 - 1) / 6)


def test_the_interval_of_tau_covers_the_truth():
    """For normal pairs of correlation r, τ is 2/π arcsin r in the mean."""
    generator, r, n, runs = np.random.default_rng(0), 0.6, 12, 1000
    truth, held = 2 / math.pi * math.asin(r), 0
    for _ in range(runs):
        a, b = generator.standard_normal((2, n))
        low, high = interval(kendall(list(zip(a, r * a + math.sqrt(1 - r * r) * b, strict=True))), n)
        held += math.isnan(low) or low <= truth <= high
    # 95 % within 3 %, of which 2 % are what 1,000 runs leave uncertain
    assert held / runs == pytest.approx(0.95, abs=0.03)
    assert all(math.isnan(x) for x in (*interval(0.5, 4), *interval(1.0, 9)))


def test_perfect_agreement_has_no_interval():
    pairs = [(float(i), 0.1 * i) for i in range(6)]
    assert math.isnan(interval(kendall(pairs), 6)[0])


@pytest.mark.parametrize("levels", [3, 17])
def test_what_is_shown_is_the_mean_of_the_levels_and_what_is_drawn_one_of_them(levels):
    outputs = torch.randn(50, levels)
    x, shown = drawn(outputs, "means")
    expected = (outputs.softmax(1) * torch.arange(levels) / (levels - 1)).sum(1)
    torch.testing.assert_close(shown, expected)
    torch.testing.assert_close(x * (levels - 1), (x * (levels - 1)).round())
    assert drawn(outputs, "draws")[1].unique().numel() <= levels
