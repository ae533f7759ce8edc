"""Promises of all registered models: a new entry is tested before its own tests."""

import dataclasses
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import ClassVar

import pytest
from conftest import tiny
from genmodel_bench import contract
from genmodel_bench.cells.forms import check_config
from genmodel_bench.models import MODELS, adapted, settings_for


def small(name):
    return tiny(settings_for(name, "digits"))


@pytest.mark.parametrize("name", MODELS)
def test_config_is_a_frozen_dataclass(name):
    config = MODELS[name]
    check_config(name, config)
    assert hash(config) == hash(MODELS[name])
    for field in fields(config)[:1]:
        with pytest.raises(FrozenInstanceError):
            setattr(config, field.name, 0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", contract.SHAPES)
def test_samples_are_n_images_in_the_unit_interval(name, shape):
    model = contract.trained(small(name), contract.images(60, shape))
    for n in (1, 7, 150):
        contract.check_samples(model.sample(n), n, shape)


@pytest.mark.parametrize("name", MODELS)
def test_one_seed_gives_one_model_and_one_sample(name, few):
    contract.check_repeats(small(name), few.train)


@pytest.mark.parametrize("name", MODELS)
def test_training_does_not_change_the_images(name, few):
    contract.check_leaves_images(small(name), few.train)


@pytest.mark.parametrize("name", MODELS)
def test_stages_log_scalars_and_train_something(name, few):
    contract.check_steps(small(name), few.train)


@pytest.mark.parametrize("name", [n for n in MODELS if not MODELS[n].REFERENCE])
def test_samples_differ_from_each_other(name, few):
    samples = contract.trained(small(name), few.train).sample(30).flatten(1)
    assert len(samples.unique(dim=0)) == 30


def test_settings_stand_in_for_defaults_alone():
    @dataclass(frozen=True)
    class Config:
        rate: float
        width: int = 5
        layers: tuple[int, ...] = dataclasses.field(default_factory=lambda: (1, 2))
        SETTINGS: ClassVar = {"digits": {"rate": 0.5, "width": 7, "layers": (3,)}}

    assert adapted(Config(0.1), "digits") == Config(0.5, 7, (3,))
    assert adapted(Config(0.1, width=6), "digits") == Config(0.5, 6, (3,))
    assert adapted(Config(0.1, layers=(9,)), "digits") == Config(0.5, 7, (9,))
    assert adapted(Config(0.1), "mnist") == Config(0.1)


@pytest.mark.parametrize("name", MODELS)
def test_settings_name_fields_of_the_config(name):
    known = {field.name for field in fields(MODELS[name])}
    for changes in MODELS[name].SETTINGS.values():
        assert set(changes) <= known
