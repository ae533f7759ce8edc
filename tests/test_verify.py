"""Artefacts that were changed or swapped, and rows that say something else than they hold, are found."""

import os
from dataclasses import replace

import pytest
import torch

from bench import BenchError
from bench.origin import same_cell
from bench.pipeline import run
from bench.scoring import score
from bench.store import Store, read_results, to_csv
from bench.verify import verify


def quick(results, seeds=2):
    options = ["vae.epochs=2", "vae.hidden=16"]
    run(["vae", "mean"], results=results, device="cpu", seeds=seeds, samples=150, draws=2, options=options, figures=False)
    return Store(results, "digits")


def found(results, **kwargs):
    findings = list(verify(results, **{"cells": 0, "device": "cpu", **kwargs}))
    return [f"{f.what}: {f.text}" for f in findings if not f.good], [f"{f.what}: {f.text}" for f in findings if f.good]


def test_what_was_left_alone_is_good_and_random_cells_come_out_the_same(tmp_path):
    quick(tmp_path)
    bad, good = found(tmp_path, cells=4)
    assert bad == []
    assert good[1] == "rows: 28 are as they were made; of 28 of them the scores are there and say the same"
    assert sum("made again: 7 values equal to the last bit" in line for line in good) == 4
    assert found(tmp_path, cells=1, seed=3)[1] == found(tmp_path, cells=1, seed=3)[1]


def swapped(a, b):
    a.rename(a.with_name("aside"))
    b.rename(a)
    a.with_name("aside").rename(b)


@pytest.mark.parametrize("pattern", ["fits/*/*.pt", "fits/*/epoch-00002.safetensors", "fits/*", "samples/*-0.safetensors", "scores/*"])
def test_swapping_two_artefacts_is_found(tmp_path, pattern):
    store = quick(tmp_path)
    a, b, *_ = sorted(path for path in store.cache.glob(pattern) if path.suffix != ".lock")
    swapped(a, b)
    bad, _ = found(tmp_path)
    assert sum("belongs to" in line for line in bad) >= 2


@pytest.mark.parametrize("pattern", ["fits/*/*.pt", "fits/*/epoch-00001.safetensors", "samples/*-1.safetensors", "scores/*"])
@pytest.mark.parametrize("change", ["a bit", "the end"])
def test_a_changed_byte_is_found(tmp_path, pattern, change):
    store = quick(tmp_path, seeds=1)
    path, *_ = sorted(store.cache.glob(pattern))
    content = bytearray(path.read_bytes())
    if change == "a bit":
        content[-5] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(content[:-7])
    bad, _ = found(tmp_path)
    assert len(bad) == 1
    assert bad[0].startswith(str(path.relative_to(store.cache)))


EDITS = [
    {"value": 999.0},
    {"stderr": 1e-9},
    {"n": 10**6},
    {"draw_sd": 1e-9},
    {"status": "ok "},
    {"metric_settings": '{"sigma": 1.0}'},
    {"recipe": "old"},
    {"role": "samples"},
    {"score_key": "none"},
    {"weights": "0123456789abcdef"},
    {"fit_seconds": 1e-9},
    {"versions": "better"},
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: next(iter(edit)))
@pytest.mark.parametrize("quantity", ["log_likelihood", "ratio"])
def test_a_row_that_was_edited_is_found_and_not_served(tmp_path, edit, quantity):
    store = quick(tmp_path, seeds=1)
    rows = store.records()
    k = next(i for i, r in enumerate(rows) if r.model == "vae" and r.quantity == quantity)
    store.path.write_text(to_csv([*rows[:k], replace(rows[k], **edit), *rows[k + 1 :]]))
    bad, good = found(tmp_path)
    assert len(bad) == 1
    assert "was edited since it was made" in bad[0]
    assert "rows: 13 are as they were made" in good[1]
    measured = {"value", "stderr", "n", "draw_sd", "status", "metric_settings"}
    assert ("what was kept with its arrays is" in bad[0]) == bool(measured & edit.keys())
    # a seal that was made for the edit is one too
    store.path.write_text(to_csv([*rows[:k], replace(rows[k], **edit).sealed(), *rows[k + 1 :]]))
    assert bool(found(tmp_path)[0]) == bool({*measured, "weights"} & edit.keys())

    store.path.write_text(to_csv([*rows[:k], replace(rows[k], **edit), *rows[k + 1 :]]))
    quick(tmp_path, seeds=1)
    now = [r for r in store.records() if (r.model, r.quantity) == ("vae", quantity)]
    assert [(r.value, r.stderr, r.n, r.role) for r in now] == [(rows[k].value, rows[k].stderr, rows[k].n, "model")]
    assert found(tmp_path)[0] == []


def test_without_artefacts_making_a_cell_again_tells(tmp_path):
    store = quick(tmp_path)
    rows = store.records()
    k = next(i for i, r in enumerate(rows) if r.quantity == "exact_copies")
    store.path.write_text(to_csv([*rows[:k], replace(rows[k], value=0.01).sealed(), *rows[k + 1 :]]))
    os.rename(store.cache, tmp_path / "moved")
    bad, good = found(tmp_path, cells=4)
    assert len(bad) == 1
    assert "made again, exact_copies is" in bad[0]
    assert "rows: 28 are as they were made; of 0 of them the scores are there and say the same" in good


def test_checks_that_were_edited_are_found_and_made_again(tmp_path):
    store = quick(tmp_path, seeds=1)
    (path,) = (store.cache / "checks").iterdir()
    whole = path.read_text()
    path.write_text(whole.replace('"1": -', '"1": 1'))
    assert path.read_text() != whole
    assert found(tmp_path)[0] == [f"checks/{path.name}: was changed since it was written, or belongs to another fit"]
    run(
        ["vae"], results=tmp_path, device="cpu", seeds=1, samples=150, draws=2, options=["vae.epochs=2", "vae.hidden=16"], checkpoint="best"
    )
    assert sorted(path.read_text()) == sorted(whole)


def test_samples_of_users_are_compared_too(tmp_path):
    score(torch.rand(150, 64), dataset="digits", name="mine", results=tmp_path, device="cpu", figures=False)
    store = Store(tmp_path, "digits")
    assert found(tmp_path)[0] == []
    store.path.write_text(to_csv([replace(r, value=999.0).sealed() for r in store.records()]))
    assert len(found(tmp_path)[0]) == 7


def test_files_that_nobody_knows_are_left_alone(tmp_path):
    store = quick(tmp_path, seeds=1)
    (folder,) = store.cache.glob("fits/*/")
    (folder / "notes.txt").write_text("mine")
    assert found(tmp_path)[0] == []
    (folder / "mine.safetensors").write_bytes(b"")
    assert len(found(tmp_path)[0]) == 1


def test_a_row_of_other_weights_is_found(tmp_path):
    store = quick(tmp_path)
    rows = store.records()
    store.path.write_text(
        to_csv([replace(r, weights="0123456789abcdef").sealed() if r.model == "vae" and r.seed == 1 else r for r in rows])
    )
    bad, _ = found(tmp_path)
    assert len(bad) == 7
    assert all("are not those of the row" in line and "come from other weights" in line for line in bad)


def test_lines_of_other_code_are_named_and_not_judged(tmp_path):
    store = quick(tmp_path)
    store.path.write_text(to_csv([replace(r, recipe="old").sealed() if r.model == "vae" else r for r in store.records()]))
    bad, good = found(tmp_path, cells=4)
    assert bad == []
    assert "rows: weights not compared, for today's code and settings make other ones: vae (hidden=(16,), epochs=2, draws=2)" in good
    assert sum("made again" in line for line in good) == 2


def test_cells_that_take_long_are_not_made_again(tmp_path):
    quick(tmp_path)
    _, good = found(tmp_path, cells=2, within=0.0)
    assert good[-1] == "cells: none made again: none of today's code was trained within 0 s"


def test_a_data_set_that_is_not_at_hand_leaves_the_others(tmp_path):
    quick(tmp_path, seeds=1)
    row = next(r for r in Store(tmp_path, "digits").records() if r.model == "mean")
    cell = replace(same_cell(row), dataset="tfd")
    gone = replace(row, dataset="tfd", cell=cell.id, recipe=cell.recipe).sealed()
    Store(tmp_path, "tfd").append([gone])
    bad, good = found(tmp_path, cells=3, data=tmp_path)
    assert bad == []
    assert sum(line.startswith("tfd: no cell made again: tfd: TFD_48x48.mat or") for line in good) == 1
    assert sum("made again: 7 values" in line for line in good) == 2


def test_nothing_to_verify_is_one_line(tmp_path):
    with pytest.raises(BenchError, match="no records and no artefacts under"):
        list(verify(tmp_path))
    assert read_results(tmp_path) == []
