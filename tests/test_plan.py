"""Which requests to `run` are plans, and which are refused in one line?"""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from flat import plan
from genmodel_bench import BadOption, UnknownName
from genmodel_bench.cells.catalogue import metrics_named
from genmodel_bench.cells.plan import check_builds
from genmodel_bench.commands.run import run as commands_run
from genmodel_bench.commands.score import score
from genmodel_bench.metrics import METRICS, STANDARD
from genmodel_bench.models import CORE, MODELS, settings_for
from genmodel_bench.models.autoencoders import vae
from test_run import quick

import bench


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"models": ["gan-nss"]}, UnknownName, "did you mean 'gan-ns'"),
        ({"options": ["gan-ns.epochs=3"]}, BadOption, "--set: gan-ns is not in this run"),
        ({"options": ["vae.epochs=-1"]}, BadOption, "vae: epochs: got -1, expected at least 1"),
        (
            {"models": ["gan-conv"], "options": ["gan-conv.kernels=99,99"]},
            BadOption,
            "gan-conv cannot be built with these settings for images of 8×8: ",
        ),
        ({"seeds": 0}, BadOption, "--seeds: got 0, expected at least 1"),
        ({"seeds": []}, BadOption, "--seeds: got [], expected one or more whole numbers"),
        ({"seeds": [3, -1]}, BadOption, "--seeds: got [3, -1], expected one or more whole numbers"),
        ({"seeds": 2.5}, BadOption, "--seeds: got 2.5, expected a number of seeds, or a list"),
        ({"seeds": 20_240_101}, BadOption, "the one seed 20240101 is given as 20240101,"),
        ({"seeds": 10**9}, BadOption, "--seeds: got 1000000000, expected how many, at most 1,000"),
        ({"seeds": [2**63]}, BadOption, "--seeds: got 9223372036854775808, expected seeds below 2**63"),
        ({"draws": 0}, BadOption, "--draws: got 0"),
        ({"draws": 10**19}, BadOption, "--draws: got 10000000000000000000, expected at least 1 and at most"),
        ({"samples": 10**19}, BadOption, "--samples: got 10000000000000000000, expected at least 1 and"),
        ({"checkpoint": "first"}, BadOption, "--checkpoint: got 'first', expected best or last"),
        ({"samples": 5, "metrics": STANDARD}, BadOption, "--samples: got 5, expected at least 100"),
        ({"jobs": -1}, BadOption, "--jobs: got -1"),
        ({"timeout": 5.0}, BadOption, "--timeout: got 5.0 and 0 jobs"),
        ({"timeout": 0.0, "jobs": 1}, BadOption, "--timeout: got 0.0"),
        ({"device": "gpu7"}, BadOption, "--device: got 'gpu7'"),
        ({"device": "cuda:128"}, BadOption, "--device: got 'cuda:128', but torch sees"),
        ({"device": "cuda:65536"}, BadOption, "--device: got 'cuda:65536', but torch sees"),
        ({"device": f"cuda:{10**30}"}, BadOption, "expected auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:-1"}, BadOption, "--device: got 'cuda:-1', expected auto, cpu, cuda or cuda:N"),
        ({"device": "cpu:1"}, BadOption, "--device: got 'cpu:1', expected auto, cpu, cuda or cuda:N"),
        ({"device": "mps"}, BadOption, "--device: got 'mps', which has no float64"),
        ({"options": ["vae.batch_size=0"]}, BadOption, "vae: batch_size: got 0, expected at least 1"),
        ({"dataset": "minst"}, UnknownName, "did you mean 'mnist'"),
    ],
)
def test_bad_requests_are_one_line_and_leave_nothing(tmp_path, kwargs, error, message):
    with pytest.raises(error) as caught:
        quick(tmp_path / "r", **kwargs)
    assert message in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_a_registered_batch_size_of_zero_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(vae.Config, "SETTINGS", {})
    monkeypatch.setitem(MODELS, "mine", replace(MODELS["vae"], batch_size=0))
    with pytest.raises(BadOption, match="mine: batch_size: got 0, expected at least 1"):
        quick(tmp_path / "r", models=["mine"])


def test_all_models_are_those_meant_for_the_data_set(digits):
    assert {c.model for c in plan(digits)} == set(MODELS) - {"gan-conv", "iwae"}  # iwae: binary
    on_cifar = {c.model for c in plan(replace(digits, name="cifar10"))}
    assert on_cifar == {name for name in MODELS if not hasattr(MODELS[name], "levels")}
    assert {c.model for c in plan(digits, ["gan-conv"])} == {"gan-conv"}


def test_plan_puts_models_in_order_and_seeds_innermost(digits):
    cells = plan(digits, ["vae", "data"], seeds=2)
    assert [(c.model, c.seed) for c in cells] == [("vae", 0), ("vae", 1), ("data", 0), ("data", 1)]
    assert isinstance(cells[0].config, vae.Config)
    assert cells[0].variant == ""


def test_listed_seeds_are_those_of_the_cells(digits):
    assert [c.seed for c in plan(digits, ["vae"], seeds=[7, 3, 7, 11])] == [7, 3, 11]
    assert [c.seed for c in plan(digits, ["vae"], seeds=(5,))] == [5]
    assert [c.id for c in plan(digits, ["vae"], seeds=[1])] == [c.id for c in plan(digits, ["vae"], seeds=2)][
        1:
    ]


def test_several_values_of_an_option_are_several_lines_with_all_seeds(digits):
    cells = plan(digits, ["vae", "mean"], seeds=2, options=["vae.lr=1e-2,1e-3,1e-4"])
    lines = ["vae lr=0.01", "vae ", "vae lr=0.0001", "mean "]  # 1e-3 is what is registered
    assert [f"{c.model} {c.variant}" for c in cells] == [name for name in lines for _ in range(2)]
    assert [c.seed for c in cells] == [0, 1] * 4
    assert len({c.fit_key for c in cells}) == len(cells)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 4)])
def test_every_registered_model_can_be_built_and_no_random_number_is_drawn_for_it(name, shape):
    before = torch.get_rng_state()
    check_builds(name, settings_for(name, "digits"), shape)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_only_memory_refuses_is_no_matter_of_options(digits):
    (cell,) = plan(digits, ["vae"], seeds=1, options=["vae.latent=1000000000"])
    assert cell.config.latent == 10**9  # as a row it says "oom"


def test_metrics_are_chosen_by_name_in_the_order_of_the_registry():
    assert metrics_named(()) == STANDARD
    assert metrics_named(["all"]) == METRICS
    assert list(metrics_named(["all"])) == list(METRICS)
    assert list(metrics_named([*reversed(METRICS)])) == list(METRICS)
    assert metrics_named(["parzen", "parzen"]) == {"parzen": METRICS["parzen"]}
    with pytest.raises(UnknownName, match="unknown metric 'parzn'; did you mean 'parzen'"):
        metrics_named(["parzn"])


def test_chosen_metrics_alone_are_computed_and_the_others_follow(tmp_path):
    first = quick(tmp_path, ["mean"], metrics=metrics_named(["parzen"]), seeds=[4])
    assert set(first["metric"]) == {"parzen"}
    assert set(first["seed"]) == {4}
    second = quick(tmp_path, ["mean"], seeds=[4], metrics=STANDARD)
    assert set(second["metric"]) == set(STANDARD)
    kept = second[second["metric"] == "parzen"]
    assert list(kept["created"]) == list(first["created"])


def test_tables_are_those_of_all_metrics_whichever_was_computed_last(tmp_path):
    quick(tmp_path, ["mean"], metrics=STANDARD)
    table = (tmp_path / "digits" / "table1.csv").read_bytes()
    quick(tmp_path, ["mean"], metrics=metrics_named([list(STANDARD)[-1]]))
    assert (tmp_path / "digits" / "table1.csv").read_bytes() == table


def test_the_python_api_is_where_the_readme_says():
    assert bench.run is commands_run
    assert bench.score is score
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        bench.runn  # noqa: B018  # the lookup is the test


def test_of_a_run_of_all_the_later_families_have_one_seed(digits):
    seeds = Counter(c.model for c in plan(digits, None))
    assert {name: n for name, n in seeds.items() if name in CORE} == {
        name: 3 for name in CORE if name in seeds
    }
    assert {n for name, n in seeds.items() if name not in CORE} == {1}
    assert len(plan(digits, ["lsgan"])) == 3
    named = Counter(c.model for c in plan(digits, None, seeds=2))
    assert {*named.values()} == {2}


def test_a_model_of_grey_levels_is_run_on_images_of_these(digits):
    (cell,) = plan(digits, ["made"], seeds=1)
    assert cell.config.levels == 17
    with pytest.raises(BadOption, match=r"made: levels: got 2, but digits has 17; --set made.levels=17"):
        plan(digits, ["made"], options=["made.levels=2"])
    grey = replace(digits, levels=0, name="grey")
    assert "made" not in {c.model for c in plan(grey, None, seeds=1)}
    with pytest.raises(BadOption, match="pixels of grey may be any number"):
        plan(grey, ["made"])
