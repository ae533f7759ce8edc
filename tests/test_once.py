"""What the rows of one metric share is written once in a file, and read in full."""

import json
from dataclasses import replace

import pytest
from genmodel_bench.storage.once import in_full, reference, written_once
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.reading import read_records
from genmodel_bench.storage.record import Record, to_csv
from genmodel_bench.storage.store import Store

FIT = {"code of the model": {"a.b": "0123456789abcdef"}, "seed": 0, "setting note": "=1;+2"}
SETTINGS = as_json({"hidden": [1200, 1200], "prior": "uniform on the cube of side 2"})


def row(k, **changes):
    """Row k of six: three scores of each of two metrics."""
    metric = f"metric {k // 3}"
    parts = {"fit": FIT, "samples": {"number of samples": 100}, "score": {"metric": metric * 9}}
    return replace(
        Record(
            "mnist",
            "gan-ns",
            metric=metric,
            quantity=f"score {k}",
            value=1.0 + k,
            model_settings=SETTINGS,
            trace=as_json([["initialise", "0123456789abcdef"], ["adversarial 1", "fedcba9876543210"]]),
            ingredients=as_json(parts),
        ),
        **changes,
    ).sealed()


ROWS = [row(k) for k in range(6)]


def written(path, records):
    path.write_text(to_csv(records), newline="")
    return path


def test_a_text_stands_once_for_each_metric_and_every_row_is_read_in_full(tmp_path):
    path = written(tmp_path / "runs.csv", ROWS)
    assert read_records(path) == ROWS
    assert all(r.intact for r in read_records(path))
    for text in (SETTINGS, as_json(FIT), ROWS[0].trace):
        assert path.read_text().count(text.replace('"', '""').replace(";+", ";'+")) == 2


def test_rows_in_another_order_say_the_same(tmp_path):
    path = tmp_path / "runs.csv"
    header, *lines = to_csv(ROWS).splitlines(keepends=True)
    path.write_text("".join([header, *reversed(lines)]), newline="")
    assert read_records(path) == ROWS[::-1]


def test_a_file_that_says_all_in_each_row_is_read(tmp_path):
    path = written(tmp_path / "runs.csv", ROWS[:1])
    for r in ROWS[1:]:
        path.write_text(path.read_text() + to_csv([r]).split("\n", 1)[1], newline="")
    assert path.read_text().count("initialise") == len(ROWS)
    assert read_records(path) == ROWS


@pytest.mark.parametrize("how", ["the first row is gone", "its text was changed"])
def test_without_the_text_the_others_of_its_metric_count_as_edited(tmp_path, how):
    store = Store(tmp_path, "mnist")
    store.append(ROWS)
    header, first, *others = store.path.read_text().splitlines(keepends=True)
    kept = [] if how == "the first row is gone" else [first.replace("fedcba", "fedcbb")]
    store.path.write_text("".join([header, *kept, *others]), newline="")
    doubted = {r.quantity for r in store.records() if r.doubt == "was edited since it was made"}
    assert doubted == {"score 1", "score 2"} | ({"score 0"} if kept else set())
    assert [r for r in store.records() if not r.doubt] == ROWS[3:]


def test_branches_that_git_merges_line_by_line_keep_their_rows(tmp_path):
    """One takes a row out of the table, the other adds one; both of the same training."""
    store = Store(tmp_path, "mnist")
    store.append(ROWS)
    base = set(store.path.read_text().splitlines(keepends=True))
    store.remove(lambda r: r.metric == "metric 0")
    removed = base - set(store.path.read_text().splitlines(keepends=True))
    store.append(ROWS[:3])
    store.append([row(k) for k in (6, 7)])
    merged = [line for line in store.path.read_text().splitlines(keepends=True) if line not in removed]
    store.path.write_text("".join(merged), newline="")
    assert [r.quantity for r in store.records() if not r.doubt] == [f"score {k}" for k in range(3, 8)]


def test_a_reference_to_nothing_stays_as_it_is():
    """So that a value that looks like one is what it was."""
    rows = [{"model_settings": '{"#": "0123456789abcdef"}', "trace": '{"#": "0123456789abcdef"}'}]
    assert in_full(written_once(rows)) == [{**rows[0], "trace": "[]"}]


def test_a_column_that_a_newer_version_writes_once_is_read():
    text = as_json({"what": "this version does not know", "of": "a later one"})
    rows = [{"metric": "parzen", "later": text}, {"metric": "parzen", "later": reference(text)}]
    assert in_full(rows) == [{"metric": "parzen", "later": text}] * 2


def test_a_text_that_is_not_as_we_write_it_stays_as_it_is():
    for text in ('{"fit":{"seed":0,  "note": "another program wrote these spaces"}}', "no JSON at all" * 9):
        rows = [{"ingredients": text, "trace": text}] * 2
        assert in_full(written_once(rows)) == rows


def test_a_row_without_these_columns_has_none_afterwards():
    assert in_full(written_once([{"dataset": "mnist"}])) == [{"dataset": "mnist"}]


def test_what_is_short_is_in_every_row():
    rows = [{"trace": "[]", "ingredients": json.dumps({"fit": {"seed": 0}})}] * 3
    assert written_once(rows) == rows
