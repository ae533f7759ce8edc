"""A row is taken out of the table, and its records are kept aside."""

import re

import pytest
from flat import run
from genmodel_bench import BadOption, BenchError, UnknownName
from genmodel_bench.commands.remove import remove
from genmodel_bench.commands.score import score
from genmodel_bench.metrics import METRICS
from genmodel_bench.storage.reading import read_records
from genmodel_bench.storage.store import Store

PARZEN = {"parzen": METRICS["parzen"]}
QUICK = {"dataset": "digits", "device": "cpu", "figures": False, "metrics": PARZEN}


@pytest.fixture
def store(tmp_path, digits):
    x = digits.train.numpy()
    score(x[:120], name="mine", results=tmp_path, **QUICK)
    score(x[:110], name="mine", results=tmp_path, **QUICK)
    score(x[120:240], name="other", results=tmp_path, **QUICK)
    run(["mean"], samples=120, seeds=1, results=tmp_path, **QUICK)
    return Store(tmp_path, "digits")


def taken_out(row, store, **settings):
    return remove(row, results=store.results, figures=False, **settings)


def test_a_row_goes_from_the_table_and_its_records_are_kept(store):
    before = {r.key: r for r in store.records()}
    said = taken_out("other", store)
    assert said.startswith("other: 2 records of digits taken out, 2 of them moved to ")
    assert {r.key for r in store.records()} == before.keys() - {("samples", "other", "", 120)}
    assert [r.model for r in read_records(store.superseded)] == ["other", "other"]
    assert all(r.intact for r in read_records(store.superseded))
    assert "| other" not in (store.folder / "table1.md").read_text()
    assert "| mine" in (store.folder / "table1.md").read_text()


def test_one_of_several_rows_of_a_name_is_told_by_its_number(store):
    with pytest.raises(BadOption, match=r"the rows called 'mine' have 110, 120 samples, .* with --samples"):
        taken_out("mine", store)
    with pytest.raises(BadOption, match="got 7"):
        taken_out("mine", store, samples=7)
    taken_out("mine", store, samples=110)
    assert {r.samples for r in store.records() if r.model == "mine"} == {120}


def test_an_unknown_row_is_answered_with_the_nearest(store):
    before = store.path.read_bytes()
    with pytest.raises(UnknownName, match="unknown row 'othr'; did you mean 'other'"):
        taken_out("othr", store)
    with pytest.raises(BenchError, match="no records of 'mnist' under"):
        taken_out("other", store, dataset="mnist")
    assert store.path.read_bytes() == before
    assert not store.superseded.exists()


def test_a_row_of_several_data_sets_needs_the_name_of_one(store):
    text = store.path.read_text()
    another = Store(store.results, "olivetti")
    another.folder.mkdir()
    another.path.write_text(re.sub("^digits", "olivetti", text, flags=re.MULTILINE))
    with pytest.raises(BadOption, match="is a row of digits, olivetti; name one of them with --dataset"):
        taken_out("other", store)
    taken_out("other", store, dataset="digits")
    assert "other" in {r.model for r in another.records()}


def test_the_last_row_leaves_a_table_without_rows_and_can_be_made_again(store):
    for row, samples in (("mine", 110), ("mine", 120), ("other", None), ("mean", None)):
        taken_out(row, store, samples=samples)
    assert store.records() == []
    run(["mean"], samples=120, seeds=1, results=store.results, **QUICK)
    assert {r.model for r in store.records()} == {"mean"}
