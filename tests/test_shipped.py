"""Rows that come with the package stand beside a user's own, and are nothing else."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
from genmodel_bench import BadOption, BenchError, UnknownName
from genmodel_bench.commands.check import read_lines
from genmodel_bench.commands.compare import compare
from genmodel_bench.commands.remove import remove
from genmodel_bench.commands.report import report
from genmodel_bench.commands.table import table
from genmodel_bench.report.tables.published import CONTENT
from genmodel_bench.storage.beside import path_of, shipped_stores, stand_beside, standing_beside, with_beside
from genmodel_bench.storage.ingredients import Vouched
from genmodel_bench.storage.reading import read_records
from genmodel_bench.storage.record import Record, to_csv
from genmodel_bench.storage.store import Store, sure

MNIST = CONTENT["mnist"]
MINE = Record(
    "mnist",
    "mine",
    role="samples",
    metric="parzen",
    quantity="log_likelihood",
    value=100.0,
    stderr=1.0,
    n=10_000,
    unit="nats",
    better="higher",
    samples=10_000,
    metric_settings='{"sigma": 0.2}',
    dataset_digest=MNIST,
).sealed()


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Results of one row of samples, with the shipped rows beside."""
    store = Store(tmp_path_factory.mktemp("scored"), "mnist")
    store.append([MINE])
    stand_beside(store, standing_beside(store, MNIST, None))
    return store.results


@pytest.fixture
def store(scored, tmp_path):
    """A copy of them, which a test may change."""
    shutil.copytree(scored, tmp_path / "r")
    return Store(tmp_path / "r", "mnist")


def printed(store):
    report(store.results, figures=False)
    return pd.read_csv(store.folder / "table1.csv")


def test_the_records_of_data_sets_come_with_the_package():
    shipped = shipped_stores()
    assert {"mnist", "olivetti"} <= shipped.keys()
    assert "digits" not in shipped or not shipped["digits"].path.exists()
    assert {r.dataset_digest for r in sure(shipped["mnist"].records())} == {MNIST}


def test_a_users_row_stands_beside_reference_rows_and_published_values(store):
    found = printed(store)
    found = found[found["role"] != "floor"]
    found.index = found["model"] + found["variant"].map(lambda text: f" ({text})" if text == text else "")
    assert {"mine", "gan-ns (epochs=1000)", "kmeans", "data"} <= set(found.index)
    assert found.loc["gan-ns (epochs=1000)", "mnist: published"] == 225
    assert set(found[found["notes"].str.contains("shipped, not made here")].index) == set(found.index) - {
        "mine"
    }
    rows = {r.name: r for r in shipped_stores()["mnist"].records()}
    for name, on in (("gan-ns (epochs=1000)", "NVIDIA H100"), ("kmeans", rows["kmeans"].processor)):
        assert f"version {rows[name].version}" in found.loc[name, "notes"]
        assert on in found.loc[name, "notes"]


def test_every_reader_of_tables_knows_them(store):
    assert {"mine", "kmeans"} <= set(table(store.results, datasets=["mnist"])["row"])
    (pair,) = compare("mine", "kmeans", dataset="mnist", results=store.results).to_dict("records")
    assert pair["value"] < 0


def test_they_are_no_records_of_the_folder(store):
    assert store.records() == [MINE.settled(Vouched())]
    assert {r.model for line in read_lines(store.path) for r in line} == {"mine"}
    before = path_of(store).read_bytes()
    store.append([replace(MINE, value=101.0).sealed()])
    printed(store)
    assert path_of(store).read_bytes() == before


def test_they_are_not_taken_out_one_by_one(store):
    with pytest.raises(BadOption, match=r"remove: 'kmeans' came with the package .*--beside none"):
        remove("kmeans", results=store.results)


def test_a_row_of_ones_own_takes_the_place_of_the_shipped_one(store):
    (shipped, *_) = [r for r in read_records(path_of(store)) if (r.model, r.metric) == ("kmeans", "parzen")]
    store.append([replace(shipped, value=1.5).sealed()])
    own = [r for r in with_beside(store, store.records()) if r.model == "kmeans"]
    assert [(r.value, r.shipped) for r in own] == [(1.5, False)]


def test_other_content_is_not_compared(tmp_path):
    store = Store(tmp_path, "mnist")
    assert standing_beside(store, "0" * 16, None) == []
    with pytest.raises(BadOption, match=r"--beside: the rows of mnist .* they do not compare"):
        standing_beside(store, "0" * 16, "mnist")
    store.append([replace(MINE, dataset_digest="0" * 16).sealed()])
    stand_beside(store, standing_beside(Store(tmp_path / "other", "mnist"), MNIST, None))
    assert with_beside(store, store.records()) == store.records()


def test_none_stays_none_until_it_is_asked_for_again(store):
    stand_beside(store, standing_beside(store, MNIST, "none"))
    assert list(printed(store)["model"]) == ["mine"]
    stand_beside(store, standing_beside(store, MNIST, None))  # the next `bench score`
    assert list(printed(store)["model"]) == ["mine"]
    stand_beside(store, standing_beside(store, MNIST, "mnist"))
    assert len(printed(store)) > 5


def test_a_data_set_of_ones_own_with_the_same_content_may_stand_beside(tmp_path):
    store = Store(tmp_path, "npz:mine.npz")
    assert standing_beside(store, MNIST, None) is None  # nothing is shipped under its name
    store.append([replace(MINE, dataset="npz:mine.npz").sealed()])
    stand_beside(store, standing_beside(store, MNIST, "mnist"))
    assert {r.dataset for r in with_beside(store, store.records())} == {"npz:mine.npz"}
    with pytest.raises(UnknownName, match="did you mean 'mnist'"):
        standing_beside(store, MNIST, "mnits")


def test_a_folder_has_none_beside_its_own_records():
    there = shipped_stores()["mnist"]
    assert standing_beside(Store(there.results, "mnist"), MNIST, None) is None
    assert not path_of(there).exists()


def test_edited_rows_are_left_out_and_damaged_ones_are_one_line(store):
    rows = read_records(path_of(store))
    path_of(store).write_text(to_csv(replace(r, value=1.0) if r.model == "kmeans" else r for r in rows))
    assert "kmeans" not in {r.model for r in with_beside(store, store.records())}
    path_of(store).write_text("half a")
    with pytest.raises(BenchError, match=r"beside\.csv: has not the columns of records"):
        report(store.results, figures=False)
