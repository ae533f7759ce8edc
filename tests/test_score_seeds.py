"""Several files of samples are one row: of training seeds, or of draws."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from genmodel_bench import BadOption, BadSamples
from genmodel_bench.commands.report import table_of
from genmodel_bench.commands.score import score, scored
from genmodel_bench.execution.listener import Silent
from genmodel_bench.metrics import METRICS
from genmodel_bench.storage.reading import read_records
from genmodel_bench.storage.store import Store

PARZEN = {"parzen": METRICS["parzen"]}
KEY = ("samples", "mine", "", 120)


@pytest.fixture(scope="module")
def seeds(digits):
    """Three sets of 120 noisy digits, as float32."""
    noise = np.random.default_rng(0)
    parts = [digits.train.numpy()[120 * i : 120 * (i + 1)] for i in range(3)]
    return [np.clip(x + noise.normal(0, 0.1, x.shape), 0, 1).astype(np.float32) for x in parts]


def given(samples, folder, *, name="mine", metrics=PARZEN, **settings):
    usual = {"dataset": "digits", "device": "cpu", "figures": False}
    return score(samples, name=name, results=folder, metrics=metrics, **usual, **settings)


def numbers(folder):
    table = table_of(Store(folder, "digits"))
    return {title: table.numbers.loc[KEY, ("digits", title)] for title in table.numbers["digits"].columns}


def test_files_are_seeds_of_one_row_with_the_whole_ledger(tmp_path, seeds):
    paths = [tmp_path / f"{i}.npy" for i in range(3)]
    for path, x in zip(paths, seeds, strict=True):
        np.save(path, x)
    found = given(paths, tmp_path / "r")
    alone = [given(x, tmp_path / "alone", name=f"s{i}")["metrics"]["parzen"] for i, x in enumerate(seeds)]
    values = [each["value"] for each in alone]
    assert [each["parzen"]["value"] for each in found["by_seed"]] == values
    row, entry = numbers(tmp_path / "r"), found["metrics"]["parzen"]
    assert entry["value"] == row["nats"] == pytest.approx(np.mean(values))
    assert entry["seed_sd"] == row["seed ±"] == pytest.approx(np.std(values, ddof=1))
    test = np.mean([each["stderr"] for each in alone])
    assert entry["total"] == row["total ±"] == pytest.approx(math.hypot(test, row["seed ±"] / math.sqrt(3)))
    assert (row["seeds"], row["draws"]) == (found["seeds"], found["draws"]) == (3, 1)
    records = Store(tmp_path / "r", "digits").records()
    assert {r.seed for r in records} == {0, 1, 2}
    assert not any(r.doubt for r in records)


def test_draws_are_of_one_training_and_fill_the_spread_over_draws(tmp_path, seeds):
    found = given(seeds, tmp_path, as_draws=True)
    assert (found["seeds"], found["draws"]) == (1, 3)
    row = numbers(tmp_path)
    values = [
        given(x, tmp_path / "alone", name=f"s{i}")["metrics"]["parzen"]["value"] for i, x in enumerate(seeds)
    ]
    assert row["nats"] == pytest.approx(np.mean(values), abs=1e-5)
    assert row["draw ±"] == pytest.approx(np.std(values, ddof=1), rel=1e-4)
    assert row["draws"] == 3
    assert row["seeds"] is None


def test_one_file_has_no_seed_and_the_keys_that_it_always_had(tmp_path, seeds):
    found = given(seeds[0], tmp_path)
    (first, _) = Store(tmp_path, "digits").records()
    assert (first.seed, first.draws, found["seeds"]) == (None, 1, 1)
    samples = json.loads(first.ingredients)["samples"]
    assert list(samples) == ["content of the data set", "content of the samples", "data set", "name"]
    assert samples["content of the samples"] == first.cell
    assert "by_seed" not in found
    assert given([seeds[0]], tmp_path)["reused"]


def test_the_very_same_samples_are_not_scored_again(tmp_path, seeds):
    class Steps(Silent):
        def __init__(self):
            self.said = []

        def step(self, what, done, total):
            assert 0 <= done < total
            self.said.append(what)

    first, again, more = Steps(), Steps(), Steps()
    before = given(seeds, tmp_path, listener=first)
    assert not before["reused"]
    assert [what for what in first.said if "scoring" in what] == [
        f"scoring 120 samples of seed {i} with parzen" for i in range(3)
    ]
    rows = Store(tmp_path, "digits").path.read_bytes()
    after = given(seeds, tmp_path, listener=again)
    assert after == before | {"reused": True}
    assert Store(tmp_path, "digits").path.read_bytes() == rows
    assert not any("scoring" in what for what in again.said)
    both = {**PARZEN, "histogram": METRICS["histogram"]}
    assert set(given(seeds, tmp_path, listener=more, metrics=both)["metrics"]) == set(both)
    assert {what.split()[-1] for what in more.said if "scoring" in what} == {"histogram"}


@pytest.mark.parametrize("change", ["fewer seeds", "another order", "draws", "edited"])
def test_a_name_that_is_taken_is_an_error_that_names_replace(tmp_path, seeds, change):
    given(seeds, tmp_path)
    store = Store(tmp_path, "digits")
    others = seeds[:2] if change == "fewer seeds" else seeds[::-1] if change == "another order" else seeds
    if change == "edited":
        ingredients = store.records()[0].ingredients.replace("digits", "digitz")
        store.rewrite([], [replace(r, ingredients=ingredients) for r in store.records()], lambda r: False)
    before = store.path.read_bytes()
    with pytest.raises(
        BadOption, match=r"--name: 'mine' is the row of other samples .*--replace, or"
    ) as error:
        given(others, tmp_path, as_draws=change == "draws")
    assert "\n" not in str(error.value)
    assert store.path.read_bytes() == before
    given(others, tmp_path, as_draws=change == "draws", replace=True)
    assert not any(r.doubt for r in store.records())
    assert {r.seed for r in store.records()} == ({None} if change == "draws" else set(range(len(others))))
    assert len(read_records(store.superseded)) == 6


def test_another_number_of_samples_is_a_row_of_its_own(tmp_path, seeds):
    given(seeds[0], tmp_path)
    given(seeds[0][:110], tmp_path)
    assert {r.samples for r in Store(tmp_path, "digits").records()} == {120, 110}


def test_sets_of_samples_of_one_row_fit_together(tmp_path, seeds):
    with pytest.raises(
        BadSamples, match=r"^samples 2: 100 samples, but samples 1 holds 120; .* give x\[:100\]"
    ):
        given([seeds[0], seeds[1][:100]], tmp_path / "r")
    with pytest.raises(BadSamples, match="samples 3: holds the same samples as samples 1"):
        given([seeds[0], seeds[1], seeds[0].copy()], tmp_path / "r")
    with pytest.raises(BadSamples, match="empty list"):
        given([], tmp_path / "r")
    with pytest.raises(BadOption, match="got none, expected some"):
        given(seeds, tmp_path / "r", metrics={})
    with pytest.raises(BadOption, match="expected printable text"):
        given(seeds, tmp_path / "r", name="")
    assert not (tmp_path / "r").exists()


def test_samples_become_records_without_a_row_being_stored(tmp_path, seeds, digits):
    store = Store(tmp_path, "digits")
    records = scored(seeds, "mine", digits, torch.device("cpu"), store, PARZEN)
    assert [(r.seed, r.quantity) for r in records][::2] == [(i, "log_likelihood") for i in range(3)]
    assert all(r.intact for r in records)
    assert not store.path.exists()


UNLUCKY = []


class Failing(type(METRICS["parzen"])):
    def __call__(self, subject, reference):
        if any(torch.equal(subject.samples, torch.from_numpy(samples)) for samples in UNLUCKY):
            raise ValueError("no luck")
        return super().__call__(subject, reference)


def test_a_seed_that_fails_has_no_mean_and_says_so(tmp_path, seeds):
    UNLUCKY[:] = [seeds[1]]
    found = given(seeds, tmp_path, metrics={"failing": Failing()})
    assert found["metrics"]["failing"]["value"] is None
    assert found["metrics"]["failing"]["status"] == "failed: no luck"
    assert found["by_seed"][0]["failing"]["value"] is not None
