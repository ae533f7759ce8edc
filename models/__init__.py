"""Which models are there? One line each, in the order of the tables.

A new model is one new file and one line here. A variant of a model is a value of its
Config: `gan.Config(loss="minimax")`.
"""

from __future__ import annotations

from dataclasses import replace

from genmodel_bench.models import cae, conv_gan, dbn, dcgan, gan, gsn, rbm, references, vae
from genmodel_bench.models.base import Config, Model, Schedule, Shape, Stage

__all__ = ["MODELS", "Config", "Model", "Schedule", "Shape", "Stage", "adapted", "settings_for"]

MODELS: dict[str, Config] = {
    "dbn": dbn.Config(),
    "stacked-cae": cae.Config(),
    "deep-gsn": gsn.Config(),
    "deep-gsn-chain": gsn.Config(chain="consecutive"),
    "gan-ns": gan.Config(),
    "gan-mm": gan.Config(loss="minimax"),
    "gan-conv": conv_gan.Config(),
    "dcgan": dcgan.Config(),
    "vae": vae.Config(),
    "rbm": rbm.Config(),
    "data": references.Data(),
    "kmeans": references.KMeans(),
    "gaussian": references.Gaussian(),
    "mean": references.Gaussian(rank=0),
}


def settings_for(name: str, dataset: str) -> Config:
    """Return the Config of model `name` as it is run on `dataset`.

    Raises KeyError for an unknown name.
    """
    return adapted(MODELS[name], dataset)


def adapted(config: Config, dataset: str) -> Config:
    """Return a Config with its settings for `dataset`, unchanged where it has none."""
    return replace(config, **getattr(config, "SETTINGS", {}).get(dataset, {}))
