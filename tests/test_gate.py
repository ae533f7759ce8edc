"""Does the gate see what is slower, and only that? Runs are simulated, not timed."""

import json
import math

import numpy as np
import pytest

from benchmarks import gate
from benchmarks.kept import Measured, Run

KIND = "A processor, AVX2, 2 threads"
NAMES = [f"test_x.py::test_{i}" for i in range(40)]
BETWEEN = dict(zip(NAMES, np.linspace(0.01, 0.03, len(NAMES)), strict=True))
"""The spread between runs: some benchmarks are noisier than others."""
ROUNDS, RUNS, TRIALS = 9, 5, 200


def noisy_ratios(rng, centre, *, between):
    """Ratios of the rounds around a run's own level.

    Student's t with 3 degrees of freedom times 2.5 %; one round in ten takes up to three
    times as long.
    """
    level = math.log(centre) + between * rng.standard_normal()
    rounds = level + 0.025 * rng.standard_t(3, ROUNDS)
    return np.exp(rounds + rng.uniform(0, math.log(3), ROUNDS) * (rng.random(ROUNDS) < 0.1)).tolist()


def run_of(ratios, **place):
    where = {"kind": KIND, "quick": False, "part": False, "commit": "c", "date": "d"} | place
    return Run(where, {name: Measured(name, "one thing / another", r, {}) for name, r in ratios.items()})


def simulated(rng, factor=1.0, noise=1.0):
    return run_of({name: noisy_ratios(rng, 1.5 * factor, between=noise * BETWEEN[name]) for name in NAMES})


def stored_runs(rng, runs=RUNS, noise=1.0):
    stored = {}
    for _ in range(runs):
        stored = gate.store(stored, simulated(rng, noise=noise), [])
    return stored[KIND]


@pytest.mark.parametrize("runs", [1, RUNS])
def test_noise_raises_a_false_alarm_in_at_most_one_run_of_a_hundred(runs):
    """A run has 40 benchmarks; if any of them is called slower, it is a false alarm."""
    rng = np.random.default_rng(0)
    alarms = sum(
        gate.exit_code(gate.compare(stored_runs(rng, runs), simulated(rng))) == 3 for _ in range(TRIALS)
    )
    assert alarms <= 0.01 * TRIALS


def test_a_slowdown_of_30_percent_is_caught_in_99_of_100():
    rng = np.random.default_rng(1)
    verdicts = [v for _ in range(50) for v in gate.compare(stored_runs(rng), simulated(rng, 1.3))]
    assert sum(v.finding == "slower" for v in verdicts) >= 0.99 * len(verdicts)


def test_a_noisier_machine_has_wider_limits():
    rng = np.random.default_rng(2)
    quiet, noisy = (
        np.median([v.limit for v in gate.compare(stored_runs(rng, noise=noise), simulated(rng))])
        for noise in (1, 5)
    )
    assert noisy > quiet + 0.1


def test_faster_is_said_and_is_no_failure():
    rng = np.random.default_rng(3)
    verdicts = gate.compare(stored_runs(rng), simulated(rng, 1 / 2))
    assert {v.finding for v in verdicts} == {"faster"} and gate.exit_code(verdicts) == 0


def test_a_change_under_five_percent_never_counts():
    exact = {name: [1.0] * ROUNDS for name in NAMES}
    stored = gate.store({}, run_of(exact), [])[KIND]
    stored = {name: entries * 5 for name, entries in stored.items()}
    verdicts = gate.compare(stored, run_of({name: [1.049] * ROUNDS for name in NAMES}))
    assert {v.finding for v in verdicts} == {"unchanged"}


def test_new_missing_and_another_comparison_are_told_apart():
    stored = gate.store({}, run_of({"a": [1.0, 1.1], "gone": [1.0, 1.0], "other": [1.0, 1.0]}), [])[KIND]
    stored["other"][0]["what"] = "of another size"
    verdicts = gate.compare(stored, run_of({"a": [1.0, 1.1], "b": [2.0, 2.1], "other": [1.0, 1.0]}))
    assert {v.name: v.finding for v in verdicts} == {
        "a": "unchanged",
        "b": "new",
        "gone": "missing",
        "other": "not comparable",
    }
    assert gate.exit_code(verdicts) == 4


def test_what_moved_begins_anew_and_ten_runs_are_kept():
    stored = {}
    for _ in range(12):
        stored = gate.store(stored, run_of({"a": [1.0, 1.0], "b": [1.0, 1.0]}), [])
    run = run_of({"a": [2.0, 2.0], "b": [1.0, 1.0]})
    stored = gate.store(stored, run, gate.compare(stored[KIND], run))
    assert {name: len(entries) for name, entries in stored[KIND].items()} == {"a": 1, "b": 10}


def as_json(run):
    """A run as pytest-benchmark writes it."""
    info = {"ours": "f", "other": "g", "size": "1", "threads": 2}
    found = [(m.name, info | {"ratios": m.ratios}) for m in run.benchmarks.values()]
    benchmarks = [
        {"name": name, "fullname": f"benchmarks/{name}", "extra_info": extra} for name, extra in found
    ]
    return json.dumps({"machine_info": run.place, "benchmarks": benchmarks})


@pytest.fixture
def command(tmp_path, capsys):
    """The gate's command: its exit code and output for a run, or for a file's text."""

    def call(run, *options):
        path = tmp_path / "new.json"
        path.write_text(run if isinstance(run, str) else as_json(run))
        code = gate.main([str(path), "--stored", str(tmp_path / "ratios.json"), *options])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


def test_the_command_stores_and_then_compares(command):
    run = run_of({"test_x.py::test_a": [1.0, 1.01, 1.02]})
    assert command(run)[0] == 4
    assert command(run, "--store")[0] == 4
    assert command(run)[0] == 0
    code, printed = command(run_of({"test_x.py::test_a": [1.6, 1.61, 1.62]}))
    assert code == 3 and printed.startswith("slower")


def test_a_run_that_would_not_show_a_third_more_says_so(command):
    command(run_of({"a": [1.0, 1.0]}), "--store")
    assert "so noisy" not in command(run_of({"a": [1.0, 1.01, 0.99]}))[1]
    assert "1 of them were so noisy" in command(run_of({"a": [0.5, 1.0, 2.0]}))[1]


def test_another_machine_is_not_compared(command):
    run = run_of({"a": [1.0, 1.0]})
    command(run, "--store")
    code, printed = command(run_of({"a": [9.0, 9.0]}, kind="Another processor"))
    assert code == 4 and "no run is stored for Another processor" in printed


def test_a_quick_run_is_neither_compared_nor_stored(command, tmp_path):
    code, printed = command(run_of({"a": [1.0, 1.0]}, quick=True), "--store")
    assert code == 0 and "nothing is compared" in printed and not (tmp_path / "ratios.json").exists()


HALF = (
    '{"machine_info": {"kind": "x", "quick": false, "part": false}, "benchmarks": [{"extra_info": {"a": 1}}]}'
)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", HALF])
def test_a_file_that_is_no_run_is_one_clear_line(command, text):
    code, printed = command(text)
    assert code == 2 and printed.count("\n") == 1 and "new.json" in printed


@pytest.mark.parametrize("text", ["{", "[1]", '{"x": {"a": [{"ratio": -1}]}}', '{"x": {"a": []}}'])
def test_corrupted_stored_ratios_are_one_clear_line(command, tmp_path, text):
    (tmp_path / "ratios.json").write_text(text)
    code, printed = command(run_of({"a": [1.0, 1.0]}))
    assert code == 2 and printed.count("\n") == 1 and "ratios.json" in printed
