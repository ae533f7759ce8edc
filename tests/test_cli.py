"""The command line, run as a user runs it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from genmodel_bench.data.registry import DATASETS
from genmodel_bench.metrics import METRICS
from genmodel_bench.models import MODELS, settings_for
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


def test_run_writes_the_tables_and_runs_again_from_the_cache(tmp_path, here):
    first = bench("run", "vae", "mean", *TINY, "--jobs", "1", "--figures", "--results", tmp_path)
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
    second = here("run", "vae", "mean", *TINY, "--results", tmp_path)
    assert second.stdout.count("[reused]") == 2
    assert (folder / "runs.csv").read_bytes() == rows

    dry = here("run", "vae", "mean", "gan-ns", *TINY, "--results", tmp_path, "--dry-run")
    assert [line.rpartition(": ")[2] for line in dry.stdout.splitlines()] == [
        "finished",
        "finished",
        "to be trained",
    ]

    before = {path: path.read_bytes() for path in folder.glob("table1.*")}
    for path in before:
        path.unlink()
    printed = here("report", "--results", tmp_path).stdout.splitlines()
    assert {Path(line) for line in printed} >= set(before)
    assert {path: path.read_bytes() for path in before} == before


def test_check_says_by_its_exit_code_what_it_found(tmp_path, here, copied):
    path = copied("vae", "mean", options=["vae.epochs=2"]).path
    again = ["check", "--baseline", path.parent, "--results", tmp_path]
    done = here(*again)
    assert "- all lines: indistinguishable, identical seed by seed" in done.stdout
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
    found = json.loads(here(*again, "--json", code=3).stdout)
    assert {v["line"]: v["finding"] for v in found} == {
        "vae (epochs=2), N = 150": "indistinguishable",
        "mean, N = 150": "regressed",
    }
    for row in rows:
        row["dataset_digest"] = "0123456789abcdef"
    rewrite()
    done = here(*again, code=4)
    assert "the content of the data set differs" in done.stdout
    assert "not found" in here("check", "--baseline", tmp_path / "nowhere", code=2).stderr


def test_score_prints_one_json_object(tmp_path, here):
    samples = np.random.default_rng(0).random((150, 64), dtype=np.float32)
    np.save(tmp_path / "noise.npy", samples)
    score = ["score", tmp_path / "noise.npy", "--dataset", "digits", "--results", tmp_path / "r"]
    score += ["--device", "cpu", "--no-figures"]
    found = json.loads(here(*score, "--json").stdout)
    assert set(found) == {"name", "dataset", "n", "seeds", "draws", "reused", "copies", "metrics"}
    assert (found["name"], found["dataset"], found["n"]) == ("noise", "digits", 150)
    assert {"value", "stderr", "sigma", "status"} <= set(found["metrics"]["parzen"])
    assert {"value", "exact_copies", "near_copies", "generated_median", "held_out_median"} <= set(
        found["metrics"]["neighbours"]
    )
    plain = here(*score)
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
        (["run", "vae", "--jobs", "0"], "--jobs: got 0, expected at least 1"),
        (["run", "vae", "--jobs", "two"], "run: Invalid value for '--jobs'"),
        (["run", "vae", "--epochs", "3"], "run: No such option: --epochs"),
        (["run", "vae", "--set", "vae.epochs=-1"], "vae: epochs: got -1, expected at least 1"),
        (["run", "vae", "--set", "vae.batch_size=0"], "vae: batch_size: got 0, expected at least 1"),
        (["run", "vae", "--set", "vae.lr=-1"], "vae: lr: got -1.0, expected above 0"),
        (["run", "vae", "--set", "vae.lr=nan"], "vae: lr: got 'nan', expected a finite number"),
        (["run", "vae", "--set", "vae.lr=inf"], "vae: lr: got 'inf', expected a finite number"),
        (["run", "vae", "--set", "vae.lr=1\n2"], "vae: lr: got '1\\n2', expected a value of type float"),
        (["run", "vae", "--set", "vae.lr=1e-3", "--set", "vae.lr=1"], "vae.lr is given twice"),
        (["run", "vae", "--seeds", "three"], "--seeds: got 'three', expected how many, as 3, or which"),
        (["run", "vae", "--seeds", "3,,7"], "--seeds: got '3,,7'"),
        (["run", "vae", "--seeds", "20240101"], "the one seed 20240101 is given as 20240101,"),
        (["run", "vae", "--metric", "parzn"], "unknown metric 'parzn'; did you mean 'parzen'?"),
        (["run", "vae", "--dry-run", "--set", "vae.lr=0"], "vae: lr: got 0.0, expected above 0"),
        (["why", "vae", "--set", "vae.lr=0.1,0.2"], "why: --set names 2 cells, expected one"),
        (["score", "absent.npy", "--dataset", "digits"], "absent.npy: no such file"),
        (["score"], "score: Missing argument"),
        (
            ["score", "a.npy", "--dataset", "digits", "--name", "vае"],
            "prints like the registered model 'vae'",
        ),
        (["score", "a.npy", "--dataset", "digits", "--name", "mine "], "expected no blanks at its ends"),
        (["score", "a.npy", "--dataset", "digits", "--as", "draw"], "score: Invalid value for '--as'"),
        (["remove", "vae"], "remove: no records under"),
        (["merge", "absent"], "merge: no records under absent"),
        (["report"], "no records under"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(args, message, tmp_path, typed):
    code, out, err = typed(*args, "--results", tmp_path / "r")
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("bench: ")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["rum"], "bench: No such command 'rum'"),
        (["--sed"], "bench: No such option: --sed"),
        (["list", "model"], "bench: list: Invalid value for"),
        (["list", "metrics", "--dataset", "digits"], "bench: list: --dataset: got metrics, expected models"),
        (["list", "models", "--dataset", "mnst"], "bench: unknown data set 'mnst'; did you mean 'mnist'?"),
    ],
)
def test_what_cannot_be_understood_is_one_line(args, message, typed):
    code, out, err = typed(*args)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(message)


def test_a_mistake_is_one_line_for_a_user_too(tmp_path):
    done = bench("run", "vae", "--jobs", "0", "--results", tmp_path / "r", code=2)
    assert done.stderr.startswith("bench: --jobs: got 0")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("command", [[], ["run"], ["score"], ["check"], ["list"]])
def test_help_has_a_short_name_everywhere(command, typed):
    code, short, _ = typed(*command, "-h")
    assert code == 0
    assert "Usage: bench" in short
    assert typed(*command, "--help") == (0, short, "")


def test_without_arguments_there_is_help(typed):
    assert typed() == typed("--help")


def test_the_version_is_that_of_the_package(typed):
    from importlib.metadata import version

    assert typed("--version") == (0, f"genmodel-bench {version('genmodel-bench')}\n", "")


def test_a_shell_is_told_how_words_go_on():
    words = {"COMP_WORDS": "bench run --se", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "bench"], capture_output=True, text=True, cwd=ROOT, check=False,
        env={**os.environ, "_BENCH_COMPLETE": "complete_bash", **words},
    )  # fmt: skip
    assert {"--seeds", "--set"} == set(done.stdout.split())


def test_sweeps_seeds_and_metrics_are_planned_as_asked_for(tmp_path, typed):
    asked = ["--seeds", "3,7", "--set", "vae.lr=1e-2,1e-4", "--set", "vae.hidden=(16,),(8,8)"]
    code, out, _ = typed("run", "vae", "mean", *asked, "--dry-run", "--results", tmp_path)
    names = [line.partition("digits ")[2] for line in out.splitlines()]
    lines = [f"vae (hidden={hidden}, lr={lr})" for lr in ("0.01", "0.0001") for hidden in ("(16,)", "(8, 8)")]
    assert code == 0
    assert names == [f"{line} seed {seed}: to be trained" for line in [*lines, "mean"] for seed in (3, 7)]


def test_a_metric_that_is_asked_for_is_computed_alone(tmp_path, typed):
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).random((150, 64), dtype=np.float32))
    score = ["score", tmp_path / "noise.npy", "--dataset", "digits", "--json", "--no-figures"]
    code, out, err = typed(*score, "--metric", "parzen", "--results", tmp_path / "r")
    assert (code, set(json.loads(out)["metrics"]), err) == (0, {"parzen"}, "")


def test_a_diverged_row_is_exit_code_one(tmp_path, here):
    done = here("run", "vae", *TINY, "--set", "vae.lr=1e30", "--results", tmp_path, code=1)
    assert "diverged" in done.stdout


def test_list_names_every_entry(typed):
    def names(kind):
        return [line.split()[0] for line in typed("list", kind)[1].splitlines() if line[0] != " "]

    assert names("models") == list(MODELS)
    assert names("metrics") == list(METRICS)
    forms = {"npz:PATH", "folder:PATH", "torchvision:CLASS", "hf:NAME"}
    assert {*DATASETS, *forms} <= set(names("datasets"))


@pytest.mark.parametrize("dataset", ["digits", "cifar10", "folder:somewhere"])
def test_list_says_what_would_run_on_a_data_set_and_with_which_settings(dataset, typed):
    blocks = {}
    for line in typed("list", "models", "--dataset", dataset)[1].splitlines():
        if line[0] != " ":
            name = line.split()[0]
            blocks[name] = {"": line}
        else:
            key, value = line.strip().split(" = ")
            blocks[name][key] = value
    assert list(blocks) == list(MODELS)
    for name, settings in blocks.items():
        usual, there = (asdict(config) for config in (MODELS[name], settings_for(name, dataset)))
        assert set(settings) - {""} == set(usual)
        for key in usual:
            instead = f" (usually {usual[key]})" if usual[key] != there[key] else ""
            assert settings[key] == f"{there[key]}{instead}"
    left_out = [name for name, block in blocks.items() if block[""].endswith("alone]")]
    assert left_out == [
        name for name, usual in MODELS.items() if dataset not in getattr(usual, "ONLY", (dataset,))
    ]


def test_help_imports_no_torch():
    # The start-up time is a benchmark; what keeps it short is tested here.
    code = (
        "import sys; sys.argv = ['bench', '--help']\n"
        "try:\n    from genmodel_bench.cli.main import main; main()\nexcept SystemExit: pass\n"
    )
    code += "assert not {'torch', 'pandas', 'scipy', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)


def test_folders_that_cannot_be_are_one_line(tmp_path, here):
    (tmp_path / "file").write_text("")
    for command in (["run", "mean"], ["score", "pyproject.toml", "--dataset", "digits"]):
        done = here(*command, "--results", tmp_path / "file", code=2)
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
        "--jobs",
        "1",
        "--no-figures",
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
@pytest.mark.parametrize(("how", "jobs"), [(signal.SIGKILL, 2), (signal.SIGTERM, 1)])
def test_workers_end_when_their_parent_is_killed(tmp_path, how, jobs):
    run = started(tmp_path, "--jobs", str(jobs), "--seeds", "2")
    assert len(members(run.pid)) > jobs
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
        "--no-figures",
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
