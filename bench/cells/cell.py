"""What is a cell, and what does each of its parts depend on?

The parts are the fit, the samples and the scores. The key of a part is the digest of its
ingredients, so that a change of one of them makes the part again, and `bench why` can
name it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genmodel_bench.cells.protocol import USUAL, Protocol
from genmodel_bench.errors import BenchError
from genmodel_bench.inputs.objects import is_spec
from genmodel_bench.storage.digest import content_digest, file_digest
from genmodel_bench.storage.ingredients import (
    Ingredients,
    Vouched,
    code_of,
    fit_key_of,
    metric_recipe_of,
    recipe_of,
    score_key_of,
)
from genmodel_bench.storage.packages import is_ours
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import label

if TYPE_CHECKING:
    from genmodel_bench.metrics.base import Metric
    from genmodel_bench.models.base import Config

ROLES = {
    "training loop": ("genmodel_bench.training.loop", "genmodel_bench.training.numerics"),
    "drawing": ("genmodel_bench.training.drawing", "genmodel_bench.training.numerics"),
    "selection": ("genmodel_bench.training.selection", "genmodel_bench.training.numerics"),
    "scoring": ("genmodel_bench.execution.measure", "genmodel_bench.training.numerics"),
}
"""The code that a number depends on besides that of its model and its metric.

Each role has the modules that fill it. All other code that a cell passes through, as that
of checkpoints, seals, processes and the report, is covered by tests that compare bits.
"""


@dataclass(frozen=True)
class Cell:
    """A model with its Config, trained on a data set with one seed, and samples of it.

    dataset_digest: of the data set's content, the dtype of its pixels included.
    options: those of Config and protocol that differ from the registered ones.
    vouched: which code gives the same bits as which other code (`bench vouch`).
    """

    dataset: str
    dataset_digest: str
    model: str
    config: Config
    seed: int
    protocol: Protocol = USUAL
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    vouched: Vouched = field(default=Vouched(), compare=False, repr=False)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the hyper-parameters as plain values, by name."""
        return asdict(self.config)

    @property
    def role(self) -> str:
        """Return 'reference' for the rows that calibrate the metrics, else 'model'."""
        return "reference" if is_reference(self.config) else "model"

    @property
    def family(self) -> str:
        """Return the name of the kind of model in keys and seeds.

        It does not depend on the name in the registry nor, where the Config has a KIND,
        on the file that the model is in.
        """
        config = type(self.config)
        return str(getattr(config, "KIND", f"{config.__module__}.{config.__qualname__}"))

    @property
    def line(self) -> tuple[str, str, int]:
        """Return the key of the cell's line in a table: model, variant, samples."""
        return self.model, self.variant, self.protocol.samples

    @property
    def variant(self) -> str:
        """Return the options that differ from the registered ones as a label.

        For example 'epochs=3, checkpoint=best'.
        """
        return label(self.options)

    @property
    def id(self) -> str:
        """Return the digest of all that defines the cell, except its code."""
        p = self.protocol
        sampling: list[Any] = [self.seed, p.samples, p.draws, p.checkpoint, p.deterministic]
        sampling += [p.precision] if p.precision != "float32" else []
        return content_digest(
            "cell", self.dataset, self.dataset_digest, self.model, self.family, self.settings, sampling
        )

    @property
    def fit_ingredients(self) -> Ingredients:
        """Return what the trained model depends on, by name.

        This is the data set, the kind of model, the settings except those that only
        sampling reads, the seed, the numerics, the files in INPUTS, and the code of model
        and training loop.

        Raises:
            BenchError: a file in INPUTS cannot be read.
        """
        return {
            "data set": self.dataset,
            "content of the data set": self.dataset_digest,
            "kind of model": self.family,
            **class_of(self.config),
            **{
                f"setting {name}": value
                for name, value in self.settings.items()
                if name not in sampled_by(self.config)
            },
            "seed": self.seed,
            "deterministic": self.protocol.deterministic,
            "float32 matmul precision": self.protocol.matmul,
            **({"autocast": "bf16"} if self.protocol.precision == "bf16" else {}),
            **{f"content of {path}": content for path, content in input_digests(self.config).items()},
            **code_of("model", type(self.config).__module__),
            **code_of("training loop", *ROLES["training loop"]),
        }

    @property
    def sampling_ingredients(self) -> Ingredients:
        """Return what a draw depends on besides the weights and the number of samples.

        This is the data set, the kind of model, the settings that only sampling reads,
        and the code that draws.
        """
        of = {"data set": self.dataset, "kind of model": self.family}
        settings = {f"setting {name}": self.settings[name] for name in sampled_by(self.config)}
        return of | settings | code_of("drawing", *ROLES["drawing"])

    @property
    def sample_ingredients(self) -> Ingredients:
        """Return what the samples depend on besides the fit.

        This is how they are drawn, how many, from which checkpoint, and how that is
        selected.
        """
        selected = self.protocol.checkpoint == "best" and not is_reference(self.config)
        return {
            **self.sampling_ingredients,
            "number of samples": self.protocol.samples,
            "checkpoint": "best" if selected else "last",
            **(code_of("selection", *ROLES["selection"]) if selected else {}),
        }

    def score_ingredients(self, name: str, metric: Metric) -> Ingredients:
        """Return what a metric's scores depend on besides the samples.

        This is what `metric_ingredients` returns for the cell's data set and number of
        draws.
        """
        return metric_ingredients(name, metric, dataset=self.dataset, draws=self.protocol.draws)

    @property
    def fit_key(self) -> str:
        """Return the digest of what the trained model depends on."""
        return fit_key_of(self.fit_ingredients, self.vouched)

    @property
    def check_key(self) -> str:
        """Return the digest of what the validation checks depend on.

        This is the fit, how the model samples, and how checkpoints are selected.
        """
        checks = self.sampling_ingredients | code_of("selection", *ROLES["selection"])
        return content_digest("checks", self.fit_key, self.vouched.settled(checks))

    def draw_key(self, epoch: int | None) -> str:
        """Return the digest of what a draw from the weights after `epoch` depends on.

        How the epoch was selected is not part of it: where another selection gives the
        same epoch, the draw is found again. `epoch` is None for a model that does not
        train.
        """
        return content_digest(
            "draw",
            self.fit_key,
            epoch,
            self.protocol.samples,
            self.vouched.settled(self.sampling_ingredients),
        )

    def score_key(self, name: str, metric: Metric) -> str:
        """Return the digest of what a metric's scores depend on.

        This is the fit, the samples, and the metric's settings and code.
        """
        return score_key_of(self.ingredients(name, metric), self.vouched)

    @property
    def recipe(self) -> str:
        """Return the digest of what the samples of every seed depend on.

        Rows of one line of a table share it.
        """
        return recipe_of(
            as_json({"fit": self.fit_ingredients, "samples": self.sample_ingredients}), self.vouched
        )

    def metric_recipe(self, name: str, metric: Metric) -> str:
        """Return the digest of what makes two scores of a metric comparable."""
        return metric_recipe_of(as_json({"score": self.score_ingredients(name, metric)}), self.vouched)

    def ingredients(self, name: str, metric: Metric) -> dict[str, Ingredients]:
        """Return what the scores of a metric depend on, by part: fit, samples, score."""
        return {
            "fit": self.fit_ingredients,
            "samples": self.sample_ingredients,
            "score": self.score_ingredients(name, metric),
        }


def class_of(config: Config) -> Ingredients:
    """Return the class of a Config from outside this project, as an ingredient.

    Classes of one module may bear one KIND, as a subclass does that inherits it.
    """
    return {} if is_ours(type(config).__module__) else {"class": type(config).__qualname__}


def is_reference(config: Config) -> bool:
    """Return whether a Config is of a row that calibrates the metrics."""
    return getattr(config, "REFERENCE", False)


def sampled_by(config: Config) -> tuple[str, ...]:
    """Return the names of the fields of a Config that only sampling reads."""
    return tuple(getattr(config, "SAMPLING", ()))


def input_digests(config: Config | Metric) -> dict[str, str]:
    """Return a digest of each file that is named in INPUTS, by its path as given.

    Relative paths start from the folder of the file that defines the Config or metric.

    Raises:
        BenchError: a file cannot be read.
    """
    folder = Path(inspect.getfile(type(config))).parent if getattr(config, "INPUTS", ()) else Path()
    found = {}
    for path in getattr(config, "INPUTS", ()):
        try:
            found[str(path)] = file_digest(folder / path)
        except OSError as error:
            text = (
                f"{type(config).__module__}: INPUTS names {path}, "
                f"which cannot be read ({error.strerror}); put it there"
            )
            raise BenchError(text) from error
    return found


def remember_code(configs: Iterable[Config], metrics: Iterable[Metric]) -> None:
    """Hash the code of models and metrics just after it was imported.

    An edit to a file during a run is therefore not taken for the code that runs.
    """
    for config in configs:
        code_of("model", type(config).__module__)
    for metric in metrics:
        code_of("metric", type(metric).__module__)
        features_ingredients(getattr(metric, "features", ""))
    for role, modules in ROLES.items():
        code_of(role, *modules)


def metric_ingredients(name: str, metric: Metric, *, dataset: str, draws: int) -> Ingredients:
    """Return what makes two scores of a metric comparable, by name.

    This is the data set, the number of draws, the metric's name, settings and code, the
    files in its INPUTS, what the metric needs of a model, and the code and weights of
    features from outside.

    Raises:
        BenchError: a file in INPUTS cannot be read, or the features cannot be made.
    """
    own: Any = metric  # a frozen dataclass, which a Protocol cannot express
    settings = {f"metric's {f.name}": getattr(metric, f.name) for f in fields(own) if f.name != "needs"}
    asked = {need.__name__: sorted(members(need)) for need in metric.needs}
    code = code_of("metric", type(metric).__module__) | code_of("scoring", *ROLES["scoring"])
    return {
        "data set": dataset,
        "draws": draws,
        "metric": name,
        **settings,
        **({"metric's needs": asked} if asked else {}),
        **{f"content of {path}": content for path, content in input_digests(metric).items()},
        **features_ingredients(getattr(metric, "features", "")),
        **code,
    }


def features_ingredients(name: object) -> Ingredients:
    """Return the code and the weights of features from outside, as ingredients.

    name: of the features; those that are of this project are in the metric's code.

    Raises:
        BenchError: they cannot be made, or their weights are not at hand.
    """
    from genmodel_bench.metrics.extractors import URLS, weights_digest  # which imports torch

    if not isinstance(name, str) or not (name in URLS or is_spec(name)):
        return {}
    try:
        weights = {"weights of the features": weights_digest(name)}
    except ValueError as error:
        raise BenchError(str(error)) from error
    return weights | (code_of("features", name.partition(":")[0]) if is_spec(name) else {})


def members(protocol: type) -> set[str]:
    """Return the names of the members that a Protocol requires."""
    return {
        name for name in {**vars(protocol), **inspect.get_annotations(protocol)} if not name.startswith("_")
    }


def changed_options(config: Config, usual: Config, protocol: Protocol) -> dict[str, Any]:
    """Return by name the options that differ from the registered ones.

    usual: the registered Config; the protocol is compared with the usual one.
    """
    changed = {
        f.name: getattr(config, f.name)
        for f in fields(config)
        if getattr(config, f.name) != getattr(usual, f.name)
    }
    return changed | protocol.options(reference=is_reference(config))
