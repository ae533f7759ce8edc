"""Somebody's .npz is the data set that he means, or one line says what to do."""

import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from genmodel_bench import BenchError, DataMissing
from genmodel_bench.data.registry import load
from genmodel_bench.errors import DataNotice
from strangers import is_one_line

rng = np.random.default_rng(0)
GREY = rng.integers(0, 256, (60, 6, 5), dtype=np.uint8)
COLOUR = rng.integers(0, 256, (60, 6, 5, 3), dtype=np.uint8)
LABELS = rng.integers(0, 3, 60)
UNIT = GREY / np.float32(255)


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "x.npz", **arrays)
    return f"npz:{tmp_path / 'x.npz'}"


def everything(data):
    return torch.cat([data.train, data.valid, data.test])


def test_one_set_is_divided_by_class_and_loses_nothing(tmp_path):
    data = load(saved(tmp_path, images=GREY, labels=np.sort(LABELS)))
    assert [len(data.train), len(data.valid), len(data.test)] == [48, 6, 6]
    assert data.shape == (1, 6, 5)
    rows = everything(data).flatten(1)
    assert torch.equal(rows.unique(dim=0), torch.from_numpy(UNIT).flatten(1).unique(dim=0))
    where = {tuple(x.ravel()): int(y) for x, y in zip(UNIT, np.sort(LABELS), strict=True)}
    labels = torch.cat([data.labels[part] for part in ("train", "valid", "test")])
    assert [where[tuple(row.tolist())] for row in rows] == labels.tolist()
    shares = torch.bincount(data.labels["test"], minlength=3) / 6
    torch.testing.assert_close(shares, torch.bincount(labels) / 60, atol=1 / 6, rtol=0)


def test_the_same_images_under_any_name_and_layout_are_the_same_data_set(tmp_path):
    parts = {"train": slice(0, 30), "valid": slice(30, 45), "test": slice(45, 60)}
    forms = []
    for image, label, words, x in [
        ("{}_images", "{}_labels", ("train", "valid", "test"), COLOUR),
        ("{}_images", "{}_labels", ("train", "val", "test"), COLOUR.transpose(0, 3, 1, 2)),
        ("x_{}", "y_{}", ("train", "validation", "test"), COLOUR / np.float32(255)),
        ("X_{}", "y_{}", ("train", "val", "test"), (COLOUR / np.float32(255)).transpose(0, 3, 1, 2)),
    ]:
        arrays = {}
        for word, part in zip(words, parts.values(), strict=True):
            arrays[image.format(word)], arrays[label.format(word)] = x[part], LABELS[part, None]
        forms.append(load(saved(tmp_path, **arrays)))
    assert len({data.digest for data in forms}) == 1
    assert torch.equal(forms[0].test, torch.from_numpy(COLOUR[45:]).permute(0, 3, 1, 2).float() / 255)
    assert forms[0].labels["valid"].tolist() == LABELS[30:45].tolist()


def test_without_validation_the_last_of_train_validate(tmp_path):
    data = load(saved(tmp_path, train_images=GREY[:50], test_images=GREY[50:55]))
    assert [len(data.train), len(data.valid), len(data.test)] == [45, 5, 5]
    assert torch.equal(everything(data)[:, 0], torch.from_numpy(UNIT[:55]))
    # as many as are tested, but at most a fifth
    data = load(saved(tmp_path, train_images=GREY[:30], test_images=GREY[30:]))
    assert [len(data.train), len(data.valid), len(data.test)] == [24, 6, 30]


def test_validation_is_of_all_classes_where_train_is_sorted_by_class(tmp_path):
    arrays = {"train_images": GREY[:50], "train_labels": np.arange(50) // 25}
    data = load(saved(tmp_path, **arrays, test_images=GREY[50:], test_labels=np.arange(10) % 2))
    assert torch.bincount(data.labels["valid"]).tolist() == [5, 5]
    assert torch.bincount(data.labels["train"]).tolist() == [20, 20]


def test_a_held_out_set_alone_is_tested(tmp_path):
    data = load(saved(tmp_path, train_images=GREY[:50], val_images=GREY[50:]))
    assert torch.equal(data.test[:, 0], torch.from_numpy(UNIT[50:]))


def test_binary_images_and_sixteen_bit_floats_keep_their_values(tmp_path):
    data = load(saved(tmp_path, images=GREY > 99))
    assert everything(data).unique().tolist() == [0, 1]
    data = load(saved(tmp_path, images=UNIT.astype(np.float16)))
    assert everything(data).dtype == torch.float32


def test_what_is_not_read_is_said(tmp_path):
    with pytest.warns(DataNotice, match=r"x\.npz: not read: names, extra; images and labels alone are"):
        load(saved(tmp_path, images=GREY, names=np.arange(60), extra=GREY))


def test_a_layout_that_the_shape_does_not_say_is_asked_for(tmp_path):
    x = rng.integers(0, 256, (60, 3, 5, 3), dtype=np.uint8)
    with pytest.raises(
        BenchError, match=r"fits \(n, h, w, c\) and \(n, c, h, w\); say which with an array layout"
    ):
        load(saved(tmp_path, images=x))
    assert load(saved(tmp_path, images=x, layout="NHWC")).shape == (3, 3, 5)
    assert load(saved(tmp_path, images=x, layout="NCHW")).shape == (3, 5, 3)
    with pytest.raises(BenchError, match="layout 'CHWN', expected NHWC or NCHW"):
        load(saved(tmp_path, images=x, layout="CHWN"))


BAD = {
    "flat": ({"images": GREY.reshape(60, 30)}, r"expected \(n, h, w\).*reshape"),
    "flat squares": ({"images": np.zeros((60, 784), np.uint8)}, r"save it after \.reshape\(-1, 28, 28\)"),
    "five axes": ({"images": GREY[None, None]}, "expected .n, h, w."),
    "four channels": (
        {"images": np.concatenate([COLOUR, COLOUR[..., :1]], 3)},
        "leave the fourth channel out",
    ),
    "empty": ({"images": GREY[:0]}, "holds no images"),
    "wide integers": (
        {"images": GREY.astype(np.int64)},
        r"dtype int64, expected uint8.*astype\(numpy\.uint8\)",
    ),
    "text": ({"images": np.full((60, 6, 5), "a")}, "dtype <U1"),
    "complex": ({"images": GREY.astype(complex)}, "dtype complex128"),
    "objects": ({"images": np.full((60, 6, 5), None)}, "without running code: it holds Python objects"),
    "NaN": ({"images": np.where(UNIT > 0.99, np.nan, UNIT)}, "holds NaN or infinite values"),
    "255 as floats": (
        {"images": GREY.astype(np.float32)},
        "values from 0 to 255, expected floats.*save x / 255",
    ),
    "minus one to one": ({"images": UNIT * 2 - 1}, r"save \(x \+ 1\) / 2"),
    "standardised": ({"images": UNIT * 6 - 3}, r"x scaled to \[0, 1\]"),
    "divided twice": ({"images": UNIT / 255}, "divide by 255 once, not twice"),
    "0 to 16 of scikit-learn": ({"images": GREY // 16}, "values from 0 to 15, expected uint8 from 0 to 255"),
    "0 to 2": ({"images": GREY % 3}, "values from 0 to 2"),
    "0 and 1": ({"images": GREY % 2}, "save images of 0 and 1 as floats"),
    "no images": ({"a": GREY, "b": GREY}, r"holds a, b, expected images.*numpy\.savez"),
    "both": ({"images": GREY, "train_images": GREY}, "images beside those of splits"),
    "twice": (
        {"x_train": GREY, "train_images": GREY, "x_test": GREY},
        "both 'x_train' and 'train_images' hold images; keep one",
    ),
    "no train": ({"valid_images": GREY, "test_images": GREY}, "holds valid and test, expected train too"),
    "few": (
        {"images": GREY[:19]},
        "19 images are too few for train, validation and test; expected at least 20",
    ),
    "few tests": ({"train_images": GREY, "test_images": GREY[:1]}, "1 images are too few for test"),
    "other size": ({"train_images": GREY, "test_images": GREY[:, :5]}, "test is 5×5 where train is 5×6"),
    "labels of one": (
        {"train_images": GREY, "train_labels": LABELS, "test_images": GREY},
        "train has labels and test has none",
    ),
    "labels alone": ({"images": GREY, "test_labels": LABELS}, "holds 'test_labels' without its images"),
    "few labels": ({"images": GREY, "labels": LABELS[:-1]}, "59 labels for 60 images"),
    "one-hot": ({"images": GREY, "labels": np.eye(3)[LABELS]}, r"save one-hot ones as \.argmax\(1\)"),
    "labels as text": (
        {"images": GREY, "labels": np.array(["a"] * 60)},
        "expected whole numbers; numpy.unique",
    ),
    "labels as floats": ({"images": GREY, "labels": LABELS / 2}, "dtype float64, expected whole numbers"),
    "huge label": (
        {"images": GREY, "labels": np.full(60, 2**63, np.uint64)},
        "a label of 2⁶³ or more",
    ),
}


@pytest.mark.filterwarnings("ignore::genmodel_bench.errors.DataNotice")
@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_a_data_set_is_one_line_that_says_what_to_do(what, tmp_path):
    arrays, message = BAD[what]
    with pytest.raises(BenchError, match=message) as error:
        load(saved(tmp_path, **arrays))
    is_one_line(str(error.value))


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def shortened(path):
    """Fewer data than the header of the array declares."""
    with zipfile.ZipFile(path) as archive:
        array = archive.read("images.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", array[:-7])


def claimed(path):
    """A header that declares more than fits into any memory."""
    with zipfile.ZipFile(path) as archive:
        array = archive.read("images.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "images.npy", array.replace(b"(60, 6, 5), }  ", b"(60, 6, 5" + b"0" * 9 + b"), }  ")[:500]
        )


def bare(path):
    """An .npy under the name of an .npz."""
    with path.open("wb") as file:
        np.save(file, GREY)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "cannot be read as .npz"),
        (flipped, "cannot be read as .npz .*Bad CRC"),
        (shortened, "declares 60 rows but holds 59: it was cut off"),
        (claimed, "fit into memory|are free|cut off"),
        (lambda path: path.write_bytes(b""), "cannot be read as .npz"),
        (lambda path: path.write_bytes(pickle.dumps(GREY)), "cannot be read as .npz"),
        (bare, r"cannot be read as \.npz .*; write it with numpy\.savez\(PATH, images=…"),
    ],
)
def test_a_damaged_file_is_one_line(damage, message, tmp_path):
    name = saved(tmp_path, images=GREY)
    damage(tmp_path / "x.npz")
    with pytest.raises(BenchError, match=message) as error:
        load(name)
    is_one_line(str(error.value))
    assert "x.npz" in str(error.value)


def test_no_file_and_a_folder_are_one_line(tmp_path):
    with pytest.raises(DataMissing, match=r"absent\.npz: no such file"):
        load(f"npz:{tmp_path}/absent.npz")
    with pytest.raises(BenchError, match=r"is a folder, expected an \.npz file; name a folder as folder:"):
        load(f"npz:{tmp_path}")


class Trap:
    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_is_unpickled(tmp_path):
    trap = Trap()
    trap.path = str(tmp_path / "sprung")
    array = np.empty(60, object)
    array[:] = [trap] * 60
    np.savez(tmp_path / "x.npz", images=GREY, labels=array)
    with pytest.raises(BenchError, match="'labels': cannot be read without running code"):
        load(f"npz:{tmp_path / 'x.npz'}")
    assert not (tmp_path / "sprung").exists()


def test_a_notice_is_one_line_of_the_command_line_and_of_no_worker(tmp_path):
    name = saved(tmp_path, images=GREY, more=GREY)
    run = [
        "run",
        "mean",
        "--seeds",
        "1",
        "--samples",
        "150",
        "--jobs",
        "1",
        "--no-figures",
        "--dataset",
        name,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "genmodel_bench", *run, "--results", str(tmp_path / "r")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "not read" in line]
    assert told == [f"bench: {tmp_path}/x.npz: not read: more; images and labels alone are"]
