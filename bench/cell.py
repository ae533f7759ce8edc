"""What is one thing to run, and which of its parts depend on what?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from bench.digest import code_digest, content_digest

HARNESS = ("bench.harness", "bench.seeding")
"""The code that every fit depends on besides the model's own."""


@dataclass(frozen=True)
class Cell:
    """A model with its Config, trained on a data set from one seed, and n samples of it.

    `dataset_digest` is of the data set's content. `variant` names the options that differ from the registered ones, for
    the tables.
    """

    dataset: str
    dataset_digest: str
    model: str
    config: Any
    seed: int
    samples: int
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
    def id(self) -> str:
        """Return the digest of all that defines the cell, its code excepted."""
        return content_digest("cell", self.dataset, self.dataset_digest, self._model(), self.seed, self.samples)

    @property
    def fit_key(self) -> str:
        """Return what the trained model depends on: data, Config, seed, and the code of model and harness."""
        code = code_digest(type(self.config).__module__, *HARNESS)
        return content_digest("fit", self.dataset, self.dataset_digest, self._model(), self.seed, code)

    @property
    def sample_key(self) -> str:
        """Return what the samples depend on: the fit and their number."""
        return content_digest("samples", self.fit_key, self.samples)

    @property
    def recipe(self) -> str:
        """Return what the samples of every seed depend on: rows of one line of a table share it."""
        return replace(self, seed=0).sample_key

    def score_key(self, name: str, metric: Any) -> str:
        """Return what a metric's scores depend on: the samples, the metric's settings and its code."""
        return score_key(self.sample_key, self.dataset_digest, name, metric)

    def _model(self) -> list[Any]:
        return [self.model, type(self.config).__module__, type(self.config).__qualname__, self.settings]


def score_key(samples: str, dataset: str, name: str, metric: Any) -> str:
    """Return the digest of what scores depend on, from the digests of the samples and of the data set."""
    return content_digest("score", samples, dataset, metric_recipe(name, metric))


def metric_recipe(name: str, metric: Any) -> str:
    """Return the digest of what makes two scores of a metric comparable: its name, settings and code."""
    # `needs` holds classes: what a metric needs decides whether it runs, not what it returns.
    settings = {f.name: getattr(metric, f.name) for f in fields(metric) if f.name != "needs"}
    return content_digest("metric", name, settings, code_digest(type(metric).__module__))


def variant_of(config: Any, usual: Any) -> str:
    """Return the fields of `config` that differ from the registered Config's, as 'epochs=3, lr=0.1'."""
    changed: Mapping[str, Any] = {
        f.name: getattr(config, f.name) for f in fields(config) if getattr(config, f.name) != getattr(usual, f.name)
    }
    return ", ".join(f"{name}={value}" for name, value in changed.items())
