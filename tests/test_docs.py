"""The pages of docs/ do what they say: their commands run, their links lead somewhere.

Each page's blocks marked `bash` are typed in order, in an empty folder, by a `bench` that
makes little work of it: few samples, tiny models, and an MNIST of noise.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.idx import write_random_mnist

ROOT = Path(__file__).parents[1]
PAGES = sorted(ROOT.glob("docs/*.md"))
QUICK = ("machines", "metric", "parzen", "performance", "tables")
BLOCK = re.compile(r"(?:^`(?P<path>[\w./-]+)`:\n\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```", re.M | re.S)
SHIM = f"""#!{sys.executable}
import sys
from dataclasses import replace
sys.path[:0] = [{str(ROOT / "tests")!r}]
from conftest import tiny
from genmodel_bench import models
from genmodel_bench.cli.main import main
from genmodel_bench.execution import pool
pool.usual_jobs = lambda device: 0  # in this process: another one would have to load torch
for name, config in models.MODELS.items():
    small = tiny(config)
    models.MODELS[name] = replace(small, batch_size=100) if hasattr(small, "batch_size") else small
    type(config).SETTINGS = {{}}
if sys.argv[1:2] in (["run"], ["why"]) and "--samples" not in sys.argv:
    sys.argv += ["--samples", "150"]
if sys.argv[1:2] == ["run"] and "--seeds" not in sys.argv:
    sys.argv += ["--seeds", "1"]
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def desk(tmp_path):
    """An empty folder in which `bench` is quick, what types lines there, a data root."""
    tools, data, folder = tmp_path / "tools", tmp_path / "data", tmp_path / "work"
    tools.mkdir()
    folder.mkdir()
    (tools / "bench").write_text(SHIM)
    (tools / "bench").chmod(0o755)
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "BENCH_DATA": str(data), "NO_COLOR": "1"}

    def typed(text):
        command = ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    return folder, typed, data


def marked(page):
    """A page as a parameter: those that take long have an environment of their own."""
    mark = pytest.mark.slow if page.stem in QUICK else pytest.mark.docs
    return pytest.param(page, marks=mark, id=page.stem)


@pytest.mark.parametrize("page", [marked(page) for page in PAGES])
def test_the_commands_of_a_page_run(page, desk):
    folder, typed, data = desk
    if "--dataset mnist" in page.read_text():
        write_random_mnist(data)
    for block in BLOCK.finditer(page.read_text()):
        match block["kind"], block["path"]:
            case "bash", _:
                typed(block["text"])
            case _, str(path):
                wanted = folder / path
                assert not wanted.exists() or wanted.read_text() == block["text"], f"{path} is another file"
                wanted.parent.mkdir(parents=True, exist_ok=True)
                wanted.write_text(block["text"])
            case "toml", _ if block["text"].startswith("claims"):
                (folder / "claims.toml").write_text(block["text"])
            case "python", _:
                typed(f"python - <<'END'\n{block['text']}END")


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_links_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


def test_the_readme_leads_to_every_page():
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES if f"docs/{page.name}" not in text] == []
    assert len(text) < 7_000  # two screens
    assert text.count("\n") < 100


@pytest.mark.parametrize(("page", "template"), [("model", "model"), ("metric", "metric")])
def test_the_example_is_what_bench_new_writes(page, template):
    source = (ROOT / "bench" / "commands" / "templates" / f"{template}.py").read_text()
    assert f"```python\n{source}```" in (ROOT / "docs" / f"{page}.md").read_text()
