"""What `bench cite` prints is BibTeX of all that is used, each source once."""

import ast
import itertools
import re
import shutil
import signal
import subprocess
import sys
import unicodedata
from importlib.metadata import version
from pathlib import Path

import pytest
from genmodel_bench.cli.main import main
from genmodel_bench.commands.cite import TOOL, cite, sources_by_name, tool_source
from genmodel_bench.data.registry import DATASETS, SOURCES
from genmodel_bench.errors import BenchError, UnknownName
from genmodel_bench.metrics import METRICS
from genmodel_bench.models import MODELS
from genmodel_bench.report.bibliography import bibliography, escaped
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store
from genmodel_bench.storage.syntax import walked

ROOT = Path(__file__).parents[1]
NAMES = [*MODELS, *METRICS, *DATASETS]
NEEDED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "techreport": {"author", "title", "institution", "year"},
    "mastersthesis": {"author", "title", "school", "year"},
    "phdthesis": {"author", "title", "school", "year"},
    "book": {"author", "title", "publisher", "year"},
    "misc": {"author", "title"},
}
"""The fields that BibTeX's standard styles ask for, by type of entry."""
SURNAME_FIRST = re.compile(r"[^,{}]*(\{[^,]*\}[^,{}]*)*, [^,]+|\{\{.*\}\}|\{.*\}")


def read_strictly(text):
    """The entries of a .bib file by key; anything but what BibTeX surely reads fails."""
    assert text.isascii()
    found, place = {}, 0
    while (at := text.find("@", place)) >= 0:
        head = re.compile(r"@([a-z]+)\{([A-Za-z0-9:.+/-]+),\n").match(text, at)
        assert head, text[at : at + 60]
        fields, place = {}, head.end()
        while not text.startswith("}\n", place):
            name = re.compile(r"  ([a-z]+) = (?=\{)").match(text, place)
            assert name, text[place : place + 60]
            depths = itertools.accumulate(
                {"{": 1, "}": -1}.get(c, 0) for c in re.sub(r"\\[{}]", "xx", text[name.end() :])
            )
            length = next(i for i, depth in enumerate(depths) if depth == 0) + 1
            value, place = text[name.end() : name.end() + length], name.end() + length
            assert name[1] not in fields
            assert not re.search(r"(?<!\\)[&%$#_]|[\n@]", value), value
            fields[name[1]] = value[1:-1]
            after = re.compile(r",\n(?=  )|\n(?=\})").match(text, place)
            assert after, text[place : place + 60]
            place = after.end()
        place += 2
        assert NEEDED[head[1]] <= fields.keys(), head[2]
        for author in fields["author"].split(" and "):
            assert author == "others" or SURNAME_FIRST.fullmatch(author), author
        assert re.fullmatch(r"\d{4}", fields.get("year", "2000"))
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields.get("eprint", "1234.5678"))
        assert head[2].lower() not in found, head[2]
        found[head[2].lower()] = fields
    return found


@pytest.fixture
def bench(monkeypatch, capsys):
    """Runs a command in this process: its exit code, stdout and stderr."""
    before = signal.getsignal(signal.SIGINT)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err  # exit() and exit(0) are the same

    yield run
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def results(tmp_path):
    """Records of two data sets, with a user's samples and a metric that is not ours."""
    rows = [
        Record("mnist", "gan-ns", metric="parzen", value=1.0, samples=10),
        Record("mnist", "gan-ns", metric="neighbours", status="n/a: needs more", samples=10),
        Record("mnist", "noise", role="samples", metric="parzen", value=1.0, samples=10),
        Record("olivetti", "vae", metric="theirs", value=1.0, samples=10),
    ]
    for row in rows:
        Store(tmp_path, row.dataset).append([row.sealed()])
    return tmp_path


def under(text):
    """The names that each entry stands under, by key."""
    return dict(
        (key.lower(), names.split(", ")) for names, key in re.findall(r"^% (.*)\n@\w+\{(.*),$", text, re.M)
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_registered_entry_says_what_to_cite_and_it_is_bibtex(name):
    found = cite([name])
    assert found.left_out == []
    entries = read_strictly(found.bibtex)
    # A metric may be our own; models and data sets are others'.
    assert name in METRICS or len(entries) > 1, "the tool's entry alone"


def test_no_source_is_of_a_data_set_that_does_not_exist():
    assert SOURCES.keys() <= DATASETS.keys()


def test_no_paper_has_two_entries_and_no_key_two_papers():
    entries = read_strictly(cite(NAMES).bibtex)
    titles = [re.sub(r"[^a-z]", "", fields["title"].lower()) for fields in entries.values()]
    assert len(set(titles)) == len(titles)
    assert not [key for key in entries if re.search(r"-\d+$", key)]


def test_an_entry_comes_once_under_all_that_it_is_a_source_of():
    text = cite(["parzen", "gan-mm", "gan-ns", "mnist", "gan-ns"]).bibtex
    assert under(text)["goodfellow2014generative"] == ["gan-ns", "gan-mm", "parzen"]
    assert text == cite(["mnist", "gan-ns", "gan-mm", "parzen"]).bibtex
    assert next(iter(under(text).values())) == [TOOL]


def test_what_the_records_use_is_cited_and_what_has_no_source_is_named(results):
    found = cite(results=results)
    cited = {name for names in under(found.bibtex).values() for name in names}
    assert cited == {TOOL, "gan-ns", "vae", "parzen", "mnist", "olivetti"}
    assert found.left_out == ["noise", "theirs"]
    one = cite(results=results, dataset="olivetti")
    assert {name for names in under(one.bibtex).values() for name in names} == {TOOL, "vae", "olivetti"}
    assert one.left_out == ["theirs"]


def test_a_metric_of_ones_own_is_cited_like_a_registered_one(results):
    class Theirs:
        SOURCES = ("@misc{me, author = {Müller, Anna}, title = {A {Metric}}}",)

    found = cite(results=results, metrics=METRICS | {"theirs": Theirs()})
    assert read_strictly(found.bibtex)["me"] == {"author": r"M{\"{u}}ller, Anna", "title": "A {Metric}"}
    assert found.left_out == ["noise"]
    Theirs.SOURCES = ()  # nothing to cite is not the same as unknown
    found = cite(results=results, metrics=METRICS | {"theirs": Theirs()})
    assert "theirs" not in found.bibtex
    assert found.left_out == ["noise"]


def test_the_command_prints_bibtex_alone_on_stdout(bench, results):
    code, out, err = bench("cite", "--results", results)
    assert (code, out) == (0, cite(results=results).bibtex)
    assert err == "bench: left out, no source is known: noise, theirs\n"
    code, out, err = bench("cite", "mnist", "folder:/x", "--results", results)
    assert (code, out) == (0, cite(["mnist"]).bibtex)
    assert err == "bench: left out, no source is known: folder:/x\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["gan-nss"], "unknown model, metric or data set 'gan-nss'; did you mean 'gan-ns'? known: "),
        (["mnist", "parsen"], "'parsen'; did you mean 'parzen'?"),
        (["--dataset", "mnst"], "'mnst'; did you mean 'mnist'?"),
        (["vae", "--dataset", "mnist"], "got names and --dataset, expected one of them"),
        (["--results", "nowhere"], "no records under nowhere; name what you use, as in `bench cite "),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(args, message, bench, results):
    code, out, err = bench("cite", *(args if "--results" in args else [*args, "--results", results]))
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_an_unknown_name_is_an_error_of_its_own():
    with pytest.raises(UnknownName):
        cite(["vaee"])


def test_a_key_that_another_entry_has_is_made_another():
    texts = {
        "a": ["@misc{Key, author = {{A}}, title = {One}}"],
        "b": ["@misc{KEY, author = {{A}}, title = {Two}}", "@misc{Key, author={{A}}, title={One},\n}"],
        "c": ["@misc{key, author = {{A}}, title = {Three}}"],
    }
    text = bibliography(texts)
    titles = {key: fields["title"] for key, fields in read_strictly(text).items()}
    assert titles == {"key": "One", "key-2": "Two", "key-3": "Three"}
    assert under(text)["key"] == ["a", "b"]


def test_a_name_never_begins_an_entry():
    assert len(read_strictly(bibliography({"@misc{x,": ["@misc{y, author = {{A}}, title = {T}}"]}))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Goodfellow et al. (2014)",
        "@misc{key}",
        "@misc{key, title}",
        "@misc{key, title = {T}",
        "@misc{key, title = {T}}}",
        "@misc{key, title = {T{}}",
        "@misc{key, title = {T} year = {2014}}",
        "@misc{key, title = {T}, title = {U}}",
        "@misc{a key, title = {T}}",
        "@misc{key, title = {T}} @misc{other, title = {T}}",
        "@misc{key, title = T\x1b\n}",
    ],
)
def test_what_is_not_one_entry_is_refused_by_name(text):
    with pytest.raises(BenchError, match=r"^mine: a source is not one BibTeX entry") as error:
        bibliography({"mine": [text]})
    assert str(error.value).isprintable()


def test_a_whole_number_needs_no_braces():
    text = bibliography({"a": ["@misc{k, author = {{A}}, title = {T}, year = 2014}"]})
    assert read_strictly(text)["k"]["year"] == "2014"


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("Éric", r"{\'{E}}ric"),
        ("Grégoire", r"Gr{\'{e}}goire"),
        ("Aäron", r"A{\"{a}}ron"),
        ("Bjørn Åström", r"Bj{\o}rn {\r{A}}str{\"{o}}m"),
        ("Łukasz Weiß", r"{\L}ukasz Wei{\ss}"),
        ("Alpaydın, Çağ", r"Alpayd{\i}n, {\c{C}}a{\u{g}}"),
        ("Dvořák", r"Dvo{\v{r}}{\'{a}}k"),
        ("Nguyễn", r"Nguy{\~{\^{e}}}n"),
        ("1771–1800", "1771--1800"),
        ("plain, {K}ept \\'{e}", "plain, {K}ept \\'{e}"),
        ("數", "數"),
    ],
)
def test_letters_beyond_ascii_are_written_for_latex(text, latex):
    for form in ("NFC", "NFD"):  # an accent may be a character of its own
        assert escaped(unicodedata.normalize(form, text)) == latex


def test_every_letter_of_latin_1_is_ascii_for_latex():
    letters = [chr(c) for c in range(0xC0, 0x100) if chr(c).isalpha()]
    assert len({escaped(c) for c in letters}) == len(letters)
    assert all(escaped(c).isascii() for c in letters)


def test_the_tool_is_cited_as_citation_cff_says():
    said = (ROOT / "CITATION.cff").read_text()
    (entry,) = read_strictly(bibliography({TOOL: [tool_source()]})).values()
    assert f'title: "{entry["title"]}"' in said
    assert f'name: "{entry["author"].strip("{}")}"' in said
    assert entry["note"] == f"Version {version(TOOL)}"
    paper = cite(["parzen"]).bibtex
    for family, given in re.findall(r"family-names: (.*), given-names: (.*)\}", said):
        assert f"{family}, {given}" in paper


def named(node):
    """The name that an annotated assignment gives to something."""
    return node.target.id if isinstance(node, ast.AnnAssign) else ""


@pytest.mark.parametrize(
    "module",
    sorted({type(e).__module__ for e in [*MODELS.values(), *METRICS.values()] if hasattr(e, "SOURCES")}),
)
def test_sources_make_no_stored_number_stale(module):
    text = Path(sys.modules[module].__file__).read_text()
    tree = ast.parse(text)
    gone = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            kept = [n for n in node.body if "SOURCES" not in (getattr(n, "name", ""), named(n))]
            gone, node.body = gone + len(node.body) - len(kept), kept
    assert gone
    assert walked(ast.unparse(tree)).digest == walked(text).digest


@pytest.mark.skipif(not shutil.which("bibtex"), reason="no bibtex on this machine")
def test_bibtex_reads_every_source_without_a_warning(tmp_path):
    text = bibliography({TOOL: [tool_source()], **sources_by_name(MODELS, METRICS)})
    (tmp_path / "all.bib").write_text(text)
    (tmp_path / "all.aux").write_text("\\citation{*}\n\\bibstyle{plain}\n\\bibdata{all}\n")
    done = subprocess.run(["bibtex", "all"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "Warning" not in done.stdout, done.stdout
    listed = re.findall(r"\\bibitem\{(.*)\}", (tmp_path / "all.bbl").read_text())
    assert sorted(key.lower() for key in listed) == sorted(read_strictly(text))


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("bibtex") and shutil.which("pdflatex")), reason="no LaTeX on this machine"
)
def test_latex_sets_every_source_and_every_escape(tmp_path):
    letters = "".join(c for c in map(chr, range(0xC0, 0x180)) if escaped(c).isascii() and c.isalpha())
    extra = f"@misc{{letters, author = {{{{X}}}}, title = {{{{{letters}}}}}}}"
    text = bibliography({TOOL: [tool_source(), extra], **sources_by_name(MODELS, METRICS)})
    (tmp_path / "all.bib").write_text(text)
    (tmp_path / "all.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\begin{document}\\nocite{*}"
        "\\bibliographystyle{plain}\\bibliography{all}\\end{document}\n"
    )
    for command in (["pdflatex", "-interaction=batchmode", "-halt-on-error", "all"], ["bibtex", "all"]) * 2:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, (tmp_path / "all.log").read_text()[-2000:]
    log = (tmp_path / "all.log").read_text(errors="replace")
    assert "Missing character" not in log
    assert "Output written on all.pdf" in log
