"""How fast are the Parzen window, a training step and the command line, next to a floor measured in the same process?"""

import subprocess
import sys

import pytest
import torch

from bench.data import load
from metrics.distances import nearest
from metrics.parzen import PAPER_SIGMAS, parzen_log_prob, parzen_log_probs
from models import MODELS, settings_for

N, POINTS, D = 10_000, 2_000, 784


@pytest.fixture(scope="module")
def points():
    torch.manual_seed(0)
    return torch.rand(POINTS, D), torch.rand(N, D)


@pytest.mark.benchmark(group="parzen: 2,000 points, 10,000 samples, d = 784")
def test_floor_one_matrix_product(benchmark, points):
    x, s = points
    benchmark(lambda: x @ s.T)


@pytest.mark.benchmark(group="parzen: 2,000 points, 10,000 samples, d = 784")
def test_parzen_one_sigma(benchmark, points):
    benchmark(parzen_log_prob, *points, 0.2)


@pytest.mark.benchmark(group="parzen: 2,000 points, 10,000 samples, d = 784")
def test_parzen_ten_sigmas(benchmark, points):
    benchmark(parzen_log_probs, *points, PAPER_SIGMAS)


@pytest.mark.benchmark(group="parzen: 2,000 points, 10,000 samples, d = 784")
def test_nearest_neighbour(benchmark, points):
    benchmark(nearest, *points)


@pytest.mark.benchmark(group="one training step on digits")
@pytest.mark.parametrize("name", [name for name in MODELS if not MODELS[name].REFERENCE])
def test_step(benchmark, name):
    data = load("digits")
    model = settings_for(name, "digits").build(data.shape)
    model.initialise(data.train)
    stage = model.stages()[0]
    x = data.train if stage.inputs is None else stage.inputs(data.train)
    benchmark(stage.step, x[: stage.batch_size], None)


@pytest.mark.benchmark(group="command line")
def test_help(benchmark):
    benchmark(subprocess.run, [sys.executable, "-m", "bench", "--help"], check=True, capture_output=True)
