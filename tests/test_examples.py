"""What rows give to each test image is kept beside the records, and edits are noticed."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from genmodel_bench.report import examples as kept
from genmodel_bench.report.examples import examples_of, keep_examples, path_of
from genmodel_bench.report.rebuild import report
from genmodel_bench.report.tables.columns import columns_of
from genmodel_bench.report.tables.table import table1
from genmodel_bench.storage.record import Record, to_csv
from genmodel_bench.storage.store import Store
from pages import sealed_at
from safetensors.numpy import load_file

IMAGES, DIGEST = 60, "d1"
SCORE = ("score", "mean")
SHOWN = json.dumps({"title": "score", "says": "a score", "examples": "values"})
MODELS = {"worst": 0.0, "best": 3.0, "second": 1.5}
"""How much each gives to every image, besides what they share and noise."""
ROW = Record(
    "mnist", "m", metric="score", quantity="mean", better="higher", column=SHOWN, n=IMAGES, samples=100,
    dataset_digest=DIGEST, stderr=5.0,
)  # fmt: skip


def values_of(model, seed):
    """As a metric stores them; most of a value is what all models give to the image."""
    of_image = np.random.default_rng(9).normal(100, 40, IMAGES)
    noise = np.random.default_rng([seed, len(model)]).normal(0, 1, IMAGES)
    return (of_image + MODELS[model] + noise).astype(np.float32)


def row(model, seed, **changes):
    value = float(values_of(model, seed).mean(dtype=np.float64))
    made = {"model": model, "seed": seed, "value": value, "score_key": f"k-{model}-{seed}", **changes}
    return replace(ROW, **made).sealed()


def key(model):
    return "model", model, "", 100


def made(results, *, models=tuple(MODELS), seeds=(0, 1, 2), folds=None):
    """A data set's records, with the arrays behind them."""
    store = Store(results, "mnist")
    store.append([row(model, seed) for model in models for seed in seeds])
    for model in models:
        for seed in seeds:
            path = store.cache / "scores" / f"k-{model}-{seed}.safetensors"
            sealed_at(path, {"values": values_of(model, seed), "other": np.zeros(3)})
    images = {"test": np.zeros((IMAGES, 1, 2, 2), np.uint8)} | ({} if folds is None else {"fold": folds})
    sealed_at(store.cache / "images" / f"{DIGEST}.safetensors", images)
    return store


def found_in(store):
    records = store.records()
    return examples_of(store, records, columns_of(records, {}))


def keep(store):
    return keep_examples(store, DIGEST, found_in(store), table1(store.records()).keys)


def without_artefacts(store):
    shutil.rmtree(store.cache)
    return found_in(store)


def test_an_images_value_is_the_mean_over_seeds(tmp_path):
    found = found_in(made(tmp_path))
    assert set(found.by_image) == {(SCORE, key(model)) for model in MODELS}
    for model in MODELS:
        values = found.by_image[SCORE, key(model)]
        mean = np.mean([values_of(model, seed).astype(np.float64) for seed in range(3)], 0)
        assert values.dtype == np.float32
        assert np.array_equal(values, mean.astype(np.float32))
        assert np.array_equal(found.of(SCORE, key(model)), values.astype(np.float64))
    assert found.missing == frozenset()
    assert found.of(("score", "none"), key("best")) is None


def test_what_is_kept_beside_the_records_is_read_where_the_artefacts_are_gone(tmp_path):
    store = made(tmp_path)
    before = found_in(store)
    assert keep(store) == [path_of(store)] == [tmp_path / "mnist" / "examples.safetensors"]
    after = without_artefacts(store)
    assert after.names == before.names
    assert after.by_image.keys() == before.by_image.keys()
    assert all(np.array_equal(after.by_image[place], before.by_image[place]) for place in before.by_image)
    assert (after.folds, after.missing) == (None, frozenset())
    # it is float32, and of the size of its numbers
    assert path_of(store).stat().st_size < 4 * IMAGES * len(MODELS) + 2000


def test_an_error_over_folds_is_of_their_means(tmp_path):
    folds = np.array([7, 3, 3, 9] * 15)  # any numbers, of unequal size
    store = made(tmp_path, folds=folds)
    keep(store)
    values = found_in(store).by_image[SCORE, key("best")].astype(np.float64)
    means = [values[folds == number].mean() for number in (3, 7, 9)]
    for found in (found_in(store), without_artefacts(store)):
        assert found.of(SCORE, key("best")) == pytest.approx(means, rel=1e-12)
        assert np.array_equal(found.folds, [{3: 0, 7: 1, 9: 2}[number] for number in folds])


def test_folds_of_other_images_are_not_applied(tmp_path):
    store = made(tmp_path, folds=np.zeros(IMAGES - 1, np.int64))
    assert found_in(store).of(SCORE, key("best")) is None


@pytest.mark.parametrize("fits", [0, 1, 2, 3])
def test_lines_beyond_the_budget_are_left_out_last_ones_of_the_table_first(tmp_path, monkeypatch, fits):
    monkeypatch.setattr(kept, "BUDGET", fits * 4 * IMAGES + 3)
    store = made(tmp_path)
    in_order = ["best", "second", "worst"]
    assert [model for _, model, _, _ in table1(store.records()).keys] == in_order
    assert keep(store) == [path_of(store)] * bool(fits)
    content = path_of(store).read_bytes() if fits else b""
    found = without_artefacts(store)
    assert set(found.by_image) == {(SCORE, key(model)) for model in in_order[:fits]}
    assert found.missing == {key(model) for model in in_order[fits:]}
    # a clone, which has no more than this, writes the same
    keep(store)
    assert (path_of(store).read_bytes() if fits else b"") == content


@pytest.mark.parametrize("place", [0, 3, "digest", -1, -4 * IMAGES])
def test_a_file_with_a_changed_byte_is_not_believed(tmp_path, place):
    store = made(tmp_path)
    keep(store)
    content = bytearray(path_of(store).read_bytes())
    content[content.index(b'"digest":"') + 12 if place == "digest" else place] ^= 1
    path_of(store).write_bytes(content)
    found = without_artefacts(store)
    assert found.by_image == {}
    assert found.missing == {key(model) for model in MODELS}


def test_values_under_exchanged_names_are_not_believed(tmp_path):
    store = made(tmp_path)
    keep(store)
    names = [found_in(store).names[SCORE, key(model)].encode() for model in ("best", "worst")]
    content = path_of(store).read_bytes()
    head, tail = content[: content.index(b"__metadata__")], content[content.index(b"}") :]
    swapped = tail.replace(names[0], b"x" * 16).replace(names[1], names[0]).replace(b"x" * 16, names[1])
    assert swapped != tail
    path_of(store).write_bytes(content[: len(head)] + content[len(head) : -len(tail)] + swapped)
    assert without_artefacts(store).by_image == {}


def test_values_of_another_content_of_the_data_set_are_not_believed(tmp_path):
    store = made(tmp_path)
    keep_examples(store, "d2", found_in(store), table1(store.records()).keys)
    assert without_artefacts(store).by_image == {}


def test_the_same_input_gives_the_same_bytes(tmp_path):
    contents = set()
    for i in range(5):
        store = made(tmp_path / str(i), folds=np.zeros(IMAGES, np.int64))
        keep(store)
        contents.add(path_of(store).read_bytes())
    assert len(contents) == 1
    # and it is a file as any other of its form
    assert load_file(path_of(store)).keys() == {"fold", *found_in(store).names.values()}


def test_a_file_that_says_the_same_is_not_written_again(tmp_path):
    store = made(tmp_path)
    keep(store)
    before = path_of(store).stat().st_mtime_ns
    assert keep(store) == [path_of(store)]
    assert path_of(store).stat().st_mtime_ns == before


def test_rows_of_other_seeds_take_nothing_from_the_file(tmp_path):
    store = made(tmp_path)
    keep(store)
    store.append([row("best", 3)])
    found = without_artefacts(store)
    assert found.missing == {key("best")}
    assert set(found.by_image) == {(SCORE, key(model)) for model in ("worst", "second")}


@pytest.mark.parametrize(
    "array", [np.zeros((2, 30), np.float32), np.zeros(59, np.float32), np.full(IMAGES, np.nan, np.float32)]
)
def test_where_one_seed_lacks_its_values_the_row_lacks_them(tmp_path, array):
    store = made(tmp_path)
    sealed_at(store.cache / "scores" / "k-best-1.safetensors", {"values": array})
    assert found_in(store).missing == {key("best")}
    (store.cache / "scores" / "k-second-2.safetensors").unlink()
    assert found_in(store).missing == {key("best"), key("second")}


def test_nothing_is_kept_of_scores_that_name_no_array(tmp_path):
    store = made(tmp_path)
    keep(store)
    silent = json.dumps({"title": "score", "says": "a score"})
    store.path.write_text(to_csv([replace(r, column=silent).sealed() for r in store.records()]))
    assert found_in(store).by_image == {}
    report(tmp_path, figures=False)
    assert not path_of(store).exists()


def test_rows_that_are_doubted_change_nothing(tmp_path):
    store = made(tmp_path)
    rows = store.records()
    report(tmp_path, figures=False)
    content = path_of(store).read_bytes()
    old = replace(row("best", 5), dataset_digest="d0", created="2000-01-01").sealed()
    new = [replace(r, created="2001-01-01").sealed() for r in rows]
    store.path.write_text(to_csv([old, *new]))
    assert [bool(r.doubt) for r in store.records()] == [True] + [False] * len(rows)
    report(tmp_path, figures=False)
    assert path_of(store).read_bytes() == content


def marked(store):
    """The models that bear a mark in the table."""
    lines = (store.folder / "table1.md").read_text().splitlines()
    return {line.split("|")[1].split()[0] for line in lines if line.startswith("|") and "†" in line}


def test_marks_are_the_same_with_artefacts_and_from_the_file_alone(tmp_path):
    store = made(tmp_path)
    report(tmp_path, figures=False)
    names = ("table1.csv", "table1.md", "examples.safetensors")
    before = {name: (store.folder / name).read_bytes() for name in names}
    assert marked(store) == {"best"}
    shutil.rmtree(store.cache)
    report(tmp_path, figures=False)
    assert {name: (store.folder / name).read_bytes() for name in names} == before
    # without it the errors of 5 over images do not cancel, and all three share the place
    path_of(store).unlink()
    report(tmp_path, figures=False)
    assert marked(store) == set(MODELS)
