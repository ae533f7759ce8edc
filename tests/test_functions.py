"""The functions of the metrics, for numpy arrays as for tensors."""

import doctest
from importlib import import_module

import numpy as np
import pytest
import torch
from genmodel_bench.functions import (
    histogram_of,
    mind_of,
    nearest,
    nearest_shifted,
    parzen_log_prob,
    parzen_log_probs,
)
from genmodel_bench.metrics.arrays import as_tensors
from genmodel_bench.metrics.mind import directions


def flat(found):
    """All tensors in a result, in order."""
    if isinstance(found, torch.Tensor):
        return [found]
    if hasattr(found, "by_test"):
        return [found.by_test, torch.tensor(found.variance)]
    return [x for each in found for x in flat(each)]


def images(dtype, n=30):
    return torch.rand(n, 1, 4, 5, generator=torch.Generator().manual_seed(n), dtype=dtype)


def points(dtype, n):
    return images(dtype, n).flatten(1)


def mind_along(x, y):
    u = directions(20, 20, torch.zeros(0, dtype=torch.float64 if x.dtype.itemsize == 8 else torch.float32))
    return mind_of([x], [y], u.numpy() if isinstance(x, np.ndarray) else u)


FUNCTIONS = {
    "parzen_log_probs": lambda x, s: parzen_log_probs(x.reshape(len(x), -1), s, [0.1, 0.3]),
    "parzen_log_prob": lambda x, s: parzen_log_prob(x.reshape(len(x), -1), s, 0.2),
    "nearest": lambda x, s: nearest(x.reshape(len(x), -1), s),
    "nearest_shifted": nearest_shifted,
    "histogram": lambda x, s: histogram_of(x, 16),
    "mind": lambda x, s: mind_along(x.reshape(len(x), -1), s),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_numpy_array_gives_the_bits_of_its_tensor(name, dtype):
    x, s = images(dtype), points(dtype, 40)
    found = []
    for a, b in ((x, s), (x.numpy(), s.numpy())):
        torch.manual_seed(0)
        found.append(flat(FUNCTIONS[name](a, b)))
    assert len(found[0]) == len(found[1]) > 0
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whole_numbers_are_refused_in_one_line(name):
    x, s = (images(torch.float32) * 255).byte().numpy(), (points(torch.float32, 40) * 255).byte().numpy()
    with pytest.raises(ValueError, match=r"got .*uint8.*, expected float32 or float64") as error:
        FUNCTIONS[name](x, s)
    assert "/ 255" in str(error.value)


def test_floats_of_two_kinds_and_halves_are_refused_in_one_line():
    with pytest.raises(ValueError, match="parzen_log_prob: got float64 and float32, expected"):
        parzen_log_prob(np.zeros((2, 3)), torch.zeros(2, 3), 0.2)
    with pytest.raises(ValueError, match="nearest: got float16, expected"):
        nearest(np.zeros((2, 3), np.float16), np.zeros((2, 3), np.float16))


def test_any_layout_of_an_array_is_read():
    x = np.random.default_rng(0).random((6, 4))
    read_only = x.copy()
    read_only.flags.writeable = False
    layouts = [x, x[::-1][::-1], np.asfortranarray(x), x.astype(">f8"), read_only, x[::-1].copy()[::-1]]
    for each in layouts:
        assert np.array_equal(as_tensors(each, {}).numpy(), x)
    assert as_tensors(x, {}).data_ptr() == x.ctypes.data  # shared, not copied


def test_a_tensor_is_passed_on_as_it_is():
    x = torch.rand(2, 3)
    assert as_tensors([x], {})[0] is x


def test_help_is_that_of_the_function():
    assert "in nats" in parzen_log_prob.__doc__
    assert parzen_log_prob.__name__ == "parzen_log_prob"


@pytest.mark.parametrize("module", ["metrics", "metrics.prdc", "metrics.c2st"])
def test_examples_in_docstrings_run(module):
    assert doctest.testmod(import_module(f"genmodel_bench.{module}")) == (0, EXAMPLES[module])


EXAMPLES = {
    "metrics": 6,
    "metrics.prdc": 4,
    "metrics.c2st": 4,
    "metrics.frechet": 4,
    "metrics.kernel": 4,
    "metrics.permutations": 4,
}
"""How many lines of examples there are: one that is not found does not pass."""
