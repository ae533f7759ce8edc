"""Models and metrics from outside: named, keyed by their code, known to every command."""

import importlib
import json
import os
import runpy
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from flat import run
from genmodel_bench.cells.catalogue import metrics_in, metrics_named, models_named
from genmodel_bench.cells.cell import metric_ingredients
from genmodel_bench.cells.protocol import Protocol
from genmodel_bench.cells.recorded import same_cell, stale_lines
from genmodel_bench.commands.cite import cite
from genmodel_bench.commands.new import new
from genmodel_bench.commands.preview import preview
from genmodel_bench.commands.score import score
from genmodel_bench.commands.verify import verify
from genmodel_bench.commands.vouch import vouch
from genmodel_bench.commands.why import cell_named, why
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadOption, BenchError, UnknownName
from genmodel_bench.execution.cluster.code import lay_out
from genmodel_bench.inputs import objects
from genmodel_bench.metrics import METRICS
from genmodel_bench.models import MODELS
from genmodel_bench.storage import packages
from genmodel_bench.storage.code import code_digests, forget_code
from genmodel_bench.storage.ingredients import Vouched, read_vouched
from genmodel_bench.storage.store import Store
from strangers import is_one_line

QUICK = {"seeds": 1, "samples": 150, "draws": 2, "figures": False}
SMALL = ["theirs.net:Config.epochs=1"]


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A folder with a package `theirs` of a model and a metric, importable from here.

    Returns a function that edits one of its files, and forgets what was imported.
    """
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    new("model", "theirs.net")
    new("metric", "theirs.scores")
    (folder / "theirs" / "part.py").write_text("WIDTH = 64\n")
    source = folder / "theirs" / "net.py"
    text = source.read_text().replace("@dataclass", "from theirs.part import WIDTH\n\n\n@dataclass", 1)
    source.write_text(text.replace("hidden: int = 128", "hidden: int = WIDTH"))

    def edit(file="", old="", new=""):
        if file:
            path = folder / "theirs" / f"{file}.py"
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        forget()

    edit()
    yield edit
    forget()


def forget():
    forget_code()
    objects.installed.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] in ("theirs", "installed_lab")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def offered(monkeypatch, **entries):
    """Installed packages that offer models: name -> module:Object."""
    found = [EntryPoint(name, spec, "genmodel_bench.models") for name, spec in entries.items()]
    monkeypatch.setattr(objects, "entry_points", lambda group: found if group.endswith("models") else [])
    objects.installed.cache_clear()


def test_a_model_and_a_metric_from_outside_make_rows_that_every_command_knows(theirs, tmp_path):
    models, metrics = (
        ["theirs.net:Config", "ours=theirs.net:Config", "mean"],
        ["parzen", "theirs.scores:Metric"],
    )
    made = run(models, metrics=metrics, options=SMALL, results=tmp_path / "r", **QUICK)
    assert set(made["status"]) == {"ok"}
    assert {*made["model"]} == {"theirs.net:Config", "ours", "mean"}
    row = made[(made["model"] == "ours") & (made["metric"] == "theirs.scores:Metric")].iloc[0]
    assert json.loads(row["sources"]) == {"metric": "theirs.scores:Metric", "model": "theirs.net:Config"}
    assert "variance" in (tmp_path / "r" / "digits" / "table1.csv").read_text().partition("\n")[0]
    records = Store(tmp_path / "r", "digits").records()
    for r in records:
        assert same_cell(r, Vouched()).id == r.cell
    assert not stale_lines(records, METRICS, Vouched())
    findings = list(verify(tmp_path / "r", cells=3, seed=0))
    assert [f.text for f in findings if f.good is False and "is not what" not in f.text] == []
    assert sum("made again" in f.text for f in findings) == 3
    again = run(models, metrics=metrics, options=SMALL, results=tmp_path / "r", **QUICK)
    assert list(again["created"]) == list(made["created"])
    store, protocol = Store(tmp_path / "r", "digits"), Protocol(samples=150, draws=2)
    cell = cell_named("ours", load("digits"), store, seed=0, options=(), protocol=protocol)
    parts = why(cell, store, metrics_in(store.records()))
    assert {part.verdict for part in parts if part.name in ("fit", "samples", "parzen", metrics[1])} == {
        "reused: nothing it depends on has changed"
    }


def test_a_changed_helper_makes_the_rows_anew(theirs, tmp_path):
    def made(metrics=("theirs.scores:Metric",)):
        return run(["theirs.net:Config"], metrics=list(metrics), options=SMALL, results=tmp_path, **QUICK)

    before = made()
    theirs("part", "64", "16")
    records = Store(tmp_path, "digits").records()
    assert stale_lines(records, METRICS, Vouched()) == [records[0].name]
    after = made()
    assert set(before["weights"]).isdisjoint(after["weights"])
    theirs("scores", "/ real", "/ (2 * real)")
    assert stale_lines(Store(tmp_path, "digits").records(), METRICS, Vouched()) == [records[0].name]
    assert made()["value"].iloc[0] == pytest.approx(after["value"].iloc[0] / 2)


def test_rewritten_code_from_outside_is_vouched_for(theirs, tmp_path):
    def made():
        metrics = ["theirs.scores:Metric"]
        return run(["theirs.net:Config"], metrics=metrics, options=SMALL, results=tmp_path, **QUICK)

    before = made()
    theirs("net", "d, k = config.hidden, config.latent", "d, k = (config.hidden, config.latent + 0)")
    assert stale_lines(Store(tmp_path, "digits").records(), METRICS, Vouched())
    assert all(f.good for f in vouch(tmp_path))
    assert not stale_lines(Store(tmp_path, "digits").records(), METRICS, read_vouched(tmp_path))
    assert list(made()["created"]) == list(before["created"])


def test_worker_processes_import_them(theirs, tmp_path):
    data_file("return {'images': np.random.default_rng(0).random((400, 6, 5))}")
    theirs()
    asked = {"dataset": "theirs.data:load", "metrics": ["parzen", "theirs.scores:Metric"]}
    made = run(["theirs.net:Config"], options=SMALL[:1], results=tmp_path, jobs=1, **asked, **QUICK)
    assert set(made["status"]) == {"ok"}


def test_configs_and_metrics_by_name_from_python(theirs, tmp_path):
    net = importlib.import_module("theirs.net")
    made = run(
        {"small": net.Config(hidden=8, epochs=1), "large": net.Config(hidden=16, epochs=1)},
        metrics=["parzen"],
        results=tmp_path,
        **QUICK,
    )
    assert [*dict.fromkeys(made["model"])] == ["small", "large"]
    for r in Store(tmp_path, "digits").records():
        assert same_cell(r, Vouched()).config.hidden == (8 if r.model == "small" else 16)


def test_a_source_that_a_model_from_outside_names_is_cited(theirs, tmp_path):
    entry = "@misc{theirs2026, title = {Theirs}}"
    theirs("net", "SOURCES: ClassVar[tuple[str, ...]] = ()", f"SOURCES: ClassVar = ({entry!r},)")
    run(["ours=theirs.net:Config"], metrics=["parzen"], options=["ours.epochs=1"], results=tmp_path, **QUICK)
    assert "theirs2026" in cite(results=tmp_path).bibtex
    assert "theirs2026" in cite(["theirs.net:Config"]).bibtex


def data_file(text):
    Path("theirs/data.py").write_text(f"import numpy as np\nimport torch\n\n\ndef load():\n    {text}\n")


def test_a_function_makes_a_data_set(theirs, tmp_path):
    data_file("return {'images': np.random.default_rng(0).random((60, 6, 5)), 'labels': np.arange(60) % 3}")
    theirs()
    made = run(["mean"], dataset="theirs.data:load", results=tmp_path, metrics=["parzen"], **QUICK)
    assert set(made["status"]) == {"ok"}
    assert {*made["dataset"]} == {"theirs.data:load"}
    again = run(["mean"], dataset="theirs.data:load", results=tmp_path, metrics=["parzen"], **QUICK)
    assert list(again["created"]) == list(made["created"])
    theirs("data", "default_rng(0)", "default_rng(1)")
    with pytest.raises(BenchError, match="content"):
        run(["mean"], dataset="theirs.data:load", results=tmp_path, metrics=["parzen"], **QUICK)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("return 3", "returned a int, expected arrays by name"),
        ("return {'x': [[1], [1, 2]]}", "inhomogeneous"),
        ("return {'images': torch.rand(30, 4, 4), 'labels': 'no'}", "labels"),
        ("return 1 / 0", "raised ZeroDivisionError: division by zero"),
        ("return {'images': np.array([None] * 30)}", "holds Python objects"),
        ("return {'images': 255 * torch.rand(30, 1, 4, 4)}", r"expected floats in \[0, 1\]; save x / 255"),
    ],
)
def test_what_is_wrong_with_a_function_is_one_line(text, said, theirs):
    data_file(text)
    theirs()
    with pytest.raises(BenchError, match=said) as caught:
        load("theirs.data:load")
    is_one_line(str(caught.value))


def test_names_are_looked_up_here_then_among_installed_packages(theirs, monkeypatch):
    offered(monkeypatch, vae="theirs.net:Config", lab="theirs.net:Config", broken="nowhere.at:All")
    found = models_named(["vae", "lab", "other=theirs.net:Config"])
    assert found["vae"] == MODELS["vae"]
    assert type(found["lab"]).__module__ == "theirs.net"
    assert found["other"] == found["lab"]
    with pytest.raises(BenchError, match=r"nowhere.at:All: no module 'nowhere'"):
        models_named(["broken"])
    with pytest.raises(UnknownName, match=r"did you mean 'lab'.*module:Object"):
        models_named(["lob"])


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("theirs.nett:Config", "no module 'theirs.nett'"),
        ("theirs.net:Confg", "did you mean 'Config'"),
        ("theirs.bad:Config", "ZeroDivisionError: division by zero .*bad.py, line 1"),
        ("theirs.syntax:Config", "SyntaxError"),
        ("theirs.lacks:Config", "theirs.lacks imports nowhere_at_all, which is not installed"),
        ("theirs.leaves:Config", "SystemExit"),
        ("theirs.net:WIDTH", "int is no frozen dataclass"),
        ("theirs.net:Net", "cannot be made without arguments"),
        ("theirs.odd:Thawed", "Thawed is no frozen dataclass"),
        ("theirs.odd:Unbuilt", "has no build"),
        ("theirs.odd:Holds", "field net holds a list"),
        ("theirs.odd:Text", "SAMPLING is a str, expected a tuple"),
        ("vae=theirs.net:Config", "vae is the name of a registered one"),
        ("v\u0430e=theirs.net:Config", "prints like 'vae'"),
        ("=theirs.net:Config", "expected NAME=module:Object"),
        ("a:b=theirs.net:Config", "expected NAME=module:Object"),
        ("a=theirs", "expected module:Object"),
    ],
)
def test_what_is_wrong_with_a_model_is_one_line(spec, text, theirs):
    Path("theirs/bad.py").write_text("1 / 0\n")
    Path("theirs/syntax.py").write_text("def (:\n")
    Path("theirs/lacks.py").write_text("import nowhere_at_all\n")
    Path("theirs/leaves.py").write_text("raise SystemExit(3)\n")
    Path("theirs/odd.py").write_text(
        "from dataclasses import dataclass, field\n"
        "@dataclass\nclass Thawed:\n    lr: float = 1.0\n"
        "@dataclass(frozen=True)\nclass Unbuilt:\n    lr: float = 1.0\n"
        "@dataclass(frozen=True)\nclass Holds:\n    net: list = field(default_factory=list)\n"
        "@dataclass(frozen=True)\nclass Text:\n    SAMPLING = 'lr'\n    def build(self, shape): ...\n"
    )
    theirs()
    with pytest.raises(BenchError, match=text) as caught:
        models_named([spec])
    is_one_line(str(caught.value))


def test_what_is_wrong_with_a_metric_is_one_line(theirs):
    with pytest.raises(BenchError, match="Config has no needs and no min_samples and no __call__"):
        metrics_named(["theirs.net:Config"])


def test_a_name_given_to_two_models_is_refused(theirs):
    with pytest.raises(BenchError, match=r"got theirs.net:Config and theirs.scores:Metric"):
        models_named(["a=theirs.net:Config", "a=theirs.scores:Metric"])


def test_an_installed_package_is_followed_from_its_own_models_alone(theirs, tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "installed_lab").mkdir(parents=True)
    (site / "installed_lab" / "__init__.py").write_text("")
    (site / "installed_lab" / "net.py").write_text("from installed_lab.part import WIDTH\nimport torch\n")
    (site / "installed_lab" / "part.py").write_text("WIDTH = 64\n")
    monkeypatch.syspath_prepend(str(site))
    installed = packages._installed()
    monkeypatch.setattr(packages, "_installed", lambda: [site, *installed])
    Path("theirs/user.py").write_text("from installed_lab import part\nWIDTH = part.WIDTH\n")
    theirs()
    assert "installed_lab.part" in code_digests("installed_lab.net")
    assert "installed_lab.part" not in code_digests("theirs.user")


def test_versions_of_what_they_import_count_but_not_of_what_this_project_needs(theirs, monkeypatch):
    Path("theirs/user.py").write_text("import torch, numpy, pytest, json\nfrom hypothesis import given\n")
    theirs()
    found = {name for name in code_digests("theirs.user") if name.startswith("package ")}
    assert found == {"package pytest", "package hypothesis"}
    before = code_digests("theirs.user")
    real = packages.version
    monkeypatch.setattr(packages, "version", lambda name: "0" if name == "pytest" else real(name))
    forget()
    after = code_digests("theirs.user")
    assert {name for name in before if before[name] != after[name]} == {"package pytest"}


def test_where_a_module_imports_by_a_computed_name_its_whole_package_counts(theirs):
    Path("theirs/user.py").write_text(
        "import importlib\npart = importlib.import_module('theirs.' + 'part')\n"
    )
    theirs()
    before = code_digests("theirs.user")
    theirs("part", "64", "16")
    assert code_digests("theirs.user") != before
    plain = code_digests("theirs.scores")
    theirs("user", "part = ", "other = ")
    assert code_digests("theirs.scores") == plain


def test_what_is_imported_if_it_is_there_may_be_absent(theirs):
    text = "try:\n    import theirs.fast as fast\nexcept ImportError:\n    fast = None\nf = fast\n"
    Path("theirs/user.py").write_text(text)
    theirs()
    absent = code_digests("theirs.user")
    Path("theirs/fast.py").write_text("def f(): ...\n")
    theirs()
    assert code_digests("theirs.user") != absent


def test_the_mode_of_a_net_is_no_computed_name(theirs):
    Path("theirs/user.py").write_text("def score(net, x):\n    net.eval()\n    return net(x)\n")
    theirs()
    assert not any(name.startswith("all of") for name in code_digests("theirs.user"))


def test_a_machine_of_a_cluster_gets_their_packages(theirs, tmp_path):
    Path("alone.py").write_text("from theirs.part import WIDTH\n")
    theirs()
    lay_out(tmp_path / "sent", ["alone", "genmodel_bench.models.autoencoders.vae"])
    there = {path.relative_to(tmp_path / "sent").as_posix() for path in (tmp_path / "sent").rglob("*.py")}
    assert {"alone.py", "theirs/net.py", "genmodel_bench/models/autoencoders/vae.py"} <= there
    assert "torch/__init__.py" not in there


def test_the_installed_command_imports_from_the_folder_it_is_typed_in(theirs):
    script = Path(sys.executable).parent / "bench"
    command = [script, "run", "theirs.net:Config", "--dry-run", "--seeds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode == 0, done.stderr
    assert "theirs.net:Config" in done.stdout


def test_a_model_that_lacks_a_method_is_refused_before_it_is_trained(theirs, tmp_path):
    theirs("net", "def sample(self", "def draw(self")
    with pytest.raises(BenchError, match=r"cannot be built.*sample") as caught:
        run(["theirs.net:Config"], results=tmp_path, **QUICK)
    is_one_line(str(caught.value))


def test_new_overwrites_nothing_and_wants_a_module_name(theirs):
    for name, text in (
        ("theirs.net", "is there already"),
        ("3x", "name of a module"),
        ("a/b", "name of a module"),
    ):
        with pytest.raises(BenchError, match=text):
            new("model", name)


def test_what_new_writes_keeps_its_promises(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new("model", "mine.net")
    new("metric", "scores")
    monkeypatch.syspath_prepend(str(tmp_path))
    tests = [
        test
        for path in tmp_path.rglob("test_*.py")
        for name, test in runpy.run_path(str(path)).items()
        if name.startswith("test_")
    ]
    assert len(tests) == 2
    for test in tests:
        test()


def test_a_module_that_is_reloaded_is_read_again(theirs, tmp_path):
    net, part = (importlib.import_module(f"theirs.{name}") for name in ("net", "part"))

    def made():
        return run({"ours": net.Config(epochs=1)}, metrics=["parzen"], results=tmp_path, **QUICK)

    before = made()
    for module, file, old, now in (
        (part, "theirs/part.py", "64", "16"),
        (net, "theirs/net.py", "|x − decode(encode(x))|²", "the error"),  # a docstring: nothing changes
        (net, "theirs/net.py", "nn.ReLU()", "nn.Tanh()"),
    ):
        Path(file).write_text(Path(file).read_text().replace(old, now))
        importlib.reload(module)
        importlib.reload(net)
        after = made()
        assert (before["weights"].iloc[0] == after["weights"].iloc[0]) == ("error" in now)
        before = after


def test_classes_of_one_kind_share_no_training(theirs, tmp_path):
    source = Path("theirs/net.py")
    text = source.read_text().replace(
        "hidden: int = WIDTH", 'KIND: ClassVar[str] = "ae"\n    hidden: int = WIDTH'
    )
    narrow = "class Narrow(Config):\n    def build(self, shape: Shape) -> Net:\n"
    source.write_text(f"{text}\n\n@dataclass(frozen=True)\n{narrow}        return Net(Config(4, 2), shape)\n")
    theirs()
    models = ["a=theirs.net:Config", "b=theirs.net:Narrow"]
    made = run(models, options=["a.epochs=1", "b.epochs=1"], results=tmp_path, metrics=["parzen"], **QUICK)
    assert made["weights"].nunique() == 2


@pytest.mark.parametrize("where", ["of a function", "of another class by its name"])
def test_a_class_that_its_module_has_not_is_refused(theirs, where):
    made = "def made(k):\n    @dataclass(frozen=True)\n    class Config:\n        def build(self, s): ...\n"
    text = f"from dataclasses import dataclass\n{made}    return Config\n\n"
    if where == "of a function":
        Path("theirs/closed.py").write_text(f"{text}Ours = made(3)\n")
    else:
        Path("theirs/closed.py").write_text(
            f"{text}Ours = made(3)\nOurs.__qualname__ = 'Other'\nclass Other: ...\n"
        )
    theirs()
    with pytest.raises(BenchError, match="define it at the top level") as caught:
        models_named(["theirs.closed:Ours"])
    is_one_line(str(caught.value))


@pytest.mark.parametrize("name", ["vae", "", " a", "a\nb", "v\u0430e", "a (epochs=3)", "a;b", "a=b"])
def test_a_name_from_python_is_held_to_what_is_typed(theirs, name):
    net = importlib.import_module("theirs.net")
    with pytest.raises(BadOption):
        models_named({name: net.Config()})
    if name == name.strip():
        with pytest.raises(BadOption):
            models_named([f"{name}=theirs.net:Config"])


def test_a_metric_of_this_project_is_not_taken_for_another(theirs):
    with pytest.raises(BadOption, match="parzen is the name of a registered one"):
        metrics_named({"parzen": METRICS["histogram"]})
    assert metrics_named(METRICS) == METRICS


def test_a_model_is_not_called_as_somebodys_samples_are(theirs, tmp_path):
    score(
        torch.rand(150, 64),
        dataset="digits",
        name="ours",
        results=tmp_path,
        figures=False,
        metrics=["parzen"],
    )
    with pytest.raises(BadOption, match="is the row of samples"):
        run(["ours=theirs.net:Config"], options=["ours.epochs=1"], results=tmp_path, **QUICK)
    usual = {"dataset": "digits", "seeds": 1, "options": (), "protocol": Protocol(), "data": None}
    with pytest.raises(BadOption, match="is the row of samples"):  # a dry run says so too
        list(preview(["ours=theirs.net:Config"], results=tmp_path, **usual))


def test_files_that_a_metric_names_count(theirs, tmp_path):
    theirs("scores", "SOURCES: ClassVar", 'INPUTS: ClassVar = ("weights",)\n    SOURCES: ClassVar')
    keys = []
    for content in "ab":
        Path("theirs/weights").write_text(content)
        (metric,) = metrics_named(["theirs.scores:Metric"]).values()
        keys.append(metric_ingredients("theirs", metric, dataset="digits", draws=1))
    assert keys[0] != keys[1]
    Path("theirs/weights").unlink()
    with pytest.raises(BenchError, match="INPUTS names weights, which cannot be read"):
        metric_ingredients("theirs", metric, dataset="digits", draws=1)


def test_a_field_that_a_config_computes_is_computed_again(theirs, tmp_path):
    theirs(
        "net",
        "    lr: float = 1e-3\n",
        "    lr: float = 1e-3\n    size: int = field(init=False, default=3)\n",
    )
    theirs("net", "import dataclass\n", "import dataclass, field\n")
    run(["theirs.net:Config"], options=SMALL, results=tmp_path, metrics=["parzen"], **QUICK)
    assert all(same_cell(r, Vouched()) for r in Store(tmp_path, "digits").records())


def test_other_data_in_a_worker_are_no_rows(theirs, tmp_path):
    Path("theirs/data.py").write_text(
        "import os\nimport numpy as np\n\n\ndef drawn():\n"
        "    return {'images': np.random.default_rng(os.getpid()).random((400, 8, 8))}\n"
    )
    theirs()
    with pytest.raises(BenchError, match="its content was another when it was loaded again"):
        run(["mean"], dataset="theirs.data:drawn", results=tmp_path, jobs=1, **QUICK)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ('SETTINGS: ClassVar = {"digits": {"widht": 3}}', "SETTINGS for digits: widht is no field"),
        ('SAMPLING: ClassVar = ("widht",)', "SAMPLING: widht is no field"),
        ("BOUNDS: ClassVar = [3]", "BOUNDS, expected the lowest and highest"),
        ("rate: float = float('nan')", "rate holds a float that cannot be stored"),
        ("rate: float = float('-inf')", "rate holds a float that cannot be stored"),
        (r"name: str = '\udc80'", "name holds a str that cannot be stored"),
    ],
)
def test_what_would_fail_after_the_training_is_refused_before(theirs, said, match):
    theirs("net", "lr: float = 1e-3", f"lr: float = 1e-3\n    {said}")
    with pytest.raises(BenchError, match=match) as caught:
        models_named(["theirs.net:Config"])
    is_one_line(str(caught.value))


@pytest.mark.parametrize("value", ["None", "'x'"])
def test_a_batch_size_that_is_no_number_is_one_line(theirs, value):
    theirs("net", "batch_size: int = 100", f"batch_size: int = {value}")
    with pytest.raises(BenchError, match="expected an int"):
        models_named(["theirs.net:Config"])


def test_columns_that_are_none_are_refused_before_the_training(theirs):
    theirs("scores", "SOURCES: ClassVar", "columns: ClassVar = ['variance']\n    SOURCES: ClassVar")
    with pytest.raises(BenchError, match="columns, expected a Column"):
        metrics_named(["theirs.scores:Metric"])


@pytest.mark.parametrize("head", [b"# -*- coding: latin-1 -*-\n# \xe9\n", b"\xef\xbb\xbf"])
def test_code_is_read_in_its_own_encoding(theirs, head):
    plain = code_digests("theirs.net")
    source = Path("theirs/part.py")
    source.write_bytes(head + source.read_bytes())
    theirs()
    assert code_digests("theirs.net") == plain


def test_too_few_samples_name_the_metric_that_needs_more(theirs, tmp_path):
    theirs("scores", "min_samples: int = 2", "min_samples: int = 9000")
    with pytest.raises(BadOption, match=r"at least 9000, which theirs\.scores:Metric needs"):
        run(["mean"], metrics=["theirs.scores:Metric"], results=tmp_path, **QUICK)


@pytest.mark.parametrize("name", ["class", "numpy", "json.ae", "sys", "genmodel_bench.ae"])
def test_a_module_that_python_has_already_is_not_begun(tmp_path, name):
    with pytest.raises(BadOption) as caught:
        new("model", name, tmp_path)
    is_one_line(str(caught.value))
    assert not [*tmp_path.iterdir()]


def test_a_module_is_not_hidden_by_a_package(tmp_path):
    (tmp_path / "lab.py").write_text("x = 1\n")
    with pytest.raises(BadOption, match="which a folder of its name would hide"):
        new("model", "lab.ae", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lab.py"]


def test_a_module_is_begun_in_a_package_that_is_there(theirs):
    assert [str(path) for path in new("model", "theirs.other")] == ["theirs/other.py", "test_other.py"]


@pytest.mark.parametrize("models", [[], {}])
def test_no_models_are_not_all_models(tmp_path, models):
    with pytest.raises(BadOption, match="models: got none"):
        run(models, results=tmp_path, **QUICK)


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("raise SystemExit(4)", "raised SystemExit: 4"),
        ("raise RuntimeError('no')", "raised RuntimeError: no"),
    ],
)
def test_a_function_of_data_that_ends_is_one_line(theirs, does, said):
    Path("theirs/data.py").write_text(f"def made():\n    {does}\n")
    with pytest.raises(BenchError) as caught:
        load("theirs.data:made")
    assert str(caught.value) == f"theirs.data:made: {said}"


def test_a_function_may_return_bfloat16(theirs):
    Path("theirs/data.py").write_text(
        "import torch\n\n\ndef made():\n"
        "    x = torch.rand(400, 8, 8, generator=torch.Generator().manual_seed(0))\n"
        "    return {'images': x.bfloat16()}\n"
    )
    assert load("theirs.data:made").train.dtype == torch.float32


def test_a_module_that_changes_folder_leaves_results_where_they_are(theirs, tmp_path):
    here = os.getcwd()
    theirs("net", "import torch\n", f"import torch\nimport os\nos.chdir({str(tmp_path)!r})\n")
    models_named(["theirs.net:Config"])
    assert os.getcwd() == here


def test_settings_that_a_config_refuses_are_one_line(theirs, tmp_path):
    refuses = (
        "def __post_init__(self):\n        if self.epochs == 3:\n            raise ValueError('not three')\n"
    )
    settings = "SETTINGS: ClassVar = {'digits': {'epochs': 3}}"
    theirs("net", "    def build", f"    {settings}\n\n    {refuses}\n    def build")
    with pytest.raises(BadOption, match="SETTINGS for digits: not three"):
        run(["theirs.net:Config"], results=tmp_path, **QUICK)
