import pickle

import numpy as np
import pytest
import torch
from genmodel_bench import BadSamples
from genmodel_bench.inputs.samples import as_samples, read_samples
from PIL import Image
from safetensors.torch import save_file

SHAPE = (1, 4, 5)


@pytest.fixture
def x():
    return np.random.default_rng(0).random((12, 1, 4, 5), dtype=np.float32)


@pytest.mark.parametrize("shape", [(12, 20), (12, 4, 5), (12, 1, 4, 5)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, ">f4"])
def test_every_accepted_shape_and_dtype_gives_the_same_images(x, shape, dtype):
    samples = as_samples(x.reshape(shape).astype(dtype), SHAPE)
    assert samples.dtype == torch.float32
    torch.testing.assert_close(samples, torch.from_numpy(x), atol=1e-3, rtol=0)


def test_bytes_are_divided_by_255(x):
    pixels = (x * 255).astype(np.uint8)
    torch.testing.assert_close(as_samples(pixels, SHAPE), torch.from_numpy(pixels / np.float32(255)))


def test_files_of_every_kind_give_the_same_images(x, tmp_path):
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "a.npz", x)
    np.savez(tmp_path / "b.npz", samples=x, labels=np.zeros(12))
    torch.save(torch.from_numpy(x), tmp_path / "a.pt")
    torch.save({"samples": torch.from_numpy(x), "epoch": 3}, tmp_path / "b.pt")
    save_file({"anything": torch.from_numpy(x)}, tmp_path / "a.safetensors")
    for path in tmp_path.iterdir():
        assert torch.equal(read_samples(path, SHAPE), torch.from_numpy(x)), path


def test_a_folder_of_images(x, tmp_path):
    pixels = (x * 255).astype(np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image[0]).save(tmp_path / f"{i:02d}.png")
    assert torch.equal(read_samples(tmp_path, SHAPE), torch.from_numpy(pixels / np.float32(255)))


class Evil:
    ran = False

    def __reduce__(self):
        return (setattr, (Evil, "ran", True))


def test_pickles_are_refused_and_not_run(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", np.array([Evil()], dtype=object))
    torch.save({"samples": Evil()}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Evil()))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(BadSamples, match="cannot be read"):
            read_samples(path, SHAPE)
    assert not Evil.ran


def damaged(name):
    def write(path, x):
        np.save(path / "x.npy", x)
        np.savez(path / "x.npz", x)
        torch.save(torch.from_numpy(x), path / "x.pt")
        save_file({"x": torch.from_numpy(x)}, path / "x.safetensors")
        file = path / name
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        return file

    return write


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.pt", "x.safetensors"])
def test_half_a_file_is_one_line(name, x, tmp_path):
    path = damaged(name)(tmp_path, x)
    with pytest.raises(BadSamples, match="cannot be read") as error:
        read_samples(path, SHAPE)
    assert "\n" not in str(error.value)


def test_a_header_that_promises_too_much_is_one_line(x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    content = (tmp_path / "x.npy").read_bytes()
    header = content.replace(b"(12, 1, 4, 5)", b"(1234567890, 1, 4, 5)"[:13].ljust(13)).replace(
        b"(12, 1, 4, 5", b"(9**9, 1,4,5"
    )
    (tmp_path / "x.npy").write_bytes(header)
    with pytest.raises(BadSamples, match=r"x\.npy: "):
        read_samples(tmp_path / "x.npy", SHAPE)
    (tmp_path / "y.npy").write_bytes(content.replace(b"(12, 1, 4, 5), }    ", b"(12000000000000,), }"))
    with pytest.raises(BadSamples, match=r"y\.npy: shape \(12000000000000,\), expected"):
        read_samples(tmp_path / "y.npy", SHAPE)


def nan_rows(x):
    x = x.copy()
    x[3, 0, 0, 0] = np.nan
    x[7, 0, 0, 0] = np.inf
    return x


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (nan_rows, r"2 of 12 rows are not finite \(first: row 3\)"),
        (
            lambda x: x * 2 - 1,
            r"12 of 12 rows leave \[0, 1\] \(first: row 0, values span \[-0.\d+, 0.\d+\]\)",
        ),
        (lambda x: x[:, :, :3], r"shape \(12, 1, 3, 5\), expected \(n, 20\), \(n, 4, 5\) or \(n, 1, 4, 5\)"),
        (lambda x: x[0, 0, 0], r"shape \(5,\), expected"),
        (lambda x: x[:0], "holds no samples"),
        (lambda x: (x * 255).astype(np.int64), "dtype int64, expected float in"),
        (lambda x: x > 0.5, "dtype bool, expected float in"),
        (lambda x: (x > 0.5).astype(np.uint8), "uint8 values of 0 and 1 only"),
        (lambda x: torch.from_numpy(x).to_sparse(), "expected a dense tensor"),
        (lambda x: torch.from_numpy(x).to("meta"), "expected a dense tensor"),
        (lambda x: torch.from_numpy(x).to(torch.float8_e4m3fn), "dtype float8_e4m3fn, expected float in"),
        (lambda x: x.astype(complex), "dtype complex128, expected float in"),
        (lambda x: x.tolist(), "expected an array, got list"),
    ],
)
def test_what_cannot_be_scored_is_one_line(x, change, message):
    with pytest.raises(BadSamples, match=message) as error:
        as_samples(change(x), SHAPE)
    assert "\n" not in str(error.value)


def test_several_arrays_need_a_name(x, tmp_path):
    np.savez(tmp_path / "a.npz", x=x, y=x)
    with pytest.raises(BadSamples, match="one named 'samples'; got 'x', 'y'"):
        read_samples(tmp_path / "a.npz", SHAPE)


def test_absent_or_unknown_files(tmp_path):
    with pytest.raises(BadSamples, match="no such file"):
        read_samples(tmp_path / "a.npy", SHAPE)
    (tmp_path / "a.txt").touch()
    with pytest.raises(BadSamples, match=r"ending in \.npy"):
        read_samples(tmp_path / "a.txt", SHAPE)
    with pytest.raises(BadSamples, match="no images there"):
        read_samples(tmp_path, SHAPE)


def test_colour_images_have_no_channelless_form():
    assert as_samples(np.zeros((2, 3, 4, 5), np.float32), (3, 4, 5)).shape == (2, 3, 4, 5)
    with pytest.raises(BadSamples, match=r"expected \(n, 60\) or \(n, 3, 4, 5\)"):
        as_samples(np.zeros((2, 4, 5), np.float32), (3, 4, 5))
