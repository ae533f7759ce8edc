"""Which texts are values of a Config's field, and what do several values make?"""

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import pytest
from genmodel_bench import BadOption, UnknownName
from genmodel_bench.cells.options import apply_options, check_bounds, numbers_in, parse
from genmodel_bench.models import MODELS, settings_for


def applied(*options, model="gan-ns"):
    return apply_options(dict(MODELS), options)[model]


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ("gan-ns.epochs=7", "epochs", 7),
        ("gan-ns.lr=1e-3", "lr", 0.001),
        ("gan-ns.update=alternating", "update", "alternating"),
        ("gan-ns.generator=64,32", "generator", (64, 32)),
        ("gan-ns.generator=(64,32)", "generator", (64, 32)),
        ("gan-ns.discriminator=(64,)", "discriminator", (64,)),
        ("gan-ns.front=()", "front", ()),
        (" gan-ns.prior = gaussian ", "prior", "gaussian"),
        ("gan-ns.max_norm=none", "max_norm", None),
        ("gan-ns.dropout_input=0", "dropout_input", 0.0),
    ],
)
def test_options_reach_the_config(option, key, value):
    (config,) = applied(option)
    assert getattr(config, key) == value


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("gan-ns.latnt=3", "gan-ns: no option 'latnt'; did you mean 'latent'"),
        ("gan-ns.epochs=many", "gan-ns: epochs: got 'many', expected a value of type int"),
        ("gan-ns.epochs=", "gan-ns: epochs: got nothing, expected a value"),
        ("gan-ns.loss=lsgan", "gan-ns: loss: got 'lsgan', expected one of non-saturating, minimax"),
        ("gan-ns.lr=nan", "gan-ns: lr: got 'nan', expected a finite number"),
        ("gan-ns.lr=-inf", "gan-ns: lr: got '-inf', expected a finite number"),
        ("gan-ns.lr=1e-400", "gan-ns: lr: got 0.0, expected above 0"),  # it is 0 in float64
        ("gan-ns.lr=-1", "gan-ns: lr: got -1.0, expected above 0"),
        ("gan-ns.lr=0.1,", "gan-ns: lr: got nothing, expected a value"),
        ("gan-ns.lr=0.1,-1", "gan-ns: lr: got -1.0, expected above 0"),
        ("gan-ns.k=0", "gan-ns: k: got 0, expected at least 1"),
        ("gan-ns.epochs=-1", "gan-ns: epochs: got -1, expected at least 1"),
        ("gan-ns.pretrain_epochs=-1", "gan-ns: pretrain_epochs: got -1, expected at least 0"),
        ("gan-ns.epochs=99999999999999999999", "expected at most 1,000,000,000"),
        ("gan-ns.dropout_input=1", "gan-ns: dropout_input: got 1.0, expected at least 0 and below 1"),
        ("gan-ns.generator=64,0", "gan-ns: generator: got 0, expected at least 1"),
        ("gan-ns.generator=64,,32", "gan-ns: generator: got nothing, expected a value"),
        ("gan-ns.generator=(64,32", "expected tuples in parentheses, as (16,16),(32,32)"),
        ("gan-ns.generator=(64,32),16", "expected tuples in parentheses"),
        ("deep-gsn.hidden=64", "deep-gsn: hidden: got '64', expected 2 elements"),
        ("gan-mlp.betas=0.5,0.9,0.99", "gan-mlp: betas: got '0.5,0.9,0.99', expected 2 elements"),
        ("ebgan.critic_layers=()", "ebgan: critic_layers: mlp_gan: got no critic_layers, expected"),
        ("gaussian.rank=-1", "gaussian: rank: got -1, expected at least 0"),
        ("gan-ns.k", "got 'gan-ns.k', expected MODEL.KEY=VALUE"),
        ("epochs=3", "expected MODEL.KEY=VALUE"),
        ("gan-ns.=3", "expected MODEL.KEY=VALUE"),
        (".epochs=3", "expected MODEL.KEY=VALUE"),
        ("data.epochs=3", "data: no option 'epochs'; options: none"),
    ],
)
def test_what_does_not_fit_is_one_line(option, message):
    with pytest.raises(BadOption) as error:
        applied(option)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["9" * 5000, "x" * 5000, "1\n2", "\x1b[2J", "٣٣" * 200, "0x10", "😀"])
@pytest.mark.parametrize("key", ["epochs", "lr", "generator", "loss"])
def test_absurd_texts_are_one_short_line(key, text):
    with pytest.raises(BadOption) as error:
        applied(f"gan-ns.{key}={text}")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


def test_an_unknown_model_suggests():
    with pytest.raises(UnknownName, match="unknown model 'gan-nss'; did you mean 'gan-ns'"):
        applied("gan-nss.epochs=3")


def test_a_registered_model_outside_the_run_is_named_as_such():
    with pytest.raises(BadOption, match="--set: gan-ns is not in this run, expected one of vae; name it"):
        apply_options({"vae": MODELS["vae"]}, ["gan-ns.epochs=3"])


def test_the_last_dot_before_the_equals_sign_parts_model_and_key():
    registered = {"ours-v1.5": MODELS["vae"]}
    (config,) = apply_options(registered, ["ours-v1.5.lr=0.5"])["ours-v1.5"]
    assert config == replace(MODELS["vae"], lr=0.5)


def test_optional_and_boolean_values():
    assert parse("none", int | None) is None
    assert parse("3", int | None) == 3
    assert parse("False", bool) is False
    with pytest.raises(ValueError, match="expected true or false"):
        parse("0", bool)


def test_options_that_only_fit_together_are_applied_at_once():
    options = ["gan-ns.generator=800", "gan-ns.activations=relu"]
    (config,) = apply_options({"gan-ns": MODELS["gan-ns"]}, options)["gan-ns"]
    assert (config.generator, config.activations) == ((800,), ("relu",))
    with pytest.raises(
        BadOption,
        match="gan-ns: generator: gan: expected an activation for each of the 1 hidden layers, got 2",
    ):
        apply_options({"gan-ns": MODELS["gan-ns"]}, options[:1])


def test_a_comma_makes_one_config_of_each_value():
    assert [c.lr for c in applied("vae.lr=1e-3,1e-4", model="vae")] == [1e-3, 1e-4]
    assert [c.loss for c in applied("gan-ns.loss=minimax,non-saturating")] == ["minimax", "non-saturating"]
    assert [c.persistent for c in applied("dbn.persistent=true,false", model="dbn")] == [True, False]
    assert [c.max_norm for c in applied("gan-ns.max_norm=none,2")] == [None, 2.0]


def test_in_a_tuple_the_comma_parts_elements_and_parentheses_part_tuples():
    def hidden(text):
        return [c.hidden for c in applied(f"vae.hidden={text}", model="vae")]

    assert hidden("16,8") == hidden("(16,8)") == hidden("[16, 8]") == [(16, 8)]
    assert hidden("(16,8),(32,)") == hidden("(16,8) , (32,)") == [(16, 8), (32,)]


def test_several_options_make_each_combination_once():
    found = applied("vae.lr=0.1,0.2,0.10", "vae.hidden=(16,),(8,)", model="vae")
    assert [(c.lr, c.hidden) for c in found] == [(0.1, (16,)), (0.1, (8,)), (0.2, (16,)), (0.2, (8,))]


def test_an_option_that_is_given_twice_is_refused():
    with pytest.raises(BadOption, match=r"vae.lr is given twice, expected once; list its values: vae.lr=A,B"):
        applied("vae.lr=0.1", "vae.lr=0.2")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dataset", ["mnist", "digits", "olivetti", "tfd", "cifar10"])
def test_what_is_registered_is_within_its_bounds(name, dataset):
    config = settings_for(name, dataset)
    for field in fields(config):
        check_bounds(config, field.name, getattr(config, field.name))


@pytest.mark.parametrize("name", MODELS)
def test_bounds_are_of_fields_that_hold_numbers(name):
    config = MODELS[name]
    for key, (low, high) in getattr(config, "BOUNDS", {}).items():
        assert list(numbers_in(getattr(config, key))), key
        assert low is None or high is None or low < high


@dataclass(frozen=True)
class Bounded:
    """A Config that says which numbers it takes."""

    count: int = 5
    rate: float = 0.5
    shift: float = -1.0
    free: int = 3

    SETTINGS: ClassVar = {"digits": {"free": 0}}
    BOUNDS: ClassVar = {"count": (3, 9), "rate": (None, 1)}


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("count", [3, 8], [2, 9]),
        ("rate", [-7.0, 0.999], [1.0]),
        ("shift", [-9.0, 0.0, 9.0], []),
        ("free", [0, 7], [-1]),
    ],
)
def test_a_config_says_its_bounds_and_the_registered_values_say_the_others(key, good, bad):
    for value in good:
        check_bounds(Bounded(), key, value)
    for value in bad:
        with pytest.raises(ValueError, match=f"got {value}, expected"):
            check_bounds(Bounded(), key, value)
