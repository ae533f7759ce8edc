"""A failure is a row with its reason, and the other cells go on."""

import os
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from bench import BenchError, harness
from bench.pipeline import run
from bench.store import Store
from metrics import METRICS
from models import MODELS


def quick(results, models, **kwargs):
    return run(list(models), results=results, **{"device": "cpu", "seeds": 1, "samples": 200, **kwargs})


class Broken(torch.nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def initialise(self, x):
        if self.how == "raise":
            raise RuntimeError("no luck\ntoday")
        if self.how == "exit":
            os._exit(9)

    def stages(self):
        return []

    def sample(self, n):
        samples = torch.rand(n, 1, 8, 8)
        return {"nan": samples / 0, "range": samples * 2, "shape": samples[:5]}[self.how]


@dataclass(frozen=True)
class BrokenConfig:
    how: str = "raise"
    REFERENCE: ClassVar = False
    SAMPLING: ClassVar = ()
    SETTINGS: ClassVar = {}

    def build(self, shape):
        return Broken(self.how)


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("raise", "failed: no luck today"),
        ("nan", "failed: sample: 200 of 200 rows are not finite (first: row 0)"),
        ("range", "failed: sample: 200 of 200 rows leave [0, 1]"),
        ("shape", "failed: sample: got (5, 1, 8, 8) torch.float32, expected (200, 1, 8, 8) torch.float32"),
    ],
)
def test_a_failure_is_a_row_and_never_a_value_and_the_others_go_on(tmp_path, monkeypatch, how, status):
    monkeypatch.setitem(MODELS, "broken", BrokenConfig(how))
    records = quick(tmp_path, ["broken", "mean"])
    rows = records[records["model"] == "broken"]
    assert list(rows["metric"]) == list(METRICS)
    assert rows["status"].str.startswith(status).all()
    assert rows["value"].isna().all()
    assert records[records["model"] == "mean"]["value"].notna().all()
    assert "failed" in (tmp_path / "digits" / "table1.md").read_text()


def test_a_failure_is_tried_again(tmp_path, monkeypatch):
    trained = []
    real = harness.train
    monkeypatch.setattr(harness, "train", lambda model, *args, **kwargs: trained.append(model) or real(model, *args, **kwargs))
    monkeypatch.setitem(MODELS, "broken", BrokenConfig())
    quick(tmp_path, ["broken"])
    quick(tmp_path, ["broken"])
    assert len(trained) == 2
    assert len(Store(tmp_path, "digits").records()) == len(METRICS)


def test_divergence_is_a_status(tmp_path):
    records = quick(tmp_path, ["vae"], options=["vae.epochs=3", "vae.lr=1e30"])
    assert records["status"].str.startswith("diverged: loss is nan (in stage elbo, epoch ").all()
    assert records["value"].isna().all()


@pytest.mark.slow
def test_a_killed_worker_is_one_line_and_what_is_finished_stays(tmp_path, monkeypatch):
    quick(tmp_path, ["mean"])
    before = Store(tmp_path, "digits").records()
    monkeypatch.setitem(MODELS, "broken", BrokenConfig("exit"))
    with pytest.raises(BenchError, match="a worker process was killed"):
        quick(tmp_path, ["broken", "mean"], jobs=2)
    assert Store(tmp_path, "digits").records() == before
