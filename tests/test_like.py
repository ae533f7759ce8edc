"""`--like` gives one's own data a registered data set's settings, and rows say so."""

import json
from dataclasses import replace

import numpy as np
import pytest
from flat import plan, run
from genmodel_bench import BadOption, BenchError, UnknownName
from genmodel_bench.cells.recorded import cell_today, same_cell
from genmodel_bench.commands.why import cell_named
from genmodel_bench.data.registry import load
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.report.page.command import commands
from genmodel_bench.storage.ingredients import Vouched
from genmodel_bench.storage.store import Store, read_results

QUICK = {"seeds": 1, "samples": 150, "draws": 1, "device": "cpu", "figures": False}


def own(tmp_path, size=(8, 8), n=100):
    images = np.random.default_rng(n).integers(0, 256, (n, *size), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", images=images)
    return f"npz:{tmp_path / 'own.npz'}"


def test_settings_are_those_of_the_data_set_named(tmp_path):
    data = load(own(tmp_path))
    fitting = [
        name for name in MODELS if getattr(settings_for(name, "digits"), "levels", 0) in (0, data.levels)
    ]
    cells = {c.model: c for c in plan(data, fitting, seeds=1, like="digits")}
    for name in fitting:
        assert cells[name].config == settings_for(name, "digits")
        other = settings_for(name, "digits") != MODELS[name]
        assert cells[name].options == ({"like": "digits"} if other else {})
    assert cells["vae"].variant == "like=digits"


def test_all_models_are_those_meant_for_the_data_set_named(tmp_path):
    data = load(own(tmp_path, size=(16, 16)))
    assert "gan-conv" not in {c.model for c in plan(data, seeds=1)}
    assert "gan-conv" in {c.model for c in plan(data, seeds=1, like="cifar10")}


def test_a_data_set_that_is_not_registered_has_no_settings(tmp_path):
    for like in ("minst", "npz:x.npz"):
        with pytest.raises(UnknownName, match=f"unknown data set '{like}'"):
            plan(load(own(tmp_path)), ["vae"], like=like)


def test_a_row_says_it_and_is_rebuilt_from_it(tmp_path):
    name = own(tmp_path)
    options = ["vae.epochs=2", "vae.hidden=8"]
    found = run(
        ["vae", "mean"], dataset=name, like="digits", options=options, results=tmp_path / "r", **QUICK
    )
    assert set(found["variant"]) == {"like=digits, hidden=(8,), epochs=2, draws=1", "draws=1"}
    store, vouched = Store(tmp_path / "r", name), Vouched()
    row = next(r for r in store.records() if r.model == "vae")
    assert json.loads(row.options)["like"] == "digits"
    usual = settings_for("vae", "digits")
    assert cell_today(row, row.dataset_digest, vouched).config == replace(usual, hidden=(8,), epochs=2)
    assert cell_today(row, row.dataset_digest, vouched).id == row.cell == same_cell(row, vouched).id
    data = load(name)
    assert cell_named(row.cell[:8], data, store, seed=0, options=(), protocol=QUICK).id == row.cell
    # The same again is served, and other settings are another line.
    again = run(["vae"], dataset=name, like="digits", options=options, results=tmp_path / "r", **QUICK)
    assert set(again["created"]) == set(found[found["model"] == "vae"]["created"])
    run(["vae"], dataset=name, options=options, results=tmp_path / "r", **QUICK)
    assert {r.variant for r in store.records() if r.model == "vae"} == {
        "like=digits, hidden=(8,), epochs=2, draws=1",
        "hidden=(8,), epochs=2, draws=1",
    }


def test_the_command_of_a_row_says_it(tmp_path):
    name = own(tmp_path)
    settings = {"results": tmp_path / "r", "options": ["vae.epochs=1", "vae.hidden=8"], **QUICK}
    run(["vae"], dataset=name, like="digits", **settings)
    (command,) = commands(read_results(tmp_path / "r"))
    assert command == (
        f"bench run vae --dataset {name} --seeds 1 --samples 150 --like digits --draws 1 "
        "--set vae.hidden=8 --set vae.epochs=1"
    )


def test_another_file_of_the_same_name_is_refused_before_the_work(tmp_path):
    run(["mean"], dataset=own(tmp_path), results=tmp_path / "r", **QUICK)
    with pytest.raises(BenchError, match=r"are not those of the rows in .*supersede those with --replace"):
        run(["mean"], dataset=own(tmp_path, n=70), results=tmp_path / "r", **QUICK)


def test_names_of_files_are_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("a.npz", "./a.npz", "b/a.npz"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        np.savez(
            tmp_path / path, images=np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
        )
        run(["mean"], dataset=f"npz:{path}", results=tmp_path / "r", **QUICK)
    assert len(list((tmp_path / "r").glob("*/runs.csv"))) == 3
    assert {r.dataset for r in read_results(tmp_path / "r")} == {"npz:a.npz", "npz:./a.npz", "npz:b/a.npz"}


def test_a_model_that_cannot_be_built_for_a_size_is_one_line(tmp_path):
    data = load(own(tmp_path, size=(4, 5)))
    with pytest.raises(
        BadOption, match=r"gan-conv cannot be built with these settings for images of 5×4: .*leave it"
    ):
        plan(data, ["mean", "gan-conv"], seeds=1)
    assert plan(data, ["gan-conv"], seeds=1, like="digits")
