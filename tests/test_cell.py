"""What a result depends on changes its key; what it does not depend on leaves it."""

import sys
from dataclasses import replace

import pytest

from bench.cell import Cell, metric_recipe, variant_of
from bench.digest import code_digests, content_digest
from metrics import METRICS
from models import MODELS, gan, gsn, references, vae

CELL = Cell("digits", "abc", "gan-ns", gan.Config(), seed=0, samples=100)


@pytest.mark.parametrize(
    ("change", "fit", "samples"),
    [
        ({"dataset_digest": "abd"}, True, True),
        ({"dataset": "mnist"}, True, True),
        ({"model": "gan-mm"}, False, False),
        ({"config": gan.Config(lr=0.2)}, True, True),
        ({"config": vae.Config()}, True, True),
        ({"seed": 1}, True, True),
        ({"samples": 101}, False, True),
        ({"checkpoint": "best"}, False, True),
        ({"variant": "lr=0.2"}, False, False),
    ],
)
def test_one_ingredient_changes_what_depends_on_it(change, fit, samples):
    other = replace(CELL, **change)
    assert (other.fit_key != CELL.fit_key) == fit
    assert (other.sample_key != CELL.sample_key) == samples
    assert (other.id != CELL.id) == (samples or other.model != CELL.model)
    metric = METRICS["parzen"]
    assert (other.score_key("parzen", metric) != CELL.score_key("parzen", metric)) == samples


def test_what_only_sampling_reads_retrains_nothing():
    chain = Cell("digits", "abc", "deep-gsn", gsn.Config(), seed=0, samples=100)
    other = replace(chain, model="deep-gsn-chain", config=gsn.Config(chain="consecutive"))
    assert other.fit_key == chain.fit_key
    assert other.check_key != chain.check_key  # a check draws samples
    assert other.sample_key != chain.sample_key


def test_more_draws_change_the_scores_and_not_the_draws_there_are():
    other = replace(CELL, draws=6)
    metric = METRICS["parzen"]
    assert other.sample_key == CELL.sample_key
    assert other.score_key("parzen", metric) != CELL.score_key("parzen", metric)
    assert other.recipe != CELL.recipe


def test_the_code_of_the_selection_changes_the_best_checkpoint_alone(monkeypatch):
    best, last = replace(CELL, checkpoint="best").sample_key, CELL.sample_key
    monkeypatch.setattr("bench.cell.SELECTION", "bench.atomic")
    assert replace(CELL, checkpoint="best").sample_key != best
    assert CELL.sample_key == last
    reference = Cell("digits", "abc", "data", references.Data(), seed=0, samples=100, checkpoint="best")
    key = reference.sample_key
    monkeypatch.setattr("bench.cell.SELECTION", "bench.errors")
    assert reference.sample_key == key


def test_a_metrics_settings_change_its_scores_alone():
    metric = METRICS["parzen"]
    other = replace(metric, sigmas=(0.1, 0.2, 0.3))
    assert CELL.score_key("parzen", other) != CELL.score_key("parzen", metric)
    assert metric_recipe("parzen", other) != metric_recipe("parzen", metric)


def test_seeds_share_a_recipe_and_nothing_else_does():
    assert replace(CELL, seed=5).recipe == CELL.recipe
    for change in ({"dataset_digest": "abd"}, {"config": gan.Config(lr=0.2)}, {"samples": 101}):
        assert replace(CELL, **change).recipe != CELL.recipe


def test_variant_names_what_differs():
    assert variant_of(gan.Config(), gan.Config()) == ""
    assert variant_of(gan.Config(epochs=3, lr=0.2), gan.Config()) == "epochs=3, lr=0.2"


@pytest.mark.parametrize("name", MODELS)
def test_every_models_code_is_followed(name):
    module = type(MODELS[name]).__module__
    assert {module, "models.base"} <= code_digests(module).keys()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A package of one model file and one it imports; returns a function that gives the digest after an edit."""
    folder = tmp_path / "plain"
    folder.mkdir()
    files = {
        "__init__": "",
        "part": '"""Doc."""\n\ndef f(x):\n    """Doc."""\n    return x + 1\n',
        "model": 'from plain import part\nfrom plain.part import f\n\nclass C:\n    SETTINGS: dict = {"lr": 1}\n',
        "other": "x = 1\n",
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("bench.digest.HOME", ("plain",))

    def digest(module=None, old="", new=""):
        if module:
            path = folder / f"{module}.py"
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        code_digests.cache_clear()
        for name in [m for m in sys.modules if m.startswith("plain")]:
            del sys.modules[name]
        return code_digests("plain.model")

    yield digest
    code_digests.cache_clear()


def test_code_of_the_module_and_of_its_imports_counts(project):
    before = project()
    assert project("part", "x + 1", "x + 2") != before
    assert project("part", "x + 2", "x + 1") == before
    assert project("model", "class C", "class D") != before


def test_comments_docstrings_settings_and_strangers_do_not_count(project):
    before = project()
    assert project("part", '"""Doc."""', '"""Another."""') == before
    assert project("part", "return", "# why\n    return") == before
    assert project("model", '"lr": 1', '"lr": 2') == before
    assert project("other", "x = 1", "x = 2") == before


def test_content_digest_is_of_values():
    assert content_digest({"a": 1, "b": (1, 2)}) == content_digest({"b": [1, 2], "a": 1})
    assert content_digest(1) != content_digest(1.0)
    assert content_digest(0.1) != content_digest(0.1 + 1e-17 * 10)
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_digest(float("nan"))
