"""Artefacts that were changed or swapped, and rows that say something else than they hold, are found."""

import os
from dataclasses import replace

import pytest

from bench import BenchError
from bench.pipeline import run
from bench.store import Store, read_results, to_csv
from bench.verify import verify


def quick(results, seeds=2):
    options = ["vae.epochs=2", "vae.hidden=16"]
    run(["vae", "mean"], results=results, device="cpu", seeds=seeds, samples=150, draws=2, options=options)
    return Store(results, "digits")


def found(results, **kwargs):
    findings = list(verify(results, **{"cells": 0, "device": "cpu", **kwargs}))
    return [f"{f.what}: {f.text}" for f in findings if not f.good], [f"{f.what}: {f.text}" for f in findings if f.good]


def test_what_was_left_alone_is_good_and_random_cells_come_out_the_same(tmp_path):
    quick(tmp_path)
    bad, good = found(tmp_path, cells=4)
    assert bad == []
    assert good[1] == "rows: 28 agree with the artefacts that are there"
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


def test_a_row_that_was_edited_is_found(tmp_path):
    store = quick(tmp_path)
    rows = store.records()
    k = next(i for i, r in enumerate(rows) if r.quantity == "log_likelihood")
    store.path.write_text(to_csv([*rows[:k], replace(rows[k], value=rows[k].value + 0.01), *rows[k + 1 :]]))
    bad, good = found(tmp_path)
    assert len(bad) == 1
    assert "the stored log-likelihoods of the images have the mean" in bad[0]
    assert "rows: 27 agree" in good[1]
    # without artefacts only making the cell again tells
    os.rename(store.cache, tmp_path / "moved")
    bad, _ = found(tmp_path, cells=4)
    assert len(bad) == 1
    assert "made again, log_likelihood is" in bad[0]


def test_a_row_of_other_weights_is_found(tmp_path):
    store = quick(tmp_path)
    rows = store.records()
    store.path.write_text(to_csv([replace(r, weights="0123456789abcdef") if r.model == "vae" and r.seed == 1 else r for r in rows]))
    bad, _ = found(tmp_path)
    assert len(bad) == 7
    assert all("are not those of the row" in line and "come from other weights" in line for line in bad)


def test_lines_of_other_code_are_named_and_not_judged(tmp_path):
    store = quick(tmp_path)
    store.path.write_text(to_csv([replace(r, recipe="old") if r.model == "vae" else r for r in store.records()]))
    bad, good = found(tmp_path, cells=4)
    assert bad == []
    assert "rows: not compared, for other code made them than there is now: vae (hidden=(16,), epochs=2, draws=2)" in good
    assert sum("made again" in line for line in good) == 2


def test_cells_that_take_long_are_not_made_again(tmp_path):
    quick(tmp_path)
    _, good = found(tmp_path, cells=2, within=0.0)
    assert good[-1] == "cells: none made again: none of today's code was trained within 0 s"


def test_nothing_to_verify_is_one_line(tmp_path):
    with pytest.raises(BenchError, match="no records and no artefacts under"):
        list(verify(tmp_path))
    assert read_results(tmp_path) == []
