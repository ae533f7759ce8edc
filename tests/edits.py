"""A package `plain` for the tests: a model, a module it imports, and a metric.

The tests edit its files on disk.
"""

import importlib
import sys

import pytest
from genmodel_bench.cells.cell import ROLES
from genmodel_bench.storage.code import forget_code

PLAYED = {"training loop": "loop", "drawing": "draws", "selection": "choice", "scoring": "scores"}
"""Role -> the file of `plain` that is added to its code."""
FILES = {
    **{file: "RATE = 0.5\n" for file in PLAYED.values()},
    "part": (
        "def clipped(x):\n    if x is None:\n        raise ValueError('no clip')\n    return x.clamp(0, 1)\n"
    ),
    "net": """
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from genmodel_bench.models.base import Stage
from plain.part import clipped


@dataclass(frozen=True)
class Config:
    epochs: int = 3
    lr: float = 0.1
    width: float = 0.1

    REFERENCE: ClassVar = False
    SAMPLING: ClassVar = ("width",)
    SETTINGS: ClassVar = {}
    INPUTS: ClassVar = ("table.txt",)

    def build(self, shape):
        return Net(self, shape)


class Net(nn.Module):
    def __init__(self, config, shape):
        super().__init__()
        self.config, self.mean = config, nn.Parameter(torch.zeros(shape))

    def initialise(self, x):
        pass

    def stages(self):
        return [Stage("pull", self.config.epochs, 50, self.step)]

    @torch.no_grad()
    def step(self, x, y):
        self.mean += self.config.lr * (x.mean(0) - self.mean) + 1e-3 * torch.randn_like(self.mean)
        return {"distance": (x - self.mean).abs().mean()}

    @torch.no_grad()
    def sample(self, n):
        noise = torch.randn(n, *self.mean.shape)
        return clipped(self.mean + self.config.width * noise).float()
""",
    "measure": """
from dataclasses import dataclass

from genmodel_bench.metrics.base import Result, Score


@dataclass(frozen=True)
class Brightness:
    offset: float = 0.0
    min_samples: int = 1
    needs: tuple = ()

    def __call__(self, subject, reference):
        means = subject.samples.double().flatten(1).mean(1)
        score = Score(float(means.mean()) + self.offset, float(means.std()), "samples", len(means), \
"share", "neither")
        return Result({"brightness": score}, {"means": means})
""",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A function that edits a file of `plain`, if any, and imports the package again.

    It returns (Config, Brightness).
    """
    folder = tmp_path / "code" / "plain"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "table.txt").write_text("1 2 3")
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder.parent))
    for role, file in PLAYED.items():
        monkeypatch.setitem(ROLES, role, (*ROLES[role], f"plain.{file}"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def edit(file=None, old="", new=""):
        if file:
            path = folder / f"{file}.py"
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        forget_code()
        for name in [name for name in sys.modules if name.startswith("plain")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return importlib.import_module("plain.net").Config, importlib.import_module(
            "plain.measure"
        ).Brightness

    yield edit
    forget_code()
