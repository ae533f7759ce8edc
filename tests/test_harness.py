"""One loop for every family: what it promises is tested on all of them."""

from dataclasses import replace

import pytest
import torch
from conftest import KINDS, tiny
from genmodel_bench.models import MODELS, Schedule, Stage, settings_for
from genmodel_bench.training import checkpoint
from genmodel_bench.training import loop as harness
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

TRAINED = [name for name in MODELS if not MODELS[name].REFERENCE]


class Killed(Exception):
    pass


def kept_in(folder):
    return None if folder is None else checkpoint.Checkpoints(folder)


def fit(name, x, folder=None, *, stop=None, every=0.0):
    torch.manual_seed(7)
    model = replace(tiny(settings_for(name, "digits")), epochs=3).build(tuple(x.shape[1:]))

    def watch(progress):
        if isinstance(progress, harness.Progress) and progress.done == stop:
            raise Killed

    log = harness.train(model, x, keeper=kept_in(folder), watch=watch, every=every)
    return model, log


def same(a, b):
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


@pytest.mark.parametrize("name", KINDS)
def test_a_killed_run_ends_with_the_same_bits(name, few, tmp_path):
    whole, log = fit(name, few.train)
    for stop in (1, 9, 10, 11, 25):
        with pytest.raises(Killed):
            fit(name, few.train, tmp_path / str(stop), stop=stop)
        resumed, resumed_log = fit(name, few.train, tmp_path / str(stop))
        assert same(whole, resumed), stop
        assert resumed_log.history == log.history


@pytest.mark.parametrize("stop", [3, 19, 20, 21, 45])
def test_a_killed_run_of_two_stages_ends_with_the_same_bits(stop, few, tmp_path):
    # TFD's scheme: 2 epochs of pretraining, then layers in front and a fresh
    # discriminator; 10 minibatches an epoch
    scheme = {
        "generator": (12, 10),
        "front": (14, 8),
        "discriminator": (6, 6),
        "output_sparse": 4,
        "pretrain_epochs": 2,
    }
    config = replace(settings_for("gan-ns", "tfd"), **scheme, epochs=3, batch_size=20)

    def fit(folder=None, stop=None):
        torch.manual_seed(7)
        model = config.build(few.shape)

        def watch(progress):
            if isinstance(progress, harness.Progress) and progress.done == stop:
                raise Killed

        return model, harness.train(model, few.train, keeper=kept_in(folder), watch=watch, every=0.0)

    whole, log = fit()
    assert [(entry["stage"], entry["epoch"]) for entry in log.history] == [
        ("pretraining", 1), ("pretraining", 2), ("adversarial", 1), ("adversarial", 2), ("adversarial", 3)
    ]  # fmt: skip
    with pytest.raises(Killed):
        fit(tmp_path, stop)
    resumed, resumed_log = fit(tmp_path)
    assert same(whole, resumed)
    assert resumed_log.history == log.history


def test_a_finished_run_is_not_trained_again(few, tmp_path):
    model, log = fit("vae", few.train, tmp_path)
    seen = []
    torch.manual_seed(99)
    again = replace(tiny(settings_for("vae", "digits")), epochs=3).build(few.shape)
    log_again = harness.train(again, few.train, keeper=kept_in(tmp_path), watch=seen.append)
    assert seen == []
    assert same(model, again)
    assert log_again.history == log.history


def test_the_last_checkpoint_is_the_one_that_was_written_last(tmp_path):
    # the end of an epoch writes again at the same number of steps, under a name that may
    # sort before the other
    for i in range(8):
        checkpoint.save(tmp_path, 7, {"written": i})
        assert checkpoint.load_latest(tmp_path, torch.device("cpu")) == {"written": i}
    checkpoint.save(tmp_path, 8, {"written": 8})
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_the_watcher_hears_each_epochs_means_as_they_are_logged(few, tmp_path):
    heard = []
    torch.manual_seed(0)
    model = replace(tiny(settings_for("stacked-cae", "digits")), epochs=3).build(few.shape)
    log = harness.train(
        model, few.train, watch=lambda news: heard.extend([news] * isinstance(news, harness.Epoch))
    )
    assert [(e.stage, e.epoch) for e in heard] == [
        ("cae1", 1),
        ("cae1", 2),
        ("cae1", 3),
        ("cae2", 1),
        ("cae2", 2),
        ("cae2", 3),
    ]
    assert [{"stage": e.stage, "epoch": e.epoch, **e.means} for e in heard] == log.history


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_used(few, tmp_path):
    whole, _ = fit("vae", few.train)
    with pytest.raises(Killed):
        fit("vae", few.train, tmp_path, stop=15)
    before, last = sorted(tmp_path.glob("*.pt"))
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.warns(RuntimeWarning, match="is damaged, or of another fit: set aside"):
        resumed, _ = fit("vae", few.train, tmp_path)
    assert same(whole, resumed)
    assert last.with_suffix(".damaged").exists()
    assert before != last


def test_a_checkpoint_of_another_fit_is_set_aside(few, tmp_path):
    whole, _ = fit("vae", few.train)
    for folder in ("a", "b"):
        with pytest.raises(Killed):
            fit("vae", few.train, tmp_path / folder, stop=15)
    last = max((tmp_path / "a").glob("*.pt"))
    for own in (tmp_path / "b").glob("*.pt"):
        own.unlink()
    last.rename(tmp_path / "b" / last.name)
    with pytest.warns(RuntimeWarning, match="of another fit"):
        resumed, _ = fit("vae", few.train, tmp_path / "b")
    assert same(whole, resumed)
    checkpoint.save_snapshot(tmp_path / "a", 1, resumed)
    checkpoint.snapshot_path(tmp_path / "a", 1).replace(checkpoint.snapshot_path(tmp_path / "b", 2))
    with pytest.warns(RuntimeWarning, match="of another fit"):
        assert checkpoint.load_snapshot(tmp_path / "b", 2) is None


def test_only_the_last_two_checkpoints_stay(tmp_path):
    for i in range(5):
        checkpoint.save(tmp_path, i, {"i": i})
    assert len(list(tmp_path.iterdir())) == checkpoint.KEPT == 2
    assert checkpoint.load_latest(tmp_path, torch.device("cpu")) == {"i": 4}


@pytest.mark.parametrize("name", ["gan-ns", "dbn"])
def test_snapshots_are_the_weights_of_their_epoch_and_leave_no_trace(name, few, tmp_path):
    whole, log = fit(name, few.train)
    seen = []

    def snapshot(model, epoch):
        seen.append((epoch, {k: v.clone() for k, v in model.state_dict().items()}))
        model.sample(3)
        torch.rand(5)

    torch.manual_seed(7)
    model = replace(tiny(settings_for(name, "digits")), epochs=3).build(few.shape)
    assert harness.train(model, few.train, keeper=kept_in(tmp_path), snapshot=snapshot).history == log.history
    assert same(model, whole)
    assert [epoch for epoch, _ in seen] == harness.snapshot_epochs(3) == [1, 2, 3]
    for epoch, weights in seen:
        kept = checkpoint.load_snapshot(tmp_path, epoch)
        assert kept.keys() == weights.keys()
        assert all(torch.equal(kept[k], weights[k]) for k in kept)
    assert not all(torch.equal(seen[0][1][k], v) for k, v in model.state_dict().items())


def test_snapshot_epochs_are_the_first_few_and_every_tenth():
    assert harness.snapshot_epochs(100) == [1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert harness.snapshot_epochs(22) == [1, 2, 4, 5, 7, 9, 11, 13, 15, 18, 20, 22]
    assert harness.snapshot_epochs(1) == [1]
    assert harness.snapshot_epochs(0) == []


def test_a_damaged_snapshot_is_none(tmp_path):
    checkpoint.save_snapshot(tmp_path, 3, nn.Linear(4, 4))
    path = checkpoint.snapshot_path(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.warns(RuntimeWarning, match="is damaged, or of another fit: set aside"):
        assert checkpoint.load_snapshot(tmp_path, 3) is None
    assert path.with_suffix(".damaged").exists()
    assert checkpoint.load_snapshot(tmp_path, 4) is None


def test_fit_depends_on_its_seed_alone(few):
    config = tiny(settings_for("vae", "digits"))
    torch.manual_seed(1)
    first, _ = harness.fit(config, few.train, seed=3)
    second, _ = harness.fit(config, few.train, seed=3)
    other, _ = harness.fit(config, few.train, seed=4)
    assert same(first, second)
    assert not same(first, other)


class Recorder(nn.Module):
    """Counts what it is shown."""

    def __init__(self, batch_size=4, epochs=3, bad=None):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))
        self.rate = torch.zeros(())
        self.args, self.bad = (epochs, batch_size), bad
        self.batches, self.rates, self.labels = [], [], []

    def initialise(self, x):
        pass

    def stages(self):
        return [
            Stage(
                "look",
                *self.args,
                self.step,
                schedules=[Schedule(self.rate, lambda step, epoch: step + 100 * epoch)],
            )
        ]

    def step(self, x, y):
        self.batches.append(x.flatten().clone())
        self.rates.append(float(self.rate))
        self.labels.append(y)
        if self.bad == "loss" and len(self.batches) == 5:
            return {"loss": torch.tensor(float("nan"))}
        if self.bad == "weight" and len(self.batches) == 5:
            self.w.data.fill_(float("inf"))
        if self.bad == "raise" and len(self.batches) == 5:
            raise ValueError("out of luck")
        return {"loss": x.mean()}

    def sample(self, n):
        return torch.zeros(n, 1, 1, 1)


def test_every_epoch_shows_every_image_once_in_a_new_order():
    x = torch.arange(12.0).view(12, 1, 1, 1)
    model = Recorder()
    log = harness.train(model, x, torch.arange(12))
    epochs = [torch.cat(model.batches[i : i + 3]) for i in (0, 3, 6)]
    assert all(torch.equal(e.sort().values, x.flatten()) for e in epochs)
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(torch.cat(model.labels), torch.cat(epochs).long())
    assert [entry["loss"] for entry in log.history] == pytest.approx([5.5] * 3)
    assert log.steps == 9


def test_a_partial_batch_sits_out():
    model = Recorder()
    harness.train(model, torch.rand(11, 1, 1, 1))
    assert [len(b) for b in model.batches] == [4] * 6


def test_schedules_see_step_and_epoch():
    model = Recorder()
    harness.train(model, torch.rand(12, 1, 1, 1))
    assert model.rates == [0, 1, 2, 103, 104, 105, 206, 207, 208]


@pytest.mark.parametrize("bad", ["loss", "weight"])
def test_divergence_is_an_error_with_its_place(bad):
    with pytest.raises(harness.Diverged) as error:
        harness.train(Recorder(bad=bad), torch.rand(12, 1, 1, 1))
    assert error.value.__notes__ == ["(in stage look, epoch 2, minibatch 4)"]


def test_an_exception_of_the_model_is_given_its_place():
    with pytest.raises(ValueError, match="out of luck") as error:
        harness.train(Recorder(bad="raise"), torch.rand(12, 1, 1, 1))
    assert error.value.__notes__ == ["(in stage look, epoch 2, minibatch 2)"]


def test_a_batch_larger_than_the_data_raises():
    with pytest.raises(ValueError, match="look: batch size 20 and 3 epochs do not fit 12 training images"):
        harness.train(Recorder(batch_size=20), torch.rand(12, 1, 1, 1))


@pytest.mark.gpu
@pytest.mark.parametrize("name", TRAINED)
def test_a_captured_step_equals_the_eager_one(name, few, monkeypatch):
    x = few.train.cuda()

    def run():
        torch.manual_seed(7)
        model = replace(tiny(settings_for(name, "digits")), epochs=3).build(few.shape).cuda()
        harness.train(model, x)
        return model.state_dict()

    graph = run()
    monkeypatch.setattr(harness, "captured", lambda stage, *rest: stage.step)
    eager = run()
    for key, value in eager.items():
        torch.testing.assert_close(graph[key], value, atol=1e-4, rtol=1e-3, msg=key)


class Products(TorchDispatchMode):
    """Notes the types of the matrix products that are taken inside."""

    def __init__(self):
        super().__init__()
        self.types = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        aten = torch.ops.aten
        if function in (aten.mm.default, aten.addmm.default, aten.convolution.default):
            self.types.add(out.dtype)
        return out


@pytest.mark.parametrize("name", KINDS)
def test_bf16_is_of_the_products_and_weights_and_logs_stay_float32(name, few):
    logs, config = [], tiny(settings_for(name, "digits"))
    if name == "dcgan":  # Adam's first steps are of full size, even where g is mere rounding
        config = replace(config, lr=1e-5)
    for bf16 in (False, True):
        torch.manual_seed(7)
        model = config.build(few.shape)
        with Products() as seen:
            log = harness.train(model, few.train, bf16=bf16)
        logs.append(log.history)
        if name == "nade":  # its products are its own code's, which autocast does not reach
            assert not seen.types
        elif bf16:  # what is only logged may stay as it is
            assert torch.bfloat16 in seen.types
        else:
            assert seen.types == {torch.float32}
        assert all(p.dtype == torch.float32 for p in model.parameters())
    for exact, ours in zip(*logs, strict=True):
        for key in exact.keys() - {"stage", "epoch"}:
            # 8 bits of mantissa, and the random units that flip
            assert ours[key] == pytest.approx(exact[key], rel=0.1, abs=0.1), key
