"""Laws of all registered models: a new entry is tested before it has its own tests."""

from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest
import torch
from conftest import tiny
from genmodel_bench.models import MODELS, Model, settings_for
from genmodel_bench.training import loop as harness

SHAPES = [(1, 8, 8), (3, 6, 4)]


def trained(name, x):
    model = tiny(settings_for(name, "digits")).build(tuple(x.shape[1:]))
    harness.train(model, x)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_config_is_a_frozen_dataclass(name):
    config = MODELS[name]
    assert is_dataclass(config)
    assert hash(config) == hash(MODELS[name])
    for field in fields(config)[:1]:
        with pytest.raises(FrozenInstanceError):
            setattr(config, field.name, 0)


@pytest.mark.parametrize("name", MODELS)
def test_model_fits_the_protocol_and_is_a_module(name):
    model = settings_for(name, "digits").build((1, 8, 8))
    assert isinstance(model, Model)
    assert isinstance(model, torch.nn.Module)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [1, 7, 150])
def test_samples_are_n_images_in_the_unit_interval(name, shape, n):
    samples = trained(name, torch.rand(60, *shape)).sample(n)
    assert samples.shape == (n, *shape)
    assert samples.dtype == torch.float32
    assert samples.isfinite().all()
    assert samples.min() >= 0
    assert samples.max() <= 1
    assert not samples.requires_grad


@pytest.mark.parametrize("name", MODELS)
def test_one_seed_gives_one_model_and_one_sample(name, few):
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(trained(name, few.train).sample(20))
    assert torch.equal(*draws)


@pytest.mark.parametrize("name", MODELS)
def test_training_does_not_change_the_images(name, few):
    x = few.train.clone()
    trained(name, x).sample(5)
    assert torch.equal(x, few.train)


@pytest.mark.parametrize("name", MODELS)
def test_stages_log_scalars_and_train_something(name, few):
    model = tiny(settings_for(name, "digits")).build(few.shape)
    model.initialise(few.train)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for stage in model.stages():
        x = few.train if stage.inputs is None else stage.inputs(few.train)
        values = stage.step(x[: stage.batch_size], None)
        assert values
        assert all(v.ndim == 0 and not v.requires_grad for v in values.values())
        assert any(not torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", [n for n in MODELS if not MODELS[n].REFERENCE])
def test_samples_differ_from_each_other(name, few):
    samples = trained(name, few.train).sample(30).flatten(1)
    assert len(samples.unique(dim=0)) == 30


@pytest.mark.parametrize("name", MODELS)
def test_settings_name_fields_of_the_config(name):
    known = {field.name for field in fields(MODELS[name])}
    for changes in MODELS[name].SETTINGS.values():
        assert set(changes) <= known
