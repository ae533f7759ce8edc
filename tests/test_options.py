import pytest
from genmodel_bench import BadOption, UnknownName
from genmodel_bench.cells.options import apply_options, parse
from genmodel_bench.models import MODELS


def applied(option, model="gan-ns"):
    return apply_options(dict(MODELS), [option])[model]


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ("gan-ns.epochs=7", "epochs", 7),
        ("gan-ns.lr=1e-3", "lr", 0.001),
        ("gan-ns.update=alternating", "update", "alternating"),
        ("gan-ns.generator=64,32", "generator", (64, 32)),
        ("gan-ns.discriminator=(64,)", "discriminator", (64,)),
        (" gan-ns.prior = gaussian ", "prior", "gaussian"),
    ],
)
def test_options_reach_the_config(option, key, value):
    assert getattr(applied(option), key) == value


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("gan-ns.latnt=3", "gan-ns: no option 'latnt'; did you mean 'latent'"),
        ("gan-ns.epochs=many", "gan-ns: epochs: got 'many', expected a value of type int"),
        ("gan-ns.loss=lsgan", "gan-ns: loss: got 'lsgan', expected one of non-saturating, minimax"),
        ("gan-ns.lr=nan", "gan-ns: lr: got 'nan', expected a finite number"),
        ("gan-ns.k=0", "gan-ns: k: gan: k must be at least 1, got 0"),
        ("gan-ns.k", "expected MODEL.KEY=VALUE, got 'gan-ns.k'"),
        ("epochs=3", "expected MODEL.KEY=VALUE"),
        ("data.epochs=3", "data: no option 'epochs'; options: none"),
    ],
)
def test_what_does_not_fit_is_one_line(option, message):
    with pytest.raises(BadOption) as error:
        applied(option)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_model_suggests():
    with pytest.raises(UnknownName, match="unknown model 'gan-nss'; did you mean 'gan-ns'"):
        applied("gan-nss.epochs=3")


def test_optional_and_boolean_values():
    assert parse("none", int | None) is None
    assert parse("3", int | None) == 3
    assert parse("False", bool) is False
    with pytest.raises(ValueError, match="expected true or false"):
        parse("0", bool)


def test_options_that_only_fit_together_are_applied_at_once():
    options = ["gan-ns.generator=800", "gan-ns.activations=relu"]
    config = apply_options({"gan-ns": MODELS["gan-ns"]}, options)["gan-ns"]
    assert (config.generator, config.activations) == ((800,), ("relu",))
    with pytest.raises(
        BadOption,
        match="gan-ns: generator: gan: expected an activation for each of the 1 hidden layers, got 2",
    ):
        apply_options({"gan-ns": MODELS["gan-ns"]}, options[:1])
