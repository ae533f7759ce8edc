"""A folder is read as its owner means it, and nothing in it is left out silently."""

import numpy as np
import pytest
import torch
from genmodel_bench import BenchError, DataMissing
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadSamples, DataNotice
from genmodel_bench.inputs.samples import read_samples
from PIL import Image
from strangers import SHAPE, is_one_line


def images(folder, n, *, start=0, size=(5, 4)):
    """Write n grey pictures; picture i has the value of 3 i in its first pixel."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + n):
        x = np.random.default_rng(i).integers(0, 256, size[::-1], dtype=np.uint8)
        x[0, 0] = 3 * i
        Image.fromarray(x).save(folder / f"{i:03d}.png")
    return folder


def numbers(x):
    """The numbers of pictures x: (n, 1, 4, 5)."""
    return (x[:, 0, 0, 0] * 255 / 3).round().int().tolist()


def test_sub_folders_are_classes(tmp_path):
    images(tmp_path / "cat", 20)
    images(tmp_path / "dog", 30, start=20)
    images(tmp_path / "dog" / "puppy", 10, start=50)
    data = load(f"folder:{tmp_path}")
    assert [len(data.train), len(data.valid), len(data.test)] == [48, 6, 6]
    found = []
    for part in ("train", "valid", "test"):
        own = numbers(getattr(data, part))
        assert data.labels[part].tolist() == [0 if i < 20 else 1 for i in own]
        found += own
    assert sorted(found) == list(range(60))
    assert data.labels["test"].tolist().count(0) == 2


def test_it_is_the_data_set_that_torchvision_reads(tmp_path):
    from torchvision.datasets import ImageFolder

    for name, start in (("b", 0), ("a", 20), ("a/deeper", 40)):
        images(tmp_path / name, 20, start=start)
    theirs = {int(np.asarray(x)[0, 0, 0]) // 3: y for x, y in (ImageFolder(tmp_path)[i] for i in range(60))}
    data = load(f"folder:{tmp_path}")
    ours = {
        i: y
        for part in data.labels
        for i, y in zip(numbers(getattr(data, part)), data.labels[part].tolist(), strict=True)
    }
    assert ours == theirs


@pytest.mark.parametrize("valid", ["valid", "val", None])
@pytest.mark.parametrize("classes", [("a", "b"), ("",)])
def test_folders_of_splits(tmp_path, valid, classes):
    sizes = {"train": 30, "test": 4, **({valid: 3} if valid else {})}
    start, expected = 0, {}
    for split, n in sizes.items():
        for name in classes:
            images(tmp_path / split / name, n, start=start)
            expected.setdefault(split, []).extend(range(start, start + n))
            start += n
    data = load(f"folder:{tmp_path}")
    assert sorted(numbers(data.test)) == expected["test"]
    if valid:
        assert sorted(numbers(data.train)) == expected["train"]
        assert sorted(numbers(data.valid)) == expected[valid]
    else:  # of all classes, although the files are sorted by class
        assert sorted(numbers(data.train) + numbers(data.valid)) == expected["train"]
        assert len(data.valid) == len(data.test)
    if len(classes) == 2:
        assert torch.bincount(data.labels["valid"]).tolist() == [len(data.valid) // 2] * 2
    else:
        assert data.labels is None


def test_a_class_may_bear_the_name_of_a_split(tmp_path):
    for i, name in enumerate(("bus", "train")):
        images(tmp_path / name, 20, start=20 * i)
    assert set(load(f"folder:{tmp_path}").labels["train"].tolist()) == {0, 1}


def test_files_without_labels_keep_their_split(tmp_path):
    """Rows of such a folder that are stored are of these images."""
    images(tmp_path, 20)
    data = load(f"folder:{tmp_path}")
    assert data.labels is None
    assert [numbers(data.valid), numbers(data.test)] == [[18, 1], [19, 8]]


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda top: images(top / "cat", 2), r"holds images beside folders \(cat\); put the images into one"),
        (lambda top: (top / "x.heic").touch(), r"holds x\.heic, expected images, ending in \.png"),
        (lambda top: (top / "0001").touch(), r"holds 0001, expected images"),
        (
            lambda top: [(top / f"{i}.npy").touch() for i in range(7)],
            r"0\.npy, .*4\.npy and 2 more, expected",
        ),
    ],
)
def test_what_may_be_meant_as_images_is_an_error(add, message, tmp_path):
    add(images(tmp_path, 20))
    with pytest.raises(BadSamples, match=message) as error:
        read_samples(tmp_path, SHAPE)
    is_one_line(str(error.value))
    with pytest.raises(BenchError, match=message.partition(";")[0]) as error:
        load(f"folder:{tmp_path}")
    is_one_line(str(error.value))


def test_what_can_be_no_images_is_left_out_with_a_word(tmp_path):
    images(tmp_path, 20)
    (tmp_path / "labels.csv").touch()
    (tmp_path / "Thumbs.db").touch()
    Image.new("L", (5, 4)).save(tmp_path / ".hidden.png")
    images(tmp_path / ".ipynb_checkpoints", 2)
    gist = r"not read, as no images: \.hidden\.png, \.ipynb_checkpoints, Thumbs\.db, labels\.csv"
    with pytest.warns(DataNotice, match=gist):
        assert len(read_samples(tmp_path, SHAPE)) == 20
    with pytest.warns(DataNotice, match=gist):
        data = load(f"folder:{tmp_path}")
    assert len(data.train) + len(data.valid) + len(data.test) == 20


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ({"train": 20, "test": 2, "extra": 2}, "holds extra beside test and train, expected splits alone"),
        ({"train": 20, "valid": 2, "val": 2, "test": 2}, "holds valid and val, expected one of them"),
        ({"valid": 20, "test": 2}, "holds test and valid, expected train too"),
        ({"a": 20, "b": 0}, r"b: no images there, expected some"),
        (
            {"train/a": 20, "train/b": 20, "test/a": 2, "test/c": 2},
            "test: has the classes c that train has not",
        ),
        ({"train/a": 20, "test": 2}, "train has labels and test has none|that train has not"),
        ({"train": 20, "train/a": 20, "test": 2}, r"train: holds images beside folders \(a\)"),
        ({"a": 5, "b": 5}, "10 images are too few"),
        ({}, "no images there; expected files ending in"),
    ],
)
def test_folders_that_do_not_fit_together_are_one_line(folders, message, tmp_path):
    for name, n in folders.items():
        images(tmp_path / name, n)
    with pytest.raises(BenchError, match=message) as error:
        load(f"folder:{tmp_path}")
    is_one_line(str(error.value))


def test_no_such_folder_is_one_line(tmp_path):
    with pytest.raises(DataMissing, match="absent: no such folder"):
        load(f"folder:{tmp_path}/absent")
