"""What is on the screen while a command works, on terminals of several widths?"""

import io
import re
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from flat import plan
from genmodel_bench.commands.bars import drawn, stroke
from genmodel_bench.commands.display import Display, cost, heard, line
from genmodel_bench.commands.remaining import Estimate, in_words
from genmodel_bench.execution.listener import Silent
from genmodel_bench.execution.messages import Notice, Outcome, Waiting
from genmodel_bench.storage.record import Record
from genmodel_bench.training.loop import Epoch, Progress
from genmodel_bench.training.selection import Check
from rich.console import Console, Group
from rich.text import Text

WIDTHS = [80, 120, 200]
BAR = r"[━─]{10,40}"


@pytest.fixture(scope="module")
def cells(digits):
    """Two seeds of a model whose name is long, and of a reference row."""
    options = ["gan-ns.epochs=40", "gan-ns.generator=256,256,256", "gan-ns.activations=relu,relu,relu"]
    return plan(digits, ["gan-ns", "mean"], seeds=2, options=options)


def row(cell, **columns):
    usual = {
        "metric": "parzen", "quantity": "log_likelihood", "value": 12.5, "stderr": 0.5, "unit": "nats",
        "stderr_over": "test examples", "n": 300, "samples": 150, "fit_seconds": 4.0, "score_seconds": 1.0,
    }  # fmt: skip
    return Record(cell.dataset, cell.model, seed=cell.seed, **{**usual, **columns})


def shown(display, width, height=24):
    """The lines that a terminal of this size shows."""
    file = io.StringIO()
    Console(file=file, force_terminal=True, width=width, height=height, color_system=None).print(display)
    return file.getvalue().splitlines()


def on_terminal(**settings):
    return Display(Console(file=io.StringIO(), force_terminal=True), **settings)


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.mark.parametrize("width", [50, *WIDTHS])
def test_bar_counter_and_estimate_are_whole_at_every_width(cells, width):
    display, clock = on_terminal(), Clock()
    display.estimate = Estimate(clock)
    display.planned(cells)
    for cell in cells[:2]:
        display.started(cell)
        display.news(cell, Progress("adversarial", 1000, 123_456))
    clock.seconds = 100.0
    for cell in cells[:2]:
        display.news(cell, Epoch("adversarial", 12, {}))
        display.news(cell, Check(10, 123.4))
        display.news(cell, Progress("adversarial", 5000, 123_456))
    lines = shown(display, width)
    assert max(len(line) for line in lines) <= width
    bars = [line for line in lines if re.search(rf" {BAR}  *5,000/123,456  *49 min left", line)]
    assert len(bars) == 2
    assert all(line.startswith("gan-ns (") for line in bars)
    assert any("epoch 12 of adversarial done; 123.4 nats" in line for line in lines)
    assert re.fullmatch(r"0 of 4 cells done, .*so far", lines[0]) or width < 80


def test_what_is_left_is_what_the_steps_so_far_say(cells):
    clock = Clock()
    estimate = Estimate(clock)
    estimate.planned(cells[:2])
    estimate.started(cells[0])
    clock.seconds = 10.0
    estimate.progress(cells[0], 100, 1100)  # a training that goes on from a checkpoint
    assert estimate.remaining() is None
    clock.seconds = 11.0
    estimate.progress(cells[0], 110, 1100)
    assert estimate.left_of(cells[0]) is None, "a second is no basis"
    clock.seconds = 30.0
    estimate.progress(cells[0], 300, 1100)
    assert estimate.left_of(cells[0]) == 80.0  # 200 steps in 20 s, 800 to go
    assert estimate.remaining().seconds == 80.0 + 110.0  # the other seed, from its start on
    assert not estimate.remaining().guessed


def test_finished_cells_say_what_their_seeds_take_and_cells_share_the_machine(cells, digits):
    clock = Clock()
    estimate, many = Estimate(clock), plan(digits, ["vae"], seeds=7)
    estimate.planned(many)
    estimate.started(many[0])
    estimate.started(many[1])
    clock.seconds = 20.0
    estimate.ended(many[0])
    clock.seconds = 40.0
    estimate.ended(many[1])
    assert estimate.remaining().seconds == 5 * 30.0 / 2  # the mean of 20 s and 40 s, two at once
    estimate.started(many[2])
    clock.seconds = 50.0
    assert estimate.remaining().seconds == (4 * 30.0 + 20.0) / 2
    for cell in many[2:]:
        estimate.ended(cell)
    assert estimate.remaining() is None


def test_a_model_without_a_basis_is_guessed_from_models_and_not_from_reference_rows(digits):
    clock = Clock()
    estimate, (mean, dbn, vae) = Estimate(clock), plan(digits, ["mean", "dbn", "vae"], seeds=1)
    estimate.planned([mean, dbn, vae])
    estimate.started(mean)
    clock.seconds = 5.0
    estimate.ended(mean)
    assert estimate.remaining() is None
    estimate.started(dbn)
    clock.seconds = 65.0
    estimate.ended(dbn)
    assert (estimate.remaining().seconds, estimate.remaining().guessed) == (60.0, True)


def test_reused_rows_are_a_basis_until_something_was_timed_here(digits):
    clock = Clock()
    estimate, cells = Estimate(clock), plan(digits, ["vae"], seeds=4)
    estimate.planned(cells)
    estimate.started(cells[0])  # as where cells run in this process
    estimate.ended(cells[0], reused=True, stored=90.0)
    assert estimate.remaining().seconds == 3 * 90.0
    estimate.started(cells[1])
    clock.seconds = 30.0
    estimate.ended(cells[1])
    assert estimate.remaining().seconds == 2 * 30.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (9.4, "9 s"), (12, "10 s"), (57, "55 s"), (58, "1 min"), (59 * 60, "59 min"),
     (3599, "1.0 h"), (9000, "2.5 h"), (47 * 3600, "47.0 h"), (3 * 86400, "3 d")],
)  # fmt: skip
def test_times_are_said_as_people_say_them(seconds, words):
    assert in_words(seconds) == words


def test_a_bar_is_as_long_as_it_should_be_and_full_at_the_end():
    bars = [stroke(done, 7, 40).plain for done in range(8)]
    assert {len(bar) for bar in bars} == {40}
    assert all(a.count("━") < b.count("━") for a, b in pairwise(bars))
    assert bars[0] == "─" * 40
    assert bars[7] == "━" * 40
    assert stroke(0, 0, 40).plain == "─" * 40


@pytest.mark.parametrize("width", [50, *WIDTHS])
def test_steps_without_cells_have_a_bar_until_something_else_is_done(width):
    display = on_terminal()
    display.step("scoring 10,000 samples with parzen", 2, 6)
    first, second = shown(display, width)
    assert first.startswith("scoring 10,000 samples with parzen, ")
    assert re.fullmatch(rf"steps {BAR} 2/6 *", second)
    assert len(second) <= width
    display.doing("writing tables")
    assert len(shown(display, width)) == 1


def test_no_bars_are_no_lines():
    assert drawn([], 80) == []


def test_the_table_gives_way_to_the_bars_on_a_low_terminal(cells):
    table = Group(*(Text(f"row {i}") for i in range(50)))
    display = on_terminal(table=lambda dataset, width: table)
    display.planned(cells)
    display.finished(cells[2], Outcome([row(cells[2])], reused=False))
    display.started(cells[0])
    display.news(cells[0], Progress("adversarial", 1, 2))
    lines = shown(display, 80, height=12)
    assert len(lines) <= 11  # the last line of a terminal is where the cursor stands
    assert lines[0] == "row 0"
    hidden = 50 - sum(line.startswith("row") for line in lines)
    assert f"… {hidden} more lines of the table come at the end" in lines
    assert "1/2" in lines[-1]


def test_many_cells_at_once_leave_room(digits):
    display, many = on_terminal(), plan(digits, ["vae"], seeds=100)
    display.planned(many)
    for cell in many:
        display.started(cell)
    assert len(shown(display, 80, height=24)) <= 12


def test_a_log_has_a_line_for_each_cell_and_says_how_many_are_left(cells):
    file = io.StringIO()
    with Display(Console(file=file, width=160)) as display:
        display.doing("loading digits")
        display.planned(cells)
        for cell in cells:
            display.started(cell)
            display.news(cell, Progress("adversarial", 1, 2))
            display.finished(cell, Outcome([row(cell)], reused=True))
        display.news(cells[0], Notice("no pictures of it"))
    lines = file.getvalue().splitlines()
    assert len(lines) == 5
    assert [re.search(r"\((\d) of 4 cells done", line)[1] for line in lines[:4]] == ["1", "2", "3", "4"]
    assert "about 5 s left" in lines[2]  # 4 s of training and 1 s of scoring are in its rows
    assert "left" not in lines[3]
    assert lines[4].endswith("seed 0: no pictures of it")


def test_what_does_not_apply_comes_last_and_hides_no_training(cells):
    absent = replace(row(cells[0], metric="nll", value=None), fit_seconds=None, score_seconds=None)
    absent = replace(absent, status="n/a: needs Density")
    outcome = Outcome([absent, row(cells[0])], reused=False)
    assert re.search(
        r"seed 0: parzen 12\.5 .*; nll n/a: needs Density \[trained in 4\.0 s\]", line(cells[0], outcome)
    )
    assert cost(outcome) == 5.0


def test_a_terminal_says_of_a_cell_its_first_score_and_what_went_wrong(cells):
    rows = [
        row(cells[0]),
        row(cells[0], metric="neighbours", quantity="nn_ratio", value=0.77),
        row(cells[0], metric="kid", quantity="kid", value=None, status="failed: no room"),
    ]
    display = on_terminal()
    display.finished(cells[0], Outcome(rows, reused=False))
    said = " ".join(display.console.file.getvalue().split())
    assert "12.5 nats" in said
    assert "kid failed: no room" in said
    assert "neighbours" not in said


def test_a_cell_that_waits_says_so_and_what_was_before_is_forgotten(cells):
    display = on_terminal()
    display.planned(cells)
    display.started(cells[0])
    display.news(cells[0], Waiting(over=False))
    assert "waits for another cell's training" in " ".join(shown(display, 200))
    display.news(cells[0], Waiting(over=True))
    assert "waits" not in " ".join(shown(display, 200))


def test_outside_of_ipython_a_run_without_a_listener_is_silent():
    assert "IPython" not in sys.modules or sys.modules["IPython"].get_ipython() is None
    with heard(None) as listener:
        assert type(listener) is Silent
    with heard(display := on_terminal()) as listener:
        assert listener is display


QUICK = ["--seeds", "2", "--samples", "150", "--device", "cpu", "--no-figures", "--set", "gan-ns.epochs=60"]
COUNTER = re.compile(rf"^gan-ns .* {BAR}  *([\d,]+)/([\d,]+)(  *\d+ (s|min) left)?")


def counters(lines):
    """The steps done of each cell whose bar is on the screen."""
    found = [COUNTER.match(line) for line in lines]
    return [int(match[1].replace(",", "")) for match in found if match and match[2] == "1,380"]


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "jobs"), [(80, 2), (120, 1), (200, 2)])
def test_on_a_real_terminal_the_bars_of_real_workers_move(tmp_path, columns, jobs):
    from screen import Screen  # here: the tests above need no terminal

    command = ["run", "gan-ns", *QUICK, "--jobs", jobs, "--results", tmp_path]
    with Screen(*command, columns=columns) as screen:
        screen.wait_for(lambda lines: "bench: loading torch …" in lines)
        first = screen.wait_for(lambda lines: len(counters(lines)) == jobs)
        before = counters(first)
        later = screen.wait_for(lambda lines: sum(counters(lines)) > sum(before))
        assert all(len(line) <= columns for line in later)
        screen.wait_for(lambda lines: any(re.match(r"\d of 2 cells done, about .* left", x) for x in lines))
        screen.wait_for(lambda lines: any(re.search(r"\d/1,380  *\d+ (s|min) left", x) for x in lines))
        screen.wait_for(lambda lines: any("nats ↑" in x for x in lines) and not counters(lines))
        while screen.read(1):
            pass
        end = screen.shown  # what came with the end is shown too
        assert screen.process.wait() == 0
    assert not any("cells done" in line or "━" in line for line in end)
    assert sum(line.startswith("digits gan-ns (epochs=60) seed") for line in end) == 2


@pytest.mark.slow
def test_a_notebook_shows_a_run_by_itself(tmp_path):
    manager = pytest.importorskip("jupyter_client.manager")
    code = "from genmodel_bench import run\nrun(['vae'], options=['vae.epochs=30'], seeds=1, figures=False, "
    code += f"results={str(tmp_path)!r}, device='cpu');"
    kernel, client = manager.start_new_kernel()
    texts = []

    def hear(message):
        if message["msg_type"] in ("display_data", "update_display_data"):
            texts.append(message["content"]["data"]["text/plain"])

    try:
        reply = client.execute_interactive(code, timeout=400, output_hook=hear)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok"
    steps = [int(found[1]) for text in texts if (found := re.search(r"elbo [━─]+ *(\d+)/690", text))]
    assert steps == sorted(set(steps))
    assert len(steps) >= 2
    assert "1 of 1 cells done" in texts[-1]
    assert "digits vae (epochs=30) seed 0: parzen" in texts[-1]
