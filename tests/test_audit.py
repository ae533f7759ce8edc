"""Does the audit say which orders a score gives, inverts and promises?"""

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import pytest
import torch
from genmodel_bench.cli.main import app
from genmodel_bench.commands import audit as command
from genmodel_bench.commands.audit import audit, sizes_of
from genmodel_bench.errors import BadOption
from genmodel_bench.execution.probes import PROBES, Halves
from genmodel_bench.metrics.base import Result, Score
from genmodel_bench.metrics.column import Column
from genmodel_bench.report.audit import best_for, effect, judged, said
from genmodel_bench.report.tables.audit import audit_as_markdown
from genmodel_bench.storage.audited import FILE, Audited, read_audit, write_audit
from typer.testing import CliRunner

ROW = Audited(
    "fd", "real", 500, 1, "abc", quantity="fd", n=500, value=1.0, stderr=0.3, unit="1", better="lower"
)


def row(probe, value, *, size=500, promises=(), table="quality", **more):
    said = json.dumps(asdict(Column("FD", "a distance", table=table, promises=tuple(promises))))
    return replace(ROW, probe=probe, value=value, size=size, **{"column": said, **more})


def test_rows_come_back_as_they_were_and_an_edited_one_is_left_out(tmp_path):
    rows = [ROW, replace(ROW, probe="5% copies", status='failed: "a", b\nc', value=float("nan"), draw_sd=0.1)]
    write_audit(tmp_path, rows)
    assert str(read_audit(tmp_path)) == str(rows)  # as text: NaN is not equal to itself
    path = tmp_path / FILE
    path.write_text(path.read_text().replace(",1.0,0.3", ",0.5,0.3"))
    assert [r.probe for r in read_audit(tmp_path)] == ["5% copies"]
    path.write_text("metric,quantity\nfd,fd\n")
    assert read_audit(tmp_path) == []
    assert read_audit(tmp_path / "absent") == []


def test_an_effect_is_in_standard_errors_and_positive_where_the_second_is_worse():
    lower = replace(ROW, value=1.0, stderr=0.3), replace(ROW, value=2.0, stderr=0.4)
    assert effect(*lower) == pytest.approx(2.0)
    higher = (replace(r, better="higher") for r in lower)
    assert effect(*higher) == pytest.approx(-2.0)
    drawn = replace(lower[1], draw_sd=0.6, draws=4, stderr=0.0)  # 0.6 / √4 is an error of 0.3
    assert effect(lower[0], drawn) == pytest.approx(1 / (0.3 * 2**0.5))
    exact = replace(ROW, stderr=0.0)
    assert effect(exact, exact) == 0.0
    assert effect(exact, replace(exact, value=1.1)) == 999.0


def test_orders_are_held_silent_or_inverted():
    rows = [
        row("real", 1.0),
        row("noisy", 9.0),
        row("blurred", 1.1),
        row("kmeans", -3.0),
        row("copies", 50.0),
    ]
    (found,) = judged(rows)
    assert found.found(500) == {"held": ["noisy"], "silent": ["blurred"], "inverted": ["kmeans"]}
    (found,) = judged([row(r.probe, r.value, table="memorisation") for r in rows])
    assert found.found(500) == {"held": ["copies"], "silent": [], "inverted": []}


def test_a_promise_is_broken_by_an_inversion_or_by_silence_at_the_largest_size():
    promises = [("real", "noisy"), ("5% copies", "copies")]

    def broken(small, large, **sizes):
        rows = [row("real", 1.0, size=s, promises=promises) for s in (400, 500)]
        (found,) = judged([*rows, row("noisy", small, size=400), row("noisy", large, size=500)])
        return found.broken

    assert broken(9.0, 9.0) == []
    assert broken(1.0, 9.0) == [], "silent, but not at the largest size"
    assert broken(9.0, 1.0) == [("real", "noisy", 500)]
    assert broken(-9.0, 9.0) == [("real", "noisy", 400)]
    few = [row("real", 1.0, size=100, promises=promises), row("noisy", -9.0, size=100)]
    assert judged(few)[0].broken == [], "no promise below 300 samples"
    assert said(judged([row("real", 1.0, promises=promises), row("noisy", 1.0)])[0]) == (
        "noisy not worse than real (N = 500)"
    )


def test_scores_without_column_direction_or_value_are_not_judged():
    rows = [row("real", 1.0, column="{}"), row("real", 1.0, quantity="b", better="neither")]
    assert judged([*rows, row("real", 1.0, quantity="c", status="failed: x")]) == []


def test_the_metric_of_a_purpose_finds_all_its_probes_and_inverts_none():
    def scores(quantity, noisy, blurred):
        values = {"real": 1.0, "noisy": noisy, "blurred": blurred}
        return [row(probe, value, quantity=quantity) for probe, value in values.items()]

    of = judged([*scores("blind", 9.0, 1.0), *scores("good", 5.0, 9.0), *scores("best", 7.0, 8.0)])
    found = best_for(of, ("noisy", "blurred"))
    assert [j.name[1] for j, _ in found] == ["best", "good"]
    assert found[1][1] == pytest.approx(4 / (0.3 * 2**0.5))
    worse = [row("real", 1.0, quantity="good", size=400), row("noisy", -9.0, quantity="good", size=400)]
    of = judged([*scores("good", 5.0, 9.0), *worse])
    assert best_for(of, ("noisy",)) == []


@dataclass(frozen=True)
class Light:
    """Mean grey level: blind to most of what the probes have."""

    needs: tuple = ()
    min_samples: int = 2
    columns: ClassVar = {
        "light": Column("light", "mean grey level", promises=(("real", "one class"), ("real", "copies")))
    }

    def __call__(self, subject, reference):
        sets = [subject.samples, *subject.redraws]
        means = torch.stack([x.mean() for x in sets])
        apart = float((means.mean() - reference.test.mean()).abs())
        error = float(subject.samples.flatten(1).mean(1).std()) / len(subject.samples) ** 0.5
        return Result({"light": Score(apart, error, "samples", len(subject.samples), "grey", "lower")})


@dataclass(frozen=True)
class Fails(Light):
    def __call__(self, subject, reference):
        raise ValueError("no luck")


def test_an_audit_scores_each_probe_once_and_marks_the_column(tmp_path, monkeypatch):
    torch.manual_seed(0)
    folder = audit(metrics={"light": Light()}, sizes=[50, 299], results=tmp_path, device="cpu", figures=False)
    rows = read_audit(folder)
    assert {(r.probe, r.size) for r in rows} == {(p, n) for p in PROBES for n in (50, 299)}
    assert {r.status for r in rows} == {"ok"}
    text = re.sub(" +", " ", (folder / "audit.md").read_text())
    assert "| light | Sample quality |" in text, "299 is too few to break a promise"

    def never(*args):
        raise AssertionError("scored again")

    monkeypatch.setattr(command, "scored", never)
    audit(metrics={"light": Light()}, sizes=[50, 299], results=tmp_path, device="cpu", figures=False)
    with pytest.raises(AssertionError, match="scored again"):
        audit(metrics={"light": Light()}, sizes=[300], results=tmp_path, device="cpu", figures=False)


def test_a_broken_promise_marks_the_column_in_every_table(tmp_path):
    from flat import run

    settings = {"metrics": {"light": Light()}, "results": tmp_path, "device": "cpu", "figures": False}
    run(["mean"], samples=100, draws=1, seeds=1, **settings)
    folder = audit(sizes=[300], **settings)
    text = "light ‡ breaks a promise on digits (`bench audit`): copies not worse than real (N = 300)."
    found = (folder / "table1.md").read_text()
    assert "light ↓ ‡" in found
    assert text.replace("light ‡", "‡ light").replace("`", "\\`") in found
    assert r"$^\ddagger$" in (folder / "quality.tex").read_text()
    assert "| light ‡ |" in (folder / "audit.md").read_text()


def test_sizes_are_three_up_to_the_number_of_test_images(digits):
    def sizes(test, unseen):
        images = digits.train[:1]
        data = replace(digits, test=images.expand(test, -1, -1, -1))
        return sizes_of(Halves(data, images.expand(unseen, -1, -1, -1), None))

    assert sizes(10_000, 25_000) == [500, 2236, 10_000]
    assert sizes(300, 598) == [100, 173, 300]
    assert sizes(300, 60) == [60]


def test_a_size_that_the_data_do_not_have_is_one_line(tmp_path):
    with pytest.raises(BadOption, match=r"^--sizes: got 301, expected 2 to 300 for digits$"):
        audit(metrics={"light": Light()}, sizes=[301], results=tmp_path)
    result = CliRunner().invoke(app, ["audit", "--sizes", "a", "--results", str(tmp_path)])
    assert "--sizes: got 'a', expected numbers like 500,2000" in str(result.exception or result.output)


def test_a_metric_that_fails_is_a_row_and_has_no_line(tmp_path):
    folder = audit(
        metrics={"light": Light(), "fails": Fails()},
        sizes=[50],
        results=tmp_path,
        device="cpu",
        figures=False,
    )
    rows = read_audit(folder)
    assert {r.status for r in rows if r.metric == "fails"} == {"failed: no luck"}
    assert "fails" not in audit_as_markdown("digits", judged(rows))


def test_the_figure_has_a_row_for_each_score(tmp_path):
    folder = audit(metrics={"light": Light()}, sizes=[50], results=tmp_path, device="cpu")
    assert (folder / "figures" / "audit.png").stat().st_size > 5000
    assert (folder / "figures" / "audit.pdf").exists()
