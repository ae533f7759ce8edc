"""Any array and any damaged file is read as it is, or refused in one line.

The arrays and the damage are made up by hypothesis.
"""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from genmodel_bench import BenchError
from genmodel_bench.errors import BadSamples, printable
from genmodel_bench.inputs import samples as bench_samples
from genmodel_bench.inputs.samples import as_samples, read_samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from safetensors.torch import save_file
from strangers import SHAPE, grey, is_one_line, oracle

ROOT = Path(__file__).parents[1]
QUICK = settings(deadline=None, derandomize=True, max_examples=150, suppress_health_check=list(HealthCheck))


EDGES = [
    0.0,
    -0.0,
    1.0,
    5e-324,
    1e-45,
    -1e-45,
    1e-40,
    0.5,
    1 + 1e-12,
    1.0000001,
    -1e-9,
    np.nan,
    np.inf,
    -np.inf,
    255.0,
]
ODD = [
    np.dtype(kind)
    for kind in ("O", "O,f4", "M8[s]", "m8", "S3", "U3", "V4", "?", "c8", "u1", "i4", np.longdouble)
]
KINDS = st.one_of(
    hnp.floating_dtypes(endianness="?"), hnp.scalar_dtypes(), hnp.array_dtypes(), st.sampled_from(ODD)
)
SHAPES = st.one_of(
    st.integers(0, 5).flatmap(lambda n: st.sampled_from([(n, 20), (n, 4, 5), (n, 1, 4, 5)])),
    hnp.array_shapes(min_dims=0, max_dims=5, min_side=0),
)


@st.composite
def arrays(draw):
    dtype, shape = draw(KINDS), draw(SHAPES)
    if dtype.kind == "f":
        base = np.random.default_rng(draw(st.integers(0, 9))).random(shape)
        with np.errstate(all="ignore"):
            x = np.asarray(base).astype(dtype)
            if x.size and draw(st.booleans()):
                x.flat[draw(st.integers(0, x.size - 1))] = draw(st.sampled_from(EDGES))
    elif dtype.kind == "u" and dtype.itemsize == 1:
        x = np.random.default_rng(0).integers(0, draw(st.sampled_from([1, 2, 256])), shape, dtype=np.uint8)
    else:
        x = np.zeros(shape, dtype)
    way = draw(st.sampled_from(["as is", "fortran", "backwards", "expanded", "masked", "tensor"]))
    if way == "fortran":
        return np.asfortranarray(x)
    if way == "backwards" and x.ndim:
        return x[::-1]
    if way == "expanded" and x.ndim:
        return np.broadcast_to(x[:1], x.shape) if len(x) else x
    if way == "tensor":
        try:
            return torch.from_numpy(x)
        except (TypeError, ValueError):
            return x
    return np.ma.masked_array(x) if way == "masked" else x


def agrees(read, expected):
    """Whether the oracle's value was read, or refused in one line where it has none."""
    try:
        found = read()
    except BadSamples as error:
        is_one_line(str(error))
        return expected is None
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    return expected is not None and np.array_equal(found.numpy(), expected)


@QUICK
@given(arrays(), st.sampled_from([20, 60, 10**6]))
def test_any_array_is_read_right_or_refused_in_one_line(x, chunk):
    before, bench_samples.CHUNK = bench_samples.CHUNK, chunk
    try:
        assert agrees(lambda: as_samples(x, SHAPE), oracle(x))
    finally:
        bench_samples.CHUNK = before


@QUICK
@given(
    st.one_of(
        st.text(), st.binary().map(os.fsdecode), st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Zp"])
    )
)
def test_any_text_is_printable_on_one_line(text):
    once = printable(text)
    assert once.isprintable()
    assert once == printable(once) == str(BenchError(text))
    once.encode()


def written(kind, path):
    x = grey()
    if kind == "png":
        path.mkdir(exist_ok=True)
        for i in range(2):
            Image.fromarray((x[i, 0] * 255).astype(np.uint8)).save(path / f"{i}.png")
        return path / "1.png"
    if kind == "npy":
        np.save(path, x)
    elif kind == "npz":
        np.savez_compressed(path, x)
    elif kind == "pt":
        torch.save({"samples": torch.from_numpy(x)}, path)
    else:
        save_file({"x": torch.from_numpy(x)}, path)
    return path


def trusted(kind, path):
    """What the format's own library reads in a damaged file, None where it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "npy":
                return np.load(path, allow_pickle=False)
            if kind == "png":
                return np.stack(
                    [np.asarray(Image.open(path.parent / f"{i}.png").convert("L")) for i in range(2)]
                )
    except Exception:  # noqa: BLE001  # it may raise anything
        return None


@pytest.mark.parametrize("kind", ["npy", "npz", "pt", "safetensors", "png"])
def test_any_damage_is_read_as_it_stands_or_refused_in_one_line(kind, tmp_path):
    path = written(kind, tmp_path / f"x.{kind}")
    whole, top = path.read_bytes(), tmp_path / f"x.{kind}"
    original = read_samples(top, SHAPE).clone()

    @QUICK
    @given(st.data())
    def damage(data):
        content = bytearray(whole)
        how = data.draw(st.sampled_from(["flip", "cut", "random", "splice"]))
        if how == "flip":
            for at in data.draw(st.lists(st.integers(0, len(whole) * 8 - 1), min_size=1, max_size=3)):
                content[at // 8] ^= 1 << at % 8
        elif how == "cut":
            content = content[: data.draw(st.integers(0, len(whole) - 1))]
        elif how == "random":
            content[:] = data.draw(st.binary(max_size=200))
        else:
            at = data.draw(st.integers(0, len(whole)))
            content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        path.unlink()  # an earlier mapping of the file stays whole
        path.write_bytes(content)
        try:
            found = read_samples(top, SHAPE)
        except BadSamples as error:
            is_one_line(str(error))
            return
        assert found.dtype == torch.float32
        assert 0 <= float(found.min()) <= float(found.max()) <= 1
        if kind in ("npz", "pt", "png"):  # these have checksums
            assert torch.equal(found, original)
        if kind == "npy":
            expected = trusted(kind, path)
            assert expected is not None
            assert np.array_equal(found.numpy(), oracle(expected))

    damage()
