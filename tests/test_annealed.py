"""Does the rate fall to the end, and go on falling after a resume?"""

from dataclasses import replace

import pytest
import torch
from conftest import tiny
from genmodel_bench.contract import check_resumes, images
from genmodel_bench.models import MODELS
from genmodel_bench.models.shared.annealed import Annealed

TRAINED = [name for name in MODELS if name in ("fvbn", "nade", "pixelcnn", "transformer", "iwae", "realnvp")]


def test_the_rate_falls_linearly_and_is_read_after_a_state_is_loaded():
    w = torch.ones(3, requires_grad=True)
    one, other = (Annealed([w], lr=0.4, epochs=4) for _ in range(2))
    assert [one.schedule.value(7, epoch) for epoch in range(4)] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    one.descend(w.sum())
    other.optimiser.load_state_dict(one.optimiser.state_dict())
    before = w.detach().clone()
    other.schedule.tensor.fill_(0.0)
    other.descend(w.sum())
    assert torch.equal(w, before)  # a rate of 0 moves nothing


@pytest.mark.parametrize("name", TRAINED)
def test_a_resume_of_several_epochs_gives_the_same_bits(name):
    config = tiny(MODELS[name])
    levels = 2 if "levels" in config.__dataclass_fields__ else None
    config = replace(config, epochs=3, batch_size=20, **({"levels": levels} if levels else {}))
    check_resumes(config, images(40, (1, 8, 8)).round())


def test_weights_decay_apart_from_the_gradient_and_norms_are_limited():
    w = torch.full((2,), 2.0, requires_grad=True)
    descent = Annealed([w], lr=0.1, epochs=1, weight_decay=0.5, norm=1e-3)
    descent.descend(0 * w.exp().sum())
    torch.testing.assert_close(w.detach(), torch.full((2,), 2.0 * (1 - 0.1 * 0.5)))
    big = torch.zeros(4, requires_grad=True)
    descent = Annealed([big], lr=0.1, epochs=1, norm=1.0)
    descent.descend(100 * big.exp().sum())
    assert float(big.grad.norm()) == pytest.approx(1.0, rel=1e-4)


def test_a_step_is_adam_s_with_the_betas_and_eps_that_are_given():
    ours, theirs = (torch.tensor([1.0, -2.0, 0.5], requires_grad=True) for _ in range(2))
    descent = Annealed([ours], lr=0.1, epochs=1, betas=(0.6, 0.7), eps=0.3)
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.6, 0.7), eps=0.3)
    for power in (2, 3, 4):
        descent.descend((ours**power).sum())
        adam.zero_grad()
        (theirs**power).sum().backward()
        adam.step()
    torch.testing.assert_close(ours, theirs)


def test_without_others_the_betas_and_eps_are_adam_s():
    (group,) = Annealed([torch.ones(2, requires_grad=True)], lr=0.1, epochs=1).optimiser.param_groups
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.999), 1e-8, 0)
