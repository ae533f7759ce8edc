"""Which laws hold for every net that models each pixel given those before it?

A net's `outputs` are of pixels x: (n, d) in its own order, (n, k, d).
"""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch


def every_image(levels, shape):
    """All images of a shape, (levels^d, c, h, w)."""
    values = [k / (levels - 1) for k in range(levels)]
    return torch.tensor(list(product(values, repeat=math.prod(shape)))).view(-1, *shape)


def rough(config, shape, noise=0.5):
    """A net with weights that are not small."""
    torch.manual_seed(0)
    model = config.build(shape)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(noise * torch.randn_like(p))
    return model.eval()


def check_density(model):
    """Check that probabilities sum to 1, in any mode and by any split of the images."""
    x = every_image(model.levels, model.shape)
    log_p = model.log_prob(x)
    assert float(log_p.double().exp().sum()) == pytest.approx(1, abs=1e-5)  # float32
    assert float(log_p.exp().max()) < 0.9  # and are not of one image
    rounding = {"rtol": 1e-5, "atol": 1e-5}  # a few of float32's steps
    torch.testing.assert_close(torch.cat([model.log_prob(part) for part in x.split(7)]), log_p, **rounding)
    torch.testing.assert_close(model.train().log_prob(x), log_p, **rounding)


def check_reach(model):
    """Check that outputs depend on every pixel before theirs, and on no other."""
    d = math.prod(model.shape)
    x = torch.randint(model.levels, (1, d)) / (model.levels - 1)
    x = x.to(next(model.parameters()).dtype)
    jacobian = torch.autograd.functional.jacobian(lambda x: model.outputs(x)[0], x)
    depends = (jacobian != 0).any(0).squeeze(1)  # (k, d, 1, d) -> (d, d)
    assert bool((depends == torch.ones(d, d).tril(-1).bool()).all())


def naive(model, n):
    """Draws by one pass of the whole net for each pixel, (n, d) in the net's order."""
    d = math.prod(model.shape)
    x = torch.zeros(n, d)
    with torch.no_grad():
        for i in range(d):
            y = model.outputs(x)[:, :, i]
            u = torch.rand(n)
            if model.levels == 2:
                x[:, i] = (u < y[:, 0].sigmoid()).float()
            else:
                x[:, i] = (y.softmax(1).cumsum(1)[:, :-1] <= u[:, None]).sum(1) / (model.levels - 1)
    return x


def check_frequencies(model):
    """Check draws against the probabilities of all images, and against their entropy."""
    x, n = every_image(model.levels, model.shape), 8_000
    torch.manual_seed(2)
    draws = model.sample(n)
    log_p = model.log_prob(x)
    powers = model.levels ** torch.arange(x[0].numel() - 1, -1, -1)
    number = ((draws.flatten(1) * (model.levels - 1)).round().long() * powers).sum(1)
    counts, expected = torch.bincount(number, minlength=len(x)), log_p.exp() * n
    likely = expected > 5
    chi2 = float(((counts - expected)[likely].square() / expected[likely]).sum())
    freedom = int(likely.sum())
    assert freedom > 20
    assert abs(chi2 - freedom) < 5 * math.sqrt(2 * freedom)  # five sd
    mean, second = (float((log_p.exp() * log_p**power).sum()) for power in (1, 2))
    error = math.sqrt((second - mean**2) / n)
    assert float(model.log_prob(draws).mean()) == pytest.approx(mean, abs=5 * error)


def check_raster_sampler(model):
    """Check draws against naive ones, of a net whose order is row by row."""
    torch.manual_seed(1)
    fast = model.sample(200)
    torch.manual_seed(1)
    # a probability that is rounded otherwise would have to lie within 1e-6 of u
    assert torch.equal(naive(model, 200), fast.permute(0, 2, 3, 1).flatten(1))


def check_means(config):
    """Check that means are of the conditionals under drawn pixels, row by row."""
    model, means = (rough(replace(config, output=output), (1, 3, 3)) for output in ("draws", "means"))
    torch.manual_seed(3)
    x = model.sample(100).flatten(1)
    torch.manual_seed(3)
    p = means.sample(100).flatten(1)
    torch.testing.assert_close(p, model.outputs(x)[:, 0].sigmoid().detach(), rtol=1e-5, atol=1e-6)


def check_shares(config):
    """Check that without weights pixels have the shares of all training pixels.

    The last layer is `last`; without its bias too, all levels are equally probable.
    """
    levels, model = config.levels, config.build((1, 4, 4))
    x = torch.randint(levels, (400, 1, 4, 4)) / (levels - 1)
    model.initialise(x)
    with torch.no_grad():
        model.last.weight.zero_()
    shares = (x * (levels - 1)).round().long().flatten().bincount() / x.numel()
    entropy = 16 * -float((shares * shares.log()).sum())
    assert -float(model.log_prob(x).mean()) == pytest.approx(entropy, rel=1e-5)
    with torch.no_grad():
        model.last.bias.zero_()
    assert -float(model.log_prob(x).mean()) == pytest.approx(16 * math.log(levels), rel=1e-6)
