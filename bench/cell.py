"""What is one thing to run, and which of its parts depend on what?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from bench.digest import code_digest, content_digest

Checkpoint = Literal["best", "last"]
DRAWS = 5
"""Sample sets drawn from each trained model."""

HARNESS = ("bench.harness", "bench.seeding")
"""The code that every fit depends on besides the model's own."""
SELECTION = "bench.selection"
"""The code that the choice of a checkpoint depends on."""


@dataclass(frozen=True)
class Cell:
    """A model with its Config, trained on a data set from one seed, and `draws` times n samples of it.

    `dataset_digest` is of the data set's content. `checkpoint` says which weights are sampled: those after the 'last' epoch, or the
    'best' on validation images. `variant` names the options that differ from the registered ones, for the tables.
    """

    dataset: str
    dataset_digest: str
    model: str
    config: Any
    seed: int
    samples: int
    draws: int = DRAWS
    checkpoint: Checkpoint = "last"
    variant: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Return the hyper-parameters as plain values."""
        return asdict(self.config)

    @property
    def role(self) -> str:
        """Return 'reference' for the rows that calibrate the metrics, else 'model'."""
        return "reference" if self.config.REFERENCE else "model"

    @property
    def family(self) -> str:
        """Return what names the kind of model in keys and seeds, whatever it is registered as."""
        return f"{type(self.config).__module__}.{type(self.config).__qualname__}"

    @property
    def id(self) -> str:
        """Return the digest of all that defines the cell, its code excepted."""
        sampling = [self.seed, self.samples, self.draws, self.checkpoint]
        return content_digest("cell", self.dataset, self.dataset_digest, self.model, self.family, self.settings, sampling)

    @property
    def fit_key(self) -> str:
        """Return what the trained model depends on: data, Config but for what only sampling reads, seed, code of model and harness."""
        settings = {name: value for name, value in self.settings.items() if name not in self.config.SAMPLING}
        code = code_digest(type(self.config).__module__, *HARNESS)
        return content_digest("fit", self.dataset, self.dataset_digest, self.family, settings, self.seed, code)

    @property
    def check_key(self) -> str:
        """Return what the validation checks depend on: the fit, how the model samples, and how checkpoints are selected."""
        return content_digest("checks", self.fit_key, self._sampling(), code_digest(SELECTION))

    @property
    def sample_key(self) -> str:
        """Return what the samples depend on: the fit, the checkpoint and how it is selected, what only sampling reads, their number."""
        selected = self.check_key if self.checkpoint == "best" and not self.config.REFERENCE else "last"
        return content_digest("samples", self.fit_key, self.samples, selected, self._sampling())

    def draw_key(self, epoch: int | None) -> str:
        """Return what a draw from the weights after `epoch` depends on: a selection that is made anew and ends the same finds it again."""
        return content_digest("draw", self.fit_key, epoch, self.samples, self._sampling())

    @property
    def recipe(self) -> str:
        """Return what the samples of every seed depend on: rows of one line of a table share it."""
        return content_digest("recipe", replace(self, seed=0).sample_key, self.draws)

    def _sampling(self) -> dict[str, Any]:
        return {name: self.settings[name] for name in self.config.SAMPLING}

    def score_key(self, name: str, metric: Any) -> str:
        """Return what a metric's scores depend on: the samples, the metric's settings and its code."""
        return score_key([self.sample_key, self.draws], self.dataset_digest, name, metric)


def score_key(samples: Any, dataset: str, name: str, metric: Any) -> str:
    """Return the digest of what scores depend on, from what tells of the samples and the digest of the data set."""
    return content_digest("score", samples, dataset, metric_recipe(name, metric))


def metric_recipe(name: str, metric: Any) -> str:
    """Return the digest of what makes two scores of a metric comparable: its name, settings and code."""
    # `needs` holds classes: what a metric needs decides whether it runs, not what it returns.
    settings = {f.name: getattr(metric, f.name) for f in fields(metric) if f.name != "needs"}
    return content_digest("metric", name, settings, code_digest(type(metric).__module__))


def variant_of(config: Any, usual: Any, checkpoint: Checkpoint = "last", draws: int = DRAWS) -> str:
    """Return what differs from the registered Config, the last checkpoint and the usual draws, as 'epochs=3, checkpoint=best'."""
    changed: dict[str, Any] = {f.name: getattr(config, f.name) for f in fields(config) if getattr(config, f.name) != getattr(usual, f.name)}
    if checkpoint != "last" and not config.REFERENCE:
        changed["checkpoint"] = checkpoint
    if draws != DRAWS:
        changed["draws"] = draws
    return ", ".join(f"{name}={value}" for name, value in changed.items())
