"""With which commands are rows made, as their records tell?"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from genmodel_bench.storage.record import Record

PROTOCOL = ("like", "checkpoint", "draws", "deterministic", "precision")
"""Options of a row that are the run's, for all its models; the others are the model's."""
USUAL_SAMPLES = 10_000


@dataclass
class Command:
    """One `bench run`: what all its rows share, and the options of each model."""

    dataset: str
    shared: list[str]
    models: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """Return it as it is typed into a shell, in words that belong together."""
        changes = [
            f"--set {shlex.quote(f'{model}.{name}={typed(value)}')}"
            for model, options in self.models.items()
            for name, value in options.items()
        ]
        models = [shlex.quote(model) for model in self.models]
        return ["bench run", *models, f"--dataset {shlex.quote(self.dataset)}", *self.shared, *changes]


def commands(records: Sequence[Record], width: int = 0) -> list[str]:
    """Return commands that make the rows of one data set, in the order of the records.

    A command holds a model once, so that rows of one model with other options are of
    another command. The file of users' samples is not known.

    width: of a line, on which a command is broken as a shell allows; 0 for one line.
    """
    lines: dict[tuple[str, str, str, int], list[Record]] = {}
    for r in (r for r in records if not r.shipped):
        lines.setdefault((r.role, r.model, r.options, r.samples), []).append(r)
    runs: list[Command] = []
    scored: list[list[str]] = []
    for (role, model, text, samples), rows in lines.items():
        dataset = rows[0].dataset
        if role == "samples":
            name = shlex.quote(f"--name={model}")
            seeds = len({r.seed for r in rows})
            files = [f"FILE{i + 1}" for i in range(max(seeds, rows[0].draws))]
            kind = ["--as draws"] * (rows[0].draws > 1)
            given = " ".join(files) if len(files) > 1 else "FILE"
            scored.append([f"bench score {given}", *kind, f"--dataset {shlex.quote(dataset)}", name])
            continue
        options = json.loads(text)
        own = {name: value for name, value in options.items() if name not in PROTOCOL}
        shared = [f"--seeds {1 + max(r.seed or 0 for r in rows)}"]
        shared += [f"--samples {samples}"] * (samples != USUAL_SAMPLES)
        shared += [
            f"--{name}" if value is True else f"--{name} {typed(value)}"
            for name, value in options.items()
            if name in PROTOCOL
        ]
        fitting = (run for run in runs if run.shared == shared and run.models.get(model, own) == own)
        run = next(fitting, None)
        if run is None:
            runs.append(run := Command(dataset, shared))
        run.models[model] = own
    return [broken(words, width) for words in [*(run.words for run in runs), *scored]]


def broken(words: Sequence[str], width: int) -> str:
    """Return words on lines of about a width, each but the last with a backslash."""
    lines = [words[0]]
    for word in words[1:]:
        if width and len(lines[-1]) + len(word) > width:
            lines.append(f"  {word}")
        else:
            lines[-1] += f" {word}"
    return " \\\n".join(lines)


def typed(value: Any) -> str:
    """Return a value from JSON as `--set` reads it."""
    if isinstance(value, list):
        return ",".join(map(typed, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)
