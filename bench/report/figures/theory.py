"""What do the theory's figures show: Figure 1, V and its bound, the losses' gradients?

Figure 1 is the paper's; the gradients are those of the two generator losses. All are
drawn from `results/theory/figure1.json` alone, which `bench study
theory` writes (`bench/studies/theory.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genmodel_bench.errors import BadRecords
from genmodel_bench.report.figures.figure import (
    BLACK,
    BLUE,
    GREEN,
    ONE_COLUMN,
    RED,
    TWO_COLUMNS,
    Drawn,
    Figure,
    figure_at,
)
from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.code import code_digests
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.ingredients import code_digest
from genmodel_bench.storage.plain import from_json

MINUS_LOG_4 = -math.log(4)
STALE = " Made by other code than today's; `bench study theory` makes it anew."
COLOUR_OF = {"minimax": RED, "non-saturating": BLUE}


def store(theory: Any, results: Path) -> Path:
    """Write what was measured as `results/theory/figure1.json`; return the file.

    The file names the code and the version of torch that made it.
    """
    path = results / "theory" / "figure1.json"
    made = {"code": code_of_theory(), "torch": version("torch")}
    content = rounded(made | asdict(theory))
    text = json.dumps(
        content | {"seal": content_digest(json.loads(json.dumps(content)))},
        ensure_ascii=False,
        allow_nan=False,
    )
    write_atomically(path, text.replace(', "', ',\n"').encode() + b"\n")
    return path


def code_of_theory() -> str:
    """Return the digest of the code of `bench study theory`, which measures."""
    return code_digest(code_digests("genmodel_bench.studies.theory"))


def draw(results: Path) -> list[Figure]:
    """Draw the figures of the theory under `results/theory`; return them.

    There are none where the theory was not measured.

    Raises:
        BadRecords: the file was not written by that command, or was changed since.
    """
    source = results / "theory" / "figure1.json"
    if not source.exists():
        return []
    try:
        theory = from_json(source.read_bytes())
        if theory["seal"] != content_digest({name: part for name, part in theory.items() if name != "seal"}):
            raise ValueError("it was changed since it was written")
        stale = theory["code"] != code_of_theory()
        found = [
            figure_at(
                source.with_name(f"{one.__name__}.png"),
                "studies",
                content_digest(theory),
                partial(one, theory),
            )
            for one in (figure1, value, gradients)
        ]
        return [replace(figure, caption=figure.caption + STALE * stale) for figure in found if figure]
    except (OSError, ValueError, KeyError, IndexError, TypeError, ArithmeticError) as error:
        raise BadRecords(
            f"{source}: not what `bench study theory` writes ({error!r}); delete it, or make it anew with "
            "that command; tables and other figures are written"
        ) from error


def figure1(theory: Any) -> Drawn:
    """Return the paper's Figure 1, a panel for each moment."""
    from matplotlib.figure import Figure as Canvas

    panels, last = theory["panels"], theory["moments"][-1]
    canvas = Canvas(figsize=(TWO_COLUMNS, 2.3), layout="constrained")
    axes = canvas.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False, height_ratios=(3.2, 1))
    top = 1.08 * max(max(theory["p_data"]), *(max(panel["p_g"]) for panel in panels))
    for i, panel in enumerate(panels):
        above, below = axes[:, i]
        right = draw_curves(above, theory["x"], theory["p_data"], panel)
        above.set_ylim(0, top)
        above.set_title(f"({'abcdefgh'[i]}) {panel['step']:,} update{'s' * (panel['step'] != 1)} of G")
        draw_lines(below, theory["z"], panel["mapped"])
        if i == 0:
            above.set_ylabel("density")
            for y, name in enumerate("zx"):
                below.text(-0.04, y, name, ha="right", va="center", style="italic")
            canvas.legend(
                handles=[*above.get_lines(), right.get_lines()[1]], loc="outside upper center", ncols=3
            )
        if i == len(panels) - 1:
            right.set_ylabel("D", color=BLUE)
        else:
            right.tick_params(labelright=False)
    alt = (
        f"{len(panels)} panels of curves over x in (0, 1). p_g begins away from p_data and nears it from "
        f"panel to panel. In the last one their total variation is {last['total_variation']:.3f}, and D "
        f"differs from ½ by at most {last['furthest']:.3f} where p_data exceeds 5 % of its peak."
    )
    return Drawn(canvas, "p_data, p_g and D during training", caption_of_figure1(theory), alt)


def caption_of_figure1(theory: Any) -> str:
    """Return how to read Figure 1, and how far from the theory p_g and D end."""
    steps, last = [f"{panel['step']:,}" for panel in theory["panels"]], theory["moments"][-1]
    share = f"{100 * theory['settings']['mass']:.1f} %"
    return (
        "The paper's Figure 1, measured: p_data (black, dotted), p_g (green) and D (blue, dashed; its scale "
        f"is on the right, ½ the thin line) after {', '.join(steps[:-1])} and {steps[-1]} updates of G. "
        f"Below, lines join {len(theory['z'])} equally probable z with x = G(z). G and D, small nets, train "
        "on images of one pixel by the losses and updates that train the rows of the table. At the end "
        f"|D − ½| is at most {last['furthest']:.3f} where p_data exceeds 5 % of its peak "
        f"({share} of its mass); between p_g and p_data lie a total variation of "
        f"{last['total_variation']:.3f} and a JSD of {last['jsd']:.5f} nats."
    )


def draw_curves(axes: Any, x: list[float], p_data: list[float], panel: Any) -> Any:
    """Draw the densities, and D on its own scale from 0 to 1; return the axes of D."""
    axes.plot(x, panel["p_g"], color=GREEN, label="p_g")
    axes.plot(x, p_data, color=BLACK, linestyle=":", label="p_data")
    right = axes.twinx()
    right.axhline(0.5, color=BLUE, linewidth=0.4, alpha=0.6)
    right.plot(x, panel["D"], color=BLUE, linestyle=(0, (4, 2)), label="D")
    right.set_ylim(0, 1)
    right.set_yticks([0, 0.5, 1], ["0", "½", "1"])
    right.spines["right"].set_visible(True)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.tick_params(labelbottom=True)
    return right


def draw_lines(axes: Any, z: list[float], mapped: list[float]) -> None:
    """Draw a line from each z, on the lower axis, to x = G(z), on the upper one."""
    widest = max(abs(a) for a in z)
    for a, x in zip(z, mapped, strict=True):
        start = 0.5 + 0.48 * a / widest  # the range of z is drawn as wide as that of x
        axes.annotate(
            "", xy=(x, 1), xytext=(start, 0),
            arrowprops={"arrowstyle": "-|>,head_length=0.18,head_width=0.07", "linewidth": 0.35,
                        "color": BLACK, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
    for y in (0, 1):
        axes.axhline(y, color=BLACK, linewidth=0.6)
    axes.set_ylim(-0.05, 1.05)
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    for side in axes.spines.values():
        side.set_visible(False)


def value(theory: Any) -> Drawn:
    """Return V during training against what the best D would reach."""
    from matplotlib.figure import Figure as Canvas

    moments = theory["moments"]
    steps = [m["step"] for m in moments]
    canvas = Canvas(figsize=(ONE_COLUMN, 2.2), layout="constrained")
    axes = canvas.subplots()
    axes.axhline(MINUS_LOG_4, color=BLACK, linestyle=":", label="−log 4")
    axes.plot(steps, [m["optimum"] for m in moments], color=GREEN, label="−log 4 + 2 · JSD(p_data ‖ p_g)")
    axes.plot(
        steps,
        [m["value"] for m in moments],
        color=BLUE,
        marker="o",
        linestyle="none",
        label="V(D, G), measured",
    )
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(-0.15, 1.2 * steps[-1])
    ticks = [0, *(10**i for i in range(len(str(steps[-1]))))]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("updates of G")
    axes.set_ylabel("V(D, G), nats")
    canvas.legend(loc="outside upper center", ncols=2)
    last = moments[-1]
    caption = (
        f"V(D, G) of the D that training has (blue), integrated over x at {len(moments)} moments, against "
        "−log 4 + 2 · JSD(p_data ‖ p_g), which the best D would reach and none exceeds (green; theorem 1). "
        f"Both end at −log 4 = {signed(MINUS_LOG_4, 4)} (dotted): after {last['step']:,} updates V = "
        f"{signed(last['value'], 4)} and its bound is {signed(last['optimum'], 4)}. Where V is below −log 4, "
        "D is worse than a constant ½."
    )
    alt = (
        f"The measured V is nowhere above its bound, which goes from {signed(moments[0]['optimum'], 2)} at "
        f"the start to {signed(last['optimum'], 4)} at the end; there V is {signed(last['value'], 4)}, and "
        f"−log 4 is {signed(MINUS_LOG_4, 4)}."
    )
    return Drawn(canvas, "V(D, G) and its bound during training", caption, alt)


def gradients(theory: Any) -> Drawn:
    """Return the losses' gradients at D's logit, measured and in closed form."""
    from matplotlib.figure import Figure as Canvas

    at, measured = theory["gradient_at"], theory["gradients"]
    forms: dict[str, tuple[str, Callable[[float], float]]] = {
        "minimax": ("D(G(z))", lambda d: d),
        "non-saturating": ("1 − D(G(z))", lambda d: 1 - d),
    }
    fine = [at[0] * (at[-1] / at[0]) ** (i / 500) for i in range(501)]
    canvas = Canvas(figsize=(ONE_COLUMN, 2.2), layout="constrained")
    axes = canvas.subplots()
    for name, (formula, form) in forms.items():
        axes.plot(fine, [form(d) for d in fine], color=COLOUR_OF[name], label=formula)
        axes.plot(
            at,
            measured[name],
            color=COLOUR_OF[name],
            marker="o",
            linestyle="none",
            label=f"{name} loss, measured",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("D(G(z))")
    axes.set_ylabel("|∂ loss / ∂ logit|")
    axes.legend(loc="lower right")
    gap = max(
        abs(g - form(d)) for name, (_, form) in forms.items() for g, d in zip(measured[name], at, strict=True)
    )
    caption = (
        "The gradient that reaches D's logit from each generator loss: by automatic differentiation of the "
        "losses that train the rows of the table (dots), and in closed form (lines). They differ by at most "
        f"{gap:.0e}, as six digits are kept. At D(G(z)) = {at[0]:g}, for a fake that D is sure of, it is "
        f"{measured['minimax'][0]:.4f} with the minimax loss and {measured['non-saturating'][0]:.4f} with "
        "the other."
    )
    alt = (
        "On logarithmic axes the minimax loss's gradient falls in proportion to D(G(z)) as that goes to 0, "
        "and the non-saturating one's stays near 1; both cross at D(G(z)) = ½. The measured dots lie on the "
        "lines."
    )
    return Drawn(canvas, "Gradients of the two generator losses", caption, alt)


def signed(x: float, decimals: int) -> str:
    """Return a number with a typographic minus sign, − instead of -."""
    return f"{x:.{decimals}f}".replace("-", "−")


def rounded(content: Any) -> Any:
    """Return JSON values with every float at six significant digits."""
    if isinstance(content, dict):
        return {name: rounded(part) for name, part in content.items()}
    if isinstance(content, list | tuple):
        return [rounded(part) for part in content]
    return float(f"{content:.6g}") if isinstance(content, float) else content
