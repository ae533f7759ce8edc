"""What a result depends on changes its key; nothing else does."""

from dataclasses import replace

import pytest
from flat import altered
from genmodel_bench.cells.cell import ROLES, Cell, changed_options
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.metrics import METRICS
from genmodel_bench.models import MODELS, references
from genmodel_bench.models.adversarial import gan
from genmodel_bench.models.autoencoders import gsn, vae
from genmodel_bench.storage.code import code_digests
from genmodel_bench.storage.digest import content_digest

CELL = Cell("digits", "abc", "gan-ns", gan.Config(), seed=0, protocol=Protocol(samples=100))


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
        ({"options": {"lr": 0.2}}, False, False),
        ({"precision": "tf32"}, True, True),
        ({"precision": "bf16"}, True, True),
    ],
)
def test_one_ingredient_changes_what_depends_on_it(change, fit, samples):
    other = altered(CELL, **change)
    assert (other.fit_key != CELL.fit_key) == fit
    assert (other.draw_key(3) != CELL.draw_key(3)) == (samples and "checkpoint" not in change)
    assert (other.recipe != CELL.recipe) == (samples and "seed" not in change)
    assert (other.id != CELL.id) == (samples or other.model != CELL.model)
    metric = METRICS["parzen"]
    assert (other.score_key("parzen", metric) != CELL.score_key("parzen", metric)) == samples


def test_what_only_sampling_reads_retrains_nothing():
    chain = Cell("digits", "abc", "deep-gsn", gsn.Config(), seed=0, protocol=Protocol(samples=100))
    other = replace(chain, model="deep-gsn-chain", config=gsn.Config(chain="consecutive"))
    assert other.fit_key == chain.fit_key
    assert other.check_key != chain.check_key  # a check draws samples
    assert other.draw_key(3) != chain.draw_key(3)


def test_more_draws_change_the_scores_and_not_the_draws_there_are():
    other = altered(CELL, draws=6)
    metric = METRICS["parzen"]
    assert other.draw_key(3) == CELL.draw_key(3)
    assert other.score_key("parzen", metric) != CELL.score_key("parzen", metric)
    assert other.metric_recipe("parzen", metric) != CELL.metric_recipe("parzen", metric)


def test_the_code_of_the_selection_changes_the_best_checkpoint_alone(monkeypatch):
    best, last = altered(CELL, checkpoint="best").recipe, CELL.recipe
    reference = Cell(
        "digits", "abc", "data", references.Data(), seed=0, protocol=Protocol(samples=100, checkpoint="best")
    )
    key = reference.recipe
    monkeypatch.setitem(ROLES, "selection", ("genmodel_bench.storage.atomic",))
    assert altered(CELL, checkpoint="best").recipe != best
    assert CELL.recipe == last
    assert reference.recipe == key


def test_a_metrics_settings_change_its_scores_alone():
    metric = METRICS["parzen"]
    other = replace(metric, sigmas=(0.1, 0.2, 0.3))
    assert CELL.score_key("parzen", other) != CELL.score_key("parzen", metric)
    assert CELL.metric_recipe("parzen", other) != CELL.metric_recipe("parzen", metric)


def test_seeds_share_a_recipe_and_nothing_else_does():
    assert replace(CELL, seed=5).recipe == CELL.recipe
    for change in ({"dataset_digest": "abd"}, {"config": gan.Config(lr=0.2)}, {"samples": 101}):
        assert altered(CELL, **change).recipe != CELL.recipe


def test_options_name_what_differs():
    assert changed_options(gan.Config(), gan.Config(), Protocol()) == {}
    assert changed_options(gan.Config(epochs=3, lr=0.2), gan.Config(), Protocol(precision="bf16")) == {
        "epochs": 3,
        "lr": 0.2,
        "precision": "bf16",
    }
    assert replace(CELL, options={"epochs": 3, "hidden": (16,)}).variant == "epochs=3, hidden=(16,)"


@pytest.mark.parametrize("name", MODELS)
def test_every_models_code_is_followed(name):
    module = type(MODELS[name]).__module__
    # of base, ppca has the names of types alone
    base = set() if name == "ppca" else {"genmodel_bench.models.base"}
    assert {module, *base} <= code_digests(module).keys()


def test_content_digest_is_of_values():
    assert content_digest({"a": 1, "b": (1, 2)}) == content_digest({"b": [1, 2], "a": 1})
    assert content_digest(1) != content_digest(1.0)
    assert content_digest(0.1) != content_digest(0.1 + 1e-17 * 10)
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_digest(float("nan"))
