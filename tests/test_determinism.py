"""Numbers depend on what they are said to depend on, and on nothing else."""

import pytest
import torch
from conftest import tiny
from flat import run
from genmodel_bench.commands.check import check
from genmodel_bench.commands.verify import verify
from genmodel_bench.metrics import distances
from genmodel_bench.metrics.distances import squared_distance_blocks
from genmodel_bench.metrics.windows import parzen_log_probs
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.storage.store import Store
from genmodel_bench.training import loop as harness
from genmodel_bench.training.numerics import determinism


@pytest.mark.parametrize("d", [1, 64, 784])
def test_distances_are_the_same_in_chunks_of_any_size(d, monkeypatch):
    x, s = torch.rand(23, d), torch.rand(31, d)

    def whole(rows, columns):
        monkeypatch.setattr(distances, "block_shape", lambda device: (rows, columns))
        out = torch.empty(len(x), len(s))
        for i, j, a, b in squared_distance_blocks(x, s):
            out[i, j] = a + b
        return out

    # rounding: a block's shape decides the order in which a product is summed, an error
    # of 1e-6 of ‖x‖² + ‖s‖² ≤ 2d/3 on each side
    for block in ((1, 1), (3, 7), (7, 3)):
        torch.testing.assert_close(whole(*block), whole(100, 100), rtol=0, atol=2e-6 * d)


@pytest.mark.parametrize("block", [(1, 1), (3, 7), (50, 20)])
def test_the_likelihood_is_the_same_in_chunks_of_any_size(block, monkeypatch, few):
    x, centres = few.test.flatten(1), few.train.flatten(1)
    usual = parzen_log_probs(x, centres, [0.1, 0.2])
    monkeypatch.setattr(distances, "block_shape", lambda device: block)
    # the tolerance that metrics/windows.py states for float32
    torch.testing.assert_close(parzen_log_probs(x, centres, [0.1, 0.2]), usual, rtol=0, atol=5e-3)


@pytest.mark.parametrize("name", [name for name in MODELS if not MODELS[name].REFERENCE])
def test_every_model_trains_on_deterministic_algorithms_alone(name, few):
    config = tiny(settings_for(name, "digits"))

    def weights():
        model, _ = harness.fit(config, few.train, seed=0)
        return model.state_dict(), model.sample(10)

    with determinism(True):
        assert torch.are_deterministic_algorithms_enabled()
        (first, drawn), (second, drawn_again) = weights(), weights()
    assert not torch.are_deterministic_algorithms_enabled()
    assert all(torch.equal(first[key], second[key]) for key in first)
    torch.manual_seed(0)
    assert drawn.shape == drawn_again.shape


def test_every_record_says_how_it_was_made(tmp_path):
    usual = run(["mean"], results=tmp_path, device="cpu", seeds=1, samples=150, figures=False)
    told = run(
        ["mean"], results=tmp_path, device="cpu", seeds=1, samples=150, deterministic=True, figures=False
    )
    assert usual["deterministic"].eq(False).all()
    assert told["deterministic"].eq(True).all()
    assert told["variant"].eq("deterministic=True").all()
    for records in (usual, told):
        assert records["dtype"].eq("float32").all()
        assert records["threads"].eq(torch.get_num_threads()).all()
        assert records["device"].str.startswith("cpu").all()
        assert records["weights"].str.fullmatch("[0-9a-f]{16}").all()
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_deterministic_row_is_checked_and_verified_as_it_was_made(tmp_path):
    run(
        ["vae"],
        results=tmp_path,
        device="cpu",
        seeds=1,
        samples=150,
        options=["vae.epochs=2"],
        deterministic=True,
        figures=False,
    )
    (verdict,) = check(tmp_path / "digits", results=tmp_path, device="cpu", retrain=True)
    assert (verdict.finding, verdict.reason) == ("indistinguishable", "identical seed by seed")
    *_, made_again = verify(tmp_path, cells=1, device="cpu")
    rows = Store(tmp_path, "digits").records()
    assert made_again.text == f"made again: {len(rows)} values equal to the last bit"
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_algorithm_that_is_not_deterministic_is_a_failed_row(tmp_path, monkeypatch):
    from test_failures import BrokenConfig

    monkeypatch.setitem(MODELS, "broken", BrokenConfig("order"))
    records = run(
        ["broken"], results=tmp_path, device="cpu", seeds=1, samples=150, deterministic=True, figures=False
    )
    assert records["status"].str.contains("does not have a deterministic implementation").all()
