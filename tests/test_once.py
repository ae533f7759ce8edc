"""What many rows say is written once in a file, and read in full from it."""

import json
from dataclasses import replace

import pytest
from genmodel_bench.storage.once import in_full, written_once
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.reading import read_records
from genmodel_bench.storage.record import Record, to_csv
from genmodel_bench.storage.store import Store

FIT = {"code of the model": {"a.b": "0123456789abcdef"}, "seed": 0, "setting note": "=1;+2"}
SETTINGS = as_json({"hidden": [1200, 1200], "prior": "uniform on the cube of side 2"})


def row(k, **changes):
    parts = {"fit": FIT, "samples": {"number of samples": 100 + k}, "score": {"metric": f"metric {k}" * 9}}
    return replace(
        Record(
            "mnist",
            "gan-ns",
            metric=f"metric {k}",
            quantity="score",
            value=1.0 + k,
            model_settings=SETTINGS,
            trace=as_json([["initialise", "0123456789abcdef"], ["adversarial 1", "fedcba9876543210"]]),
            ingredients=as_json(parts),
        ),
        **changes,
    ).sealed()


ROWS = [row(k) for k in range(4)]


def written(path, records):
    path.write_text(to_csv(records), newline="")
    return path


def test_a_text_stands_once_and_every_row_is_read_in_full(tmp_path):
    path = written(tmp_path / "runs.csv", ROWS)
    assert read_records(path) == ROWS
    assert all(r.intact for r in read_records(path))
    for text in (SETTINGS, as_json(FIT), ROWS[0].trace):
        assert path.read_text().count(text.replace('"', '""').replace(";+", ";'+")) == 1


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
def test_without_the_text_the_others_count_as_edited(tmp_path, how):
    store = Store(tmp_path, "mnist")
    store.append(ROWS)
    header, first, *others = store.path.read_text().splitlines(keepends=True)
    kept = [] if how == "the first row is gone" else [first.replace("fedcba", "fedcbb")]
    store.path.write_text("".join([header, *kept, *others]), newline="")
    assert {r.doubt for r in store.records()} == {"was edited since it was made"}
    store.append(ROWS[:1])
    assert [r.value for r in store.records() if not r.doubt] == [1.0]


def test_a_text_that_is_not_as_we_write_it_stays_as_it_is():
    for text in ('{"fit":{"seed":0,  "note": "another program wrote these spaces"}}', "no JSON at all" * 9):
        rows = [{"ingredients": text, "trace": text}] * 2
        assert in_full(written_once(rows)) == rows


def test_a_row_without_these_columns_has_none_afterwards():
    assert in_full(written_once([{"dataset": "mnist"}])) == [{"dataset": "mnist"}]


def test_what_is_short_is_in_every_row():
    rows = [{"trace": "[]", "ingredients": json.dumps({"fit": {"seed": 0}})}] * 3
    assert written_once(rows) == rows
