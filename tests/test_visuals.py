import json
from dataclasses import replace

import pytest
import torch
from conftest import tiny
from genmodel_bench.execution.artefacts import visuals_path
from genmodel_bench.execution.checks import epochs_of
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.execute import complete, stored
from genmodel_bench.execution.visuals import (
    arithmetic,
    great_circle,
    kinds_of,
    make_visuals,
    straight,
    visuals_due,
    walks,
)
from genmodel_bench.metrics import METRICS
from genmodel_bench.metrics.capabilities import Latent
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.models.shared.dequantised import to_levels
from genmodel_bench.storage import sealed
from genmodel_bench.storage.store import Store
from genmodel_bench.training.checkpoint import load_snapshot, snapshot_path
from genmodel_bench.training.seeding import derive_seed
from test_selection import CPU, cell_of


def visuals(cell, store):
    images, about, _ = sealed.load(visuals_path(cell, store), cell.id)
    return images, json.loads(about)


def completed(few, tmp_path, name="vae", told=lambda news: None, **changes):
    cell, store = (
        replace(cell_of(few, name=name, taken="last", **changes), model=name),
        Store(tmp_path, "digits"),
    )
    context = Context(few, store, {"neighbours": METRICS["neighbours"]}, CPU)
    complete(cell, context, tell=told)
    return cell, context


def test_great_circles_keep_the_norm_of_orthogonal_codes_and_their_ends():
    a, b = torch.tensor([3.0, 0, 0], dtype=torch.float64), torch.tensor([0, 3.0, 0], dtype=torch.float64)
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    points = great_circle(a, b, t)
    torch.testing.assert_close(points.norm(dim=1), torch.full((7,), 3.0, dtype=torch.float64))
    torch.testing.assert_close(points[[0, -1]], torch.stack([a, b]))
    angles = torch.atan2(points[:, 1], points[:, 0])
    # evenly spaced
    torch.testing.assert_close(angles.diff(), torch.full((6,), torch.pi / 12, dtype=torch.float64))


def test_great_circles_between_parallel_codes_are_straight():
    a = torch.randn(5, dtype=torch.float64)
    t = torch.linspace(0, 1, 4, dtype=torch.float64)
    torch.testing.assert_close(great_circle(a, 2 * a, t), straight(a, 2 * a, t))


def test_straight_walks_are_evenly_spaced():
    points = straight(torch.zeros(2), torch.tensor([3.0, 6.0]), torch.linspace(0, 1, 4))
    torch.testing.assert_close(points, torch.tensor([[0.0, 0], [1, 2], [2, 4], [3, 6]]))


@pytest.mark.parametrize(
    "name", [name for name, config in MODELS.items() if isinstance(tiny(config).build((1, 8, 8)), Latent)]
)
def test_samples_are_decoded_draws_of_the_prior(name, few):
    config = tiny(settings_for(name, "digits"))
    if hasattr(config, "output"):
        config = replace(config, output="means")
    model = config.build(few.shape)
    model.initialise(few.train)
    if name == "ppca":
        model.noise.zero_()  # which a sample has besides
    torch.manual_seed(1)
    samples = model.sample(50)
    torch.manual_seed(1)
    z = model.latent(50)
    decoded = model.decode(z)
    if getattr(model, "dequantised", False):
        decoded = to_levels(decoded, model.levels)
    assert torch.equal(decoded, samples)
    # mean 0 and variance 1, as every prior here has: over 2000 · k numbers the standard
    # errors are at most 0.023 and 0.032
    many = model.latent(2000)
    assert float(many.mean()) == pytest.approx(0, abs=0.05)
    assert float(many.var()) == pytest.approx(1, abs=0.05)
    assert (float(many.abs().max()) <= 3**0.5) == (model.prior == "uniform")


def test_models_with_a_latent_space_are_known():
    latent = {name for name, config in MODELS.items() if isinstance(tiny(config).build((1, 8, 8)), Latent)}
    assert {"gan-ns", "gan-mm", "gan-conv", "vae"} <= latent
    assert not latent & {"dbn", "stacked-cae", "deep-gsn", "rbm", "data", "kmeans"}


def test_the_film_follows_the_same_codes_through_training(few, tmp_path):
    cell, context = completed(few, tmp_path, epochs=6)
    images, about = visuals(cell, context.store)
    assert about["epochs"] == epochs_of(cell) == [1, 2, 3, 4, 5, 6]
    assert images["film"].shape == (6, 8, 1, 8, 8)
    steps = (images["film"][1:] - images["film"][:-1]).flatten(2).norm(dim=2)
    apart = torch.cdist(images["film"][-1].flatten(1), images["film"][-1].flatten(1))
    # a frame is nearer to itself an epoch ago than to the other codes' frames
    assert float(steps[-1].median()) < float(apart[apart > 0].median())
    assert [(row["stage"], row["epoch"]) for row in about["history"]] == [
        ("elbo", epoch) for epoch in range(1, 7)
    ]


def test_each_column_of_the_film_is_drawn_from_the_weights_of_its_epoch(few, tmp_path):
    cell, context = completed(few, tmp_path)
    images, about = visuals(cell, context.store)
    model = cell.config.build(few.shape).eval()
    model.load_state_dict(load_snapshot(context.store.artefact("fits", cell.fit_key), about["epochs"][-1]))
    torch.manual_seed(derive_seed(0, "digits", cell.family, "album"))
    z = model.latent(8)
    for epoch, frames in zip(about["epochs"], images["film"], strict=True):
        model.load_state_dict(load_snapshot(context.store.artefact("fits", cell.fit_key), epoch))
        torch.testing.assert_close(frames, model.decode(z))
    assert not torch.equal(images["film"][0], images["film"][-1])


@pytest.mark.parametrize(("prior", "way"), [("uniform", straight), ("gaussian", great_circle)])
def test_walks_go_the_way_of_their_prior(prior, way):
    model = Pixels(torch.randn(8, 4))
    model.prior = prior
    found = walks(model).flatten(2)
    t = torch.linspace(0, 1, 10)
    for row, (a, b) in zip(found, model.codes.view(4, 2, 4), strict=True):
        torch.testing.assert_close(row, way(a, b, t))


def test_visuals_drawn_by_another_decoder_are_made_anew(few, tmp_path):
    cell, context = completed(few, tmp_path)
    images, about, _ = sealed.load(visuals_path(cell, context.store), cell.id)
    sealed.save(
        visuals_path(cell, context.store),
        cell.id,
        images,
        json.dumps(json.loads(about) | {"recipe": "of other code"}),
    )
    assert visuals_due(cell, few, context.store) == 4


def test_damaged_visuals_are_made_anew(few, tmp_path):
    cell, context = completed(few, tmp_path)
    path = visuals_path(cell, context.store)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert visuals_due(cell, few, context.store) == 4


def test_walks_start_where_the_film_ends(few, tmp_path):
    cell, context = completed(few, tmp_path)
    images, about = visuals(cell, context.store)
    assert images["walks"].shape == (4, 10, 1, 8, 8)
    # the film's last frames and the walks' ends decode the same first draws of the prior
    ends = torch.cat([images["walks"][:, 0], images["walks"][:, -1]]).flatten(1)
    torch.testing.assert_close(
        torch.cdist(images["film"][-1].flatten(1), ends).min(1).values, torch.zeros(8), atol=1e-4, rtol=0
    )
    assert about["prior"] == "gaussian"


def test_models_without_a_latent_space_have_a_film_alone(few, tmp_path):
    cell, context = completed(few, tmp_path, name="rbm")
    images, _ = visuals(cell, context.store)
    assert set(images) == {"film"}


class Pixels:
    """A model whose codes are images, so that arithmetic can be done by hand.

    The first pixels of an image tell its kind.
    """

    prior = "gaussian"

    def __init__(self, codes):
        self.codes = codes

    def latent(self, n):
        return self.codes

    def decode(self, z):
        return z.view(-1, 1, 2, 2)


def test_arithmetic_adds_and_subtracts_means_of_the_first_codes_of_each_kind():
    kinds = torch.tensor([2, 0, 1, 0, 2, 1, 0, 2, 1, 0, 1, 2])
    train = torch.eye(4)[:3].view(3, 1, 2, 2) * 10
    codes = torch.eye(4)[kinds] * 10 + torch.randn(12, 4) * 0.1
    images, rows = arithmetic(Pixels(codes), train, torch.arange(3))
    assert torch.equal(kinds_of(codes.view(-1, 1, 2, 2), train, torch.arange(3)), kinds)
    means = [codes[kinds == kind][:3].mean(0) for kind in range(3)]
    torch.testing.assert_close(images["sums"][0].flatten(), means[0] - means[1] + means[2])
    torch.testing.assert_close(images["members"][0, 1].flatten(1), codes[kinds == 1][:3])
    assert rows[0][:3] == [0, 1, 2]


def test_arithmetic_needs_enough_codes_of_three_kinds():
    codes = torch.eye(4)[torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])]
    assert arithmetic(Pixels(codes), torch.eye(4)[:3].view(3, 1, 2, 2), torch.arange(3)) == ({}, [])


def test_a_finished_cell_gets_its_visuals_without_training(few, tmp_path):
    cell, context = completed(few, tmp_path)
    images, about = visuals(cell, context.store)
    visuals_path(cell, context.store).unlink()
    times = {path: path.stat().st_mtime_ns for path in context.store.artefact("fits", cell.fit_key).iterdir()}
    assert stored(cell, context) is None  # there is something left to do
    assert complete(cell, context).reused
    again = visuals(cell, context.store)
    assert again[1] == about
    assert all(torch.equal(again[0][name], image) for name, image in images.items())
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert stored(cell, context).reused


def test_nothing_is_trained_for_visuals(few, tmp_path):
    cell, context = completed(few, tmp_path)
    visuals_path(cell, context.store).unlink()
    snapshot_path(context.store.artefact("fits", cell.fit_key), 2).unlink()
    assert visuals_due(cell, few, context.store) is None
    assert complete(cell, context).reused
    assert not visuals_path(cell, context.store).exists()


def test_of_damaged_weights_there_are_no_visuals_and_a_word(few, tmp_path):
    cell, context = completed(few, tmp_path)
    visuals_path(cell, context.store).unlink()
    path = snapshot_path(context.store.artefact("fits", cell.fit_key), 2)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    told = []
    assert complete(cell, context, tell=told.append).reused
    assert any(news.text.startswith("no pictures of it: failed") and "damaged" in news.text for news in told)
    assert not visuals_path(cell, context.store).exists()


def test_visuals_of_other_weights_are_made_anew(few, tmp_path):
    cell, context = completed(few, tmp_path)
    images, about, _ = sealed.load(visuals_path(cell, context.store), cell.id)
    sealed.save(
        visuals_path(cell, context.store),
        cell.id,
        images,
        json.dumps(json.loads(about) | {"weights": "others"}),
    )
    assert visuals_due(cell, few, context.store) == 4
    make_visuals(cell, few, context.store, CPU)
    assert visuals_due(cell, few, context.store) is None


def test_a_model_that_cannot_be_drawn_keeps_its_rows(few, tmp_path, monkeypatch):
    def fail(*args):
        raise ValueError("no light")

    monkeypatch.setattr("genmodel_bench.execution.visuals.walks", fail)
    told = []
    _, context = completed(few, tmp_path, told=told.append)
    assert all(r.ok for r in context.store.records())
    assert any("no pictures of it: failed: no light" in getattr(news, "text", "") for news in told)
