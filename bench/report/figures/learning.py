"""How did one model learn: what its steps logged by epoch, D(x), D(G(z)), validation?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from genmodel_bench.report.figures.charts import CHECKS, draw_band
from genmodel_bench.report.figures.figure import (
    BLACK,
    COLOURS,
    TWO_COLUMNS,
    Drawn,
    Figure,
    figure_at,
    name_curves,
)
from genmodel_bench.report.figures.lines import Line, mean_of, visuals_of
from genmodel_bench.storage.digest import content_digest

NAMES = {
    "loss_d": "loss of D",
    "loss_g": "loss of G",
    "d_real": "D(x)",
    "d_fake": "D(G(z))",
    "kl": "KL of the codes",
    "energy_gap": "energy of data − of chains",
    "first": "first walkback",
    "last": "last walkback",
}
"""Labels of logged quantities in the figures; any other is shown by its own name."""
AXES = {
    "d_real": "probability",
    "first": "cross-entropy, nats per pixel",
    "contraction": "‖∂h/∂x‖²",
    "loss_d": "nats per image",
    "loss": "nats per image",
    "kl": "nats per image",
    "reconstruction": "nats per image",
    "energy_gap": "nats per image",
}
"""The y axis of a panel by its first quantity; of any other, whose unit nobody tells, its
name."""
PANELS = (("loss_d", "loss_g"), ("d_real", "d_fake"), ("first", "last"))
"""Logged quantities that share a panel, of one unit and size; any other has its own."""


def learning_of(line: Line, folder: Path, cache: Path) -> Iterator[Figure]:
    """Yield the learning curves of a line's lowest seed, drawn now or found on disk."""
    for r in (r for r in line.sampled[:1] if r.role == "model"):
        _, about = visuals_of(r, cache) or (None, {})
        history = about.get("history")
        path = folder / f"learning-{line.file_name}.png"
        draw = partial(learning, line, history) if history else None
        of = content_digest(r.cell, r.weights, r.recipe, [[*line.curve(CHECKS).items()]])
        found = figure_at(path, "learning", of, draw, line.key, content=content_digest(history))
        yield from [found] if found else []


def learning(line: Line, history: Sequence[Mapping[str, Any]]) -> Drawn:
    """Return a panel for each logged quantity, by epoch, and one for validation."""
    from matplotlib.figure import Figure as Canvas

    panels = panels_of(history)
    by_seed = line.curve_by_seed(CHECKS)
    checks = mean_of(by_seed)
    canvas = Canvas(figsize=(TWO_COLUMNS, 1.7), layout="constrained")
    axes = canvas.subplots(1, len(panels) + bool(checks), squeeze=False)[0]
    stages = list(dict.fromkeys(str(row["stage"]) for row in history))
    for panel, names in zip(axes, panels, strict=False):
        for name, colour in zip(names, COLOURS, strict=False):
            # Each stage has its own line: it does not begin where the last one ended.
            for stage in stages:
                points = [
                    (i, row[name])
                    for i, row in enumerate(history, start=1)
                    if name in row and row["stage"] == stage
                ]
                panel.plot([i for i, _ in points], [value for _, value in points], color=colour)
            panel.plot([], [], color=colour, label=NAMES.get(name, name))
        panel.set(
            xlabel="epoch" if len(stages) == 1 else f"epoch, all of {len(stages)} stages",
            ylabel=AXES.get(names[0], NAMES.get(names[0], names[0])),
        )
        name_curves(panel.legend())
        for boundary in boundaries(history):
            panel.axvline(boundary, color="#999999", linewidth=0.6, linestyle=":")
        if "d_real" in names:
            panel.axhline(0.5, color=BLACK, linewidth=0.6, linestyle=":")
            panel.set(ylim=(0, 1))
    if checks:
        axes[-1].plot(list(checks), list(checks.values()), color=BLACK, marker=".")
        draw_band(axes[-1], by_seed, BLACK)
        axes[-1].set(
            xlabel="epoch" if len(stages) == 1 else f"epoch of {stages[-1]}",
            ylabel="nats per validation image",
        )
    several = len(line.sampled) > 1
    last = {name: row[name] for row in history for name in row if name not in ("stage", "epoch")}
    ends = ", ".join(f"{NAMES.get(name, name)} {value:.3g}" for name, value in last.items())
    return Drawn(
        canvas,
        f"Learning curves of {line.name}",
        "Means over each epoch of what the steps logged"
        + (f", of seed {line.records[0].seed}" if several else "")
        + "."
        + (f" Dotted lines part the stages {', '.join(stages)}." if len(stages) > 1 else "")
        + (" D's dotted line is ½, where it cannot tell." if any("d_real" in p for p in panels) else "")
        + (" On the right, Parzen with 1,000 samples on validation images" if checks else "")
        + (", the mean over seeds and a band from the lowest to the highest" if checks and several else "")
        + ("." if checks else ""),
        f"Learning curves of {line.name}; at the end: {ends}",
    )


def panels_of(history: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return what was logged, in the order of the log, grouped by panels."""
    logged = list(dict.fromkeys(name for row in history for name in row if name not in ("stage", "epoch")))
    groups = [[name for name in panel if name in logged] for panel in PANELS]
    taken = {name for group in groups for name in group}
    return [group for group in groups if group] + [[name] for name in logged if name not in taken]


def boundaries(history: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the positions between epochs at which one stage ends and the next begins.

    Epochs are counted through all stages, from 1.
    """
    return [i + 0.5 for i in range(1, len(history)) if history[i]["stage"] != history[i - 1]["stage"]]
