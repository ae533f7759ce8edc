"""The command line, run as a user runs it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from genmodel_bench.storage.record import seal_of

ROOT = Path(__file__).parents[1]


def bench(*args, code=0, **env):
    done = subprocess.run(
        [sys.executable, "-m", "bench", *map(str, args)],
        capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **env}, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done


TINY = ["--seeds", "1", "--samples", "150", "--device", "cpu", "--no-figures", "--set", "vae.epochs=2"]


def test_run_writes_the_tables_and_runs_again_from_the_cache(tmp_path):
    first = bench("run", "vae", "mean", *TINY, "--figures", "--results", tmp_path)
    assert "vae (epochs=2)" in first.stdout
    folder = tmp_path / "digits"
    for name in (
        "runs.csv",
        "table1.csv",
        "table1.md",
        "table1.tex",
        "figures/samples-vae_epochs_2_N_150.png",
    ):
        assert (folder / name).stat().st_size > 100, name
    rows = (folder / "runs.csv").read_bytes()
    second = bench("run", "vae", "mean", *TINY, "--results", tmp_path)
    assert second.stdout.count("[reused]") == 2
    assert (folder / "runs.csv").read_bytes() == rows

    dry = bench("run", "vae", "mean", "gan-ns", *TINY, "--results", tmp_path, "--dry-run")
    assert [line.rpartition(": ")[2] for line in dry.stdout.splitlines()] == [
        "finished",
        "finished",
        "to be trained",
    ]

    before = {path: path.read_bytes() for path in folder.glob("table1.*")}
    for path in before:
        path.unlink()
    printed = bench("report", "--results", tmp_path).stdout.splitlines()
    assert {Path(line) for line in printed} >= set(before)
    assert {path: path.read_bytes() for path in before} == before


def test_check_says_by_its_exit_code_what_it_found(tmp_path):
    bench("run", "vae", "mean", *TINY, "--results", tmp_path)
    path = tmp_path / "digits" / "runs.csv"
    done = bench("check", "--baseline", path.parent, "--results", tmp_path)
    assert done.stdout.count("identical seed by seed") == 2
    kept = path.read_text()
    rows = list(csv.DictReader(kept.splitlines()))
    for row in rows:
        if row["model"] == "mean" and row["quantity"] == "log_likelihood":
            row["value"] = "90.0"

    def rewrite():
        for row in rows:
            row["seal"] = seal_of(row)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    rewrite()
    found = json.loads(
        bench("check", "--baseline", path.parent, "--results", tmp_path, "--json", code=3).stdout
    )
    assert {v["line"]: v["finding"] for v in found} == {
        "vae (epochs=2), N = 150": "indistinguishable",
        "mean, N = 150": "regressed",
    }
    for row in rows:
        row["dataset_digest"] = "0123456789abcdef"
    rewrite()
    done = bench("check", "--baseline", path.parent, "--results", tmp_path, code=4)
    assert "the content of the data set differs" in done.stdout
    assert "not found" in bench("check", "--baseline", tmp_path / "nowhere", code=2).stderr


def test_score_prints_one_json_object(tmp_path):
    samples = np.random.default_rng(0).random((150, 64), dtype=np.float32)
    np.save(tmp_path / "noise.npy", samples)
    done = bench(
        "score",
        tmp_path / "noise.npy",
        "--dataset",
        "digits",
        "--json",
        "--results",
        tmp_path / "r",
        "--device",
        "cpu",
    )
    found = json.loads(done.stdout)
    assert set(found) == {"name", "dataset", "n", "metrics"}
    assert (found["name"], found["dataset"], found["n"]) == ("noise", "digits", 150)
    assert {"value", "stderr", "sigma", "status"} <= set(found["metrics"]["parzen"])
    assert {"value", "exact_copies", "near_copies", "generated_median", "held_out_median"} <= set(
        found["metrics"]["neighbours"]
    )
    plain = bench(
        "score", tmp_path / "noise.npy", "--dataset", "digits", "--results", tmp_path / "r", "--device", "cpu"
    )
    assert f"{found['metrics']['parzen']['value']:.2f}" in plain.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run"], "expected names of models or --all"),
        (["run", "vae", "--all"], "expected names of models or --all"),
        (
            ["run", "gan-nss"],
            "unknown model 'gan-nss'; did you mean 'gan-ns'? known: dbn, stacked-cae, deep-gsn",
        ),
        (["run", "vae", "--set", "vae.latnt=3"], "vae: no option 'latnt'; did you mean 'latent'?"),
        (["run", "vae", "--dataset", "mnst"], "unknown data set 'mnst'; did you mean 'mnist'?"),
        (["run", "vae", "--device", "cuda:99"], "torch sees"),
        (["score", "absent.npy", "--dataset", "digits"], "absent.npy: no such file"),
        (["report"], "no records under"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(args, message, tmp_path):
    done = bench(*args, "--results", tmp_path / "r", code=2)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_a_diverged_row_is_exit_code_one(tmp_path):
    done = bench("run", "vae", *TINY, "--set", "vae.lr=1e30", "--results", tmp_path, code=1)
    assert "diverged" in done.stdout


def test_list_names_every_entry():
    models = bench("list", "models").stdout
    assert all(
        name in models for name in ("gan-ns", "gan-mm", "vae", "dbn", "data", "kmeans", "gaussian", "mean")
    )
    assert "parzen" in bench("list", "metrics").stdout
    assert "folder:PATH" in bench("list", "datasets").stdout


def test_help_imports_no_torch():
    # The start-up time is a benchmark; what keeps it short is tested here.
    code = (
        "import sys; sys.argv = ['bench', '--help']\n"
        "try:\n    from genmodel_bench.cli.main import main; main()\nexcept SystemExit: pass\n"
    )
    code += "assert not {'torch', 'pandas', 'scipy', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)


def test_folders_that_cannot_be_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for command in (["run", "mean"], ["score", "pyproject.toml", "--dataset", "digits"]):
        done = bench(*command, "--results", tmp_path / "file", code=2)
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_nothing(tmp_path):
    args = [
        "run",
        "mean",
        "gaussian",
        "--seeds",
        "1",
        "--samples",
        "150",
        "--device",
        "cpu",
        "--results",
        str(tmp_path),
    ]
    run = subprocess.Popen(
        [sys.executable, "-m", "bench", *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run.stdout.close()
    error = run.stderr.read()
    assert (run.wait(), error) == (0, "")
    run.stderr.close()
    assert "gaussian" in (tmp_path / "digits" / "table1.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["numpy is loaded", "torch is loaded", "a worker is there"])
def test_ctrl_c_at_the_start_is_one_line(tmp_path, moment):
    args = ["run", "gan-ns", "--jobs", "2", "--device", "cpu", "--results", str(tmp_path)]
    run = subprocess.Popen(
        [sys.executable, "-m", "bench", *args],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    libraries = Path(f"/proc/{run.pid}/maps")
    come = {
        "numpy is loaded": lambda: "_multiarray_umath" in libraries.read_text(),
        "torch is loaded": lambda: "libtorch_cpu" in libraries.read_text(),
        "a worker is there": lambda: len(members(run.pid)) > 1,
    }[moment]
    while not come() and run.poll() is None:
        time.sleep(0.002)
    os.killpg(run.pid, signal.SIGINT)
    _, error = run.communicate(timeout=60)
    assert run.returncode == 130
    assert (
        error.strip()
        == "bench: interrupted; what is finished is kept, and the same command goes on from here"
    )


def started(tmp_path, *args):
    """Start a long run in a process group of its own, and wait until it trains."""
    command = [sys.executable, "-m", "bench", "run", "mean", "gan-ns", "--device", "cpu", "--samples", "150"]
    args = [*command, *args, "--results", str(tmp_path)]
    run = subprocess.Popen(
        args, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for _ in range(600):
        time.sleep(0.1)
        if list(tmp_path.glob(".cache/fits/*/epoch-00005.safetensors")):
            return run
    raise AssertionError(run.communicate(timeout=1))


def members(group):
    """The processes of a group that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def gone(group):
    """Whether the processes of a group end within seconds."""
    for _ in range(50):
        if not members(group):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_the_run_with_one_line_and_what_is_finished_is_kept(tmp_path, jobs):
    run = started(tmp_path, "--jobs", str(jobs), "--seeds", "2")
    os.killpg(run.pid, signal.SIGINT)
    # the interrupted training was not yet a quarter done
    _, error = run.communicate(timeout=60)
    assert run.returncode == 130
    assert (
        error.strip()
        == "bench: interrupted; what is finished is kept, and the same command goes on from here"
    )
    assert gone(run.pid)
    rows = list(csv.DictReader((tmp_path / "digits" / "runs.csv").read_text().splitlines()))
    assert {row["model"] for row in rows} == {"mean"}
    assert all(row["value"] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_when_their_parent_is_killed(tmp_path, how):
    run = started(tmp_path, "--jobs", "2", "--seeds", "2")
    assert len(members(run.pid)) >= 3
    os.kill(run.pid, how)
    run.communicate()
    assert gone(run.pid)


@pytest.mark.slow
def test_a_cell_that_takes_too_long_is_a_row_and_exit_code_one(tmp_path):
    done = bench(
        "run",
        "gan-ns",
        "mean",
        "--seeds",
        "1",
        "--samples",
        "150",
        "--timeout",
        "4",
        "--results",
        tmp_path,
        code=1,
    )
    assert "timeout: stopped after 4 s" in done.stdout
    rows = list(csv.DictReader((tmp_path / "digits" / "runs.csv").read_text().splitlines()))
    assert {(row["model"], row["status"].partition(":")[0]) for row in rows} == {
        ("gan-ns", "timeout"),
        ("mean", "ok"),
    }
