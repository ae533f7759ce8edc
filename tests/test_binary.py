"""Are binary data sets what they are called, and how many grey levels do pixels have?"""

import pytest
import torch
from genmodel_bench import DataMissing
from genmodel_bench.data import binary
from genmodel_bench.data.dataset import levels_of
from genmodel_bench.data.registry import DATASETS, load
from genmodel_bench.errors import BenchError


@pytest.fixture
def amat(tmp_path, monkeypatch):
    """A data root with three small files in the published form, and their pixels."""
    monkeypatch.setattr(binary, "SIZES", {"train": 5, "valid": 3, "test": 2})
    folder = tmp_path / "binarized_mnist"
    folder.mkdir()
    images = {}
    for split, n in binary.SIZES.items():
        images[split] = torch.randint(2, (n, 784))
        lines = [" ".join(map(str, row)) + " \n" for row in images[split].tolist()]
        (folder / f"binarized_mnist_{split}.amat").write_text("".join(line[:-2] + "\n" for line in lines))
    return tmp_path, images


def test_the_published_files_are_read(amat):
    root, images = amat
    data = load("mnist-larochelle", root=root)
    for split, x in images.items():
        assert torch.equal(getattr(data, split), x.float().view(-1, 1, 28, 28))
    assert data.labels is None
    assert data.levels == 2


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-2], lambda b: b.replace(b"1", b"2", 1), lambda b: b + b"0 "]
)
def test_damaged_files_are_one_line(amat, damage):
    root, _ = amat
    path = root / "binarized_mnist" / "binarized_mnist_valid.amat"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BenchError, match=r"binarized_mnist_valid.amat: is damaged, expected 3 lines of 784"):
        load("mnist-larochelle", root=root)


def test_missing_files_say_where_they_are_from(tmp_path):
    with pytest.raises(DataMissing, match=r"binarized_mnist_train.amat.*take them from http"):
        load("mnist-larochelle", root=tmp_path)


def test_a_draw_is_of_the_grey_pixels_and_always_the_same():
    grey, drawn = load("digits"), load("digits-binary")
    assert torch.equal(drawn.labels["test"], grey.labels["test"])
    for split in ("train", "valid", "test"):
        x, y = getattr(grey, split), getattr(drawn, split)
        assert bool(((y == 0) | (y == 1)).all())
        assert bool((y[x == 1] == 1).all())
        assert not bool(y[x == 0].any())
        # each level has its share of ones, within five standard errors
        for level in range(1, 16):
            of = y[x == level / 16]
            p = level / 16
            assert abs(float(of.mean()) - p) < 5 * (p * (1 - p) / len(of)) ** 0.5
    assert drawn.digest == DATASETS["digits-binary"]("digits-binary", None).digest == "3c9f6b4c77cbb967"
    # splits have streams of their own
    assert not torch.equal(
        drawn.valid[:10] * (grey.valid[:10] == 0.5), drawn.test[:10] * (grey.test[:10] == 0.5)
    )


@pytest.mark.parametrize("levels", [2, 16, 17, 256])
def test_levels_are_counted_from_the_pixels(levels):
    x = torch.arange(levels).float() / (levels - 1)
    images = x.repeat(10).view(-1, 1, 1, 2)
    assert levels_of([images]) == levels
    assert levels_of([images, torch.tensor([[[[0.0, 1.0]]]])]) == levels
    assert levels_of([images, torch.full((1, 1, 1, 2), 0.4321)]) == 0  # one other pixel


def test_pixels_of_any_value_have_no_levels():
    assert load("ring").levels == 0
    assert load("digits").levels == 17
