import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench import BenchError, DataMissing, UnknownName
from bench.data import DATASETS, load

ROOT = Path(os.environ.get("BENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
needs_mnist = pytest.mark.skipif(not (ROOT / "MNIST" / "raw").is_dir(), reason="no MNIST files under BENCH_DATA")
needs_olivetti = pytest.mark.skipif(not (ROOT / "olivetti_py3.pkz").is_file(), reason="no Olivetti file under BENCH_DATA")


def check(data):
    for images in (data.train, data.valid, data.test):
        assert images.dtype == torch.float32
        assert images.ndim == 4
        assert images.shape[1:] == data.shape
        assert 0 <= images.min()
        assert images.max() <= 1
    if data.labels:
        assert {k: len(v) for k, v in data.labels.items()} == {
            "train": len(data.train), "valid": len(data.valid), "test": len(data.test)
        }  # fmt: skip


def test_digits_is_the_documented_split(digits):
    check(digits)
    assert [len(digits.train), len(digits.valid), len(digits.test)] == [1197, 300, 300]
    assert digits.digest == "b98f383051f16116"


def test_digits_is_stratified(digits):
    overall = torch.bincount(torch.cat(list(digits.labels.values()))) / 1797
    for labels in digits.labels.values():
        torch.testing.assert_close(torch.bincount(labels) / len(labels), overall, atol=0.01, rtol=0)


def test_digits_loses_and_doubles_nothing(digits):
    from sklearn.datasets import load_digits

    shipped = torch.from_numpy(load_digits().images).float().flatten(1) / 16
    ours = torch.cat([digits.train, digits.valid, digits.test]).flatten(1)
    assert torch.equal(shipped.unique(dim=0), ours.unique(dim=0))
    assert len(ours) == 1797


def test_one_pixel_changes_the_digest(tmp_path):
    write_folder(tmp_path, 20)
    before = load(f"folder:{tmp_path}").digest
    picture = Image.open(tmp_path / "007.png")
    picture.putpixel((0, 0), (picture.getpixel((0, 0)) + 1) % 256)
    picture.save(tmp_path / "007.png")
    assert load(f"folder:{tmp_path}").digest != before


@needs_mnist
def test_mnist_is_split_as_in_the_paper():
    data = load("mnist", root=ROOT)
    check(data)
    assert [len(data.train), len(data.valid), len(data.test)] == [50_000, 10_000, 10_000]
    assert data.labels["train"][:5].tolist() == [5, 0, 4, 1, 9]
    assert data.labels["test"][:5].tolist() == [7, 2, 1, 0, 4]
    assert float(data.train.max()) == 1
    assert data.digest == "7c9a2c122718cbe0"


@needs_olivetti
def test_olivetti_keeps_people_apart():
    data = load("olivetti", root=ROOT)
    check(data)
    assert data.shape == (1, 48, 48)
    assert [len(data.train), len(data.valid), len(data.test)] == [240, 80, 80]
    people = [set(labels.tolist()) for labels in data.labels.values()]
    assert not (people[0] & people[1] or people[0] & people[2] or people[1] & people[2])


def write_folder(folder, n, size=(5, 4), mode="L"):
    rng = np.random.default_rng(0)
    for i in range(n):
        shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{i:03d}.png")


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 3)])
def test_folder_of_images(tmp_path, mode, channels):
    write_folder(tmp_path, 30, mode=mode)
    data = load(f"folder:{tmp_path}")
    check(data)
    assert data.shape == (channels, 4, 5)
    assert [len(data.train), len(data.valid), len(data.test)] == [24, 3, 3]
    first = np.asarray(Image.open(tmp_path / "000.png").convert("RGB" if channels == 3 else "L"), np.float32) / 255
    pixels = torch.from_numpy(first.reshape(4, 5, channels)).permute(2, 0, 1)
    everything = torch.cat([data.train, data.valid, data.test])
    assert (everything == pixels).flatten(1).all(1).any()


def test_sixteen_bit_greys_are_not_clipped(tmp_path):
    for i in range(20):
        Image.fromarray(np.full((3, 3), 3276 * i, dtype=np.uint16)).save(tmp_path / f"{i}.png")
    data = load(f"folder:{tmp_path}")
    values = torch.cat([data.train, data.valid, data.test]).flatten(1)[:, 0].sort().values
    torch.testing.assert_close(values, torch.arange(20) * 3276 / 65535)


def test_grey_pictures_of_any_mode_are_grey(tmp_path):
    write_folder(tmp_path, 20)
    Image.open(tmp_path / "003.png").convert("RGB").save(tmp_path / "003.png")
    Image.open(tmp_path / "004.png").convert("P").save(tmp_path / "004.png")
    assert load(f"folder:{tmp_path}").shape == (1, 4, 5)


def test_pixels_of_unknown_range_are_refused(tmp_path):
    write_folder(tmp_path, 20)
    Image.fromarray(np.random.rand(4, 5).astype(np.float32)).save(tmp_path / "100.tiff")
    with pytest.raises(BenchError, match=r"100\.tiff: cannot be read as an image \(its pixels are of kind 'F'"):
        load(f"folder:{tmp_path}")


def test_a_home_of_nobody_is_one_line():
    with pytest.raises(DataMissing, match="~nobody-at-all"):
        load("folder:~nobody-at-all/x")


@pytest.mark.parametrize(("name", "file"), [("olivetti", "olivetti_py3.pkz"), ("mnist", "MNIST/raw/train-images-idx3-ubyte")])
def test_a_damaged_file_is_one_line(name, file, tmp_path, monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", offline)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_bytes(b"nonsense" * 100)
    with pytest.raises(DataMissing, match="not found whole"):
        load(name, root=tmp_path)


def offline(*args, **kwargs):
    raise OSError("Network is unreachable")


def test_folder_errors_are_one_line(tmp_path):
    with pytest.raises(DataMissing, match="no such folder"):
        load(f"folder:{tmp_path}/absent")
    with pytest.raises(DataMissing, match="no images there"):
        load(f"folder:{tmp_path}")
    write_folder(tmp_path, 19)
    with pytest.raises(BenchError, match="19 images are too few"):
        load(f"folder:{tmp_path}")
    Image.new("L", (9, 9)).save(tmp_path / "zz.png")
    with pytest.raises(BenchError, match=r"9×9 pixels where 000\.png is 5×4"):
        load(f"folder:{tmp_path}")
    (tmp_path / "zz.png").write_bytes((tmp_path / "000.png").read_bytes()[:40])
    with pytest.raises(BenchError, match=r"zz\.png: cannot be read as an image"):
        load(f"folder:{tmp_path}")


def test_unknown_name_suggests():
    with pytest.raises(UnknownName, match="unknown data set 'minst'; did you mean 'mnist'"):
        load("minst")


@pytest.mark.parametrize("name", [n for n in DATASETS if n != "digits"])
def test_nothing_there_and_no_network_is_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", offline)
    with pytest.raises(DataMissing) as error:
        load(name, root=tmp_path)
    text = str(error.value)
    assert "\n" not in text
    for part in (f"{name}: ", str(tmp_path), "--data DIR or BENCH_DATA", "'digits' needs nothing"):
        assert part in text
