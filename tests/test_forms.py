"""Samples in forms that others write are read, or answered with what to type."""

import re

import numpy as np
import pytest
import torch
from genmodel_bench import BadSamples
from genmodel_bench.inputs.mending import for_shape
from genmodel_bench.inputs.samples import as_samples, read_samples
from numpy.testing import assert_array_equal

SHAPE = (3, 4, 5)
X = np.random.default_rng(0).random((12, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("of", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_channels_last_is_read_as_it_is_meant(of, dtype):
    x = (X * 255).astype(dtype) if dtype is np.uint8 else X.astype(dtype)
    read = as_samples(of(np.ascontiguousarray(x.transpose(0, 2, 3, 1))), SHAPE)
    assert_array_equal(read.numpy(), as_samples(of(x), SHAPE).numpy())


def test_a_file_of_guided_diffusion_is_read(tmp_path):
    x = (X * 255).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x.transpose(0, 2, 3, 1), np.arange(12))
    np.savez(tmp_path / "b.npz", x.transpose(0, 2, 3, 1))
    for name in ("a.npz", "b.npz"):
        assert_array_equal(read_samples(tmp_path / name, SHAPE).numpy(), as_samples(x, SHAPE).numpy())
    np.savez(tmp_path / "c.npz", x, x)
    with pytest.raises(BadSamples, match="expected one array, or one named 'samples'"):
        read_samples(tmp_path / "c.npz", SHAPE)


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 6, 5), (3, 3, 3)])
def test_the_mending_of_a_shape_does_what_it_says(shape):
    """Whatever the order of the axes, the command is typed and gives the samples."""
    x = np.random.default_rng(0).random((12, *shape)).astype(np.float32)
    for axes in ((3, 1, 2, 0), (1, 0, 2, 3), (0, 1, 3, 2), (2, 3, 0, 1), (0, 3, 2, 1)):
        mixed = x.transpose(axes)
        try:
            as_samples(mixed, shape)
        except BadSamples as error:
            typed = re.search(r"; give (x\.transpose\(.*\))$", str(error))
            assert typed, str(error)
            assert as_samples(eval(typed[1], {"x": mixed}), shape).shape == (12, *shape)


@pytest.mark.parametrize(
    ("got", "shape", "said"),
    [
        ((64, 500), (1, 8, 8), "give x.T"),
        ((8, 8, 500), (1, 8, 8), "give x.transpose(2, 0, 1)"),
        ((8, 8), (1, 8, 8), "one image alone; give x[None]"),
        ((500, 3, 8, 8), (1, 8, 8), "turn them grey"),
        ((500, 1, 8, 8), (3, 8, 8), "give numpy.repeat(x, 3, axis=1)"),
        ((500, 28, 28), (1, 8, 8), "draw images of 1 × 8 × 8"),
    ],
)
def test_another_shape_is_answered_with_what_to_type(got, shape, said):
    assert said in for_shape(got, shape)
    with pytest.raises(BadSamples, match=re.escape(said)):
        as_samples(np.zeros(got, np.float32), shape)
