"""Artefacts that were changed or swapped are found, and rows that do not fit them."""

import itertools
import json
import os
import shutil
from collections import Counter
from dataclasses import replace

import pytest
import torch
from conftest import QUICK
from flat import run
from genmodel_bench import BenchError
from genmodel_bench.cells.recorded import same_cell
from genmodel_bench.commands.report import report
from genmodel_bench.commands.score import score
from genmodel_bench.commands.verify import verify, within_noise
from genmodel_bench.metrics import METRICS
from genmodel_bench.storage.ingredients import Vouched
from genmodel_bench.storage.record import to_csv
from genmodel_bench.storage.store import Store, read_results
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from test_report import parzen

SETTINGS = {"draws": 2, "options": ["vae.epochs=2", "vae.hidden=16"]}


@pytest.fixture
def quick(copied):
    """A function that fills the test's folder with a run of so many seeds."""
    return lambda seeds=2: copied("vae", "mean", seeds=seeds, **SETTINGS)


@pytest.fixture
def drawn(copied):
    """Fills the test's folder with a run of one seed and all its figures."""
    return copied("vae", "mean", figures=True, **SETTINGS)


def run_again(results):
    run(["vae", "mean"], results=results, **QUICK, **SETTINGS)


PRINTED = "; `bench report` makes it anew"
"""The end of findings about tables and figures, which have tests of their own."""


def other_code(record):
    """The row as if made by other code of its model, sealed."""
    parts = json.loads(record.ingredients)
    parts["fit"]["code of the model"] = {"models.old": "0" * 16}
    return replace(record, ingredients=json.dumps(parts)).sealed()


def found(results, **kwargs):
    findings = list(verify(results, **{"cells": 0, "device": "cpu", **kwargs}))
    bad = [f"{f.what}: {f.text}" for f in findings if not f.good]
    return [text for text in bad if PRINTED not in text], [f"{f.what}: {f.text}" for f in findings if f.good]


def test_what_was_left_alone_is_good_and_random_cells_come_out_the_same(tmp_path, quick):
    rows = quick().records()
    bad, good = found(tmp_path, cells=4)
    assert bad == []
    assert good[1] == said_of(rows)
    assert made_again(good, rows) == 4
    assert found(tmp_path, cells=1, seed=3)[1] == found(tmp_path, cells=1, seed=3)[1]


def said_of(rows, compared=None):
    """What is said where all rows are good; with as many scores as have a value."""
    compared = sum(r.value is not None for r in rows) if compared is None else compared
    said = f"of {compared} of them the scores are there and say the same"
    return f"rows: {len(rows)} are as they were made; {said}"


def made_again(good, rows):
    """How many cells were made again, each with all of its values."""
    values = Counter(r.model for r in rows if r.seed == 0)
    return sum(
        f"digits {model} " in line and f"made again: {n} values equal to the last bit" in line
        for model, n in values.items()
        for line in good
    )


def swapped(a, b):
    a.rename(a.with_name("aside"))
    b.rename(a)
    a.with_name("aside").rename(b)


@pytest.mark.parametrize(
    "pattern",
    ["fits/*/*.pt", "fits/*/epoch-00002.safetensors", "fits/*", "samples/*-0.safetensors", "scores/*"],
)
def test_swapping_two_artefacts_is_found(tmp_path, pattern, quick):
    store = quick()
    a, b, *_ = sorted(path for path in store.cache.glob(pattern) if path.suffix != ".lock")
    swapped(a, b)
    bad, _ = found(tmp_path)
    assert sum("belongs to" in line for line in bad) >= 2


@pytest.mark.parametrize(
    "pattern", ["fits/*/*.pt", "fits/*/epoch-00001.safetensors", "samples/*-1.safetensors", "scores/*"]
)
@pytest.mark.parametrize("change", ["a bit", "the end"])
def test_a_changed_byte_is_found(tmp_path, pattern, change, quick):
    store = quick(seeds=1)
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
    {"trace": "[]"},
    {"role": "samples"},
    {"score_key": "none"},
    {"weights": "0123456789abcdef"},
    {"fit_seconds": 1e-9},
    {"versions": "better"},
]


QUANTITIES = ["log_likelihood", "ratio"]


@pytest.mark.parametrize(
    ("edit", "quantity"),
    [*zip(EDITS, itertools.cycle(QUANTITIES)), (EDITS[0], QUANTITIES[1])],  # as many as edits
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_row_that_was_edited_is_found_and_not_served(tmp_path, edit, quantity, quick):
    store = quick(seeds=1)
    rows = store.records()
    k = next(i for i, r in enumerate(rows) if r.model == "vae" and r.quantity == quantity)
    store.path.write_text(to_csv([*rows[:k], replace(rows[k], **edit), *rows[k + 1 :]]))
    bad, good = found(tmp_path)
    assert len(bad) == 1
    assert "was edited since it was made" in bad[0]
    assert f"rows: {len(rows) - 1} are as they were made" in good[1]
    measured = {"value", "stderr", "n", "draw_sd", "status", "metric_settings"}
    assert ("what was kept with its arrays is" in bad[0]) == bool(measured & edit.keys())
    # the same edits under a valid seal
    store.path.write_text(to_csv([*rows[:k], replace(rows[k], **edit).sealed(), *rows[k + 1 :]]))
    assert bool(found(tmp_path)[0]) == bool({*measured, "weights"} & edit.keys())

    store.path.write_text(to_csv([*rows[:k], replace(rows[k], **edit), *rows[k + 1 :]]))
    run_again(tmp_path)
    now = [r for r in store.records() if (r.model, r.quantity) == ("vae", quantity)]
    assert [(r.value, r.stderr, r.n, r.role) for r in now] == [
        (rows[k].value, rows[k].stderr, rows[k].n, "model")
    ]
    assert found(tmp_path)[0] == []


def test_without_artefacts_making_a_cell_again_tells(tmp_path, quick):
    store = quick()
    rows = store.records()
    k = next(i for i, r in enumerate(rows) if r.quantity == "exact_copies")
    store.path.write_text(to_csv([*rows[:k], replace(rows[k], value=0.01).sealed(), *rows[k + 1 :]]))
    os.rename(store.cache, tmp_path / "moved")
    bad, good = found(tmp_path, cells=4)
    assert len(bad) == 1
    assert "made again, exact_copies is" in bad[0]
    assert said_of(rows, compared=0) in good


def test_checks_that_were_edited_are_found_and_made_again(tmp_path, quick):
    store = quick(seeds=1)
    (path,) = (store.cache / "checks").iterdir()
    whole = path.read_text()
    path.write_text(whole.replace('"1": -', '"1": 1'))
    assert path.read_text() != whole
    assert found(tmp_path)[0] == [
        f"checks/{path.name}: was changed since it was written, or belongs to another fit"
    ]
    run(
        ["vae"],
        results=tmp_path,
        device="cpu",
        seeds=1,
        samples=150,
        draws=2,
        options=["vae.epochs=2", "vae.hidden=16"],
        checkpoint="best",
        figures=False,
    )
    assert sorted(path.read_text()) == sorted(whole)


def test_samples_of_users_are_compared_too(tmp_path):
    score(torch.rand(150, 64), dataset="digits", name="mine", results=tmp_path, device="cpu", figures=False)
    store = Store(tmp_path, "digits")
    assert found(tmp_path)[0] == []
    rows = store.records()
    store.path.write_text(to_csv([replace(r, value=999.0).sealed() for r in rows]))
    assert len(found(tmp_path)[0]) == len(rows)


def test_files_that_nobody_knows_are_left_alone(tmp_path, quick):
    store = quick(seeds=1)
    (folder,) = store.cache.glob("fits/*/")
    (folder / "notes.txt").write_text("mine")
    assert found(tmp_path)[0] == []
    (folder / "mine.safetensors").write_bytes(b"")
    assert len(found(tmp_path)[0]) == 1


def test_a_row_of_other_weights_is_found(tmp_path, quick):
    store = quick()
    rows = store.records()
    store.path.write_text(
        to_csv(
            [
                replace(r, weights="0123456789abcdef").sealed() if r.model == "vae" and r.seed == 1 else r
                for r in rows
            ]
        )
    )
    bad, _ = found(tmp_path)
    assert len(bad) == sum((r.model, r.seed) == ("vae", 1) for r in rows)
    assert all("are not those of the row" in line and "come from other weights" in line for line in bad)


def test_lines_of_other_code_are_named_and_not_judged(tmp_path, quick):
    store = quick()
    store.path.write_text(to_csv([other_code(r) if r.model == "vae" else r for r in store.records()]))
    bad, good = found(tmp_path, cells=4)
    assert bad == []
    assert (
        "rows: weights not compared, for today's code and settings make other ones: "
        "vae (hidden=(16,), epochs=2, draws=2)"
    ) in good
    assert sum("made again" in line for line in good) == 2


def test_cells_that_take_long_are_not_made_again(tmp_path, quick):
    quick()
    _, good = found(tmp_path, cells=2, within=0.0)
    assert good[-1] == "cells: none made again: none of today's code was trained within 0 s"


def test_a_data_set_that_is_not_at_hand_leaves_the_others(tmp_path, quick):
    rows = quick(seeds=1).records()
    row = next(r for r in rows if r.model == "mean")
    cell = replace(same_cell(row, Vouched()), dataset="tfd")
    ingredients = json.dumps(cell.ingredients(row.metric, METRICS[row.metric]), default=str)
    gone = replace(row, dataset="tfd", cell=cell.id, ingredients=ingredients).sealed()
    Store(tmp_path, "tfd").append([gone])
    bad, good = found(tmp_path, cells=3, data=tmp_path)
    assert bad == []
    assert sum(line.startswith("tfd: no cell made again: tfd: TFD_48x48.mat or") for line in good) == 1
    assert made_again(good, rows) == 2


def test_nothing_to_verify_is_one_line(tmp_path):
    with pytest.raises(BenchError, match="no records and no artefacts under"):
        list(verify(tmp_path))
    assert read_results(tmp_path) == []


def said_of_printed(results):
    return [f"{f.what}: {f.text}" for f in verify(results, cells=0, device="cpu") if PRINTED in f.text]


def test_tables_figures_and_page_are_made_again_and_compared(tmp_path, drawn):
    assert said_of_printed(tmp_path) == []
    table, view, page, figure, examples = (
        tmp_path / "digits" / name
        for name in (
            *("table1.md", "memorisation.tex", "report.html", "figures/samples-mean_draws_2_N_150.png"),
            "examples.safetensors",
        )
    )
    view.write_text(view.read_text().replace("copies", "prints"))
    content = bytearray(examples.read_bytes())
    content[-1] ^= 1
    examples.write_bytes(content)
    table.write_text(table.read_text().replace("mean", "best"))
    page.write_text(page.read_text().replace("nats", "bits"))
    with Image.open(figure) as image:
        painted, texts = image.convert("RGB"), PngInfo()
        for name, text in image.text.items():
            texts.add_itxt(name, text)
    painted.paste((255, 0, 0), (0, 0, 40, 40))
    painted.save(figure, pnginfo=texts)
    assert said_of_printed(tmp_path) == [
        f"digits/examples.safetensors: is not what its records give{PRINTED}",
        f"digits/figures/samples-mean_draws_2_N_150.png: is not as it was drawn{PRINTED}",
        f"digits/memorisation.tex: is not what its records give{PRINTED}",
        f"digits/report.html: is not what its records give{PRINTED}",
        f"digits/table1.md: is not what its records give{PRINTED}",
    ]
    report(tmp_path)
    assert said_of_printed(tmp_path) == []


def test_a_painted_figure_whose_artefacts_are_gone_is_deleted(tmp_path, drawn):
    figure = tmp_path / "digits" / "figures" / "samples-mean_draws_2_N_150.png"
    (tmp_path / ".cache").rename(tmp_path / "moved")
    report(tmp_path)
    assert figure.exists()
    figure.with_suffix(".pdf").write_bytes(figure.with_suffix(".pdf").read_bytes() + b"%")
    assert f"digits/figures/{figure.name}: is not as it was drawn{PRINTED}" in said_of_printed(tmp_path)
    report(tmp_path)
    assert not figure.exists()


def test_rows_that_are_missing_are_found(tmp_path, quick):
    store = quick()
    rows = store.records()

    def without(gone):
        store.path.write_text(to_csv([r for r in rows if not gone(r)]))
        return [text for text in found(tmp_path)[0] if "missing" in text or "no rows" in text]

    label = "digits vae (hidden=(16,), epochs=2, draws=2)"
    assert without(lambda r: False) == []
    assert without(lambda r: r.model == "vae" and r.seed == 1 and r.quantity == "exact_copies") == [
        f"{label} seed 1 neighbours: rows are missing: exact_copies"
    ]
    assert without(lambda r: r.model == "vae" and r.seed == 0) == [
        f"{label}: no rows of seed 0, below others that are there"
    ]
    assert without(lambda r: r.model == "vae" and r.seed == 1 and r.metric == "parzen") == [
        f"{label}: no rows of parzen for seed 1"
    ]


def test_doubled_rows_and_copied_folders_are_found(tmp_path, quick):
    store = quick(seeds=1)
    shutil.copytree(store.folder, tmp_path / "digits-old")
    store.path.write_text(store.path.read_text() + store.path.read_text().partition("\n")[2])
    bad, _ = found(tmp_path)
    assert bad[0] == (
        "digits-old: passed over: its runs.csv holds rows of digits, which belong into a folder of that name"
    )
    twice = sum("stands there twice" in text for text in bad)
    assert twice == len(set(store.path.read_text().splitlines()[1:]))
    assert len(bad) == 1 + twice


def test_linked_folders_are_followed_and_a_folder_in_a_files_place_is_told(tmp_path, quick):
    store = quick(seeds=1)
    store.cache.rename(tmp_path / "elsewhere")
    store.cache.symlink_to(tmp_path / "elsewhere")
    (store.cache / "fits").rename(tmp_path / "fits")
    (store.cache / "fits").symlink_to(tmp_path / "fits")
    (store.cache / "fits" / "loop").symlink_to(store.cache)
    (path,) = store.cache.glob("fits/*/epoch-00001.safetensors")
    path.unlink()
    path.mkdir()
    bad, good = found(tmp_path)
    assert len(bad) == 1
    assert bad == [f"{path.relative_to(store.cache)}: is a folder in the place of a file"]
    assert "files are as they were written" in good[0]


def test_another_processor_is_compared_within_noise(tmp_path, quick):
    store = quick(seeds=1)
    rows = [
        replace(r, processor="another, AVX", weights="0" * 16).sealed() if r.model == "vae" else r
        for r in store.records()
    ]
    store.path.write_text(to_csv(rows))
    shutil.rmtree(store.cache)
    bad, good = found(tmp_path, cells=2)
    assert bad == []
    assert any("made again where bits may differ (processor): indistinguishable" in text for text in good)


def test_what_cannot_be_told_of_another_processor_is_neither_good_nor_bad():
    (before,) = parzen("vae", [200.0], processor="AMD, AVX2")
    (now,) = parzen("vae", [150.0], processor="another, AVX")
    assert within_noise("vae", [before], [now]).good is None
    drawn = json.dumps([["draw 0", "a"]])
    before, now = replace(before, trace=drawn), replace(now, trace=drawn)
    assert within_noise("vae", [before], [now]).good is False
    assert within_noise("vae", [now], [before]).good is True


def test_figures_that_were_stripped_swapped_or_deleted_are_found(tmp_path, drawn):
    folder = tmp_path / "digits" / "figures"
    red, first, second = (
        folder / f"{name}.png"
        for name in (
            "curve-parzen-sigma-on-validation",
            "samples-mean_draws_2_N_150",
            "curve-neighbours-distance-of-samples-by-share",
        )
    )
    with Image.open(red) as image:
        Image.new("RGB", image.size, "red").save(red)
    assert said_of_printed(tmp_path)[0].startswith(f"digits/figures/{red.name}: is not as it was drawn")
    report(tmp_path)
    for suffix in (".png", ".pdf"):
        swapped(first.with_suffix(suffix), second.with_suffix(suffix))
    assert (
        sum("is not what its records give" in text for text in said_of_printed(tmp_path) if "figures" in text)
        == 2
    )
    report(tmp_path)
    red.unlink()
    (tmp_path / "digits" / "table1.md").unlink()
    found = said_of_printed(tmp_path)
    assert f"digits/figures/{red.name}: is not there{PRINTED}" in found
    assert f"digits/table1.md: is not there{PRINTED}" in found


def test_an_edited_row_of_any_content_is_one_and_stops_nothing(tmp_path, quick):
    store = quick(seeds=1)
    rows = store.records()
    for ingredients in (
        '{"fit": {}, "samples": {"code of the drawing": "text"}, "score": {}}',
        '{"fit": {"code of the model": {"a": 1, "b": "x"}}}',
        '{"fit": {"kind of model": null, "code of the model": [1]}}',
    ):
        store.path.write_text(to_csv([replace(rows[0], ingredients=ingredients), *rows[1:]]))
        assert "was edited since it was made" in found(tmp_path)[0][0]
    store.path.write_text(to_csv([replace(rows[0], seed=99_999_999_999), *rows[1:]]))
    assert "was edited since it was made" in found(tmp_path)[0][0]


def test_a_row_whose_model_was_renamed_is_healed_and_leaves_the_others(tmp_path, quick):
    store = quick(seeds=1)
    rows = store.records()
    store.path.write_text(
        to_csv([replace(r, model="vaeX") if r.quantity == "ratio" and r.model == "vae" else r for r in rows])
    )
    run_again(tmp_path)
    assert sorted((r.model, r.quantity, r.doubt) for r in store.records()) == sorted(
        (r.model, r.quantity, "") for r in rows
    )
    assert found(tmp_path)[0] == []


def test_a_seed_or_metric_that_was_not_asked_for_is_no_fault(tmp_path):
    usual = {"samples": 150, "draws": 2, "results": tmp_path}
    run(["mean"], metrics=["parzen"], seeds=[3, 5], figures=False, **usual)
    run(["gaussian"], seeds=[3], **usual)
    said = {f.text: f.good for f in verify(tmp_path, cells=0, device="cpu")}
    assert said["no rows of seed 0, 1, below others that are there"] is None
    assert said["no rows of neighbours for seed 3, 5"] is None
    assert False not in said.values()
