"""Metrics in other features: names, keys of code and weights, and every command."""

import importlib
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from flat import run
from genmodel_bench.cells.catalogue import metrics_in, metrics_named
from genmodel_bench.cells.cell import metric_ingredients
from genmodel_bench.cells.featured import features_of, with_features
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.cells.recorded import stale_lines
from genmodel_bench.cli.main import app
from genmodel_bench.commands.score import score
from genmodel_bench.commands.verify import verify
from genmodel_bench.commands.why import cell_named, why
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadOption, BenchError, UnknownName
from genmodel_bench.metrics import METRICS
from genmodel_bench.metrics.extractors import URLS, anybodys
from genmodel_bench.report.tables.table import table1
from genmodel_bench.storage.code import forget_code
from genmodel_bench.storage.ingredients import Vouched
from genmodel_bench.storage.store import Store
from typer.testing import CliRunner

QUICK = {"seeds": 1, "samples": 150, "draws": 2, "figures": False}
SCORES = '''"""How far are means apart?"""
from dataclasses import dataclass
from typing import ClassVar

from genmodel_bench.metrics.column import Column
from genmodel_bench.metrics.comparison import Estimate, Quantity, compared


@dataclass(frozen=True)
class Means:
    features: str = "pixels"
    min_samples: int = 2
    needs: tuple = ()
    columns: ClassVar = {"gap": Column("gap", "the distance of means", floor="gap_floor")}
    quantities: ClassVar = {"gap": Quantity("features", "lower")}

    def prepare(self, x):
        return x.mean(0)

    def estimate(self, x, real):
        return {"gap": Estimate(float((x - real).norm()), 0.0)}

    def __call__(self, subject, reference):
        return compared(self, subject, reference)
'''
NETS = '''"""A network of one layer."""
import torch
from lab.part import SCALE


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([SCALE, 1.0]))

    def forward(self, x):
        return x.mean((1, 2, 3))[:, None] * self.weight
'''
MEANS = "means=lab.scores:Means"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A package `lab` of a metric and a network; returns what writes one of its files."""
    folder = tmp_path / "work"
    (folder / "lab").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(**texts):
        for name, text in texts.items():
            (folder / "lab" / f"{name}.py").write_text(text)
        forget()

    write(__init__="", scores=SCORES, nets=NETS, part="SCALE = 2.0\n")
    yield write
    forget()


def forget():
    forget_code()
    anybodys.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "lab"]:
        del sys.modules[name]
    importlib.invalidate_caches()


def test_a_metric_is_computed_in_other_features_beside_its_own(lab):
    found = with_features(metrics_named([MEANS, "neighbours"]), ["pca", "ours=lab.nets:Net", "lab.nets:Net"])
    assert {name: features_of(metric) for name, metric in found.items()} == {
        "neighbours": "",
        "means": "pixels",
        "means-pca": "pca",
        "means-ours": "lab.nets:Net",  # named twice, computed once
    }
    assert with_features(found, ["pixels", "pca"]) == found


def test_a_registered_metric_in_these_features_keeps_its_name(lab, monkeypatch):
    (means,) = metrics_named([MEANS]).values()
    monkeypatch.setitem(METRICS, "means-random", replace(means, features="random"))
    monkeypatch.setitem(METRICS, "means", means)
    assert [*with_features({"means": means}, ["random"])] == ["means", "means-random"]
    both = {"means": means, "means-random": METRICS["means-random"]}
    assert [*with_features(both, ["pca"])] == ["means", "means-random", "means-pca"]


@pytest.mark.parametrize(
    ("name", "says", "kind"),
    [
        ("inceptoin", "unknown features 'inceptoin'; did you mean 'inception'?", UnknownName),
        ("inception", "expected .*weights-inception", BenchError),
        ("lab.absent:Net", "no module 'lab.absent'", BenchError),
        ("lab.nets:Nets", "did you mean 'Net'?", BenchError),
        ("a=pca", "expected NAME=module:Extractor", BadOption),
        ("a-b=lab.nets:Net", "expected NAME=module:Extractor", BadOption),
        ("lab.nets:torch", "expected a torch.nn.Module or a function", BenchError),
    ],
)
def test_a_wrong_name_is_one_line_before_any_training(name, says, kind, lab, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(kind, match=says) as error:
        run(["vae"], metrics=[MEANS], features=[name], results=tmp_path / "r", **QUICK)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "r").exists()


def test_without_a_metric_of_features_the_option_is_wrong():
    with pytest.raises(BadOption, match="none of parzen has features"):
        with_features(metrics_named(["parzen"]), ["pca"])


def test_rows_of_other_features_are_known_to_every_command(lab, tmp_path):
    features = ["pca", "lab.nets:Net"]
    made = run(["mean"], metrics=[MEANS], features=features, results=tmp_path / "r", **QUICK)
    assert set(made["status"]) == {"ok"}
    assert {*made["metric"]} == {"means", "means-pca", "means-lab.nets:Net"}
    # the mean image's second feature is its mean grey level, the first twice that
    row = made[(made["metric"] == "means-lab.nets:Net") & (made["quantity"] == "gap")].iloc[0]
    digits = load("digits")
    apart = abs(float(digits.train.mean() - digits.test[:].mean()))
    assert row["value"] == pytest.approx(5**0.5 * apart, abs=0.05)  # 150 of the test images
    settings = json.loads(row["metric_settings"])
    assert (settings["features"], settings["dimensions"]) == ("lab.nets:Net", 2)
    assert len(settings["weights"]) == 16
    table = (tmp_path / "r" / "digits" / "table1.csv").read_text().partition("\n")[0]
    assert "gap (means-pca)" in table
    assert "gap (means-lab.nets:Net)" in table
    store = Store(tmp_path / "r", "digits")
    metrics = metrics_in(store.records())
    assert {*metrics} - {*METRICS} == {*made["metric"]}
    assert not stale_lines(store.records(), metrics, Vouched())
    assert not stale_lines(store.records(), METRICS, Vouched())
    findings = list(verify(tmp_path / "r", cells=1, seed=0))
    assert [f.text for f in findings if f.good is False and "is not what" not in f.text] == []
    assert any("made again" in f.text and "values equal" in f.text for f in findings)
    cell = cell_named("mean", digits, store, seed=0, options=(), protocol=Protocol(samples=150, draws=2))
    verdicts = {part.name: part.verdict for part in why(cell, store, metrics)}
    assert {verdicts[name] for name in made["metric"]} == {"reused: nothing it depends on has changed"}
    again = run(["mean"], metrics=[MEANS], features=features, results=tmp_path / "r", **QUICK)
    assert list(again["created"]) == list(made["created"])


@pytest.mark.parametrize("change", [{"part": "SCALE = 3.0\n"}, {"nets": NETS.replace("x.mean", "x.sum")}])
def test_other_code_or_weights_of_an_extractor_are_another_key(change, lab):
    def key():
        metric = with_features(metrics_named([MEANS]), ["lab.nets:Net"])["means-lab.nets:Net"]
        return metric_ingredients("means-lab.nets:Net", metric, dataset="digits", draws=1)

    before, own = key(), metric_ingredients("m", metrics_named([MEANS])["means"], dataset="", draws=1)
    assert "lab.nets" in before["code of the features"]
    assert not {"code of the features", "weights of the features"} & own.keys()
    lab(**change)
    changed = {name for name, value in key().items() if value != before[name]}
    assert "code of the features" in changed
    assert ("weights of the features" in changed) == ("part" in change)


def test_rows_are_stale_when_the_extractor_was_edited(lab, tmp_path):
    run(["mean"], metrics=[MEANS], features=["lab.nets:Net"], results=tmp_path, **QUICK)
    lab(nets=NETS.replace("x.mean", "x.sum"))
    assert stale_lines(Store(tmp_path, "digits").records(), METRICS, Vouched()) == ["mean (draws=2)"]


def test_weights_that_are_gone_leave_rows_without_a_metric(lab, tmp_path):
    run(["mean"], metrics=[MEANS], features=["lab.nets:Net"], results=tmp_path, **QUICK)
    lab(nets="raise OSError\n")
    assert "means-lab.nets:Net" not in metrics_in(Store(tmp_path, "digits").records())


def test_the_digest_of_the_weights_file_is_in_the_key(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    file = tmp_path / URLS["dinov2"].rpartition("/")[2]
    (means,) = metrics_named([MEANS]).values()
    found = []
    for text in ("one", "other"):
        file.write_text(text)
        other = replace(means, features="dinov2")
        found.append(metric_ingredients("m", other, dataset="", draws=1)["weights of the features"])
    assert found[0] != found[1]


def test_what_does_not_apply_is_a_row_and_no_failure(lab, tmp_path):
    np.savez(tmp_path / "images.npz", images=np.random.default_rng(0).random((400, 8, 8), np.float32))
    np.save(tmp_path / "samples.npy", np.random.default_rng(1).random((150, 8, 8), np.float32))
    data, results = f"npz:{tmp_path / 'images.npz'}", tmp_path / "r"
    made = run(["mean"], dataset=data, metrics=[MEANS], features=["classifier"], results=results, **QUICK)
    (row,) = made[made["metric"] == "means-classifier"].to_dict("records")
    assert row["status"].startswith("n/a: the images have no labels")
    typed = ["score", str(tmp_path / "samples.npy"), "--dataset", data, "--results", str(results)]
    typed += ["--metric", MEANS, "--features", "classifier", "--no-figures"]
    found = CliRunner().invoke(app, typed)
    assert found.exit_code == 0
    assert score(
        tmp_path / "samples.npy", dataset=data, metrics=[MEANS], features=["classifier"], results=results
    )["reused"]


def test_rows_of_other_networks_are_noted_and_not_ranked(lab, tmp_path):
    run(["mean", "gaussian", "data"], metrics=[MEANS], features=["random"], results=tmp_path, **QUICK)
    records = [  # as of models that were trained three times
        replace(r, role="model", epochs=1, seed=seed, value=r.value + 0.001 * seed)
        for r in Store(tmp_path, "digits").records()
        for seed in range(3)
    ]
    assert not any(table1(records).notes.values())
    best = min(
        (r for r in records if (r.metric, r.quantity) == ("means-random", "gap")), key=lambda r: r.value
    )
    others = [
        replace(r, metric_settings=json.dumps({**json.loads(r.metric_settings), "weights": "f" * 16}))
        if r.model == best.model and r.metric == "means-random"
        else r
        for r in records
    ]
    notes = {key[1]: said for key, said in table1(others).notes.items() if said}
    (note,) = notes.pop(best.model)
    usual = json.loads(best.metric_settings)["weights"]
    said = f"not comparable with rows of features {usual}, for it is in those of {'f' * 16}"
    assert note == f"digits: means-random: {said}"
    assert not notes
    assert ("digits", "gap (means-random)", best.key) in table1(records).marks
    marked = {key[1] for _, title, key in table1(others).marks if title == "gap (means-random)"}
    assert marked
    assert best.model not in marked


def test_networks_compute_without_tf32(few):
    from genmodel_bench.metrics.features import network

    seen = []

    def of(x):
        seen.append((torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
        return x.flatten(1)

    before = torch.backends.cudnn.allow_tf32
    network(None, of, {}, few).of(few.test)
    assert seen == [(False, "highest")]
    assert torch.backends.cudnn.allow_tf32 == before
