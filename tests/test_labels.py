"""Labels of class-conditional samples are checked, and give the share of each class."""

import json
import pickle

import numpy as np
import pytest
from genmodel_bench import BadSamples
from genmodel_bench.commands.score import score
from genmodel_bench.inputs.labels import as_labels, labels_of
from genmodel_bench.metrics import METRICS
from genmodel_bench.storage.store import Store

CLASSES = range(10)
Y = np.arange(120) % 10


def given(samples, folder, **settings):
    usual = {"dataset": "digits", "device": "cpu", "figures": False, "name": "mine"}
    return score(samples, results=folder, metrics={"histogram": METRICS["histogram"]}, **usual, **settings)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Y.astype(float), "dtype float64, expected whole numbers"),
        (Y[:100], r"shape \(100,\), expected \(120,\)"),
        (np.eye(10)[Y].astype(int), r"shape \(120, 10\), expected \(120,\)"),
        (Y + 1, "holds 10, expected the data's classes, 0 to 9"),
        (Y - 1, "holds -1, expected"),
        (["a"] * 120, "expected whole numbers"),
        ("absent.npy", "no such file"),
    ],
)
def test_labels_that_do_not_fit_are_one_line(labels, message):
    with pytest.raises(Exception, match=message) as error:
        as_labels(labels, 120, CLASSES)
    assert "\n" not in str(error.value)


def test_labels_are_read_and_nothing_is_run(tmp_path):
    np.save(tmp_path / "y.npy", Y)
    np.savez(tmp_path / "y.npz", Y)
    for name in ("y.npy", "y.npz"):
        assert (as_labels(tmp_path / name, 120, CLASSES) == Y).all()
    (tmp_path / "bad.npy").write_bytes(pickle.dumps(Y))
    with pytest.raises(BadSamples, match="cannot be read"):
        as_labels(tmp_path / "bad.npy", 120, CLASSES)


def test_the_share_of_each_class_is_kept(tmp_path, digits):
    x = digits.train.numpy()[:120]
    assert "classes" not in given(x, tmp_path)
    y = np.where(Y < 5, 0, 3)
    with pytest.raises(Exception, match="--replace"):
        given(x, tmp_path, labels=y)
    assert given(x, tmp_path, labels=y, replace=True)["classes"] == {"0": 0.5, "3": 0.5}
    (first, *_) = Store(tmp_path, "digits").records()
    assert json.loads(first.model_settings)["classes"] == {"0": 0.5, "3": 0.5}
    assert "labels of the samples" in json.loads(first.ingredients)["samples"]


def test_seeds_have_labels_each(tmp_path, digits):
    x = digits.train.numpy()
    both = [x[:120], x[120:240]]
    with pytest.raises(BadSamples, match="--labels: got 1, expected one for each of 2"):
        given(both, tmp_path, labels=[Y])
    found = given(both, tmp_path, labels=[Y, Y * 0])
    assert found["classes"][1] == {"0": 1.0}
    assert len(found["classes"][0]) == 10


def test_a_file_of_guided_diffusion_brings_its_own(tmp_path, digits):
    x = (digits.train.numpy()[:120] * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    path = tmp_path / "a.npz"
    np.savez(path, x, Y * 0 + 7)
    assert labels_of(path) == path
    assert given(path, tmp_path)["classes"] == {"7": 1.0}
    np.savez(tmp_path / "b.npz", x)
    assert labels_of(tmp_path / "b.npz") is None
    assert labels_of(tmp_path / "absent.npz") is None
