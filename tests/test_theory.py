"""Proposition 1, theorem 1 and the saturation of section 3, on known densities.

And the stored Figure 1 ends where they say.
"""

import json
import math
import re
import zlib
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from genmodel_bench.errors import BadRecords
from genmodel_bench.models.adversarial.critics import GENERATOR_LOSSES, discriminator_loss
from genmodel_bench.report.figures.theory import draw, store
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.studies import theory
from hypothesis import given, settings
from hypothesis import strategies as st

COMMITTED = Path(__file__).parents[1] / "results"
ROUNDING = 1e-12  # sums of at most 200 terms of order 1 in float64, each good to 2e-16
CELLS = 8
MASSES = st.lists(st.floats(0.0, 1.0), min_size=CELLS, max_size=CELLS).filter(
    lambda masses: sum(masses) > 0.01
)
JUDGEMENTS = st.lists(st.floats(1e-6, 1 - 1e-6), min_size=CELLS, max_size=CELLS)


def density(masses):
    """Return a density over (0, 1), constant on each of as many cells as `masses`."""
    masses = torch.tensor(masses, dtype=torch.float64)
    return masses / masses.mean()


@pytest.fixture(scope="module")
def short():
    return theory.measure(seed=3, steps=4)


def test_discriminator_trained_to_the_end_is_p_over_p_plus_q():
    p, q = density([4.0, 3.0, 2.0, 1.0]), density([1.0, 1.0, 1.0, 5.0])
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    # The loss is a mean over examples: each cell occurs as often as its density says
    # (tenths and eighths are whole in forty).
    real, fake = (torch.repeat_interleave(torch.arange(4), (a * 40).round().long()) for a in (p, q))
    for _ in range(60):
        (gradient,) = torch.autograd.grad(discriminator_loss(logits[real], logits[fake]), logits)
        logits.data -= 10 * gradient
    # In each cell the loss has a curvature of 0.04 to 0.07 per logit²: a step leaves at
    # most 0.6 of the error, sixty leave 1e-13.
    torch.testing.assert_close(
        logits.detach().sigmoid(), theory.optimal_discriminator(p, q), atol=1e-10, rtol=0
    )


@given(MASSES, MASSES)
@settings(max_examples=100, deadline=None)
def test_value_of_the_best_discriminator_is_its_closed_form_and_at_least_minus_log_4(p, q):
    p, q = density(p), density(q)
    best = theory.value(p, q, theory.optimal_discriminator(p, q), 1 / CELLS)
    jsd = theory.jensen_shannon(p, q, 1 / CELLS)
    assert best == pytest.approx(-math.log(4) + 2 * jsd, abs=ROUNDING)
    assert best >= -math.log(4) - ROUNDING
    assert -ROUNDING <= jsd <= math.log(2) + ROUNDING
    assert jsd == pytest.approx(theory.jensen_shannon(q, p, 1 / CELLS), abs=ROUNDING)


@given(MASSES, MASSES, JUDGEMENTS)
@settings(max_examples=100, deadline=None)
def test_no_discriminator_exceeds_the_best_one(p, q, D):
    p, q, D = density(p), density(q), torch.tensor(D, dtype=torch.float64)
    best = theory.value(p, q, theory.optimal_discriminator(p, q), 1 / CELLS)
    assert theory.value(p, q, D, 1 / CELLS) <= best + ROUNDING


@given(MASSES)
@settings(max_examples=50, deadline=None)
def test_at_equal_densities_the_best_discriminator_is_one_half_and_its_value_minus_log_4(p):
    p = density(p)
    D = theory.optimal_discriminator(p, p)
    assert (D == 0.5).all()
    assert theory.value(p, p, D, 1 / CELLS) == pytest.approx(-math.log(4), abs=ROUNDING)
    assert theory.jensen_shannon(p, p, 1 / CELLS) == pytest.approx(0, abs=ROUNDING)


def test_jensen_shannon_of_disjoint_densities_is_log_2_and_their_value_0():
    p, q = density([1.0, 1.0, 0.0, 0.0]), density([0.0, 0.0, 3.0, 1.0])
    assert theory.jensen_shannon(p, q, 1 / 4) == pytest.approx(math.log(2), abs=ROUNDING)
    assert theory.value(p, q, theory.optimal_discriminator(p, q), 1 / 4) == pytest.approx(0, abs=ROUNDING)


def test_jensen_shannon_of_two_coins_is_as_by_hand():
    # ½ KL((¾, ¼) ‖ (½, ½)) + ½ KL((¼, ¾) ‖ (½, ½)) = ¾ log (3/2) + ¼ log (1/2)
    by_hand = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert theory.jensen_shannon(density([3.0, 1.0]), density([1.0, 3.0]), 1 / 2) == pytest.approx(
        by_hand, abs=ROUNDING
    )


def test_gradients_at_the_logit_are_D_and_1_minus_D():
    D = torch.tensor([1e-6, 1e-3, 0.2, 0.5, 0.9, 0.999], dtype=torch.float64)
    # logit and its inverse lose at most what 1 − D loses: 2e-16 / 1e-3
    torch.testing.assert_close(theory.logit_gradients("minimax", D), D, rtol=1e-12, atol=0)
    torch.testing.assert_close(theory.logit_gradients("non-saturating", D), 1 - D, rtol=1e-12, atol=0)


def test_data_are_drawn_from_the_density_that_is_integrated():
    p = theory.data_density()
    assert float(p.sum()) / theory.CELLS == pytest.approx(1, abs=ROUNDING)
    n = 100_000
    counted = torch.histc(theory.data(n), 20, 0, 1).double() / n
    expected = p.view(20, -1).mean(1) / 20
    # five standard errors of a share, and one draw where almost none is expected
    assert ((counted - expected).abs() <= 5 * (expected / n).sqrt() + 1 / n).all()


def test_generated_density_of_a_linear_generator_is_its_closed_form():
    G = torch.nn.Sequential(torch.nn.Linear(1, 1))
    torch.nn.init.constant_(G[0].weight, 0.5)
    torch.nn.init.constant_(G[0].bias, -0.3)
    edges = torch.linspace(0, 1, theory.CELLS + 1, dtype=torch.float64).logit()
    expected = torch.special.ndtr((edges + 0.3) / 0.5).diff() * theory.CELLS
    # one stratum at each edge of a cell, and one that float32 moves across
    bound = 3 * theory.CELLS / theory.STRATA
    torch.testing.assert_close(theory.generated_density(G), expected, atol=bound, rtol=0)


def test_measure_is_reproducible_and_leaves_the_generator_alone(short):
    before = torch.get_rng_state()
    again = theory.measure(seed=3, steps=4)
    assert torch.equal(before, torch.get_rng_state())
    assert asdict(again) == asdict(short)
    assert theory.measure(seed=4, steps=4).moments != short.moments


def test_value_on_the_way_never_exceeds_its_bound(short):
    assert [m.step for m in short.moments] == [0, 1, 2, 3, 4]
    assert all(m.value <= m.optimum + ROUNDING for m in short.moments)
    assert short.settings["loss"] == "non-saturating"


def test_stored_measurements_become_figures_with_embedded_truetype_fonts(short, tmp_path):
    assert draw(tmp_path) == []
    store(short, tmp_path)
    figures = draw(tmp_path)
    assert [f.path.name for f in figures] == ["figure1.png", "value.png", "gradients.png"]
    for figure in figures:
        assert figure.path.read_bytes().startswith(b"\x89PNG")
        assert figure.section == "studies"
        assert figure.alt
        assert "other code" not in figure.caption
        fonts = pdf_text(figure.path.with_suffix(".pdf"))
        assert b"/FontFile2" in fonts  # a TrueType program
        assert b"/Type3" not in fonts


def test_figures_of_other_code_say_so(short, tmp_path):
    path = store(short, tmp_path)
    content = json.loads(path.read_bytes())
    content["code"] = "0" * 16
    del content["seal"]
    path.write_text(json.dumps(content | {"seal": content_digest(content)}))
    assert all("Made by other code than today's" in f.caption for f in draw(tmp_path))


def test_an_edited_measurement_is_refused(short, tmp_path):
    path = store(short, tmp_path)
    content = json.loads(path.read_bytes())
    content["moments"][-1]["furthest"] = 0.0001
    path.write_text(json.dumps(content))
    with pytest.raises(BadRecords, match="was changed since it was written"):
        draw(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"code": {}, "panels": []}'])
def test_a_file_that_holds_no_measurements_is_refused(content, tmp_path):
    path = tmp_path / "theory" / "figure1.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(BadRecords, match="bench study theory"):
        draw(tmp_path)


def test_committed_figure_1_ends_near_the_theory():
    stored = json.loads((COMMITTED / "theory" / "figure1.json").read_bytes())
    last = stored["moments"][-1]
    assert last["step"] == stored["settings"]["steps"] == stored["panels"][-1]["step"]
    # D and G learn from batches of 256: what is claimed of the run, with room for the
    # last bits of other machines
    assert abs(last["value"] + math.log(4)) < 0.003
    assert last["jsd"] < 0.002
    assert last["total_variation"] < 0.05
    assert last["furthest"] < 0.06
    # computed from the stored curves, of six digits, they hold again to 1e-5
    p, q, D = (
        torch.tensor(a, dtype=torch.float64)
        for a in (stored["p_data"], *(stored["panels"][-1][k] for k in ("p_g", "D")))
    )
    dx = 1 / len(p)
    assert theory.value(p, q, D, dx) == pytest.approx(last["value"], abs=1e-5)
    assert theory.jensen_shannon(p, q, dx) == pytest.approx(last["jsd"], abs=1e-5)
    # 1e-5: both are rounded to six digits
    assert all(m["value"] <= m["optimum"] + 1e-5 for m in stored["moments"])
    assert set(stored["gradients"]) == set(GENERATOR_LOSSES)


def pdf_text(path):
    """Return a PDF's bytes with its compressed streams opened."""
    content = path.read_bytes()
    opened = [content]
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        try:
            opened.append(zlib.decompress(stream))
        except zlib.error:
            continue
    return b"".join(opened)
