"""How is each study drawn: what was measured, by the setting that it varies?

Points and lines are means over seeds; bars and bands reach from the lowest seed to the
highest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from genmodel_bench.report.figures.charts import plain_ticks
from genmodel_bench.report.figures.figure import BLACK, BLUE, RED, TWO_COLUMNS, Drawn, name_curves
from genmodel_bench.report.figures.measured import Found, Spread
from genmodel_bench.storage.studied import REAL

AXES = {
    "classes": "classes (exp of entropy)",
    "training images": "training images reached",
    "diversity": "diversity",
    "coverage": "coverage",
}
"""What the axis of a quantity is called."""
MEANT = {
    "classes": "classes that the data set's own classifier finds in them (exp of the entropy)",
    "training images": "different training images nearest to one of them",
    "diversity": "their mean distance over that of test images",
    "coverage": "share of test images whose ball holds one of them",
}
"""What a quantity is of samples."""
LOOKS: dict[str, dict[str, Any]] = {
    "G": {"linestyle": "-", "marker": "o"},
    "D": {"linestyle": (0, (4, 2)), "marker": "s", "markerfacecolor": "white"},
}
"""Solid: after the same updates of G; dashed: after the same updates of D."""


def panels(n: int, height: float = 2.0, rows: int = 1) -> tuple[Any, Any]:
    """Return a matplotlib Figure for two columns, and an array of rows of n axes."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(TWO_COLUMNS, height), layout="constrained")
    share: dict[str, Any] = {"sharex": "col", "sharey": "row"} if rows > 1 else {}
    return canvas, canvas.subplots(rows, n, squeeze=False, **share)


def named(canvas: Any, axes: Any) -> None:
    """Draw one legend over all panels, with the curves of one of them."""
    name_curves(canvas.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3))


def points(
    axes: Any, x: Sequence[float], of: Sequence[Spread | None], colour: str, name: str, **look: Any
) -> None:
    """Draw means with bars from the lowest to the highest, where there are any."""
    there = [(a, s) for a, s in zip(x, of, strict=True) if s is not None]
    if there:
        means = [s.mean for _, s in there]
        below = [s.mean - min(s.values) for _, s in there]
        above = [max(s.values) - s.mean for _, s in there]
        xs = [a for a, _ in there]
        axes.errorbar(xs, means, yerr=[below, above], color=colour, capsize=2, label=name, **look)


def real_line(axes: Any, value: float | None) -> None:
    """Draw what unseen real images have."""
    if value is not None:
        axes.axhline(value, color=BLACK, linestyle=":", label=REAL)


def curve(axes: Any, found: Found, quantity: str, setting: str, value: str, colour: str, **look: Any) -> None:
    """Draw a quantity by mini-batch: its mean, and a band from lowest to highest."""
    steps = found.steps_of(setting, value)
    of = [(step, s) for step in steps if (s := found.at(quantity, setting, value, step))]
    xs = [step for step, _ in of]
    axes.plot(xs, [s.mean for _, s in of], color=colour, **look)
    if any(len(s.values) > 1 for _, s in of):
        lows, highs = ([f(s.values) for _, s in of] for f in (min, max))
        axes.fill_between(xs, lows, highs, color=colour, alpha=0.18, linewidth=0)


def meanings(*quantities: str) -> str:
    """Return what quantities are, for a caption."""
    return "; ".join(f"{quantity}, {MEANT[quantity]}" for quantity in quantities)


def reals(found: Found, *quantities: str) -> str:
    """Return the caption's sentence on real images."""
    of = {quantity: found.real(quantity) for quantity in quantities}
    listed = ", ".join(f"{value:.3g} {quantity}" for quantity, value in of.items() if value is not None)
    return f" Dotted: as many unseen real images ({listed})." if listed else ""


def helvetica(found: Found) -> Drawn:
    """Return how collapse depends on j, after the same updates of G, and of D."""
    shown = [
        q for q in ("training images", "classes", "diversity") if any(r.quantity == q for r in found.rows)
    ]
    canvas, grid = panels(len(shown))
    values = found.values_of("j")
    for axes, quantity in zip(grid[0], shown, strict=True):
        for player, colour in (("G", BLUE), ("D", RED)):
            of = [found.after(player, quantity, "j", value) for value in values]
            name = f"after the same {found.budget:,} updates of {player}"
            points(axes, [float(v) for v in values], of, colour, name, **LOOKS[player])
        real_line(axes, found.real(quantity))
        axes.set(
            xscale="log", xlabel="j, updates of G per update of D", ylabel=AXES[quantity], ylim=(0, None)
        )
        plain_ticks(axes, [int(v) for v in values])
    named(canvas, grid[0][0])
    first, last = values[0], values[-1]
    ends = {
        player: "; ".join(
            f"{q} from {found.after(player, q, 'j', first)} to {found.after(player, q, 'j', last)}"
            for q in shown
        )
        for player in "GD"
    }
    return Drawn(
        canvas,
        f"Helvetica: G updated j times for each update of D, on {found.dataset}",
        f"Of samples: {meanings(*shown)}. From j = {first} to j = {last}, after the same "
        f"{found.budget:,} updates of G (solid; D has one for j of them): {ends['G']}. After the same "
        f"{found.budget:,} updates of D, on as many images (dashed; G has j times as many): "
        f"{ends['D']}.{reals(found, *shown)}{found.said}",
        f"{len(shown)} panels against j on a logarithmic axis. After the same updates of D: {ends['D']}",
    )


def synchrony(found: Found) -> Drawn:
    """Return what k, and updating in turn or at once, change."""
    shown = [
        q for q in ("training images", "coverage", "diversity") if any(r.quantity == q for r in found.rows)
    ]
    canvas, grid = panels(len(shown))
    ways = {"alternating": BLUE, "simultaneous": RED}
    values = found.values_of("alternating") or found.values_of("simultaneous")
    for axes, quantity in zip(grid[0], shown, strict=True):
        for player in "GD":
            for i, (way, colour) in enumerate(ways.items()):
                of = [found.after(player, quantity, way, value) for value in values]
                x = [j + 0.12 * (i - 0.5) for j in range(len(values))]  # bars beside each other
                points(axes, x, of, colour, f"{way}, after the same updates of {player}", **LOOKS[player])
        real_line(axes, found.real(quantity))
        axes.set(xlabel="k, updates of D per update of G", ylabel=AXES[quantity], ylim=(0, None))
        axes.set_xticks(range(len(values)), values)
    named(canvas, grid[0][0])
    quantity = shown[0]

    def listed(player: str) -> str:
        return "; ".join(
            f"{way} " + ", ".join(f"{found.after(player, quantity, way, v)} at k = {v}" for v in values)
            for way in ways
        )

    return Drawn(
        canvas,
        f"Updates of D per update of G, in turn or at once, on {found.dataset}",
        f"Of samples: {meanings(*shown)}. {quantity[:1].upper()}{quantity[1:]} after the same "
        f"{found.budget:,} updates of G (solid; D has k times as many): {listed('G')}. After the same "
        f"{found.budget:,} updates of D, on as many images (dashed; G has one for k of them): {listed('D')}."
        f"{reals(found, *shown)}{found.said}",
        f"{len(shown)} panels against k, for alternating and simultaneous updates. {quantity}: {listed('G')}",
    )


def momentum_prior(found: Found) -> Drawn:
    """Return what prior, latent size and momentum change."""
    shown = ("training images", "coverage")
    priors = {"uniform": BLUE, "gaussian": RED}
    canvas, grid = panels(4)
    texts = []
    for i, setting in enumerate(("latent size", "momentum")):
        values = found.values_of(f"{setting}, uniform") or found.values_of(f"{setting}, gaussian")
        for axes, quantity in zip(grid[0][2 * i : 2 * i + 2], shown, strict=True):
            for j, (prior, colour) in enumerate(priors.items()):
                of = [found.after("G", quantity, f"{setting}, {prior}", value) for value in values]
                x = [n + 0.12 * (j - 0.5) for n in range(len(values))]
                points(axes, x, of, colour, f"{prior} prior", **LOOKS["G" if j == 0 else "D"])
            real_line(axes, found.real(quantity))
            axes.set(xlabel=setting, ylabel=AXES[quantity], ylim=(0, None))
            axes.set_xticks(range(len(values)), values)
        texts += [
            f"{setting}, {prior} prior: "
            + ", ".join(f"{found.after('G', shown[0], f'{setting}, {prior}', v)} at {v}" for v in values)
            for prior in priors
        ]
    named(canvas, grid[0][0])
    return Drawn(
        canvas,
        f"Prior, latent size and momentum, on {found.dataset}",
        f"Of samples after {found.budget:,} mini-batches: {meanings(*shown)}. The momentum is "
        f"Adam's first beta. Training images by {'; by '.join(texts)}."
        f"{reals(found, *shown)}{found.said}",
        f"Four panels: training images and coverage by latent size, and by momentum. {'; '.join(texts)}",
    )


def saturation(found: Found) -> Drawn:
    """Return D(G(z)) and the gradient at G by mini-batch, for both losses of G."""
    ways = {"momentum": "the paper's nets, momentum", "Adam": "the nets of the later losses, Adam"}
    losses = {"non-saturating": BLUE, "minimax": RED}
    canvas, grid = panels(len(ways), 3.4, rows=2)
    for i, (way, title) in enumerate(ways.items()):
        above, below = grid[0][i], grid[1][i]
        for loss, colour in losses.items():
            curve(above, found, "D(G(z))", way, loss, colour, label=f"{loss} loss")
            curve(below, found, f"gradient, {loss}", way, loss, colour, label=f"{loss} loss")
        curve(
            below, found, "gradient, non-saturating", way, "minimax", BLACK,
            linestyle=":", label="non-saturating loss on the nets that minimax trains",
        )  # fmt: skip
        above.set(title=title, yscale="log")
        below.set(xscale="log", yscale="log", xlabel="mini-batches")
    grid[0][0].set_ylabel("mean D(G(z))")
    grid[1][0].set_ylabel("norm of the gradient at G")
    named(canvas, grid[1][0])
    texts = [text for way in ways if (text := lowest(found, way))]
    return Drawn(
        canvas,
        f"Saturation: the two losses of G in training, on {found.dataset}",
        "Above the mean of D at 1,000 fakes, below the norm of the gradient at G's parameters of their mean "
        "loss, by the number of mini-batches; dotted, what the other loss would give on the nets that the "
        f"minimax loss trains. {' '.join(texts)}{found.said}",
        f"Four panels on logarithmic axes. {' '.join(texts)}",
    )


def lowest(found: Found, way: str) -> str:
    """Return a sentence on where D is surest of fakes in training by the minimax loss."""
    steps = found.steps_of(way, "minimax")
    of = {step: s for step in steps if (s := found.at("D(G(z))", way, "minimax", step))}
    if not of:
        return ""
    step = min(of, key=lambda each: of[each].mean)
    own, other = (
        found.at(f"gradient, {loss}", way, "minimax", step) for loss in ("minimax", "non-saturating")
    )
    return (
        f"With {way}, D is surest under the minimax loss after {step:,} mini-batches: D(G(z)) is {of[step]}, "
        f"the norm {own}, that of the other loss on these nets {other}."
    )


DRAWN: dict[str, Callable[[Found], Drawn]] = {
    "helvetica": helvetica,
    "saturation": saturation,
    "synchrony": synchrony,
    "momentum-prior": momentum_prior,
}
"""What draws each study, in the order of the page."""
