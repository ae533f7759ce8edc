import math
from dataclasses import replace

import pytest
import torch
from conftest import tiny
from genmodel_bench.cells.cell import Cell
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.execution.checks import Checks, checks_of
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.draws import fitted as fitted_with
from genmodel_bench.execution.execute import run_cell
from genmodel_bench.metrics import STANDARD, Subject
from genmodel_bench.metrics.parzen import Parzen
from genmodel_bench.models import settings_for
from genmodel_bench.storage.store import Store
from genmodel_bench.training import checkpoint
from genmodel_bench.training import loop as harness
from genmodel_bench.training.drawing import chosen_epoch
from genmodel_bench.training.selection import Check, checked, own_score, validation_score

CPU = torch.device("cpu")


def cell_of(data, *, name="vae", taken="best", epochs=4, **changes):
    return Cell(
        data.name,
        data.digest,
        name,
        replace(tiny(settings_for(name, "digits")), epochs=epochs, **changes),
        0,
        Protocol(150, 2, taken),
    )


def fitted(cell, data, store, tell=lambda news: None):
    return fitted_with(cell, data, store, checks_of(cell, data, store), CPU, tell)


def test_the_validation_score_is_parzens_own(few):
    expected = Parzen()(Subject(few.train), few).scores["log_likelihood"].settings["valid_value"]
    assert validation_score(few.train, few.valid) == pytest.approx(expected, abs=1e-6)


def test_test_images_play_no_part(few, tmp_path):
    other = replace(few, test=torch.rand_like(few.test))
    fits = [
        fitted(cell_of(few), data, Store(tmp_path / str(i), "digits"))[1]
        for i, data in enumerate((few, other))
    ]
    assert fits[0].valid_best == fits[1].valid_best
    assert fits[0].checkpoint_epoch == fits[1].checkpoint_epoch


class Drawer:
    """A model whose samples are given."""

    def __init__(self, samples):
        self.samples, self.calls = samples, 0

    def sample(self, n):
        self.calls += 1
        return self.samples


def test_checks_are_made_once_and_kept(few, tmp_path):
    path = tmp_path / "checks.json"
    good, bad = Drawer(few.train), Drawer(torch.rand(100, 1, 8, 8))
    cell = cell_of(few, epochs=10)
    checks = Checks(cell, few, path)
    for epoch, model in ((1, bad), (2, good), (5, good), (10, bad)):
        checks.make(model, epoch)
    again = Checks(cell, few, path)
    assert again.make(good, 2) == checks.make(good, 2)
    assert again.taken == 2  # the first of equals
    assert chosen_epoch("last", again.values) == 10
    assert chosen_epoch("best", {}) is None
    assert good.calls == 2
    path.write_text("nonsense")
    assert Checks(cell, few, path).values == {}


def test_a_check_that_is_not_finite_is_an_error_and_never_the_best(few, tmp_path):
    cell = cell_of(few, epochs=10)
    checks = Checks(cell, few, tmp_path / "checks.json")
    with pytest.raises(ValueError, match="after epoch 3 the validation score is nan"):
        checks.make(Drawer(torch.full((100, 1, 8, 8), torch.nan)), 3)
    assert checks.values == {}
    (tmp_path / "checks.json").write_text('{"1": null}')
    assert Checks(cell, few, tmp_path / "checks.json").values == {}


class Coin:
    """Binary pixels that are 1 with probability ¼."""

    def __init__(self, levels=2, dequantised=False):
        self.levels, self.dequantised = levels, dequantised

    def log_prob(self, x):
        return torch.where(x == 1, math.log(0.25), math.log(0.75)).flatten(1).sum(1)


class Weighted:
    """A posterior whose weights are 1 and 3 times a half, in turn."""

    def encode(self, x):
        return x, x

    def log_weights(self, x, k):
        return (torch.arange(k) % 2 * 2 + 1).float().mul(0.5).log()[:, None].expand(k, len(x))


def test_a_model_with_a_likelihood_of_its_own_is_selected_by_that():
    x = (torch.rand(30, 1, 4, 4) < 0.25).float()
    wanted = float(Coin().log_prob(x).mean())
    assert own_score(Coin(), x) == pytest.approx(wanted, rel=1e-6)
    found = checked(Coin(), 3, x, base_seed=0, dataset="d", family="f")
    assert found == Check(3, own_score(Coin(), x))
    assert own_score(Weighted(), x) == pytest.approx(0, abs=1e-6)  # the log of the mean, 1


def test_of_other_grey_levels_or_no_likelihood_nothing_is_said():
    x = torch.rand(30, 1, 4, 4)
    assert own_score(Coin(), x) is None
    assert own_score(Weighted(), x) is None
    assert own_score(Drawer(x), x.round()) is None
    levels = (x * 16).round() / 16
    assert own_score(Coin(17), levels) is not None
    assert own_score(Coin(16), levels) is None


def test_epochs_that_are_not_the_last_stages_are_one_clear_failure(few, tmp_path, monkeypatch):
    from genmodel_bench.models.autoencoders import vae

    real = vae.VAE.stages
    monkeypatch.setattr(vae.VAE, "stages", lambda self: [replace(stage, epochs=3) for stage in real(self)])
    (row, *_) = run_cell(cell_of(few), Context(few, Store(tmp_path, "digits"), STANDARD, CPU)).records
    assert row.status == "failed: Config.epochs is 4, but the last stage has 3 epochs; expected the same"


def test_the_best_checkpoint_is_sampled_and_both_numbers_are_kept(few, tmp_path):
    store, heard = Store(tmp_path, "digits"), []
    best = cell_of(few)
    _, fit = fitted(best, few, store, heard.append)
    checks = {news.epoch: news.value for news in heard if isinstance(news, Check)}
    assert list(checks) == harness.snapshot_epochs(4) == [1, 2, 3, 4]
    # A checkpoint in the middle is made the best: its own weights must then be returned.
    path = store.artefact("checks", best.check_key + ".json")
    made = Checks(best, few, path)
    made.values[2] = 99.0
    made.write()
    model, fit = fitted(best, few, store)
    assert (fit.checkpoint_epoch, fit.valid_best, fit.valid_last) == (2, 99.0, checks[4])
    kept = checkpoint.load_snapshot(store.artefact("fits", best.fit_key), 2)
    assert all(torch.equal(kept[k], v) for k, v in model.state_dict().items())
    last, fit = fitted(cell_of(few, taken="last"), few, store)
    assert (fit.checkpoint_epoch, fit.valid_best, fit.valid_last) == (4, 99.0, checks[4])
    assert not all(torch.equal(kept[k], v) for k, v in last.state_dict().items())


def test_both_checkpoints_come_from_one_training(few, tmp_path):
    store, steps = Store(tmp_path, "digits"), []

    def tell(news):
        if isinstance(news, harness.Progress) and news.stage != "sampling":
            steps.append(news)

    for taken in ("best", "last"):
        outcome = run_cell(cell_of(few, taken=taken), Context(few, store, STANDARD, CPU), tell=tell)
        assert {r.checkpoint for r in outcome.records} == {taken}
        assert all(r.ok and r.draws == 2 for r in outcome.records)
    assert len(steps) == 4 * (200 // 20)


def test_lost_or_damaged_snapshots_are_made_again(few, tmp_path):
    store, cell = Store(tmp_path, "digits"), cell_of(few)
    first, _ = fitted(cell, few, store)
    folder = store.artefact("fits", cell.fit_key)
    checkpoint.snapshot_path(folder, 2).unlink()
    again, _ = fitted(cell, few, store)
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )
    assert checkpoint.snapshot_path(folder, 2).exists()
    path = checkpoint.snapshot_path(folder, 4)
    path.write_bytes(path.read_bytes()[:-20])
    last = cell_of(few, taken="last")
    with pytest.warns(RuntimeWarning, match="is damaged"):
        again, _ = fitted(last, few, store)
    assert checkpoint.load_snapshot(folder, 4) is not None


def test_the_checks_leave_no_trace_in_the_training(few, tmp_path):
    cell = cell_of(few, name="dbn", taken="last")
    alone, _ = harness.fit(cell.config, few.train, seed=11)
    checks = Checks(cell, few, tmp_path / "c.json")
    checked, _ = harness.fit(cell.config, few.train, seed=11, snapshot=checks.make)
    assert len(checks.values) == 4
    assert all(
        torch.equal(a, b)
        for a, b in zip(alone.state_dict().values(), checked.state_dict().values(), strict=True)
    )


def test_models_of_one_family_share_a_training(few, tmp_path):
    store, trained = Store(tmp_path, "digits"), []

    def tell(news):
        if isinstance(news, harness.Progress) and news.stage == "walkback":
            trained.append(news)

    rows = {}
    for name, chain in (("deep-gsn", "independent"), ("deep-gsn-chain", "consecutive")):
        cell = cell_of(few, name=name, hidden=(16, 12), chain=chain)
        rows[name] = run_cell(cell, Context(few, store, STANDARD, CPU), tell=tell).records
    assert len(trained) == 4 * (200 // 20)
    values = [next(r.value for r in found if r.metric == "parzen") for found in rows.values()]
    assert values[0] != values[1]
