"""Anybody's samples become a row like any other."""

import json

import numpy as np
import pytest
from flat import run
from genmodel_bench import BadOption, BadSamples
from genmodel_bench.commands.score import score
from genmodel_bench.storage.store import Store


def test_score_equals_the_data_row_and_joins_the_table(tmp_path, digits):
    usual = {"dataset": "digits", "name": "mine", "results": tmp_path, "device": "cpu", "figures": False}
    found = score(digits.train.numpy(), **usual)
    assert (found["name"], found["dataset"], found["n"]) == ("mine", "digits", 1197)
    assert found["metrics"]["neighbours"]["exact_copies"] == 1
    assert found["metrics"]["neighbours"]["status"].startswith(
        "warning: more than 5% of the samples are exact copies"
    )
    parzen = found["metrics"]["parzen"]
    same = run(["data"], samples=1197, seeds=1, results=tmp_path / "r", device="cpu", figures=False)
    assert parzen["value"] == pytest.approx(same["value"][0], abs=1e-4)
    assert parzen["sigma"] == json.loads(same["metric_settings"][0])["sigma"]
    assert "| mine" in (tmp_path / "digits" / "table1.md").read_text()
    score(digits.train.numpy()[:500], **usual)
    assert {r.samples for r in Store(tmp_path, "digits").records()} == {1197, 500}


@pytest.mark.parametrize(
    ("samples", "name", "error", "message"),
    [
        (
            np.zeros((50, 64), np.float32),
            None,
            BadSamples,
            "50 samples are too few for parzen, which needs at least 100",
        ),
        (np.zeros((500, 63), np.float32), None, BadSamples, "shape (500, 63)"),
        (np.zeros((500, 64), np.float32), "vae", BadOption, "'vae' is a registered model"),
        (np.zeros((500, 64), np.float32), "a\nb", BadOption, "expected printable text"),
        ("absent.npy", None, BadSamples, "absent.npy: no such file"),
    ],
)
def test_what_cannot_be_scored_is_one_line_and_leaves_nothing(tmp_path, samples, name, error, message):
    with pytest.raises(error) as caught:
        score(samples, dataset="digits", name=name, results=tmp_path / "r")
    assert message in str(caught.value)
    assert not (tmp_path / "r").exists()
