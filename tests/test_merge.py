"""Results of several machines become one table; what contradicts is told and left out."""

import shutil
import signal
import sys
from dataclasses import replace

import pytest
from flat import run
from genmodel_bench import BenchError
from genmodel_bench.cli.main import main
from genmodel_bench.commands.merge import merge
from genmodel_bench.metrics import METRICS
from genmodel_bench.report.examples import path_of
from genmodel_bench.storage.record import to_csv
from genmodel_bench.storage.store import Store, sure

QUICK = {
    "dataset": "digits",
    "device": "cpu",
    "figures": False,
    "samples": 120,
    "metrics": {name: METRICS[name] for name in ("parzen", "histogram")},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results folders of two machines, with a seed of one model on both."""
    folder = tmp_path_factory.mktemp("machines")
    run(["gaussian"], seeds=[0], results=folder / "a", **QUICK)
    run(["mean"], seeds=1, results=folder / "a", **QUICK)
    run(["gaussian"], seeds=[0, 1], results=folder / "b", **QUICK)
    return folder


@pytest.fixture
def machines(made, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


def united(machines, *names):
    return merge([machines / name for name in names], results=machines / "all", figures=False)


def stored(machines, name):
    return Store(machines / name, "digits")


def rewritten(store, change):
    store.path.write_text(to_csv(map(change, store.records())))


def test_rows_of_both_are_there_once_with_their_seals(machines):
    done = united(machines, "a", "b")
    assert done.left_out == []
    records = stored(machines, "all").records()
    assert not any(r.doubt for r in records)
    assert {(r.model, r.seed) for r in records} == {("gaussian", 0), ("gaussian", 1), ("mean", 0)}
    assert len(records) == len({(r.model, r.seed, r.metric, r.quantity) for r in records})
    own = {r.seal for name in ("a", "b") for r in stored(machines, name).records()}
    assert {r.seal for r in records} <= own
    assert "| gaussian" in (machines / "all" / "digits" / "table1.md").read_text()
    again = united(machines, "b", "a")
    assert all(" 0 records added" in text for text in again.done[:2])
    assert stored(machines, "all").records() == records


def test_arrays_behind_the_scores_come_along_and_values_by_image(machines):
    shutil.rmtree(machines / "b" / ".cache")  # a clone: what lies beside the records is all there is
    united(machines, "a", "b")
    scores = {path.name for path in (machines / "all" / ".cache" / "scores").iterdir()}
    assert {path.name for path in (machines / "a" / ".cache" / "scores").iterdir()} == scores
    assert path_of(stored(machines, "all")).exists()
    assert not (machines / "all" / ".cache" / "samples").exists()


def test_other_values_of_one_row_are_told_and_not_merged(machines):
    store = stored(machines, "b")
    rewritten(store, lambda r: replace(r, value=r.value + 1).sealed() if r.seed == 0 else r)
    before = [r for r in stored(machines, "a").records() if r.model == "gaussian"]
    done = united(machines, "a", "b")
    assert len(done.left_out) == 2  # one line for each metric
    assert "left out: gaussian, N = 120, seed 0, parzen: log_likelihood " in done.left_out[0]
    assert all("\n" not in text for text in done.left_out)
    there = [r for r in stored(machines, "all").records() if r.model == "gaussian"]
    assert [r for r in there if r.seed == 0] == before
    assert {r.seed for r in there} == {0, 1}


def test_the_command_says_what_it_did_and_ends_with_1_if_rows_were_left_out(machines, monkeypatch, capsys):
    def typed(name):
        command = ["bench", "merge", str(machines / name), "--results", str(machines / "all"), "--no-figures"]
        monkeypatch.setattr(sys, "argv", command)
        before = signal.getsignal(signal.SIGINT)
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            signal.signal(signal.SIGINT, before)
        return (ended.value.code or 0, *capsys.readouterr())

    code, out, err = typed("a")
    assert (code, err) == (0, "")
    assert " 8 records added" in out
    rewritten(stored(machines, "b"), lambda r: replace(r, value=r.value + 1).sealed())
    code, out, err = typed("b")
    assert code == 1
    assert all(line.startswith("bench: ") for line in err.splitlines())
    assert "seed 0, parzen" in err


def test_a_row_that_was_edited_is_told_and_not_merged(machines):
    rewritten(stored(machines, "b"), lambda r: replace(r, value=r.value + 1) if r.seed == 1 else r)
    done = united(machines, "a", "b")
    assert any("4 rows (seed 1): was edited since it was made" in text for text in done.left_out)
    assert {r.seed for r in stored(machines, "all").records()} == {0}


def test_another_recipe_or_way_of_scoring_is_told_and_not_merged(machines):
    def other(r):
        ingredients = r.ingredients.replace('"kind of model"', '"sort of model"')
        return replace(r, ingredients=ingredients).sealed()

    rewritten(stored(machines, "b"), other)
    done = united(machines, "a", "b")
    assert all("another recipe" in text for text in done.left_out if "seed 1" in text)
    assert {(r.model, r.seed) for r in stored(machines, "all").records()} == {("gaussian", 0), ("mean", 0)}


def test_samples_and_a_model_of_one_name_are_not_merged(machines):
    rewritten(stored(machines, "b"), lambda r: replace(r, role="samples").sealed())
    done = united(machines, "a", "b")
    assert any("one of samples and model" in text for text in done.left_out if "gaussian" in text)
    assert {r.role for r in stored(machines, "all").records() if r.model == "gaussian"} == {"reference"}


def test_other_content_of_the_data_set_is_an_error_and_nothing_is_written(machines):
    rewritten(stored(machines, "b"), lambda r: replace(r, dataset_digest="0" * 16).sealed())
    with pytest.raises(BenchError, match=r"content 0000000000000000 of digits, .*do not compare"):
        united(machines, "a", "b")
    assert not (machines / "all").exists()


def test_what_failed_here_is_made_good_by_what_went_well_there(machines):
    here = stored(machines, "a")
    rows = [r for r in here.records() if (r.model, r.metric) == ("gaussian", "parzen")]
    failed = replace(rows[0], quantity="", value=None, stderr=None, status="failed: no luck").sealed()
    here.path.write_text(to_csv([*(r for r in here.records() if r not in rows), failed]))
    united(machines, "a", "b")
    found = [
        r
        for r in stored(machines, "all").records()
        if (r.model, r.metric, r.seed) == ("gaussian", "parzen", 0)
    ]
    assert [r.status for r in found] == ["ok", "ok"]
    united(machines, "a")  # the failure does not come back
    assert len(sure(stored(machines, "all").records())) == len(stored(machines, "all").records())
    assert not any(r.failed for r in stored(machines, "all").records())


def test_a_damaged_file_of_arrays_stays_behind_and_is_told(machines):
    path = sorted((machines / "a" / ".cache" / "scores").iterdir())[0]
    path.write_bytes(path.read_bytes()[:-8])
    done = united(machines, "a")
    assert [path.name in text for text in done.left_out] == [True]
    assert not (machines / "all" / ".cache" / "scores" / path.name).exists()


@pytest.mark.parametrize(("names", "message"), [(["none"], "no records under"), (["all"], "merged into")])
def test_what_is_no_other_results_folder_is_one_line(machines, names, message):
    with pytest.raises(BenchError, match=message):
        united(machines, *names)
