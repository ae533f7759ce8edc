"""How the nets that all losses share are built, updated and held to a slope."""

from dataclasses import replace

import pytest
import torch
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.models.adversarial import critics, mlp_gan
from genmodel_bench.models.adversarial.critics import wasserstein

SMALL = mlp_gan.Config(latent=4, generator_layers=(8, 6), critic_layers=(7, 5), batch_size=10)
ROWS = [name for name, config in MODELS.items() if isinstance(config, mlp_gan.Config)]


def built(config=SMALL):
    torch.manual_seed(0)
    model = config.build((1, 3, 3))
    model.initialise(torch.rand(50, 1, 3, 3))
    return model


def weights_after_a_step(config):
    model = built(config)
    x = torch.rand(config.k * 10, 1, 3, 3)
    values = model.stages()[-1].step(x, None)
    return [p.detach() for p in model.parameters()], values


@pytest.mark.parametrize(
    ("loss", "same"),
    [
        ({"loss": "minimax"}, {"loss": "fgan-gan"}),
        ({"loss": "non-saturating"}, {"loss": "fgan-gan", "generator": "trick"}),
    ],
)
def test_the_gan_divergence_is_the_paper_s_game_bit_for_bit(loss, same):
    one, values = weights_after_a_step(replace(SMALL, **loss))
    other, equal = weights_after_a_step(replace(SMALL, **same))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert values == equal


def test_twice_jensen_shannon_has_the_gradients_of_the_gan_divergence():
    one, _ = weights_after_a_step(replace(SMALL, loss="fgan-js"))
    other, _ = weights_after_a_step(replace(SMALL, loss="fgan-gan"))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ROWS)
def test_rows_share_nets_and_budget_and_differ_in_what_belongs_to_the_loss(name):
    config, shared = settings_for(name, "digits"), settings_for("gan-mlp", "digits")
    own = {
        "loss", "k", "critic_epochs", "clip", "optimiser", "penalty", "repelling",
    }  # fmt: skip
    if name == "gan-small":
        own |= {"latent", "prior", "generator_layers", "critic_layers", "batch_norm", "slope", "epochs", "lr"}
    assert {f for f in config.__dataclass_fields__ if getattr(config, f) != getattr(shared, f)} <= own


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("wgan", {"k": 5, "optimiser": "rmsprop", "penalty": 0.0}),
        ("wgan-gp", {"k": 5, "penalty": 10.0, "clip": None}),
        ("ebgan", {"repelling": 0.0, "margin": 10.0}),
        ("ebgan-pt", {"repelling": 0.1, "margin": 10.0}),
        ("gan-small", {"latent": 128, "prior": "gaussian", "generator_layers": (256,)}),
        ("gan-small", {"critic_layers": (256,), "slope": 0.0, "batch_size": 100, "epochs": 200}),
    ],
)
def test_settings_of_a_method_are_the_published_ones(name, published):
    assert {field: getattr(MODELS[name], field) for field in published} == published


def test_the_generator_sees_a_critic_within_the_box():
    model = built(replace(SMALL, loss="wasserstein", k=3, clip=0.02, optimiser="rmsprop", lr=0.1))
    (stage,) = model.stages()
    seen = []
    stage.optimisers[0].register_step_pre_hook(
        lambda *_: seen.append(max(float(p.detach().abs().max()) for p in model.D.parameters()))
    )
    stage.step(torch.rand(30, 1, 3, 3), None)
    assert seen == [pytest.approx(0.02)]


def test_a_critic_s_own_stage_leaves_the_generator_as_it_is():
    model = built(replace(SMALL, k=5, critic_epochs=2))
    first, last = model.stages()
    assert [(s.name, s.epochs, s.batch_size) for s in (first, last)] == [
        ("critic", 2, 50), ("adversarial", 100, 50),
    ]  # fmt: skip
    assert first.optimisers[1] is last.optimisers[1]  # whose moments go on
    before = [p.detach().clone() for p in model.G.parameters()]
    critic = [p.detach().clone() for p in model.D.parameters()]
    first.step(torch.rand(50, 1, 3, 3), None)
    assert all(torch.equal(a, b) for a, b in zip(before, model.G.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(critic, model.D.parameters(), strict=True))


def test_j_updates_the_generator_j_times_for_one_update_of_the_critic():
    model = built(replace(SMALL, k=2, j=3))
    (stage,) = model.stages()
    calls = []
    for name, optimiser in zip("gd", stage.optimisers, strict=True):
        optimiser.register_step_post_hook(lambda *_, name=name: calls.append(name))
    stage.step(torch.rand(20, 1, 3, 3), None)
    assert calls == ["d", "d", "g", "g", "g"]


def test_spectral_normalisation_divides_by_the_largest_singular_value():
    model = built(replace(SMALL, loss="hinge", spectral=True))
    model.train()
    with torch.no_grad():
        for _ in range(300):  # one power iteration each
            model.D(torch.rand(2, 9))
    for layer in model.D.net[::2]:
        # 300 iterations leave 1e-6 where the second singular value is 0.95 of the first
        assert float(torch.linalg.svdvals(layer.weight.detach())[0]) == pytest.approx(1, abs=1e-3)


def test_an_energy_is_the_distance_to_its_reconstruction():
    model = built(replace(SMALL, loss="energy"))
    x = torch.rand(4, 9)
    back = model.D.decoder(model.D.encoder(x))
    torch.testing.assert_close(model.D(x), (back - x).norm(dim=1))
    assert model.D.encoder(x).shape == (4, 5)
    assert isinstance(model.D.encoder[-1], torch.nn.LeakyReLU)


@pytest.mark.parametrize("loss", ["non-saturating", "wasserstein", "energy", "fgan-kl"])
def test_a_step_of_each_player_improves_its_own_value(loss):
    config = replace(SMALL, loss=loss, lr=1e-4, batch_norm=False, betas=(0.0, 0.999))
    model = built(config)
    players, game = config.players(model.G, model.D, model.output), config.game()
    x = torch.rand(10, 9)

    def values():
        torch.manual_seed(3)
        with torch.no_grad():
            b = model.D(players.fake(10))
            return float(game.critic(model.D(x), b)), float(game.generator(b))

    before = values()[0]
    torch.manual_seed(3)
    players.update_discriminator(x)
    assert values()[0] < before
    before = values()[1]
    torch.manual_seed(3)
    players.update_generator(10)
    assert values()[1] < before


def test_draws_use_the_statistics_of_training_and_are_independent():
    model = built()
    for _ in range(5):
        model.stages()[-1].step(torch.rand(10, 1, 3, 3), None)
    model.eval()
    z = model.latent(6)
    together, alone = model.decode(z), torch.cat([model.decode(row[None]) for row in z])
    torch.testing.assert_close(together, alone)  # of another batch size: rounding alone


def test_probabilities_are_logged_where_outputs_are_logits_and_scores_elsewhere():
    _, values = weights_after_a_step(replace(SMALL, loss="fgan-kl"))
    assert {"d_real", "d_fake"} < set(values)
    _, values = weights_after_a_step(replace(SMALL, loss="wasserstein"))
    assert {"critic_real", "critic_fake"} < set(values)
    assert float(values["loss_d"]) == pytest.approx(
        float(wasserstein().critic(values["critic_real"], values["critic_fake"])), rel=1e-5
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"k": 0}, "k and j must be at least 1, got 0 and 1"),
        ({"j": 0}, "k and j must be at least 1, got 1 and 0"),
        ({"repelling": 0.1}, "repelling is of the loss energy, got non-saturating"),
    ],
)
def test_what_does_not_fit_raises(fields, message):
    with pytest.raises(ValueError, match=message):
        mlp_gan.Config(**fields)


MLP = mlp_gan.Config(latent=4, generator_layers=(8,), critic_layers=(7, 5), batch_size=10)


def test_a_critic_descends_its_loss_plus_lambda_times_the_gradient_penalty():
    config = replace(MLP, loss="wasserstein", penalty=7.0)
    model = config.build((1, 3, 3))
    players, x, fake = config.players(model.G, model.D, model.output), torch.rand(10, 9), torch.rand(10, 9)
    a, b = model.D(x), model.D(fake)
    torch.manual_seed(1)
    found = players.critic_loss(a, b, x, fake)
    torch.manual_seed(1)
    expected = b.mean() - a.mean() + 7 * critics.gradient_penalty(model.D, x, fake)
    torch.testing.assert_close(found, expected)


def test_a_generator_descends_its_loss_plus_the_repelling_term_times_its_weight():
    config = replace(MLP, loss="energy", repelling=0.3)
    model = config.build((1, 3, 3))
    players, fake = config.players(model.G, model.D, model.output), torch.rand(10, 9)
    b = model.D(fake)
    expected = b.mean() + 0.3 * critics.repelling(model.D.encoder(fake))
    torch.testing.assert_close(players.generator_loss(b, fake), expected)


def test_the_energy_of_fakes_is_raised_up_to_the_margin_of_the_setting():
    game = replace(MLP, loss="energy", margin=3.0).game()
    assert float(game.critic(torch.zeros(2), torch.tensor([1.0, 5.0]))) == pytest.approx((2 + 0) / 2)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_nets_have_the_layers_of_the_setting(batch_norm):
    model = replace(MLP, generator_layers=(8, 6), batch_norm=batch_norm, slope=0.3).build((1, 3, 3))
    own = [torch.nn.Linear, *([torch.nn.BatchNorm1d] if batch_norm else []), torch.nn.ReLU]
    assert [type(layer) for layer in model.G] == [*own, *own, torch.nn.Linear]
    assert [layer.negative_slope for layer in model.D.net[1::2]] == [0.3, 0.3]
    energy = replace(MLP, loss="energy", slope=0.3).build((1, 3, 3))
    assert [layer.negative_slope for layer in energy.D.encoder[1::2]] == [0.3, 0.3]


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop"])
@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_players_are_updated_as_the_setting_says(optimiser, update):
    config = replace(MLP, optimiser=optimiser, update=update, lr=0.017, betas=(0.3, 0.8))
    model = config.build((1, 3, 3))
    players = config.players(model.G, model.D, model.output)
    assert players.update == update
    for opt in (players.opt_g, players.opt_d):
        (group,) = opt.param_groups
        assert float(group["lr"]) == pytest.approx(0.017)
        assert group.get("betas", (0.3, 0.8)) == (0.3, 0.8)
