"""The package as users have it: built, installed beside their folders, run anywhere."""

import csv
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
QUICK = ("run", "mean", "gaussian", "--seeds", "1", "--samples", "150", "--no-figures", "--device", "cpu")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist and the wheel built from it, as `python -m build` makes them."""
    folder, source = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("source") / "clone"
    others = shutil.ignore_patterns(".git", ".tox", ".cache", "build", "dist", "*.egg-info", "__pycache__")
    # setuptools builds in the folder itself: not in one that others use
    shutil.copytree(ROOT, source, ignore=others)
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", folder, source], check=True, capture_output=True
    )
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture
def neighbour(built, tmp_path):
    """Another project under git, with the wheel in its environment.

    Returns its folder, the environment's, and a function that starts Python in it.
    """
    site = tmp_path / ".venv" / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, built[1]]
    subprocess.run(install, check=True, capture_output=True)
    (tmp_path / ".gitignore").write_text(".venv\n")
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (("init", "-q"), ("add", "-A"), (*author, "commit", "-qm", "theirs")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)

    def start(*args, script=None):
        command = [sys.executable, script] if script else [sys.executable]
        environment = {**os.environ, "PYTHONPATH": str(site), "NO_COLOR": "1"}
        done = subprocess.run(
            [*command, *args], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return tmp_path, site, start


def test_the_wheel_has_one_package_and_everything_in_it(built):
    names = zipfile.ZipFile(built[1]).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "genmodel_bench",
        f"genmodel_bench-{built[1].name.split('-')[1]}.dist-info",
    }
    for package in ("bench", "models", "metrics"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(ROOT / "bench") if package == "bench" else path.relative_to(ROOT)
                assert f"genmodel_bench/{name.as_posix()}" in names
    shipped = {name.removeprefix("genmodel_bench/shipped/") for name in names if "/shipped/" in name}
    assert shipped == {
        "equivalent.json",
        *(f"{name}/runs.csv.xz" for name in ("fashion-mnist", "mnist", "mnist-larochelle", "olivetti")),
    }
    assert built[1].stat().st_size < 1_000_000


@pytest.mark.parametrize("packages", [False, True], ids=["folders without __init__", "packages"])
def test_beside_a_project_with_folders_of_the_same_names_both_work(neighbour, packages):
    folder, site, start = neighbour
    for name in ("models", "metrics", "bench"):
        (folder / name).mkdir()
        (folder / name / "unet.py").write_text(f"name = 'their {name}'\n")
        if packages:
            (folder / name / "__init__.py").write_text("")
    theirs = (
        "import models.unet, metrics.unet, bench.unet; "
        "print(models.unet.name, metrics.unet.name, bench.unet.name)"
    )
    assert start("-c", theirs) == "their models their metrics their bench\n"
    ours = (
        "import genmodel_bench; print(genmodel_bench.__file__); "
        "from genmodel_bench import run; from genmodel_bench.models import MODELS"
    )
    assert start("-c", ours).strip() == str(site / "genmodel_bench" / "__init__.py")
    assert "mean" in start("-m", "genmodel_bench", *QUICK, "--jobs", "2")
    assert "[reused]" in start(*QUICK, script=site / "bin" / "bench")
    assert not (folder / "results").exists()
    with (folder / "bench-results" / "digits" / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # the environment is inside their repository: its commit is not ours, and our version
    # is recorded
    assert {row["commit"] for row in rows} == {""}
    assert {row["version"] for row in rows} == {built_version(site)}
    assert start("-c", theirs) == "their models their metrics their bench\n"


def test_rows_that_come_with_the_wheel_stand_beside_ones_own(neighbour):
    folder, _, start = neighbour
    (folder / "results" / "mnist").mkdir(parents=True)  # theirs, not ours
    (folder / "results" / "mnist" / "runs.csv").write_text("theirs\n")
    script = (
        "from pathlib import Path\n"
        "from genmodel_bench.commands.report import report\n"
        "from genmodel_bench.report.tables.published import CONTENT\n"
        "from genmodel_bench.storage.beside import stand_beside, standing_beside\n"
        "from genmodel_bench.storage.record import Record\n"
        "from genmodel_bench.storage.store import Store\n"
        "store = Store(Path('bench-results'), 'mnist')\n"
        "score = {'metric': 'parzen', 'quantity': 'log_likelihood', 'value': 1.0, 'stderr': 1.0, 'n': 9}\n"
        "settings = {'metric_settings': '{\"sigma\": 0.2}', 'dataset_digest': CONTENT['mnist']}\n"
        "row = Record('mnist', 'mine', role='samples', samples=10_000, **score, **settings)\n"
        "store.append([row.sealed()])\n"
        "stand_beside(store, standing_beside(store, CONTENT['mnist'], None))\n"
        "report('bench-results', figures=False)\n"
    )
    start("-c", script)
    table = (folder / "bench-results" / "mnist" / "table1.md").read_text()
    assert "| mine" in table
    assert "| gan-ns (epochs=200)" in table
    assert "shipped, not made here" in table


def built_version(site):
    (info,) = site.glob("genmodel_bench-*.dist-info")
    return info.name.removeprefix("genmodel_bench-").removesuffix(".dist-info")


def test_the_sdist_holds_tests_that_run(built, tmp_path):
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    for name in (
        "README.md",
        "ARCHITECTURE.md",
        "LICENSE",
        "CITATION.cff",
        "tox.ini",
        "tests/conftest.py",
        "benchmarks/ratios.json",
    ):
        assert (source / name).exists(), name
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, source],
        check=True,
        capture_output=True,
    )
    some = [
        "tests/test_cell.py",
        "tests/test_store.py",
        "tests/test_imports.py",
        "tests/test_report.py",
        "tests/test_vae.py",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *some],
        cwd=source, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
