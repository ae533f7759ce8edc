"""Which models are there? One line each, in the order in which they are run.

A new model is one new file and one line here. A variant of a model is a value of its
Config: `gan.Config(loss="minimax")`.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, replace
from typing import Any

from genmodel_bench.models import references
from genmodel_bench.models.adversarial import conv_gan, dcgan, gan, mlp_gan
from genmodel_bench.models.autoencoders import cae, gsn, iwae, vae
from genmodel_bench.models.autoregressive import masked, nade, pixelcnn, transformer
from genmodel_bench.models.base import Config, Model, Schedule, Shape, Stage
from genmodel_bench.models.boltzmann import dbn, rbm
from genmodel_bench.models.densities import flow, mixture, ppca
from genmodel_bench.models.moments import gmmn

__all__ = ["CORE", "MODELS", "Config", "Model", "Schedule", "Shape", "Stage", "adapted", "settings_for"]

CORE: dict[str, Config] = {
    # the paper's cast
    "dbn": dbn.Config(),
    "stacked-cae": cae.Config(),
    "deep-gsn": gsn.Config(),
    "deep-gsn-chain": gsn.Config(chain="consecutive"),
    "gan-ns": gan.Config(),
    "gan-mm": gan.Config(loss="minimax"),
    "gan-conv": conv_gan.Config(),
    "vae": vae.Config(),
    "rbm": rbm.Config(),
    # what calibrates the metrics
    "data": references.Data(),
    "kmeans": references.KMeans(),
    "gaussian": references.Gaussian(),
    "mean": references.Gaussian(rank=0),
    "mixture": mixture.Config(),
    "ppca": ppca.Config(),
}
"""The paper's cast and what calibrates its metric: in a run of all with several seeds."""

MODELS: dict[str, Config] = {
    **CORE,
    # likelihoods of their own
    "fvbn": masked.Config(hidden=(), lr=5e-3),
    "made": masked.Config(),
    "made-32": masked.Config(masks=32),
    "nade": nade.Config(),
    "pixelcnn": pixelcnn.Config(),
    "transformer": transformer.Config(),
    "iwae": iwae.Config(),
    "realnvp": flow.Config(),
    # moment matching, and nets of convolutions
    "gmmn": gmmn.Config(),
    "gmmn-ae": gmmn.Config(autoencoder=True),
    "dcgan": dcgan.Config(),
    # the same nets under each adversarial loss
    "gan-mlp": mlp_gan.Config(),
    "lsgan": mlp_gan.Config(loss="least-squares"),
    "wgan": mlp_gan.Config(loss="wasserstein", k=5, critic_epochs=1, clip=0.05, optimiser="rmsprop"),
    "wgan-gp": mlp_gan.Config(loss="wasserstein", k=5, penalty=10.0),
    "gan-hinge": mlp_gan.Config(loss="hinge"),
    "fgan-kl": mlp_gan.Config(loss="fgan-kl"),
    "fgan-rkl": mlp_gan.Config(loss="fgan-rkl"),
    "fgan-pearson": mlp_gan.Config(loss="fgan-pearson"),
    "fgan-neyman": mlp_gan.Config(loss="fgan-neyman"),
    "fgan-hellinger": mlp_gan.Config(loss="fgan-hellinger"),
    "fgan-jeffrey": mlp_gan.Config(loss="fgan-jeffrey"),
    "fgan-js": mlp_gan.Config(loss="fgan-js"),
    "fgan-gan": mlp_gan.Config(loss="fgan-gan"),
    "ebgan": mlp_gan.Config(loss="energy"),
    "ebgan-pt": mlp_gan.Config(loss="energy", repelling=0.1),
    # the smallest nets that draw digits
    "gan-small": mlp_gan.Config(
        latent=128,
        prior="gaussian",
        generator_layers=(256,),
        critic_layers=(256,),
        batch_norm=False,
        slope=0.0,
        epochs=200,
        lr=2e-4,
    ),
}


def settings_for(name: str, dataset: str) -> Config:
    """Return the Config of model `name` as it is run on `dataset`.

    Raises KeyError for an unknown name.
    """
    return adapted(MODELS[name], dataset)


def adapted(config: Config, dataset: str) -> Config:
    """Return a Config with its settings for `dataset`, unchanged where it has none.

    They stand in for defaults: a field with another value keeps it.
    """
    settings = getattr(config, "SETTINGS", {}).get(dataset, {})
    kept = {f.name for f in fields(config) if has_default(f) and getattr(config, f.name) != default_of(f)}
    return replace(config, **{name: value for name, value in settings.items() if name not in kept})


def has_default(field: Field[Any]) -> bool:
    """Return whether a Config can be made without giving a field."""
    return field.default is not MISSING or field.default_factory is not MISSING


def default_of(field: Field[Any]) -> object:
    """Return the default of a field that has one."""
    return field.default if field.default_factory is MISSING else field.default_factory()
