"""Code that gives the same bits is vouched for by replaying.

Code that gives other bits is not, and the first difference is reported.
"""

import json
from dataclasses import replace

import pytest
import torch
from flat import plan
from genmodel_bench.commands.vouch import vouch
from genmodel_bench.data.dataset import assemble
from genmodel_bench.data.registry import load
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.execute import complete
from genmodel_bench.metrics import METRICS
from genmodel_bench.models import MODELS
from genmodel_bench.storage.ingredients import read_vouched
from genmodel_bench.storage.record import to_csv
from genmodel_bench.storage.store import Store

CPU = torch.device("cpu")
REWRITTEN = "pull = x.mean(0) - self.mean\n        self.mean += self.config.lr * pull"
LATE = "self.steps = getattr(self, 'steps', 0) + 1\n        self.mean += 1e-4 * (self.steps > 60) + self"


@pytest.fixture
def stored(project, tmp_path, monkeypatch):
    """A stored row of digits.

    Returns the results folder and a function that edits the code and registers it again.
    """

    def edit(*change):
        config, metric = project(*change)
        monkeypatch.setitem(MODELS, "plain", config())
        METRICS.clear()
        METRICS["brightness"] = metric()

    before = dict(METRICS)
    try:
        edit()
        run(tmp_path)
        yield tmp_path, edit
    finally:  # in their order, which is that of the tables
        METRICS.clear()
        METRICS.update(before)


def run(results, data=None):
    data = data or load("digits")
    (cell,) = plan(data, ["plain"], seeds=1, samples=50, draws=2, vouched=read_vouched(results))
    return complete(cell, Context(data, Store(results, data.name), METRICS, CPU))


def said(results, **kwargs):
    return [(s.good, f"{s.what}: {s.text}") for s in vouch(results, device="cpu", **kwargs)]


def test_an_edit_that_changes_no_bit_is_vouched_for_and_the_rows_stay_good(stored):
    results, edit = stored
    before = run(results)
    assert before.reused
    edit(
        "net",
        "self.mean += self.config.lr * (x.mean(0) - self.mean)",
        "pull = x.mean(0) - self.mean\n        self.mean += self.config.lr * pull",
    )
    assert not Store(results, "digits").cache.joinpath("moved").exists()
    found = said(results)
    assert [good for good, _ in found] == [True, True]
    assert found[0][1].startswith(
        "digits plain (draws=2) seed 0: whole: 4 digests of weights, 2 of draws, 1 values, "
        "equal to the last bit"
    )
    assert "1 pieces of code give the bits of those before them" in found[1][1]
    (entry,) = json.loads((results / "equivalent.json").read_text())
    assert (entry["of"], entry["dataset"], entry["what"]) == (
        "plain.net.Config",
        "digits",
        "code of the model",
    )
    assert entry["evidence"][0].startswith("digits plain (draws=2) seed 0: whole:")
    assert entry["processor"]
    assert run(results).reused
    assert len(Store(results, "digits").records()) == 1
    # an edited entry is ignored
    entry["old"] = "0" * 16
    (results / "equivalent.json").write_text(json.dumps([entry]))
    assert read_vouched(results).entries == ()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("net", "1e-3 * torch.randn", "1.1e-3 * torch.randn"), "at pull 1: "),
        (("net", "return Net(self, shape)", "torch.rand(1)\n        return Net(self, shape)"), "at pull 1: "),
        # only the last of three epochs of 23 steps
        (
            (
                "net",
                "self.mean += self",
                "self.steps = getattr(self, 'steps', 0) + 1\n"
                "        self.mean += 1e-4 * (self.steps > 60) + self",
            ),
            "at pull 3: ",
        ),
        (("part", "clamp(0, 1)", "clamp(0, 0.9)"), "at draw 0: "),
        (
            (
                "draws",
                "0.5",
                "0.5\nimport genmodel_bench.training.seeding as s\ns.draw_seed = lambda *names: 5",
            ),
            "at draw 0: ",
        ),
        (("measure", "+ self.offset", "+ 1e-9"), "in brightness, brightness: "),
    ],
)
def test_an_edit_that_changes_a_bit_is_refused_with_the_place_where_they_part(
    stored, change, where, monkeypatch
):
    import genmodel_bench.training.drawing
    import genmodel_bench.training.seeding

    monkeypatch.setattr(
        genmodel_bench.training.seeding, "draw_seed", genmodel_bench.training.seeding.draw_seed
    )
    results, edit = stored
    edit(*change)
    if change[0] == "draws":
        monkeypatch.setattr(genmodel_bench.training.drawing, "draw_seed", lambda *names: 5)
    found = said(results)
    assert [good for good, _ in found] == [False, False]
    assert f"the bits part {where}" in found[0][1]
    assert found[1][1] == "vouch: other bits: nothing is vouched for"
    assert not (results / "equivalent.json").exists()
    assert not run(results).reused


@pytest.mark.parametrize(
    ("column", "called"),
    [
        ("processor", "another processor"),
        ("versions", "other versions of packages"),
        ("device", "another device"),
    ],
)
def test_rows_of_another_machine_are_not_replayed_and_their_code_not_vouched_for(stored, column, called):
    results, edit = stored
    store = Store(results, "digits")
    store.path.write_text(to_csv([replace(r, **{column: "another"}).sealed() for r in store.records()]))
    edit("net", "(x.mean(0) - self.mean)", "(x.mean(0) - 1 * self.mean)")
    found = said(results)
    assert found[0] == (
        None,
        f"digits plain (draws=2) seed 0: not replayed: it was made with {called}, where bits may differ",
    )
    assert found[1] == (
        False,
        "plain.net.Config on digits, code of the model: not vouched for: "
        "no row that the code before has made was replayed",
    )
    assert not (results / "equivalent.json").exists()


def other_data(name, root=None):
    """Some of digits, under another name: a data set that is replayed only in part."""
    digits = load("digits")
    return assemble(
        "other", digits.train[:200], None, [torch.arange(100), torch.arange(100, 150), torch.arange(150, 200)]
    )


def test_a_beginning_speaks_for_the_loop_and_not_for_the_models_own_code(
    project, tmp_path, monkeypatch, stored
):
    _, edit = stored
    results = tmp_path / "long"
    monkeypatch.setattr("genmodel_bench.commands.vouch.load", other_data)
    run(results, other_data("other"))
    long = [replace(r, fit_seconds=1e6).sealed() for r in Store(results, "other").records()]
    Store(results, "other").path.write_text(to_csv(long))
    edit("loop", "0.5", "0.50")
    # the same number, written otherwise
    with pytest.raises(Exception, match="there is nothing to vouch for"):
        said(results)
    edit("loop", "0.50", "0.6")
    found = said(results, within=0.0)
    assert "the beginning: initialise, pull 1 of pull 3, and " in found[0][1]
    assert [good for good, _ in found] == [True, True]
    edit("net", "(x.mean(0) - self.mean)", "(x.mean(0) - 1 * self.mean)")
    found = said(results, within=0.0)
    assert [good for good, _ in found] == [True, False]
    assert (
        "only the beginning of trainings was replayed, and what its code does later was not seen"
        in found[1][1]
    )

    # without a trace there is nothing to compare a beginning with
    Store(results, "other").path.write_text(to_csv([replace(r, trace="[]").sealed() for r in long]))
    assert said(results, within=0.0)[0][1].endswith(
        "not replayed: it has no trace, and takes more than 0 s to its end"
    )


def test_a_row_of_an_unknown_processor_can_speak_for_the_code_and_not_against_it(stored):
    results, edit = stored
    store = Store(results, "digits")
    store.path.write_text(to_csv([replace(r, processor="").sealed() for r in store.records()]))
    edit("net", "1e-3 * torch.randn", "1.1e-3 * torch.randn")
    found = said(results)
    assert [good for good, _ in found] == [None, False]
    assert "its row names none" in found[0][1]
    edit("net", "1.1e-3 * torch.randn", "0.001 * 1 * torch.randn")
    assert [good for good, _ in said(results)] == [True, True]


def test_what_is_vouched_for_twice_still_counts_as_the_first(stored):
    results, edit = stored
    for old, new in (
        ("(x.mean(0) - self.mean)", "(x.mean(0) - 1 * self.mean)"),
        ("1 * self.mean", "self.mean * 1"),
    ):
        edit("net", old, new)
        assert said(results)[-1][0]
    assert len(read_vouched(results).entries) == 2
    assert run(results).reused


def test_every_cell_of_digits_is_replayed_whatever_its_number_of_samples(stored):
    results, edit = stored
    data = load("digits")
    (other,) = plan(data, ["plain"], seeds=1, samples=70, draws=2)
    complete(other, Context(data, Store(results, "digits"), METRICS, CPU))
    edit(
        "net",
        "return clipped(self.mean + self.config.width * noise).float()",
        "return clipped(self.mean + self.config.width * noise).float() * (1 - (n == 70) * 0.1)",
    )
    found = said(results)
    assert sorted(good for good, _ in found) == [False, False, True]
    assert sum("the bits part at draw 0" in text for _, text in found) == 1
    assert not (results / "equivalent.json").exists()


def test_a_data_set_that_was_not_replayed_is_not_vouched_for(stored, monkeypatch):
    results, edit = stored
    run(results, other_data("other"))
    edit("net", "(x.mean(0) - self.mean)", "(x.mean(0) - 1 * self.mean)")
    real = load
    monkeypatch.setattr(
        "genmodel_bench.commands.vouch.load",
        lambda name, root: real("nowhere") if name == "other" else real(name, root=root),
    )
    found = said(results)
    assert sorted(str(good) for good, _ in found) == ["False", "None", "True", "True"]
    assert (
        sum("plain.net.Config on other, code of the model: not vouched for" in text for _, text in found) == 1
    )
    assert [entry.dataset for entry in read_vouched(results).entries] == ["digits"]
    assert run(results).reused
    assert not run(results, other_data("other")).reused


def test_two_codes_that_give_the_same_bits_as_a_third_are_both_kept(stored):
    results, edit = stored
    data = load("digits")
    edit("net", "(x.mean(0) - self.mean)", "(x.mean(0) - 1 * self.mean)")
    (other,) = plan(data, ["plain"], seeds=1, samples=70, draws=2)
    complete(other, Context(data, Store(results, "digits"), METRICS, CPU))
    edit("net", "1 * self.mean", "self.mean * 1")
    assert [good for good, _ in said(results)] == [True, True, True]
    vouched = read_vouched(results)
    assert len(vouched.entries) == 2
    for samples in (50, 70):
        (cell,) = plan(data, ["plain"], seeds=1, samples=samples, draws=2, vouched=vouched)
        assert complete(cell, Context(data, Store(results, "digits"), METRICS, CPU)).reused


def test_rows_of_any_code_with_the_same_bits_are_evidence_for_one_another(stored, tmp_path):
    results, edit = stored
    edit("net", "(x.mean(0) - self.mean)", "(x.mean(0) - 1 * self.mean)")
    assert said(results)[-1][0]
    run(tmp_path / "evidence")  # made by the second code; the rows in `results` by the first
    store = Store(results, "digits")
    store.path.write_text(
        to_csv([replace(r, versions="torch=0", fit_seconds=0.0).sealed() for r in store.records()])
    )
    edit("net", "1 * self.mean", "self.mean * 1")
    assert [good for good, _ in said(results, evidence=tmp_path / "evidence")] == [True, True]
    assert run(results).reused


def test_a_file_of_equivalences_that_is_none_counts_for_nothing(tmp_path):
    for text in ("", "{}", "[1]", '[{"of": "a"}]', "[" * 100_000, '[{"processor": NaN}]'):
        (tmp_path / "equivalent.json").write_text(text)
        assert read_vouched(tmp_path).entries == ()
