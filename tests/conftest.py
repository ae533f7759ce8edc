import os

os.environ["NO_COLOR"] = "1"
# threads that wait for work sleep: spinning, they take the cores from other tests
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import shutil
import signal
import sys
import warnings
from types import SimpleNamespace

import pytest
import torch
from edits import project  # noqa: F401  # a fixture
from flat import run
from genmodel_bench.cli.interrupt import NOTED
from genmodel_bench.cli.main import main
from genmodel_bench.data.dataset import Dataset, assemble
from genmodel_bench.data.registry import load
from genmodel_bench.models import MODELS
from genmodel_bench.storage.store import Store


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


def cut(data: Dataset) -> Dataset:
    """200 training, 40 validation and 40 test images: fast for every entry."""
    images = torch.cat([data.train[:200], data.valid[:40], data.test[:40]])
    labels = torch.cat([data.labels["train"][:200], data.labels["valid"][:40], data.labels["test"][:40]])
    splits = [torch.arange(200), torch.arange(200, 240), torch.arange(240, 280)]
    return assemble(data.name, images, labels, splits)


@pytest.fixture(scope="session")
def few(digits) -> Dataset:
    return cut(digits)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A function that runs models on digits, once for all tests; returns the results.

    Tests read them, or take a copy (`copied`).
    """
    folders = {}

    def of(*models, **settings):
        key = repr((models, sorted(settings.items())))
        if key not in folders:
            folder = tmp_path_factory.mktemp("made")
            run(list(models), results=folder, **QUICK | settings)
            folders[key] = folder
        return folders[key]

    return of


@pytest.fixture
def copied(made, tmp_path):
    """A function that copies such results for one test; returns the store."""

    def of(*models, into=tmp_path, **settings):
        shutil.copytree(made(*models, **settings), into, dirs_exist_ok=True)
        return Store(into, "digits")

    return of


@pytest.fixture
def typed(monkeypatch, capfd):
    """Runs a command in this process; returns its exit code, stdout and stderr."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, args)])
        before = signal.getsignal(signal.SIGINT)
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            signal.signal(signal.SIGINT, before)
        return (ended.value.code or 0, *capfd.readouterr())

    return run


@pytest.fixture
def here(typed, monkeypatch):
    """Runs a command and its cells in this process; checks its exit code."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("genmodel_bench.execution.pool.usual_jobs", lambda device: 0)

    def run(*args, code=0):
        done = SimpleNamespace(**dict(zip(("code", "stdout", "stderr"), typed(*args), strict=True)))
        assert done.code == code, done.stdout + done.stderr
        return done

    return run


KINDS = list({type(config): name for name, config in MODELS.items() if not config.REFERENCE}.values())
"""A model of each Config that trains: the others are values of one of these."""
QUICK = {"device": "cpu", "seeds": 1, "samples": 150, "figures": False}


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
        "blocks": 1,
        "width": 8,
    }
    if isinstance(getattr(config, "hidden", ()), int):
        small["hidden"] = 16
    if isinstance(getattr(config, "channels", ()), int):
        small["channels"] = 4
    if getattr(config, "k", 1) > 1:
        small["k"] = 2
    return replace(config, **{f.name: small[f.name] for f in fields(config) if f.name in small})


@pytest.fixture
def binary_images():
    """Training images of dark, test images of bright pixels: no image is of both."""
    draw = torch.Generator().manual_seed(1)
    train, test = (
        (torch.rand(40, 1, 3, 3, generator=draw, dtype=torch.float64) < p).double() for p in (0.2, 0.8)
    )
    return SimpleNamespace(train=train, test=test, valid=test[:0], folds=(), levels=2)
