"""What is one thing to run, and what does each part of it depend on?

The ingredients of a part are named values: of the data, the settings, the seed, the code. A key is the digest of ingredients, so that what
changes one of them is what makes a part anew, and `bench why` can name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from bench.digest import code_digests, content_digest

Checkpoint = Literal["best", "last"]
Ingredients = dict[str, Any]
DRAWS = 5
"""Sample sets drawn from each trained model."""

HARNESS = ("bench.harness", "bench.seeding")
"""The code that every fit depends on besides the model's own."""
SELECTION = "bench.selection"
"""The code that the choice of a checkpoint depends on."""


@dataclass(frozen=True)
class Cell:
    """A model with its Config, trained on a data set from one seed, and `draws` times n samples of it.

    `dataset_digest` is of the data set's content, the type of its pixels included. `checkpoint` says which weights are sampled: those after
    the 'last' epoch, or the 'best' on validation images. With `deterministic`, torch is told to take no algorithm whose result may differ
    from one time to the next. `variant` names the options that differ from the registered ones, for the tables.
    """

    dataset: str
    dataset_digest: str
    model: str
    config: Any
    seed: int
    samples: int
    draws: int = DRAWS
    checkpoint: Checkpoint = "last"
    deterministic: bool = False
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
    def line(self) -> tuple[str, str, int]:
        """Return what names the cell's line in a table."""
        return self.model, self.variant, self.samples

    @property
    def id(self) -> str:
        """Return the digest of all that defines the cell, its code excepted."""
        sampling = [self.seed, self.samples, self.draws, self.checkpoint, self.deterministic]
        return content_digest("cell", self.dataset, self.dataset_digest, self.model, self.family, self.settings, sampling)

    @property
    def fit_ingredients(self) -> Ingredients:
        """Return what the trained model depends on: data, Config but for what only sampling reads, seed, code of model and harness."""
        return {
            "data set": self.dataset,
            "content of the data set": self.dataset_digest,
            "kind of model": self.family,
            **{f"setting {name}": value for name, value in self.settings.items() if name not in self.config.SAMPLING},
            "seed": self.seed,
            "deterministic": self.deterministic,
            **code_ingredients(type(self.config).__module__, *HARNESS),
        }

    @property
    def sampling_ingredients(self) -> Ingredients:
        """Return the settings that only sampling reads."""
        return {f"setting {name}": self.settings[name] for name in self.config.SAMPLING}

    @property
    def sample_ingredients(self) -> Ingredients:
        """Return what the samples depend on besides the fit: how they are drawn, how many, from which checkpoint and how it is selected."""
        selected = self.checkpoint == "best" and not self.config.REFERENCE
        return {
            **self.sampling_ingredients,
            "number of samples": self.samples,
            "checkpoint": "best" if selected else "last",
            **(code_ingredients(SELECTION) if selected else {}),
        }

    def score_ingredients(self, name: str, metric: Any) -> Ingredients:
        """Return what a metric's scores depend on besides the samples: how many draws there are, the metric's settings and its code."""
        return {"draws": self.draws, **metric_ingredients(name, metric)}

    @property
    def fit_key(self) -> str:
        """Return the digest of what the trained model depends on."""
        return content_digest("fit", self.fit_ingredients)

    @property
    def check_key(self) -> str:
        """Return the digest of what the validation checks depend on: the fit, how the model samples, how checkpoints are selected."""
        return content_digest("checks", self.fit_ingredients, self.sampling_ingredients, code_ingredients(SELECTION))

    @property
    def sample_key(self) -> str:
        """Return the digest of what the samples depend on."""
        return content_digest("samples", self.fit_ingredients, self.sample_ingredients)

    def draw_key(self, epoch: int | None) -> str:
        """Return what a draw from the weights after `epoch` depends on: a selection that is made anew and ends the same finds it again."""
        return content_digest("draw", self.fit_ingredients, epoch, self.samples, self.sampling_ingredients)

    @property
    def recipe(self) -> str:
        """Return what the samples of every seed depend on: rows of one line of a table share it."""
        return content_digest("recipe", self.fit_ingredients | {"seed": None}, self.sample_ingredients, self.draws)

    def score_key(self, name: str, metric: Any) -> str:
        """Return the digest of what a metric's scores depend on: the samples, the metric's settings and its code."""
        return content_digest("score", self.sample_key, self.score_ingredients(name, metric))


def code_ingredients(*modules: str) -> Ingredients:
    """Return the digests of modules' code and of what they import of this project, as ingredients."""
    return {f"code of {module}": digest for module, digest in code_digests(*modules).items()}


def remember_code(configs: Iterable[Any], metrics: Iterable[Any]) -> None:
    """Hash the code of models and metrics as it was imported just now, so that an edit under way is not taken for what runs."""
    for config in configs:
        code_ingredients(type(config).__module__, *HARNESS)
    for metric in metrics:
        code_ingredients(type(metric).__module__)
    code_ingredients(SELECTION)


def metric_ingredients(name: str, metric: Any) -> Ingredients:
    """Return what makes two scores of a metric comparable: its name, settings and code."""
    # `needs` holds classes: what a metric needs decides whether it runs, not what it returns.
    settings = {f"metric's {f.name}": getattr(metric, f.name) for f in fields(metric) if f.name != "needs"}
    return {"metric": name, **settings, **code_ingredients(type(metric).__module__)}


def metric_recipe(name: str, metric: Any) -> str:
    """Return the digest of what makes two scores of a metric comparable."""
    return content_digest("metric", metric_ingredients(name, metric))


def variant_of(config: Any, usual: Any, *, checkpoint: Checkpoint = "last", draws: int = DRAWS, deterministic: bool = False) -> str:
    """Return what differs from the registered Config, the last checkpoint and the usual draws, as 'epochs=3, checkpoint=best'."""
    changed: dict[str, Any] = {f.name: getattr(config, f.name) for f in fields(config) if getattr(config, f.name) != getattr(usual, f.name)}
    if checkpoint != "last" and not config.REFERENCE:
        changed["checkpoint"] = checkpoint
    if draws != DRAWS:
        changed["draws"] = draws
    if deterministic:
        changed["deterministic"] = True
    return ", ".join(f"{name}={value}" for name, value in changed.items())


def unnamed(ingredients: Ingredients) -> Ingredients:
    """Return the ingredients that have no column of their own in a record: the code, and what kind of model or metric it is."""
    return {name: value for name, value in ingredients.items() if name.startswith(("code of", "metric's", "kind of"))}


def changed_ingredients(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the names of ingredients that differ, in the order of `now`, then those that are no more."""
    missing = object()
    return [name for name in [*now, *(k for k in before if k not in now)] if before.get(name, missing) != now.get(name, missing)]
