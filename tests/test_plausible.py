"""Samples that are not what they are taken for are told of, and others are not."""

import re

import numpy as np
import pytest
import torch
from genmodel_bench import BadSamples
from genmodel_bench.commands.score import score
from genmodel_bench.execution.plausible import doubt_of_copies, doubt_of_values, held_out_copies
from genmodel_bench.execution.verify import rows
from genmodel_bench.inputs.samples import as_samples
from genmodel_bench.metrics import METRICS
from genmodel_bench.metrics.distances import nearest
from genmodel_bench.storage.store import Store
from sklearn.datasets import load_digits


def noisy(x, sigma=0.01):
    return (x + sigma * torch.randn(x.shape)).clamp(0, 1)


def smooth(x):
    """Means of ten images: nearer to all images than these are to each other."""
    return torch.stack([x[torch.randperm(len(x))[:10]].mean(0) for _ in range(300)])


def typical(d):
    """Training images, with noise, that have a held-out image unusually near."""
    near, _ = nearest(d.train.flatten(1), torch.cat([d.valid, d.test]).flatten(1))
    return noisy(d.train[near.argsort()[:40]])


@pytest.mark.parametrize("sigma", [0.0, 0.01], ids=["exact", "noisy"])
@pytest.mark.parametrize("split", ["test", "valid"])
def test_held_out_images_are_counted(digits, split, sigma):
    x = torch.cat([noisy(getattr(digits, split), sigma), digits.train[:200]])
    other = {"test": "valid", "valid": "test"}[split]
    found = held_out_copies(x, digits)
    assert found[split] >= 295  # of 300; some digits are held out twice, as near as noise
    assert found[other] <= 5
    assert doubt_of_copies(found, len(x)).endswith("exact or with a little noise")


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d.train,
        lambda d: noisy(d.train),
        lambda d: smooth(d.train),
        typical,
        lambda d: d.train[torch.randperm(1197)] * 0.5 + d.train * 0.5,
        lambda d: torch.rand(300, 1, 8, 8),
        lambda d: torch.zeros(300, 1, 8, 8),
        lambda d: (d.train > 0.5).float(),
    ],
    ids=["train", "noisy train", "smooth", "typical", "mixed", "noise", "black", "binary"],
)
def test_what_was_made_of_training_images_alone_is_no_copy_of_others(digits, make):
    x = make(digits)
    assert doubt_of_copies(held_out_copies(x, digits), len(x)) == ""


def test_a_few_copies_are_tolerated_as_they_are_of_training_images():
    assert doubt_of_copies({"valid": 0, "test": 50}, 1000) == ""
    assert doubt_of_copies({"valid": 0, "test": 51}, 1000) == (
        "51 of 1,000 samples are copies of test images, exact or with a little noise"
    )
    assert "test or validation images" in doubt_of_copies({"valid": 30, "test": 30}, 1000)


def test_test_images_handed_in_bear_a_warning_wherever_they_are_shown(tmp_path, digits):
    metrics = {name: METRICS[name] for name in ("histogram", "parzen")}
    usual = {"dataset": "digits", "device": "cpu", "figures": False}
    found = score(noisy(digits.test).numpy(), name="best", results=tmp_path, metrics=metrics, **usual)
    said = "300 of 300 samples are copies of test images, exact or with a little noise"
    assert found["copies"]["test"] == 300
    assert said in found["metrics"]["histogram"]["status"]  # the first that has a score
    assert said not in found["metrics"]["parzen"]["status"]
    assert f"digits: histogram: warning: {said}" in (tmp_path / "digits" / "table1.md").read_text()
    store = Store(tmp_path, "digits")
    findings = list(rows(tmp_path, [(r, None) for r in store.records()]))
    assert findings
    assert all(finding.good for finding in findings)


@pytest.mark.parametrize(
    ("make", "mending"),
    [
        (lambda d: load_digits().images.astype(np.uint8), "give x / 16 as floats"),
        (lambda d: (d.train * 2).round().byte(), "give x / 2 as floats"),
        (lambda d: (d.train * 40).byte(), "give x / 40 as floats"),
        (lambda d: load_digits().images, "give x / 16"),
        (lambda d: d.train * 255, "give x / 255"),
        (lambda d: d.train * 2 - 1, r"give \(x \+ 1\) / 2"),
        (lambda d: d.train * 1.02 - 0.01, r"give x.clip\(0, 1\)"),
        (lambda d: d.train * 300 - 7, r"scale them to \[0, 1\]"),
        (lambda d: d.train / 255, r"give x \* 255"),
        (lambda d: (d.train * 255).byte().double() / 255 / 255, r"give x \* 255"),
    ],
)
def test_values_of_another_scale_are_refused_with_the_mending(digits, make, mending):
    x = make(digits)
    with pytest.raises(BadSamples, match=mending) as error:
        doubt_of_values(as_samples(x, digits.shape), digits.train, "samples")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: x / 16, r"values reach 0.0625, those of the data 1: .* give x \* 16"),
        (lambda x: (x + 1) / 2, r"values begin at 0.5, .* give 2 \* x - 1"),
        (lambda x: 1 - x, r"the mean value is 0.69\d, .* give 1 - x"),
        (lambda x: x * 0, "the mean value is 0, that of any training image 0.1"),
    ],
    ids=["divided", "moved", "inverted", "black"],
)
def test_values_that_may_be_meant_are_warned_of(digits, make, said):
    assert re.match(said, doubt_of_values(make(digits.train), digits.train, "samples"))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: noisy(x, 0.3),
        lambda x: (x > 0.5).float(),
        lambda x: x.mean(0, keepdim=True).expand(300, -1, -1, -1),
        lambda x: x * 0.8,
    ],
    ids=["real", "noisy", "binary", "mean", "dim"],
)
def test_values_of_the_data_raise_no_doubt(digits, make):
    assert doubt_of_values(make(digits.train), digits.train, "samples") == ""


def test_bytes_are_measured_by_the_data_and_black_is_black(digits):
    black = np.zeros((200, 64), np.uint8)
    assert as_samples(black, digits.shape).sum() == 0
    dim = np.full((200, 64), 40, np.uint8)
    assert as_samples(dim, digits.shape, brightest=0.2).max() == pytest.approx(40 / 255)
    with pytest.raises(BadSamples, match="reach 255"):
        as_samples(dim, digits.shape)


def test_means_where_the_data_are_binary_are_told_of():
    train = (torch.rand(300, 1, 8, 8) < 0.3).float()
    said = doubt_of_values(smooth(train), train, "samples")
    assert "of the values are neither 0 nor 1, as those of the data are: are they means?" in said
    assert doubt_of_values(train.flip(0), train, "samples") == ""
    assert doubt_of_values(train, smooth(train), "samples") == ""  # binary samples of grey data
