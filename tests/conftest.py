import os

os.environ["NO_COLOR"] = "1"

import signal
import sys
import warnings

import pytest
import torch
from edits import project  # noqa: F401  # a fixture
from genmodel_bench.cli.interrupt import NOTED
from genmodel_bench.data.dataset import Dataset, assemble
from genmodel_bench.data.registry import load


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def process_as_before():
    """Undo what the command line does to its process: Ctrl-C, path, form of warnings."""
    ctrl_c, path, form = signal.getsignal(signal.SIGINT), list(sys.path), warnings.formatwarning
    yield
    signal.signal(signal.SIGINT, ctrl_c)
    sys.path[:], warnings.formatwarning = path, form
    NOTED.clear()


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture(scope="session")
def few(digits) -> Dataset:
    """200 training, 40 validation and 40 test images of digits: fast for every entry."""
    images = torch.cat([digits.train[:200], digits.valid[:40], digits.test[:40]])
    labels = torch.cat(
        [digits.labels["train"][:200], digits.labels["valid"][:40], digits.labels["test"][:40]]
    )
    return assemble(
        "digits", images, labels, [torch.arange(200), torch.arange(200, 240), torch.arange(240, 280)]
    )


def tiny(config):
    """The same kind of model, trained for two epochs of small batches."""
    from dataclasses import fields, replace

    small = {
        "epochs": 2,
        "batch_size": 20,
        "clusters": 30,
        "sample_steps": 5,
        "hidden": (16, 12),
        "chains": 20,
        "code_epochs": 2,
    }
    if isinstance(getattr(config, "hidden", ()), int):
        small["hidden"] = 16
    return replace(config, **{f.name: small[f.name] for f in fields(config) if f.name in small})
