"""Do the benchmarks compare what they claim, and do they run? Nothing is timed here."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import tiny
from genmodel_bench.metrics.parzen import parzen_log_prob
from genmodel_bench.models import MODELS
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import page, rivals, seeds
from benchmarks.products import SAMPLES, STEPS, flops
from benchmarks.ratios import Turns, divide, exponent, plan, spread, standard_error

ROOT = Path(__file__).parents[1]
SHAPE = (1, 6, 6)


def test_each_side_is_first_in_every_other_round():
    order = []
    turns = Turns(lambda: order.append("other") or 1.0)
    for _ in range(4):
        turns.before()
        order.append("ours")
        turns.after()
    assert order == ["other", "ours", "ours", "other"] * 2 and len(turns.seconds) == 4


def test_a_machine_that_slows_down_leaves_the_ratio():
    slowing = [1 + 0.1 * k for k in range(9)]
    assert divide([3 * s for s in slowing], slowing) == pytest.approx([3.0] * 9)


def test_short_calls_are_repeated_and_long_ones_fill_the_budget():
    assert plan(1e-3, 5e-3, budget=1.0).our_calls == 20
    assert plan(1e-3, 5e-3, budget=1.0).other_calls == 4
    assert plan(1.0, 1.0, budget=20.0).rounds == 10
    assert plan(100.0, 1.0, budget=20.0, fewest=7).rounds == 7


def test_the_spread_is_a_standard_deviation_and_no_outlier_moves_it():
    values = torch.randn(20_001, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).tolist()
    # the standard error of this estimate is 1.17 / √n
    assert spread(values) == pytest.approx(1.0, abs=0.03)
    assert spread([*values, *[1e6] * 200]) == pytest.approx(1.0, abs=0.06)


def test_the_standard_error_is_that_of_a_median():
    generator = torch.Generator().manual_seed(0)
    rounds = (0.1 * torch.randn(2000, 25, dtype=torch.float64, generator=generator)).exp()
    told = torch.tensor([standard_error(row) for row in rounds.tolist()]).mean()
    assert float(told) == pytest.approx(float(rounds.median(1).values.log().std()), rel=0.1)


def test_the_exponent_of_a_power_is_found_in_its_upper_part():
    sizes = [1, 10, 100, 1000]
    assert exponent(sizes, [50.0, 5 * 10**1.5, 5 * 100**1.5, 5 * 1000**1.5], upper=3) == pytest.approx(1.5)


@pytest.mark.parametrize("rival", [rivals.released, rivals.chunked, rivals.cdist, rivals.scipy_float64])
def test_a_rival_computes_the_same_number(rival):
    x, s = torch.rand(37, 12), torch.rand(53, 12)
    # both sides are float32; their distances hold to about 1e-6, and σ = 0.2 multiplies
    # them by 12.5
    assert torch.allclose(rival(x, s, 0.2).double(), parzen_log_prob(x, s, 0.2), atol=1e-3)


def test_kernel_density_computes_the_same_number_in_few_dimensions():
    x, s = torch.rand(37, 2), torch.rand(53, 2)
    density = rivals.kernel_density(s, 0.2)
    assert torch.allclose(rivals.score_density(density, x), parzen_log_prob(x, s, 0.2), atol=1e-3)


def listed(name):
    config = tiny(MODELS[name])
    model = config.build(SHAPE)
    model.initialise(torch.rand(1200, *SHAPE))
    return config, model


@pytest.mark.parametrize("name", [name for name in MODELS if type(MODELS[name]) in STEPS])
def test_a_step_makes_the_products_that_are_listed_for_it(name):
    """At least these, and at most half more, by the operations that torch counts.

    The rest is logged only, or computed by autograd without need.
    """
    config, model = listed(name)
    stage = model.stages()[0]
    x = torch.rand(stage.batch_size, *SHAPE)
    with FlopCounterMode(display=False) as counter:
        stage.step(x if stage.inputs is None else stage.inputs(x), None)
    needed = flops(STEPS[type(config)](config, math.prod(SHAPE)))
    assert needed <= counter.get_total_flops() <= 1.5 * needed


@pytest.mark.parametrize("name", [name for name in MODELS if type(MODELS[name]) in SAMPLES])
def test_sampling_makes_the_products_that_are_listed_for_it(name):
    config, model = listed(name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.sample(10)
    needed = flops(SAMPLES[type(config)](config, math.prod(SHAPE), 10))
    assert needed <= counter.get_total_flops() <= 1.5 * needed


def test_the_tables_of_the_page_are_those_of_the_run_kept_beside_it():
    kept = page.PAGE.with_suffix(".json")
    text = page.PAGE.read_text()
    if kept.exists():
        assert page.filled(text, page.read_run(kept)) == text
    else:
        assert "| --: |" not in text


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The JSON of a quick run of all the benchmarks."""
    path = tmp_path_factory.mktemp("quick") / "new.json"
    options = [
        "--quick",
        "--benchmark-enable",
        "--benchmark-only",
        f"--benchmark-json={path}",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", *options],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return path


@pytest.mark.slow
def test_the_benchmarks_run_and_fill_every_table(quick):
    names = {b["name"].split("[")[0] for b in json.loads(quick.read_text())["benchmarks"]}
    assert {"test_one_sigma", "test_step", "test_draw", "test_help", "test_growth"} <= names
    run = page.read_run(quick)
    assert run.place["quick"] and page.of_run(run) == set(page.TABLES)
    filled = page.filled(page.PAGE.read_text(), replace(run, place={**run.place, "quick": False}))
    assert page.filled(filled, run) == filled


def test_all_seeds_in_one_batched_step_are_each_their_solo_run(few):
    config = replace(MODELS["vae"], hidden=(8,), latent=2, epochs=2, batch_size=20)
    alone = seeds.one_after_another(config, few.train, [0, 1, 2])
    # float32: products of another shape are summed in another order, and Adam divides
    # the difference by the gradient's size
    assert seeds.furthest(alone, seeds.batched(config, few.train, [0, 1, 2])) < 1e-4
    assert seeds.furthest(alone, seeds.batched(config, few.train, [1, 2, 0])) > 1e-2
