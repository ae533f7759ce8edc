import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from genmodel_bench.metrics import classifier, extractors
from genmodel_bench.metrics.classifier import trained
from genmodel_bench.metrics.components import principal_components
from genmodel_bench.metrics.features import NATIVE, NotApplicable, features
from genmodel_bench.metrics.lenet import LeNet, digest_of
from sklearn.decomposition import PCA
from torch import nn


def labelled(n, shape, classes=3):
    """Images of one brightness for each class, with noise, in any order."""
    y = torch.randint(classes, (n,))
    x = (0.2 + 0.6 * y[:, None, None, None] / (classes - 1) + 0.05 * torch.randn(n, *shape)).clamp(0, 1)
    return x, y


@pytest.mark.parametrize("name", NATIVE)
def test_features_are_rows_of_numbers_that_repeat_and_leave_the_caller_as_it_was(name, few):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    found = features(name, few)
    y = found.of(few.test)
    torch.manual_seed(7)
    again = features(name, few)
    assert again.about == found.about
    assert torch.equal(again.of(few.test), y)
    torch.set_rng_state(before)
    features(name, few).of(few.test)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert (y.shape, y.dtype) == ((len(few.test), found.about["dimensions"]), torch.float32)
    assert found.about["features"] == name
    assert not y.requires_grad


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 9), (2, 70, 66)])
def test_networks_take_images_of_any_shape(shape, few):
    x, y = labelled(8, shape)
    data = replace(few, train=x, test=x, labels={"train": y, "test": y})
    for name in ("random", "classifier"):
        assert features(name, data).of(x[:5]).shape == (5, 64)


def test_images_smaller_than_four_pixels_are_not_applicable(few):
    data = replace(few, train=torch.rand(9, 1, 3, 8))
    for name in ("random", "classifier"):
        with pytest.raises(NotApplicable, match="8 × 3 are too small"):
            features(name, data)


@pytest.mark.parametrize("labels", [None, {"train": torch.ones(200), "test": torch.ones(40)}])
def test_without_labels_of_two_classes_there_is_no_classifier(labels, few):
    with pytest.raises(NotApplicable, match="no labels"):
        features("classifier", replace(few, labels=labels))


def test_the_classifier_learns_classes_of_any_numbers(few):
    x, y = labelled(300, (1, 4, 4))
    state = trained(x[:200], 7 * y[:200] - 3, x[200:], 7 * y[200:] - 3)
    # classes of brightnesses six standard deviations of the mean pixel apart
    assert float(state["accuracy"]) == 1


def test_where_all_test_images_are_of_unknown_classes_training_images_are_held_out():
    x, y = labelled(200, (1, 4, 4))
    state = trained(x[:100], y[:100], x[100:], y[100:] + 5)
    assert float(state["accuracy"]) == 1
    some = y.clone()
    some[150:] = 9  # half of the test images are of a class that is not known, and do not count
    assert float(trained(x[:100], y[:100], x[100:], some[100:])["accuracy"]) == 1


def test_another_seed_is_another_classifier():
    x, y = labelled(30, (1, 4, 4))
    first, second = (trained(x, y, x, y, seed=seed) for seed in (0, 1))
    assert digest_of(first) != digest_of(second)


def test_the_classifier_does_not_depend_on_the_number_of_threads():
    x, y = labelled(60, (1, 8, 8))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        first = trained(x, y, x, y)
        torch.set_num_threads(2)
        assert digest_of(trained(x, y, x, y)) == digest_of(first)
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_digits_are_told_apart(digits):
    # 98 % with seed 0; 300 test images have a standard error of 0.8 %
    assert features("classifier", digits).about["accuracy"] > 0.955


def test_the_number_of_steps_is_bounded_by_images_and_by_epochs(monkeypatch):
    monkeypatch.setattr(classifier, "EPOCHS", 3)
    monkeypatch.setattr(classifier, "SEEN", 100)
    seen = []
    monkeypatch.setattr(LeNet, "forward", lambda self, x: seen.append(len(x)) or self.head(self.features(x)))
    # the last batch is left out where it is not whole
    for n, expected in ((8, 3 * 8), (10, 3 * 9), (40, 2 * 40), (101, 78)):
        seen.clear()
        classifier.fit(LeNet((1, 4, 4), 2), torch.rand(n, 1, 4, 4), torch.arange(n) % 2)
        assert sum(seen) == expected


def test_each_epoch_has_every_image_once():
    found = list(classifier.batches(6, 2, 6))
    for epoch in (found[:3], found[3:]):
        assert sorted(torch.cat(epoch).tolist()) == [0, 1, 2, 3, 4, 5]


def test_random_features_have_the_scale_of_the_images(few):
    # He's initialisation keeps the mean square from layer to layer, max-pooling raises it
    y = features("random", few).of(torch.rand(100, 1, 8, 8))
    assert 0.1 < float(y.square().mean().sqrt()) < 10


@pytest.mark.parametrize(("n", "d"), [(50, 12), (12, 50)])
def test_components_are_those_of_scikit_learn(n, d):
    x = torch.rand(n, d, dtype=torch.float64) * torch.linspace(1, 3, d)
    mean, axes = principal_components(x, 5)
    oracle = PCA(5, svd_solver="full").fit(x.numpy())
    signs = np.sign(oracle.components_[range(5), np.abs(oracle.components_).argmax(1)])
    # float32 results of float64 eigenvectors
    np.testing.assert_allclose(axes.T.numpy(), oracle.components_ * signs[:, None], atol=1e-5)
    np.testing.assert_allclose(mean.numpy(), oracle.mean_, atol=1e-6)


def test_there_are_no_more_components_than_directions():
    assert principal_components(torch.rand(5, 30))[1].shape == (30, 4)
    assert principal_components(torch.rand(100, 3))[1].shape == (3, 3)
    assert not principal_components(torch.ones(5, 30))[1].isnan().any()


def test_wide_images_give_the_components_of_their_first(monkeypatch):
    x = torch.rand(40, 30)
    monkeypatch.setattr("genmodel_bench.metrics.components.MOST", 20)
    mean, axes = principal_components(x, 3)
    monkeypatch.undo()
    expected = principal_components(x[:20], 3)
    torch.testing.assert_close(mean, expected[0])
    torch.testing.assert_close(axes, expected[1], atol=1e-5, rtol=0)  # float32


def theirs(monkeypatch, **objects):
    """A module `strange` with these objects."""
    module = type(sys)("strange")
    vars(module).update(objects)
    monkeypatch.setitem(sys.modules, "strange", module)
    extractors.anybodys.cache_clear()


class Halved(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(1))
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(x[:, :, ::2, ::2] * self.scale)


def test_anybodys_extractor_may_be_a_class_an_instance_or_a_function(few, monkeypatch):
    torch.manual_seed(9)
    theirs(monkeypatch, Net=Halved, net=Halved(), mean=lambda x: x.mean((2, 3)))
    before = torch.get_rng_state()
    found = {name: features(f"strange:{name}", few) for name in ("Net", "net", "mean")}
    assert torch.equal(torch.get_rng_state(), before)
    for name, dimensions in (("Net", 16), ("net", 16), ("mean", 1)):
        y = found[name].of(few.test)
        assert y.shape == (len(few.test), dimensions)
        assert torch.equal(y, found[name].of(few.test))  # no dropout
        assert found[name].about["features"] == f"strange:{name}"
        assert not y.requires_grad
    torch.testing.assert_close(found["mean"].of(few.test), few.test.mean((1, 2, 3))[:, None])
    weights = [found[name].about.get("weights") for name in ("Net", "net", "mean")]
    assert len({*weights}) == 3
    assert weights[2] is None
    extractors.anybodys.cache_clear()
    assert features("strange:Net", few).about["weights"] == weights[0]


def test_the_files_that_a_function_reads_count_as_its_weights(few, monkeypatch, tmp_path):
    def scaled(x):
        return x * 2

    scaled.INPUTS = ("scale.txt",)
    theirs(monkeypatch, scaled=scaled, __file__=str(tmp_path / "strange.py"))
    digests = []
    for text in ("2", "3"):
        (tmp_path / "scale.txt").write_text(text)
        extractors.anybodys.cache_clear()
        extractors._file_digest.cache_clear()
        digests.append(features("strange:scaled", few).about["weights"])
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (lambda x: x.sum(), "got \\(\\) of torch.float32 for 1 images"),
        (lambda x: x / 0, "expected finite numbers"),
        (lambda x: [1], "got list for 1 images"),
        (lambda x: torch.ones(7, 2), "got \\(7, 2\\) of torch.float32 for 1 images"),
        (3, "got a int, expected a torch.nn.Module or a function"),
        (type("Net", (), {"__init__": lambda self: 1 / 0}), "ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_no_extractor_is_said_in_one_line(found, says, few, monkeypatch):
    theirs(monkeypatch, found=found)
    with pytest.raises(ValueError, match=says) as error:
        features("strange:found", few)
    assert "strange:found" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["inceptoin", "strange_absent:Net", "strange:absent"])
def test_an_unknown_name_is_said_in_one_line(name, few, monkeypatch):
    theirs(monkeypatch)
    with pytest.raises(ValueError, match=f"features {name}: cannot be made"):
        features(name, few)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """An empty folder of weights, and an empty cache of torch.hub."""
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    return tmp_path


@pytest.mark.parametrize("name", extractors.URLS)
def test_absent_weights_are_named_with_their_place_and_never_downloaded(name, weights, few):
    file = extractors.URLS[name].rpartition("/")[2]
    with pytest.raises(ValueError, match=f"features {name}: .* expected {weights / file}; put https://"):
        features(name, few)


def test_dinov2_is_made_by_the_code_and_the_weights_at_hand(weights, few):
    hub = weights / "dinov2"
    hub.mkdir()
    # the class token of a network of one layer: it tells how images come in
    (hub / "hubconf.py").write_text(
        "import torch\n\n\ndef dinov2_vitl14(pretrained=True):\n    assert not pretrained\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(2), torch.nn.Linear(224 * 224, 2))\n"
    )
    file = weights / extractors.URLS["dinov2"].rpartition("/")[2]
    linear = {"1.weight": torch.full((2, 224 * 224), 1 / 224**2), "1.bias": torch.zeros(2)}
    torch.save(linear, file)
    before = torch.get_rng_state()
    found = features("dinov2", few)
    assert torch.equal(torch.get_rng_state(), before)
    image = torch.full((1, 1, 8, 8), 0.5)
    # three equal channels, standardised as those of ImageNet; means of 50,176 in float32
    expected = [(0.5 - m) / s for m, s in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225)) for _ in range(2)]
    torch.testing.assert_close(found.of(image), torch.tensor([expected]), atol=1e-4, rtol=0)
    assert found.about["dimensions"] == 6
    linear["1.bias"] += 1
    torch.save(linear, file)
    assert features("dinov2", few).about["weights"] != found.about["weights"]


def test_dinov2_without_its_code_is_said(weights, few):
    (weights / extractors.URLS["dinov2"].rpartition("/")[2]).write_bytes(b"")
    with pytest.raises(ValueError, match=f"expected {weights / 'dinov2'}; git clone https://"):
        features("dinov2", few)


def test_images_of_four_channels_are_not_applicable_to_networks_of_photographs(weights, few):
    (weights / "dinov2").mkdir()
    source = "import torch\n\n\ndef dinov2_vitl14(pretrained):\n    return torch.nn.Flatten()\n"
    (weights / "dinov2" / "hubconf.py").write_text(source)
    torch.save({}, weights / extractors.URLS["dinov2"].rpartition("/")[2])
    with pytest.raises(NotApplicable, match="4 channels"):
        features("dinov2", replace(few, train=torch.rand(3, 4, 8, 8)))


@pytest.mark.slow
def test_inception_is_torch_fidelitys(weights, few, monkeypatch):
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    kind = fidelity.FeatureExtractorInceptionV3
    file = weights / extractors.URLS["inception"].rpartition("/")[2]
    torch.save({}, file)
    with monkeypatch.context() as made:  # of random weights, which are then saved
        made.setattr(kind, "load_state_dict", lambda self, state: None)
        theirs = kind("random", ["2048"], feature_extractor_weights_path=str(file))
    torch.save(theirs.state_dict(), file)
    found = features("inception", few)
    levels = (few.test[:2] * 255).round().byte().expand(-1, 3, -1, -1)
    assert torch.equal(found.of(few.test[:2]), theirs(levels)[0])
    assert found.about["dimensions"] == 2048
