import json
import math
from dataclasses import replace

import numpy as np
import pytest
from flat import run
from genmodel_bench import BadRecords, BenchError, DataMissing
from genmodel_bench.commands.check import Verdict, as_plain, check, compare, exit_code, judge
from genmodel_bench.storage.record import to_csv
from genmodel_bench.storage.store import Store
from test_report import ROW

SETTINGS = json.dumps(
    {"sigma": 0.2154, "samples": 10_000, "valid_images": 1000, "folds": 0, "sigma_grid": [0.1, 1.0, 10]}
)


def records(values, *, test=2.0, draw=0.2, **changes):
    row = replace(ROW, metric_settings=SETTINGS, stderr=test, draw_sd=draw, dataset_digest="d", **changes)
    return [replace(row, seed=seed, value=float(value)) for seed, value in enumerate(values)]


def rate(finding, *, before, now, seed_sd, shift, cases=4000, test=2.0, draw=0.2):
    """The share of simulated checks that end in `finding`.

    `before` and `now` count the seeds; those of now are shifted by `shift` total errors.
    """
    rng = np.random.default_rng(3)
    total = math.sqrt(test**2 + seed_sd**2 / before)  # as in the table
    common = 200 + rng.normal(0, test, (cases, 1))  # the same test images on both sides
    old = common + rng.normal(0, seed_sd, (cases, before))
    new = common + shift * total + rng.normal(0, seed_sd, (cases, now))
    findings = [
        judge(b, c, single=math.hypot(test, draw))[0] for b, c in zip(old.tolist(), new.tolist(), strict=True)
    ]
    return findings.count(finding) / cases


# (seeds before, seeds now, spread of runs) where the error over test images is 2: on
# digits the spread is less than half of that error.
RUNS = [(m, n, sd) for m, n in [(1, 1), (2, 2), (2, 1), (3, 3), (3, 1), (5, 5), (5, 1)] for sd in (0.3, 0.9)]


@pytest.mark.parametrize(("before", "now", "seed_sd"), RUNS)
@pytest.mark.parametrize(("shift", "finding"), [(-4, "regressed"), (4, "improved")])
def test_a_shift_of_four_standard_errors_is_caught(before, now, seed_sd, shift, finding):
    assert rate(finding, before=before, now=now, seed_sd=seed_sd, shift=shift) >= 0.99


@pytest.mark.parametrize(("before", "now", "seed_sd"), RUNS)
def test_reruns_raise_a_false_alarm_in_one_of_a_hundred_at_most(before, now, seed_sd):
    # 0.25 % in each direction is asked for; over 4,000 cases, 1 % is 4.5 standard errors
    # above both together
    assert 1 - rate("indistinguishable", before=before, now=now, seed_sd=seed_sd, shift=0) <= 0.01


def test_the_limit_is_students_where_there_are_seeds_and_the_error_over_images_where_there_are_few():
    many = compare(records([200, 201, 202, 203, 204]), records([200.5, 201.5, 202.5, 203.5, 204.5]))
    # t with 8 degrees of freedom
    assert many.threshold == pytest.approx(3.833 * math.sqrt(2.5) * math.sqrt(2 / 5), rel=1e-3)
    few = compare(records([200, 201]), records([200.5, 201.5]))
    # less than 14.1 · √½
    assert few.threshold == pytest.approx(2.807 * math.hypot(2.0, 0.2), rel=1e-3)


def test_rounding_is_no_change_where_seeds_do_not_spread():
    mean = records([-59.1] * 3)
    assert compare(mean, records([-59.1 - 4e-3] * 3)).finding == "indistinguishable"
    assert compare(mean, records([-59.1 - 6e-3] * 3)).finding == "regressed"


def test_identical_reruns_are_indistinguishable_by_any_noise():
    verdict = compare(records([200, 204], test=0.0, draw=0.0), records([200, 204], test=0.0, draw=0.0))
    assert (verdict.finding, verdict.reason) == ("indistinguishable", "identical seed by seed")


def test_fewer_seeds_now_are_compared_with_all_before():
    assert compare(records([200, 201, 202]), records([200])).reason == "identical seed by seed"
    assert compare(records([200, 201, 202]), records([150])).finding == "regressed"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dataset_digest": "e"}, "the content of the data set differs"),
        ({"model_settings": '{"lr": 0.2}'}, "settings: lr was None, is 0.2"),
        ({"metric_settings": SETTINGS.replace("1000,", "500,")}, "protocol: valid_images was 1000, is 500"),
        ({"draws": 1}, "protocol: draws was 5, is 1"),
        ({"n": 500}, "protocol: n was 10000, is 500"),
    ],
)
def test_other_conditions_are_not_compared(changes, reason):
    now = [replace(r, **changes) for r in records([100.0])]
    verdict = compare(records([200.0]), now)
    assert (verdict.finding, verdict.reason) == ("not comparable", reason)
    assert exit_code([verdict]) == 4


def test_a_line_that_fails_has_regressed():
    failed = [replace(r, value=None, status="diverged: loss is nan") for r in records([1.0])]
    verdict = compare(records([200.0]), failed)
    assert (verdict.finding, verdict.reason) == ("regressed", "diverged: loss is nan")
    elsewhere = compare(records([200.0]), [replace(r, dataset_digest="e") for r in failed])
    assert elsewhere.finding == "not comparable"


def test_comparing_nothing_is_no_success():
    assert exit_code([Verdict("a", "skipped")]) == 4
    assert exit_code([Verdict("a", "skipped"), Verdict("b", "indistinguishable")]) == 0


def test_the_worst_finding_decides_the_exit_code():
    same, worse = compare(records([200.0]), records([200.0])), compare(records([200.0]), records([100.0]))
    other = compare(records([200.0]), records([200.0], epochs=3, model_settings='{"a": 1}'))
    assert [exit_code(v) for v in ([], [same], [same, other], [same, other, worse])] == [4, 0, 4, 3]
    assert json.loads(as_plain([same]))[0]["finding"] == "indistinguishable"


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    options = ["vae.epochs=2", "vae.hidden=16,12"]
    run(
        ["vae", "mean"],
        device="cpu",
        seeds=2,
        samples=200,
        draws=2,
        options=options,
        results=folder,
        figures=False,
    )
    return folder


def edited(baseline, tmp_path, change):
    store = Store(tmp_path, "digits")
    store.folder.mkdir()
    store.path.write_text(to_csv([change(r).sealed() for r in Store(baseline, "digits").records()]))
    return store.folder


def test_a_check_makes_the_numbers_again_and_leaves_the_baseline(baseline, tmp_path):
    before = (baseline / "digits" / "runs.csv").read_bytes()
    verdicts = check(baseline / "digits", results=tmp_path, device="cpu")
    assert [(v.line, v.finding, v.reason) for v in verdicts] == [
        ("vae (hidden=(16, 12), epochs=2, draws=2), N = 200", "indistinguishable", "identical seed by seed"),
        ("mean (draws=2), N = 200", "indistinguishable", "identical seed by seed"),
    ]
    assert (baseline / "digits" / "runs.csv").read_bytes() == before
    assert not (tmp_path / "digits" / "runs.csv").exists()


def test_a_check_scores_again_what_is_trained(baseline, monkeypatch):
    monkeypatch.setattr("genmodel_bench.training.loop.fit", None)  # training would fail
    verdicts = check(baseline / "digits", results=baseline, device="cpu")
    assert [v.finding for v in verdicts] == ["indistinguishable"] * 2


def test_a_check_sees_what_was_better_before(baseline, tmp_path):
    def better(r):
        return replace(r, value=r.value + 50) if r.metric == "parzen" and r.model == "mean" else r

    verdicts = check(edited(baseline, tmp_path, better), results=baseline, device="cpu", fast=True)
    assert {v.line: v.finding for v in verdicts}["mean (draws=2), N = 200"] == "regressed"
    assert exit_code(verdicts) == 3


def test_a_check_names_what_it_cannot_make(baseline, tmp_path):
    def other(r):
        if r.model == "vae":
            return replace(r, model="gone", role="model") if r.seed else replace(r, fit_seconds=61.0)
        return replace(r, role="samples", model="mine")

    verdicts = check(edited(baseline, tmp_path, other), results=baseline, device="cpu", fast=True)
    reasons = {v.line.split(" ")[0].rstrip(","): (v.finding, v.reason) for v in verdicts}
    assert reasons["vae"] == ("skipped", "--fast: training took 61 s")
    assert reasons["mine"] == ("skipped", "samples of a user cannot be made again")
    assert reasons["gone"] == ("not comparable", "cannot be made by today's code: 'gone'")


def test_a_changed_default_is_not_compared(baseline, tmp_path, monkeypatch):
    from genmodel_bench.models import vae

    monkeypatch.setattr(vae.Config, "SETTINGS", {"digits": {**vae.Config.SETTINGS["digits"], "lr": 0.01}})
    verdicts = check(baseline / "digits", results=tmp_path, device="cpu")
    found = next(v for v in verdicts if v.line.startswith("vae"))
    assert (found.finding, found.reason) == ("not comparable", "settings: lr was 0.001, is 0.01")


def test_an_edited_or_doubled_row_is_no_baseline(baseline, tmp_path):
    store = Store(tmp_path, "digits")
    store.folder.mkdir()
    rows = Store(baseline, "digits").records()
    better = [replace(r, value=999.0) if r.model == "mean" and r.value is not None else r for r in rows]
    store.path.write_text(to_csv([*better, *(r for r in rows if r.model == "vae")]))
    verdicts = {
        v.line: (v.finding, v.reason) for v in check(store.folder, results=baseline, device="cpu", fast=True)
    }
    assert verdicts["mean (draws=2), N = 200"] == (
        "not comparable",
        "the baseline's row was edited since it was made",
    )
    vae = verdicts["vae (hidden=(16, 12), epochs=2, draws=2), N = 200"]
    assert vae == ("indistinguishable", "identical seed by seed")


def test_a_baseline_that_is_none_is_one_line(tmp_path):
    with pytest.raises(DataMissing, match="expected a folder that `bench run` wrote"):
        check(tmp_path)
    (tmp_path / "runs.csv").write_text("nonsense\n")
    with pytest.raises(BadRecords, match="has not the columns of records"):
        check(tmp_path)
    (tmp_path / "runs.csv").write_text(to_csv([]))
    with pytest.raises(BenchError, match="holds no likelihood numbers"):
        check(tmp_path)
