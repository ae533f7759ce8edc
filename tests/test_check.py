import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch
from flat import run
from genmodel_bench import BadOption, BadRecords, BadSamples, BenchError, DataMissing, UnknownName, score
from genmodel_bench.cli.main import main
from genmodel_bench.cli.terminal import verdict_grid
from genmodel_bench.commands.check import as_many_threads, check, check_samples, read_lines
from genmodel_bench.metrics import METRICS
from genmodel_bench.report.verdicts import Verdict, exit_code
from genmodel_bench.storage.record import to_csv
from genmodel_bench.storage.store import Store
from rich.console import Console


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
        metrics={"parzen": METRICS["parzen"]},
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
    assert not (tmp_path / ".cache" / "visuals").exists()


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
    assert reasons["mine"] == (
        "skipped",
        "a user's samples: check new ones with --samples FILES --name mine",
    )
    assert reasons["gone"] == ("not comparable", "cannot be made by today's code: 'gone'")


def test_a_changed_default_is_not_compared(baseline, tmp_path, monkeypatch):
    from genmodel_bench.models.autoencoders import vae

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


@pytest.mark.slow
def test_other_jobs_make_the_same_numbers_and_store_nothing(baseline, tmp_path):
    verdicts = check(baseline / "digits", results=tmp_path, device="cpu", jobs=2, rows=["vae"])
    assert [(v.finding, v.reason) for v in verdicts] == [("indistinguishable", "identical seed by seed")]
    assert not (tmp_path / "digits" / "runs.csv").exists()
    assert not list(tmp_path.glob(".cache/visuals/*"))
    assert list(tmp_path.glob(".cache/fits/*"))


def test_cells_compute_with_as_many_threads_as_the_baselines(baseline):
    rows = Store(baseline, "digits").records()
    usual = torch.get_num_threads()
    with as_many_threads([[replace(r, threads=1) for r in rows]], jobs=0):
        assert torch.get_num_threads() == 1
    with as_many_threads([[replace(r, threads=1) for r in rows]], jobs=3):
        assert torch.get_num_threads() == 3  # one for each process
    with as_many_threads([[replace(r, threads=4096) for r in rows]], jobs=0):
        assert torch.get_num_threads() < 4096
    assert torch.get_num_threads() == usual


def test_rows_are_chosen_by_name_or_model(baseline, tmp_path):
    for row in ("mean", "mean (draws=2)", "mean (draws=2), N = 200"):
        verdicts = check(baseline / "digits", results=baseline, device="cpu", rows=[row])
        assert [v.line for v in verdicts] == ["mean (draws=2), N = 200"]
    with pytest.raises(UnknownName, match="did you mean 'mean"):
        check(baseline / "digits", results=baseline, device="cpu", rows=["meen (draws=2), N = 200"])


def test_one_seed_and_other_bits_cannot_tell_and_the_machine_is_named(baseline, tmp_path):
    def elsewhere(r):
        shift = 30.0 if r.metric == "parzen" and r.value is not None else 0.0
        return replace(r, value=shift + r.value, trace="[]", versions="torch=9.0", processor="another")

    folder = edited(baseline, tmp_path, elsewhere)
    rows = [r for r in Store(tmp_path, "digits").records() if r.seed == 0]
    (folder / "runs.csv").write_text(to_csv(rows))
    verdicts = check(folder, results=baseline, device="cpu")
    assert [v.finding for v in verdicts] == ["cannot tell"] * 2
    assert exit_code(verdicts) == 5
    for v in verdicts:
        assert v.differences["torch"] == ("9.0", version("torch"))
        assert v.differences["processor"][0] == "another"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A baseline with a row of samples, and files of samples."""
    folder = tmp_path_factory.mktemp("own")
    for seed in range(4):
        np.save(folder / f"{seed}.npy", np.random.default_rng(seed).random((200, 64), dtype=np.float32))
    score(folder / "0.npy", dataset="digits", name="mine", results=folder, device="cpu", figures=False)
    return folder


def checked(own, *files, **changes):
    settings = {"name": "mine", "device": "cpu"} | changes
    (verdict,) = check_samples(own / "digits", [own / f"{file}.npy" for file in files], **settings)
    return verdict


def test_a_users_new_samples_are_compared_with_his_row(own):
    before = (own / "digits" / "runs.csv").read_bytes()
    same = checked(own, 0, dataset="digits")
    assert (same.line, same.finding, same.reason) == (
        "mine, N = 200",
        "indistinguishable",
        "identical seed by seed",
    )
    assert checked(own, 1).finding == "cannot tell"
    assert checked(own, 1, 2, 3).finding == "indistinguishable"
    for name, grey in (("bad", 1.0), ("worse", 0.99), ("worst", 0.98)):
        np.save(own / f"{name}.npy", np.full((200, 64), grey, dtype=np.float32))
    assert checked(own, "bad", "worse", "worst").finding == "regressed"
    np.save(own / "few.npy", np.random.default_rng(9).random((150, 64), dtype=np.float32))
    assert checked(own, "few").finding == "not comparable"
    assert (own / "digits" / "runs.csv").read_bytes() == before


def test_samples_that_cannot_be_checked_are_one_line(own, baseline):
    with pytest.raises(BenchError, match="no row of samples called 'hers', of those it has mine"):
        checked(own, 0, name="hers")
    with pytest.raises(BenchError, match="of those it has none"):
        checked(baseline, name="mine")
    with pytest.raises(BadOption, match=r"--dataset: got 'mnist', but the baseline .* is of 'digits'"):
        checked(own, 0, dataset="mnist")
    np.save(own / "one.npy", np.zeros((1, 64), dtype=np.float32))
    with pytest.raises(BadSamples, match="holds the same samples as"):
        checked(own, 0, 1, 0)
    with pytest.raises(BadSamples, match="too few"):
        checked(own, "one")


def typed(monkeypatch, *args):
    """Type a command in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["bench", "check", *map(str, args)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


def test_new_samples_are_typed_as_a_shell_expands_them(own, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    baseline = ["--baseline", own / "digits", "--device", "cpu"]
    files = [own / f"{k}.npy" for k in (1, 2, 3)]
    assert typed(monkeypatch, *baseline, "--samples", *files, "--name", "mine", "--json") == 0
    (plain,) = json.loads(capsys.readouterr().out)
    assert (plain["finding"], plain["reason"]) == ("indistinguishable", "1 seed before, 3 now")
    assert plain["threshold"] > abs(plain["now"] - plain["before"])
    assert typed(monkeypatch, *baseline, "--samples", files[0], "--name", "mine") == 5
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 160  # of a pipe
    assert "cannot tell, 1 seed before, 1 now: the spread over training is unknown" in told
    assert "exit code 5" in told


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["1.npy"], "got 1.npy without an option; put --samples before your files"),
        (["--samples", "1.npy"], "--samples: expected --name NAME"),
        (["--samples", "1.npy", "--name", "mine", "--fast"], "neither --fast"),
        (["--name", "mine"], "add --samples FILE"),
        (["--jobs", "0"], "--jobs: got 0, expected at least 1"),
    ],
)
def test_options_that_do_not_fit_are_one_line(own, monkeypatch, capsys, args, said):
    assert typed(monkeypatch, "--baseline", own / "digits", *args) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.slow
def test_the_workflow_in_the_docs_passes_warns_and_fails(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "ci.md").read_text()
    (step,) = re.findall(r"- name: bench check\n +shell: bash\n +run: \|\n((?: {10}.*\n)+)", page)
    run(["mean"], results=tmp_path / "baseline", device="cpu", seeds=1, samples=200, figures=False)
    store = Store(tmp_path / "baseline", "digits")
    made = store.records()

    def ended(**changes):
        store.path.write_text(to_csv([replace(r, **changes).sealed() for r in made]))
        env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        }
        script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", dedent(step)]
        done = subprocess.run(script, capture_output=True, text=True, cwd=tmp_path, env=env, check=False)
        return done.returncode, done.stdout

    assert ended()[0] == 0
    code, told = ended(value=90.0, trace="[]")
    assert code == 0
    assert "::warning::bench check cannot tell" in told
    assert ended(value=90.0)[0] == 3
    assert "exit code 3" in (tmp_path / "summary").read_text()
    assert ended(dataset_digest="e")[0] == 4


def test_the_table_of_verdicts_fits_on_eighty_columns():
    found = [
        Verdict("vae (hidden=(16, 12), epochs=2, draws=2), N = 200", "not comparable", -1909.14, -2009.31),
        Verdict("rbm (epochs=5)", "cannot tell", 174.0, 144.3),
        Verdict("deep-gsn-chain (epochs=40)", "indistinguishable", 1999.86, 1978.2, 1234.567),
    ]
    console = Console(width=80, file=StringIO())
    console.print(verdict_grid(found))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(
        line.split() == ["rbm", "(epochs=5)", "174.00", "144.30", "-29.700", "?", "cannot", "tell"]
        for line in lines
    )
    text = " ".join(lines)
    for whole in (
        "would count",
        "not comparable",
        "-2009.31",
        "-100.170",
        "1234.567",
        "indistinguishable",
        "200",
    ):
        assert whole in text


def test_the_committed_baseline_is_of_three_seeds_or_eight_and_can_be_checked(tmp_path):
    baseline = Path(__file__).parents[1] / "results" / "baselines" / "digits"
    more = ("gan-mlp", "lsgan", "wgan", "wgan-gp", "ebgan", "ebgan-pt")  # a claim turns on them
    for records in read_lines(baseline / "runs.csv"):
        first = records[0]
        assert len(records) == (8 if first.model in more and first.metric == "parzen" else 3)
    (verdict,) = check(baseline, rows=["mean"], results=tmp_path)
    assert verdict.finding == "indistinguishable"


@pytest.mark.parametrize(
    ("change", "finding"), [(0, "indistinguishable"), (-1, "regressed"), (1, "improved")]
)
def test_a_likelihood_of_a_models_own_has_a_line_and_lower_is_better(tmp_path, change, finding):
    folder, metrics = tmp_path / "made", {name: METRICS[name] for name in ("parzen", "nll")}
    few = {"samples": 200, "draws": 1, "seeds": 1, "metrics": metrics, "figures": False}
    run(["fvbn", "mean"], options=["fvbn.epochs=1"], results=folder, device="cpu", **few)

    def other(r):
        return replace(r, value=r.value + change) if (r.metric, r.quantity) == ("nll", "nll") else r

    changed = edited(folder, tmp_path, other)
    verdicts = {v.line: v.finding for v in check(changed, results=folder, device="cpu")}
    line = "fvbn (epochs=1, draws=1), N = 200"
    assert verdicts == {
        line: "indistinguishable",
        f"{line}, nll": finding,
        "mean (draws=1), N = 200": "indistinguishable",
    }


def test_one_row_may_be_named_without_a_list(baseline):
    with pytest.raises(BenchError, match="unknown row 'zzz'"):
        check(baseline / "digits", rows="zzz")
