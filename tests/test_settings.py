"""Every published setting in one table, typed from the sources and not from the Configs.

Adversarial nets: the released code (goodfeli/adversarial). DCGAN: Newmu/dcgan_code. Deep
GSN: yaoli/GSN. Moment matching: yujiali/gmmn. The other rows of the paper have no
published settings; ours are pinned, so that none changes unseen.
"""

from dataclasses import asdict

import pytest
from genmodel_bench.models import settings_for

ADVERSARIAL = {
    "update": "simultaneous",
    "k": 1,
    "latent": 100,
    "generator_range": 0.05,
    "discriminator_range": 0.005,
    "discriminator_scale": 0.5,
    "pieces": 5,
    "dropout_input": 0.2,
    "dropout_hidden": 0.5,
    "lr_decay": 1.000004,
    "lr_floor": 1e-6,
    "momentum": 0.5,
    "momentum_final": 0.7,
    "momentum_epochs": 250,
}
MNIST = {
    "prior": "uniform",
    "generator": (1200, 1200),
    "activations": ("relu", "relu"),
    "sigmoid_bias": 0.0,
    "output_range": None,
    "output_sparse": None,
    "pixels": "unit",
    "discriminator": (240, 240),
    "max_norm": None,
    "front": (),
    "pretrain_epochs": 0,
    "epochs": 400,  # ours: no rule was released
    "batch_size": 100,
    "lr": 0.1,
}
TFD = {
    "prior": "gaussian",
    "generator": (8000, 8000),
    "activations": ("relu", "sigmoid"),
    "sigmoid_bias": -2.0,
    "output_range": None,
    "output_sparse": 100,
    "pixels": "unit",
    "discriminator": (1200, 1200),
    "max_norm": 1.9365,
    "front": (8000, 100),
    "pretrain_epochs": 50,
    "epochs": 22,
    "batch_size": 100,
    "lr": 0.05,
}
CIFAR = {
    "prior": "gaussian",
    "generator": (8000, 8000),
    "activations": ("relu", "sigmoid"),
    "sigmoid_bias": 0.0,
    "output_range": 0.5,
    "output_sparse": None,
    "pixels": "contrast",
    "discriminator": (1600, 1600),
    "max_norm": None,
    "front": (),
    "pretrain_epochs": 0,
    "epochs": 400,  # ours
    "batch_size": 100,
    "lr": 0.025,
}
CONVOLUTIONAL = {
    "prior": "gaussian",
    "generator": 8000,
    "maps": 80,
    "generator_kernel": 5,
    "generator_stride": 3,
    "pixels": "contrast",
    "channels": (32, 32, 192),
    "conv_pieces": 2,
    "kernels": (8, 8, 5),
    "pads": (4, 3, 3),
    "pools": (4, 4, 2),
    "pool_strides": (2, 2, 2),
    "units": 500,
    "max_norm": None,
    "epochs": 200,  # ours
    "batch_size": 128,
    "lr": 0.004,
}
DEEP = {  # Newmu/dcgan_code: faces/train_uncond_dcgan.py, mnist/train_cond_dcgan.py
    "k": 1,
    "latent": 100,
    "prior": "uniform",
    "slope": 0.2,
    "epochs": 25,
    "batch_size": 128,
    "lr": 2e-4,
    "betas": (0.5, 0.999),
}
GSN = {
    "hidden": (1500, 1500),
    "walkbacks": 4,
    "corruption": 0.4,
    "noise": 2.0,
    "epochs": 1000,
    "batch_size": 100,
    "lr": 0.25,
    "lr_decay": 0.995,
    "momentum": 0.5,
    "sample_steps": 50,  # ours: the published row takes consecutive states of one chain
}
LEARNING = {
    "epochs": 50,
    "batch_size": 100,
    "lr": 0.05,
    "weight_decay": 2e-4,
    "momentum": 0.5,
    "momentum_final": 0.9,
    "warm_up": 5,
    "gibbs_steps": 1,
    "persistent": True,
    "chains": 100,
    "sample_steps": 100,
}
MOMENTS = {
    "latent": 10,
    "hidden": (64, 256, 256, 1024),
    "weights": 0.1,
    "variances": (2, 5, 10, 20, 40, 80),
    "epochs": 800,  # 40,000 updates
    "batch_size": 1000,
    "lr": 2.0,
    "momentum": 0.9,
    "first": 0.25,  # 10,000 updates
    "slower": 10.0,
    "encoder": (1024, 32),
    "dropout": (0.2, 0.5),
    "code_variances": (1,),
    "matching_lr": 2.0,
    "code_epochs": 6,  # 3,000 updates
    "code_batch_size": 100,
    "code_lr": 0.1,
    "code_momentum": 0.9,
    "max_gradient": 10.0,
}
MOMENTS_TFD = {
    "variances": (5, 10, 20, 40, 80, 160),
    "epochs": 495,  # 48,000 updates, if 97,000 images train
    "first": pytest.approx(10_000 / 48_000),
    "encoder": (512, 512, 128),
    "dropout": (0.1, 0.1, 0.1),
    "code_variances": (1, 2, 5, 10, 20, 40),
    "matching_lr": 0.1,
    "code_epochs": 15,  # 15,000 updates
    "code_momentum": 0.0,
}
EXPECTED = {
    ("gan-ns", "mnist"): {**ADVERSARIAL, **MNIST, "loss": "non-saturating"},
    ("gan-mm", "mnist"): {**ADVERSARIAL, **MNIST, "loss": "minimax"},
    ("gan-ns", "tfd"): {**ADVERSARIAL, **TFD, "loss": "non-saturating"},
    ("gan-ns", "cifar10"): {**ADVERSARIAL, **CIFAR, "loss": "non-saturating"},
    ("gan-conv", "cifar10"): {**ADVERSARIAL, **CONVOLUTIONAL, "loss": "non-saturating"},
    ("dcgan", "mnist"): {**DEEP, "channels": (64, 128), "loss": "non-saturating"},
    # the layers are ours
    ("dcgan", "cifar10"): {**DEEP, "channels": (64, 128, 256), "loss": "non-saturating"},
    ("deep-gsn", "mnist"): {**GSN, "chain": "independent"},
    ("deep-gsn-chain", "mnist"): {**GSN, "chain": "consecutive"},
    ("gmmn", "mnist"): {**MOMENTS, "autoencoder": False},
    ("gmmn-ae", "mnist"): {**MOMENTS, "autoencoder": True},
    ("gmmn", "tfd"): {**MOMENTS, **MOMENTS_TFD, "autoencoder": False},
    ("gmmn-ae", "tfd"): {**MOMENTS, **MOMENTS_TFD, "autoencoder": True},
    # ours, as are those below
    ("dbn", "mnist"): {**LEARNING, "hidden": (1000, 1000)},
    ("rbm", "mnist"): {**LEARNING, "hidden": 500},
    ("stacked-cae", "mnist"): {
        "hidden": (1000, 1000),
        "contraction": 0.5,
        "epochs": 30,
        "batch_size": 100,
        "lr": 1e-3,
        "starts": 1000,
        "sample_steps": 30,
        "step": 0.3,
    },
    ("vae", "mnist"): {"latent": 20, "hidden": (500, 500), "epochs": 100, "batch_size": 100, "lr": 1e-3},
}


@pytest.mark.parametrize(("name", "dataset"), EXPECTED)
def test_a_setting_is_the_published_one(name, dataset):
    assert asdict(settings_for(name, dataset)) == EXPECTED[name, dataset]
