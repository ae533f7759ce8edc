"""Which requests to `run` are plans, and which are refused in one line?"""

from dataclasses import replace

import pytest
from flat import plan
from genmodel_bench import BadOption, UnknownName
from genmodel_bench.commands.run import run as commands_run
from genmodel_bench.commands.score import score
from genmodel_bench.models import MODELS, vae
from test_run import quick

import bench


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"models": ["gan-nss"]}, UnknownName, "did you mean 'gan-ns'"),
        ({"options": ["gan-ns.epochs=3"]}, UnknownName, "unknown model 'gan-ns'; known: vae"),
        ({"seeds": 0}, BadOption, "--seeds: got 0"),
        ({"draws": 0}, BadOption, "--draws: got 0"),
        ({"checkpoint": "first"}, BadOption, "--checkpoint: got 'first', expected best or last"),
        ({"samples": 5}, BadOption, "--samples: got 5, expected at least 100"),
        ({"jobs": -1}, BadOption, "--jobs: got -1"),
        ({"timeout": 5.0}, BadOption, "--timeout: got 5.0 and 0 jobs"),
        ({"timeout": 0.0, "jobs": 1}, BadOption, "--timeout: got 0.0"),
        ({"device": "gpu7"}, BadOption, "--device: got 'gpu7'"),
        ({"dataset": "minst"}, UnknownName, "did you mean 'mnist'"),
    ],
)
def test_bad_requests_are_one_line_and_leave_nothing(tmp_path, kwargs, error, message):
    with pytest.raises(error) as caught:
        quick(tmp_path / "r", **kwargs)
    assert message in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_all_models_are_those_meant_for_the_data_set(digits):
    assert {c.model for c in plan(digits)} == set(MODELS) - {"gan-conv"}
    assert {c.model for c in plan(replace(digits, name="cifar10"))} == set(MODELS)
    assert {c.model for c in plan(digits, ["gan-conv"])} == {"gan-conv"}


def test_plan_puts_models_in_order_and_seeds_innermost(digits):
    cells = plan(digits, ["vae", "data"], seeds=2)
    assert [(c.model, c.seed) for c in cells] == [("vae", 0), ("vae", 1), ("data", 0), ("data", 1)]
    assert isinstance(cells[0].config, vae.Config)
    assert cells[0].variant == ""


def test_the_python_api_is_where_the_readme_says():
    assert bench.run is commands_run
    assert bench.score is score
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        bench.runn  # noqa: B018  # the lookup is the test
