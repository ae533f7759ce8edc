import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from flat import run
from genmodel_bench import BadOption, BenchError, DataMissing, UnknownName
from genmodel_bench.data import faces
from genmodel_bench.data.registry import DATASETS, load
from PIL import Image
from scipy.io import savemat

ROOT = Path(os.environ.get("BENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
needs_mnist = pytest.mark.skipif(
    not (ROOT / "MNIST" / "raw").is_dir(), reason="no MNIST files under BENCH_DATA"
)
needs_olivetti = pytest.mark.skipif(
    not (ROOT / "olivetti_py3.pkz").is_file(), reason="no Olivetti file under BENCH_DATA"
)


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
def test_olivetti_keeps_people_apart_and_has_five_folds():
    data = load("olivetti", root=ROOT)
    check(data)
    assert data.shape == (1, 48, 48)
    assert [len(data.train), len(data.valid), len(data.test)] == [220, 30, 150]
    people = [set(labels.tolist()) for labels in data.labels.values()]
    assert not (people[0] & people[1] or people[0] & people[2] or people[1] & people[2])
    check_folds(data)
    assert [(len(fold.valid), len(fold.test)) for fold in data.folds] == [(120, 30)] * 5


def check_folds(data):
    """Every image is in one place only.

    Training and validation images are in no fold; the folds' test images are `test`, each
    once.
    """
    assert len(data.folds) == 5
    tests = torch.cat([fold.test for fold in data.folds]).flatten(1)
    assert torch.equal(tests.unique(dim=0), data.test.flatten(1).unique(dim=0))
    outside = torch.cat([data.train, data.valid]).flatten(1)
    for fold in data.folds:
        valid, test = fold.valid.flatten(1), fold.test.flatten(1)
        assert torch.cdist(valid, test).min() > 0
        assert torch.cdist(outside, torch.cat([valid, test])).min() > 0


def write_tfd(folder, *, n=120, size=48, name="TFD_48x48.mat", **changes):
    """Write a file in TFD's form.

    40 images are unlabelled in every fold. Of the others, each fold has 16 for testing,
    10 for validation and 54 for training.
    """
    rng = np.random.default_rng(1)
    folds = np.zeros((n, 5), dtype=np.uint8)
    for f in range(5):
        codes = np.ones(80, dtype=np.uint8)
        codes[16 * f : 16 * f + 16] = 3
        codes[(16 * f + 16 + np.arange(10)) % 80] = 2
        folds[40:, f] = codes
    labels = np.where(np.arange(n) < 40, -1, rng.integers(1, 8, n)).astype(np.int16)
    content = {
        "images": rng.integers(0, 256, (n, size, size), dtype=np.uint8),
        "folds": folds,
        "labs_ex": labels[:, None],
    }
    content["labs_id"] = labels[:, None]
    (folder / "tfd").mkdir(exist_ok=True)
    savemat(
        folder / "tfd" / name, {key: value for key, value in (content | changes).items() if value is not None}
    )
    return content


def test_tfd_is_read_from_the_users_file_with_its_folds(tmp_path):
    content = write_tfd(tmp_path)
    with pytest.warns(UserWarning, match="MD5 is [0-9a-f]{32}, not 9d113650c197719b750ecc6864faf87c"):
        data = load("tfd", root=tmp_path)
    check(data)
    assert data.shape == (1, 48, 48)
    assert [len(data.train), len(data.valid), len(data.test)] == [36, 4, 80]
    torch.testing.assert_close(data.train[:, 0], torch.from_numpy(content["images"][:36]).float() / 255)
    assert [(len(fold.valid), len(fold.test)) for fold in data.folds] == [(10, 16)] * 5
    torch.testing.assert_close(
        data.folds[2].test[:, 0], torch.from_numpy(content["images"][72:88]).float() / 255
    )
    check_folds(data)


def test_tfd_of_the_known_md5_is_read_without_a_warning(tmp_path, monkeypatch):
    write_tfd(tmp_path)
    found = hashlib.md5((tmp_path / "tfd" / "TFD_48x48.mat").read_bytes()).hexdigest()
    monkeypatch.setitem(faces.TFD_FILES, "TFD_48x48.mat", found)
    assert load("tfd", root=tmp_path).train.shape == (36, 1, 48, 48)


def test_large_tfd_images_are_made_48_pixels_wide(tmp_path):
    content = write_tfd(tmp_path, size=96, name="TFD_96x96.mat")
    data = load("tfd", root=tmp_path)
    assert data.shape == (1, 48, 48)
    means = torch.from_numpy(content["images"][:36]).float().mean((1, 2)) / 255
    # the images are noise, and the border counts a little less
    torch.testing.assert_close(data.train.mean((1, 2, 3)), means, atol=5e-3, rtol=0)


@pytest.mark.filterwarnings("ignore:.*MD5")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": None}, "holds no 'folds'; expected the keys images, folds, labs_ex"),
        ({"images": np.zeros((120, 48, 48))}, "images are float64, expected uint8"),
        (
            {"folds": np.zeros((120, 4), dtype=np.uint8)},
            r"expected images .n, h, w., folds .n, 5. and labs_ex .n., got .*folds .120, 4.",
        ),
        ({"folds": np.eye(120, 5, dtype=np.uint8)}, "an image is unlabelled in one fold and used in another"),
        ({"folds": np.ones((120, 5), dtype=np.uint8)}, "a fold, or the unlabelled part, is empty"),
    ],
)
def test_a_tfd_file_of_another_form_is_one_line(tmp_path, changes, message):
    write_tfd(tmp_path, **changes)
    with pytest.raises(BenchError, match=message):
        load("tfd", root=tmp_path)


@pytest.mark.filterwarnings("ignore:.*MD5")
def test_a_damaged_tfd_file_is_one_line(tmp_path):
    write_tfd(tmp_path)
    path = tmp_path / "tfd" / "TFD_48x48.mat"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BenchError, match=r"cannot be read as a \.mat file"):
        load("tfd", root=tmp_path)


def write_folder(folder, n, size=(5, 4), mode="L"):
    rng = np.random.default_rng(0)
    for i in range(n):
        shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        if mode == "RGBA":
            pixels[..., 3] = 255  # opaque
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 3)])
def test_folder_of_images(tmp_path, mode, channels):
    write_folder(tmp_path, 30, mode=mode)
    data = load(f"folder:{tmp_path}")
    check(data)
    assert data.shape == (channels, 4, 5)
    assert [len(data.train), len(data.valid), len(data.test)] == [24, 3, 3]
    first = (
        np.asarray(Image.open(tmp_path / "000.png").convert("RGB" if channels == 3 else "L"), np.float32)
        / 255
    )
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
    with pytest.raises(
        BenchError, match=r"100\.tiff: cannot be read as an image \(its pixels are of kind 'F'"
    ):
        load(f"folder:{tmp_path}")


def test_a_home_of_nobody_is_one_line():
    with pytest.raises(BadOption, match="~nobody-at-all"):
        load("folder:~nobody-at-all/x")


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


@pytest.mark.parametrize(
    "name", [n for n in DATASETS if n not in ("digits", "digits-binary", "ring", "grid")]
)
def test_nothing_there_and_no_network_is_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", offline)
    with pytest.raises(DataMissing) as error:
        load(name, root=tmp_path)
    text = str(error.value)
    assert "\n" not in text
    asked_for = ["on request", "'olivetti' runs the same code"]
    for part in (
        f"{name}: ",
        str(tmp_path),
        *(asked_for if name == "tfd" else ["--data DIR or BENCH_DATA", "'digits' needs nothing"]),
    ):
        assert part in text


@pytest.mark.filterwarnings("ignore:.*MD5")
def test_tfd_runs_from_the_users_file_to_the_table_with_folds(tmp_path):
    write_tfd(tmp_path)
    small = [
        "generator=12,10",
        "front=9,8",
        "discriminator=6,6",
        "output_sparse=4",
        "pretrain_epochs=2",
        "epochs=2",
        "batch_size=12",
    ]
    options = [f"gan-ns.{option}" for option in small]
    results = tmp_path / "results"
    records = run(
        ["gan-ns", "mean"],
        dataset="tfd",
        data=tmp_path,
        results=results,
        seeds=1,
        samples=150,
        draws=2,
        device="cpu",
        options=options,
        figures=False,
    )
    parzen = records[records["quantity"] == "log_likelihood"]
    assert list(parzen["stderr_over"]) == ["folds"] * 2
    assert list(parzen["n"]) == [5, 5]
    assert parzen["status"].str.match("ok|warning").all()
    assert [json.loads(text)["folds"] for text in parzen["metric_settings"]] == [5, 5]
    assert "gan-ns" in (results / "tfd" / "table1.md").read_text()
