"""The closed optima, bounds and signs of the adversarial games."""

import math

import pytest
import torch
from genmodel_bench.models.adversarial import critics
from genmodel_bench.models.adversarial.critics import DIVERGENCES
from hypothesis import given, settings
from hypothesis import strategies as st

COUNTS = st.lists(st.integers(1, 9), min_size=5, max_size=5)
ROUNDING = 1e-10  # sums of at most 45 terms in float64, values up to 1e4
GAMES = {
    "minimax": critics.cross_entropy("minimax"),
    "non-saturating": critics.cross_entropy("non-saturating"),
    "least-squares": critics.least_squares(),
    "wasserstein": critics.wasserstein(),
    "hinge": critics.hinge(),
    "energy": critics.energy(margin=3.0),
    **{
        f"fgan-{name} {direction}": critics.f_divergence(name, direction=direction)
        for name in DIVERGENCES
        for direction in ("divergence", "trick")
    },
}


class Alphabet:
    """Five symbols, as often in the data and in the fakes as counted; D is a table."""

    def __init__(self, real, fake):
        self.real, self.fake = (
            torch.repeat_interleave(torch.arange(5), torch.tensor(counts)) for counts in (real, fake)
        )
        self.p, self.q = (torch.bincount(i, minlength=5).double() / len(i) for i in (self.real, self.fake))

    def critic(self, game, D):
        return float(game.critic(D[self.real], D[self.fake]))

    def no_table_is_better(self, game, D, low=-math.inf):
        """No table near or far from D has a smaller loss of D; D may be bounded below."""
        at = self.critic(game, D)
        for size in (1e-3, 0.1, 3.0):
            other = (D + size * torch.randn(20, 5, dtype=torch.float64)).clamp(min=low)
            assert min(self.critic(game, row) for row in other) >= at - ROUNDING


@given(COUNTS, COUNTS)
@settings(max_examples=20, deadline=None)
def test_optimal_least_squares_critic_is_the_weighted_mean_of_its_aims(real, fake):
    a = Alphabet(real, fake)
    game = critics.least_squares()
    D = a.p / (a.p + a.q)
    assert a.critic(game, D) == pytest.approx(float((a.p * a.q / (a.p + a.q)).sum() / 2), abs=ROUNDING)
    a.no_table_is_better(game, D)
    # with aims −1, 1 and 0, twice the loss of G over both sets is χ²(p + q ‖ 2q)
    game = critics.least_squares(fake=-1.0, real=1.0, wanted=0.0)
    D = (a.p - a.q) / (a.p + a.q)
    a.no_table_is_better(game, D)
    both = float(game.generator(D[a.real]) + game.generator(D[a.fake]))
    chi2 = float(((a.p + a.q - 2 * a.q).square() / (a.p + a.q)).sum())
    assert 2 * both == pytest.approx(chi2, abs=ROUNDING)


@given(COUNTS, COUNTS)
@settings(max_examples=20, deadline=None)
def test_optimal_hinge_and_energy_losses_are_given_by_the_total_variation(real, fake):
    a = Alphabet(real, fake)
    tv = float((a.p - a.q).abs().sum() / 2)
    D = (a.p - a.q).sign()
    assert a.critic(critics.hinge(), D) == pytest.approx(2 * (1 - tv), abs=ROUNDING)
    a.no_table_is_better(critics.hinge(), D)
    game, margin = critics.energy(margin=3.0), 3.0
    D = margin * (a.p < a.q).double()
    assert a.critic(game, D) == pytest.approx(margin * (1 - tv), abs=ROUNDING)
    a.no_table_is_better(game, D, low=0.0)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_critic_and_conjugate_are_those_of_f(name):
    d = DIVERGENCES[name]
    v = torch.linspace(-3, 3, 25, dtype=torch.float64)
    u = v.exp().requires_grad_()
    (slope,) = torch.autograd.grad(d.f(u).sum(), u)
    torch.testing.assert_close(d.T(v), slope, rtol=1e-9, atol=1e-9)
    # f*(t) = sup over u of u t − f(u), on a grid: the supremum is at a point of it
    grid = v.exp()
    values = grid * d.T(v)[:, None] - d.f(grid)
    torch.testing.assert_close(d.conjugate(v), values.max(1).values, rtol=1e-9, atol=1e-9)
    assert bool((values.argmax(1) == torch.arange(25)).all())
    # D is real if T > f′(1), which is v > 0
    assert bool((d.T(v).diff() > 0).all())


@pytest.mark.parametrize("name", DIVERGENCES)
@given(COUNTS, COUNTS)
@settings(max_examples=10, deadline=None)
def test_no_critic_exceeds_the_divergence_and_the_best_reaches_it(name, real, fake):
    a = Alphabet(real, fake)
    game = critics.f_divergence(name, direction="divergence")
    ratio = a.p / a.q
    truth = float((a.q * DIVERGENCES[name].f(ratio)).sum())
    assert -a.critic(game, ratio.log()) == pytest.approx(truth, abs=ROUNDING)
    a.no_table_is_better(game, ratio.log())


def expected(delta):
    """f-divergences of N(0, 1) from N(delta, 1), in closed form."""
    return {
        "kl": delta**2 / 2,
        "rkl": delta**2 / 2,
        "pearson": math.expm1(delta**2),
        "neyman": math.expm1(delta**2),
        "hellinger": 2 * -math.expm1(-(delta**2) / 8),
        "jeffrey": delta**2,
    }


@pytest.mark.parametrize("name", expected(0.0))
def test_the_bound_of_two_gaussians_is_their_divergence(name):
    delta, x = 0.7, torch.linspace(-12, 12, 4001, dtype=torch.float64)
    # for Gaussians the trapezoid rule is exact to rounding; v is the log of their ratio
    weight = {m: torch.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) * (x[1] - x[0]) for m in (0, delta)}
    v, d = (delta**2 - 2 * delta * x) / 2, DIVERGENCES[name]
    bound = float((weight[0] * d.T(v)).sum() - (weight[delta] * d.conjugate(v)).sum())
    assert bound == pytest.approx(expected(delta)[name], rel=1e-8)


@pytest.mark.parametrize("name", GAMES)
def test_signs_are_those_of_finite_differences(name):
    """D's output is pushed up at real images and down at fakes, and G pushes it up."""
    game, h = GAMES[name], 1e-6
    up = -1 if name == "energy" else 1  # an energy is low at real images
    for value in (-0.9, -0.1, 0.4, 0.95):
        a, b = torch.full((1,), value, dtype=torch.float64), torch.full((1,), 0.3, dtype=torch.float64)
        real = (game.critic(a + h, b) - game.critic(a - h, b)) / (2 * h)
        fake = (game.critic(b, a + h) - game.critic(b, a - h)) / (2 * h)
        generated = (game.generator(a + h) - game.generator(a - h)) / (2 * h)
        leaf = a.clone().requires_grad_()
        (slope,) = torch.autograd.grad(game.generator(leaf), leaf)
        assert float(slope) == pytest.approx(float(generated), rel=1e-6, abs=1e-8)
        assert float(generated) * up < 0
        if name != "least-squares":  # which pulls towards its aims from both sides
            assert float(real) * up < 0
            assert float(fake) * up > 0


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("size", [9.0, 15.0, 60.0, 1e4])
def test_a_critic_that_is_sure_bounds_the_divergence_and_overflows_nowhere(name, size):
    """Of two symbols; D is sure of either, rightly or wrongly, or of both alike."""
    a = Alphabet([3, 2, 1, 1, 1], [1, 2, 3, 1, 1])
    game = critics.f_divergence(name, direction="divergence")
    truth = float((a.q * DIVERGENCES[name].f(a.p / a.q)).sum())
    for i in range(5):
        for sign in (-1, 1):
            for best in ((a.p / a.q).log(), torch.zeros(5, dtype=torch.float64)):
                D = best.clone()
                D[i] = sign * size
                bound = -a.critic(game, D)
                assert math.isfinite(bound)
                assert bound < truth + ROUNDING
                values = torch.full((4,), sign * size)  # float32, as in training
                assert bool(game.critic(values, values).isfinite())
                assert bool(game.generator(values).isfinite())


class Linear(torch.nn.Module):
    def __init__(self, w):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(w, dtype=torch.float64))

    def forward(self, x):
        return x @ self.w


def test_the_gradient_penalty_of_a_linear_critic_is_of_its_norm():
    x, fake = torch.randn(2, 7, 3, dtype=torch.float64)
    for w, expected_penalty in (([3.0, 0.0, 4.0], (5 - 1) ** 2), ([0.6, 0.0, 0.8], 0)):
        penalty = critics.gradient_penalty(Linear(w), x, fake).detach()
        assert float(penalty) == pytest.approx(expected_penalty, rel=1e-12, abs=1e-20)


def test_the_gradient_penalty_is_taken_at_each_pairs_own_uniform_place():
    n, c = 20_000, 2.0
    x, fake = torch.zeros(n, 1, dtype=torch.float64), torch.full((n, 1), c, dtype=torch.float64)
    penalty = float(critics.gradient_penalty(lambda x: x.square().sum(1) / 2, x, fake).detach())
    # E (αc − 1)² = c²/3 − c + 1 is 1/3 here, with a standard error of 0.002
    assert penalty == pytest.approx(c**2 / 3 - c + 1, abs=0.01)


@pytest.mark.parametrize("shift", [-1.5, 0.4])
def test_a_penalised_critic_of_shifted_diracs_measures_their_distance(shift):
    """min over w of −(w·shift) + λ (|w| − 1)² is at |w| = 1 + |shift| / 2λ."""
    weight = 10.0
    D = Linear([math.copysign(1 + abs(shift) / (2 * weight), shift)])
    x, fake = torch.full((4, 1), shift, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    loss = critics.wasserstein().critic(D(x), D(fake)) + weight * critics.gradient_penalty(D, x, fake)
    (slope,) = torch.autograd.grad(loss, [D.w])
    assert float(slope) == pytest.approx(0, abs=1e-12)
    unit = Linear([math.copysign(1.0, shift)])
    assert -float(critics.wasserstein().critic(unit(x), unit(fake)).detach()) == pytest.approx(abs(shift))


def test_repelling_is_the_mean_squared_cosine_of_pairs():
    assert float(critics.repelling(torch.eye(4, dtype=torch.float64))) == pytest.approx(0, abs=1e-15)
    same = torch.tensor([[1.0, 2.0], [2.0, 4.0], [-0.5, -1.0]], dtype=torch.float64)
    assert float(critics.repelling(same)) == pytest.approx(1)
    s = torch.randn(5, 3, dtype=torch.float64)
    cosines = [
        float(s[i] @ s[j] / (s[i].norm() * s[j].norm())) ** 2 for i in range(5) for j in range(5) if i != j
    ]
    assert float(critics.repelling(s)) == pytest.approx(sum(cosines) / 20)


def test_a_critic_of_slope_one_measures_the_shift_of_a_gaussian():
    shift, x = -0.8, torch.randn(50, 1, dtype=torch.float64)
    D = Linear([math.copysign(1.0, shift)])
    loss = critics.wasserstein().critic(D(x + shift), D(x)).detach()  # W1(N(μ, 1), N(0, 1)) = |μ|
    assert -float(loss) == pytest.approx(abs(shift))


@pytest.mark.parametrize("name", critics.DIVERGENCES)
def test_v_stops_where_an_exponent_reaches_the_bound_and_nowhere_before(name):
    d, largest = critics.DIVERGENCES[name], torch.tensor(critics.BOUND, dtype=torch.float64).exp()
    v = torch.linspace(-60, 60, 2401, dtype=torch.float64)
    inside = v.clamp(d.low, d.high) == v
    values = torch.stack([d.T(v), d.conjugate(v)]).abs().amax(0)
    assert float(values[inside].max()) <= 3 * float(largest)
    assert float(values[~inside].min() if (~inside).any() else torch.inf) >= float(largest)
