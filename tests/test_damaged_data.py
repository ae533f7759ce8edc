"""Files of known data sets that are damaged, exchanged or others are never believed."""

import gzip
import hashlib
import os
import pickle
import pwd
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from genmodel_bench import BadOption, BenchError, DataMissing, UnknownName
from genmodel_bench.data import faces, registry, vision
from genmodel_bench.data.registry import load
from genmodel_bench.data.root import data_root
from genmodel_bench.errors import DataNotice
from scipy.io import savemat
from strangers import is_one_line
from test_data import offline, write_tfd

N = {"train": 60, "t10k": 20}


def idx(array, magic=None):
    """An array of bytes in the form of MNIST's files."""
    head = struct.pack(">BBBB", 0, 0, 8, array.ndim) if magic is None else magic
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(root, cls="MNIST", **changes):
    """Write four files in the form of MNIST's, but small; changes are by file."""
    folder = root / cls / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    content = {}
    for i, (part, n) in enumerate(N.items()):
        rng = np.random.default_rng(i)
        content[f"{part}_images"] = idx(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        content[f"{part}_labels"] = idx(rng.integers(0, 10, n, dtype=np.uint8))
    for key, data in (content | changes).items():
        part, kind = key.split("_")
        (folder / f"{part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte").write_bytes(data)
    return content


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", offline)


@pytest.fixture
def small(monkeypatch):
    """MNIST as a data set of which 12 training images validate."""
    keywords = registry.DATASETS["mnist"].keywords | {"valid": 12}
    monkeypatch.setitem(
        registry.DATASETS, "mnist", lambda name, root: vision.load_registered(name, root, **keywords)
    )


def images(n, h=28, w=28):
    return np.random.default_rng(0).integers(0, 256, (n, h, w), dtype=np.uint8)


DAMAGED = {
    "wrong magic": ({"train_images": idx(images(60), b"\1\2\3\4")}, "cannot be read"),
    "magic of floats": ({"train_images": idx(images(60), b"\0\0\x0d\3")}, "cannot be read"),
    "cut": ({"train_images": idx(images(60))[:-1000]}, "cannot be read"),
    "too long": ({"train_images": idx(images(60)) + b"\0" * 1000}, "cannot be read"),
    "empty": ({"train_images": b""}, "cannot be read"),
    "head alone": ({"train_images": idx(images(60))[:6]}, "cannot be read"),
    "few images": ({"train_images": idx(images(59))}, "60 labels for 59 images"),
    "few labels": ({"train_labels": idx(np.zeros(59, np.uint8))}, "59 labels for 60 images"),
    "cut labels": ({"t10k_labels": idx(np.zeros(20, np.uint8))[:-3]}, "cannot be read"),
    "long labels": ({"t10k_labels": idx(np.zeros(20, np.uint8)) + b"\1"}, "cannot be read"),
    "labels beyond 9": (
        {"t10k_labels": idx(np.full(20, 10, np.uint8))},
        "labels from 10 to 10, expected 0 to 9",
    ),
    "labels of the other part": ({"train_labels": idx(np.zeros(20, np.uint8))}, "20 labels for 60 images"),
    "images for labels": ({"train_labels": idx(images(60))}, "cannot be read"),
    "labels for images": ({"train_images": idx(np.zeros(60, np.uint8))}, "cannot be read"),
    "other size": (
        {"train_images": idx(images(60, 14, 14)), "t10k_images": idx(images(20, 14, 14))},
        r"train has the shape \(60, 1, 14, 14\), expected more than 12 of \(1, 28, 28\)",
    ),
    "none that train": (
        {"train_images": idx(images(12)), "train_labels": idx(np.zeros(12, np.uint8))},
        r"train has the shape \(12, 1, 28, 28\), expected more than 12",
    ),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_mnist_is_one_line(what, tmp_path, small):
    changes, message = DAMAGED[what]
    write(tmp_path, **changes)
    with pytest.raises(BenchError, match=message) as error:
        load("mnist", root=tmp_path)
    text = str(error.value)
    is_one_line(text)
    assert text.startswith("mnist: ")
    assert "download failed" not in text
    assert "anew" in text


def test_files_that_are_not_those_published_are_said(tmp_path, small, monkeypatch):
    content = write(tmp_path)
    with pytest.warns(DataNotice) as told:
        data = load("mnist", root=tmp_path)
    assert [len(data.train), len(data.valid), len(data.test)] == [48, 12, 20]
    assert len(told) == 4
    assert "train-images-idx3-ubyte: is not the file that was published as mnist" in str(told[0].message)
    known = {
        f"{part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte": hashlib.md5(
            content[f"{part}_{kind}"]
        ).hexdigest()
        for part in N
        for kind in ("images", "labels")
    }
    monkeypatch.setitem(vision.PUBLISHED, "MNIST", known)
    load("mnist", root=tmp_path)
    write(tmp_path, train_labels=idx(np.zeros(60, np.uint8)))  # as those of another data set
    with pytest.warns(DataNotice, match="train-labels-idx1-ubyte: is not the file"):
        load("mnist", root=tmp_path)


def test_packed_files_are_unpacked_without_a_network(tmp_path, small, monkeypatch):
    """A root that holds what torchvision has downloaded, before it is unpacked."""
    content = write(tmp_path)
    import torchvision.datasets

    resources = []
    for path in sorted((tmp_path / "MNIST" / "raw").iterdir()):
        packed = gzip.compress(path.read_bytes())
        path.with_name(f"{path.name}.gz").write_bytes(packed)
        resources.append((f"{path.name}.gz", hashlib.md5(packed).hexdigest()))
        path.unlink()
    assert content
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    with pytest.warns(DataNotice):
        assert len(load("mnist", root=tmp_path).test) == 20


def test_any_class_of_torchvision_is_read_by_its_name(tmp_path):
    write(tmp_path, cls="KMNIST")
    data = load("torchvision:KMNIST", root=tmp_path)
    assert [len(data.train), len(data.valid), len(data.test)] == [48, 12, 20]
    assert data.shape == (1, 28, 28)
    assert set(data.labels) == {"train", "valid", "test"}
    folder = tmp_path / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    for part, n in (("train", 60), ("test", 20)):
        (folder / f"emnist-digits-{part}-images-idx3-ubyte").write_bytes(idx(images(n)))
        (folder / f"emnist-digits-{part}-labels-idx1-ubyte").write_bytes(
            idx(np.arange(n, dtype=np.uint8) % 10)
        )
    assert len(load("torchvision:EMNIST:digits", root=tmp_path).test) == 20


def test_a_class_with_splits_is_read_channels_first(tmp_path, monkeypatch):
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    colour = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 40), dtype=np.uint8)
    found = {}
    for split in ("train", "test"):
        path = tmp_path / f"{split}_32x32.mat"
        savemat(path, {"X": colour, "y": np.arange(40)[:, None] % 10 + 1})
        found[split] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(SVHN, "split_list", found)
    data = load("torchvision:SVHN", root=tmp_path)
    assert data.shape == (3, 32, 32)
    assert [len(data.train), len(data.valid), len(data.test)] == [32, 8, 40]
    assert torch.equal(data.test[5], torch.from_numpy(colour[..., 5]).permute(2, 0, 1).float() / 255)
    assert data.labels["test"][:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]


@pytest.mark.parametrize("name", ["torchvision:KMNIST", "torchvision:SVHN", "torchvision:EMNIST:letters"])
def test_a_class_whose_files_are_missing_is_one_line(name, tmp_path):
    with pytest.raises(
        DataMissing, match=f"{name}: the files of torchvision.datasets.* not found whole"
    ) as error:
        load(name, root=tmp_path)
    is_one_line(str(error.value))


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("torchvision:KMNST", UnknownName, "did you mean 'KMNIST'"),
        ("torchvision:ImageFolder", UnknownName, "with train= or split="),
        ("torchvision:EMNIST", BadOption, r"expected torchvision:EMNIST:byclass\|bymerge\|balanced"),
        ("torchvision:EMNIST:all", BadOption, r"expected torchvision:EMNIST:byclass\|bymerge\|balanced"),
        ("torchvision:KMNIST:digits", BadOption, "expected torchvision:KMNIST"),
        ("torchvision:PhotoTour", BenchError, "PhotoTour cannot be opened: .*missing .* 'name'"),
        ("torchvision:", UnknownName, "known: .*torchvision:CLASS"),
    ],
)
def test_a_class_that_is_none_is_one_line(name, kind, message, tmp_path):
    with pytest.raises(kind, match=message) as error:
        load(name, root=tmp_path)
    is_one_line(str(error.value))


@pytest.mark.filterwarnings("ignore:.*MD5")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (9, r"folds holds \[9\], expected the codes 0 to 3"),
        (-1, r"folds holds \[-1\], expected the codes 0 to 3"),
        (1.4, "folds holds 1.4, expected whole numbers"),
        (np.nan, "folds holds nan, expected whole numbers"),
        (np.inf, "folds holds inf, expected whole numbers"),
    ],
)
def test_a_code_of_tfd_that_means_nothing_is_one_line(code, message, tmp_path):
    folds = write_tfd(tmp_path)["folds"].astype(float)
    folds[50, 2] = code
    write_tfd(tmp_path, folds=folds)
    with pytest.raises(BenchError, match=message) as error:
        load("tfd", root=tmp_path)
    is_one_line(str(error.value))


@pytest.mark.filterwarnings("ignore:.*MD5")
def test_whole_codes_of_tfd_may_be_floats(tmp_path):
    content = write_tfd(tmp_path)
    before = load("tfd", root=tmp_path).digest
    write_tfd(tmp_path, folds=content["folds"].astype(float), labs_ex=content["labs_ex"].astype(float))
    assert load("tfd", root=tmp_path).digest == before
    labels = content["labs_ex"].astype(float)
    labels[0, 0] = 0.5
    savemat(tmp_path / "tfd" / "TFD_48x48.mat", content | {"labs_ex": labels})
    with pytest.raises(BenchError, match=r"labs_ex holds 0\.5, expected whole numbers"):
        load("tfd", root=tmp_path)


class Trap:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def fake_faces(monkeypatch, pixels):
    monkeypatch.setattr(faces, "OLIVETTI", ("olivetti_py3.pkz", hashlib.sha256(pixels.tobytes()).hexdigest()))


def test_olivetti_is_read_as_scikit_learn_reads_it_and_not_unpickled(tmp_path, monkeypatch):
    from sklearn.datasets import fetch_olivetti_faces

    pixels = np.random.default_rng(0).integers(0, 256, (400, 4096), dtype=np.uint8)
    path = tmp_path / "olivetti_py3.pkz"
    joblib.dump(pixels, path, compress=6)
    fake_faces(monkeypatch, pixels)
    theirs = fetch_olivetti_faces(data_home=tmp_path, download_if_missing=False)
    assert (faces.olivetti_pixels("olivetti", path) == theirs.images).all()
    monkeypatch.setattr(pickle, "Unpickler", None)
    assert load("olivetti", root=tmp_path).train.shape == (220, 1, 48, 48)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"nonsense" * 100, id="nonsense"),
        pytest.param(zlib.compress(b"short"), id="short"),
        pytest.param(zlib.compress(bytes(10**8)), id="bomb"),
        pytest.param(None, id="trap"),
    ],
)
def test_an_olivetti_file_that_is_not_the_published_one_is_one_line(content, tmp_path):
    path = tmp_path / "olivetti_py3.pkz"
    if content is None:
        joblib.dump(Trap(tmp_path / "sprung"), path, compress=6)
    else:
        path.write_bytes(content)
    with pytest.raises(BenchError, match=r"is damaged .*; remove it, and it is downloaded anew") as error:
        load("olivetti", root=tmp_path)
    is_one_line(str(error.value))
    assert not (tmp_path / "sprung").exists()


NOBODY = """
import os, pwd, sys

def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = nobody
sys.argv = ["bench", *sys.argv[1:]]
from genmodel_bench.cli.main import main
from genmodel_bench.execution import pool
pool.usual_jobs = lambda device: 0  # in this process, where nobody is known
main()
"""


def as_nobody(*words, **variables):
    """Run the command line as a container's user: no HOME, no entry in passwd."""
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "BENCH_DATA")}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NOBODY, *words],
        env=environment | variables,
        capture_output=True,
        text=True,
    )


def test_without_a_home_digits_run(tmp_path):
    done = as_nobody(
        "run", "mean", "--seeds", "1", "--samples", "150", "--results", str(tmp_path), "--no-figures"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "digits" / "runs.csv").is_file()


@pytest.mark.parametrize("name", ["mnist", "cifar10", "tfd", "olivetti", "torchvision:KMNIST"])
def test_without_a_home_what_needs_files_asks_for_their_folder(name, monkeypatch):
    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("BENCH_DATA", raising=False)
    with pytest.raises(
        DataMissing, match=r"HOME is unset, .*; name the folder with --data DIR or BENCH_DATA"
    ):
        load(name)
    monkeypatch.setenv("BENCH_DATA", "~/x")
    with pytest.raises(BadOption, match="~/x: the home folder is not known here"):
        load(name)


def test_the_root_is_the_one_given_then_bench_data_then_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("BENCH_DATA", "~/mine")
    assert data_root("/given") == Path("/given")
    assert data_root(None) == Path("/home/me/mine")
    monkeypatch.delenv("BENCH_DATA")
    assert data_root(None) == Path("/home/me/.cache/genmodel-bench")
