"""From names to rows, and which of the work is reused."""

import json
import os
import time
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import pytest
import torch
from flat import run
from genmodel_bench import BadOption, BenchError
from genmodel_bench.cells.plan import plan
from genmodel_bench.commands.report import tables_so_far
from genmodel_bench.data.dataset import assemble
from genmodel_bench.data.registry import load
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.listener import Silent
from genmodel_bench.execution.messages import Notice
from genmodel_bench.execution.reuse import lacking
from genmodel_bench.metrics import STANDARD, Result, Score
from genmodel_bench.models import MODELS, settings_for
from genmodel_bench.models.autoencoders import vae
from genmodel_bench.report.tables.notes import STALE
from genmodel_bench.report.tables.table import table1
from genmodel_bench.storage.reading import read_records
from genmodel_bench.storage.record import to_csv
from genmodel_bench.storage.store import Store
from genmodel_bench.training import loop as harness
from genmodel_bench.training.seeding import derive_seed, seed_everything
from safetensors.torch import load_file

QUICK = {"vae": ["vae.epochs=2", "vae.hidden=16"], "dbn": ["dbn.epochs=2", "dbn.sample_steps=3"]}
for name in ("deep-gsn", "deep-gsn-chain"):
    QUICK[name] = [f"{name}.epochs=2", f"{name}.hidden=16,12"]


@dataclass(frozen=True)
class Brightness:
    """A metric of the test's own: the mean pixel."""

    offset: float = 0.0
    min_samples: int = 1
    needs: tuple = ()

    def __call__(self, subject, reference):
        value = float(subject.samples.mean()) + self.offset
        return Result({"brightness": Score(value, 0.0, "samples", len(subject.samples), "share", "neither")})


@pytest.fixture
def trained(monkeypatch):
    """The names of the cells that were trained."""
    names = []
    real = harness.train

    def train(model, *args, **kwargs):
        names.append(type(model).__name__)
        return real(model, *args, **kwargs)

    monkeypatch.setattr(harness, "train", train)
    return names


def quick(results, models=("vae",), **kwargs):
    options = [option for model in models for option in QUICK.get(model, ())]
    usual = {
        "models": list(models),
        "device": "cpu",
        "seeds": 1,
        "samples": 200,
        "options": options,
        "figures": False,
        "metrics": {"brightness": Brightness()},
    }
    return run(results=results, **{**usual, **kwargs})


def values(records):
    return {(r.model, r.seed, r.metric, r.quantity): (r.value, r.stderr) for r in records.itertuples()}


def test_the_same_cell_gives_the_same_bits_in_any_company(tmp_path):
    one = values(quick(tmp_path / "a", ["vae", "mean"], metrics=STANDARD))
    other = values(
        quick(tmp_path / "b", ["mean", "dbn", "vae"], metrics={"brightness": Brightness(), **STANDARD})
    )
    assert one
    assert all(other[key] == value for key, value in one.items())


def test_samples_come_from_their_own_seed_whatever_was_drawn_before(tmp_path, digits):
    quick(tmp_path, ["gaussian"])
    path, *_ = sorted((tmp_path / ".cache" / "samples").iterdir())
    model = settings_for("gaussian", "digits").build(digits.shape)
    model.initialise(digits.train)
    seed_everything(derive_seed(0, "digits", "models.references.Gaussian", "sample", "0"))
    assert torch.equal(load_file(path)["samples"], model.sample(200))


def test_a_finished_cell_is_reused_and_new_seeds_alone_are_trained(tmp_path, trained):
    first = quick(tmp_path)
    assert trained == ["VAE"]
    second = quick(tmp_path)
    assert trained == ["VAE"]
    assert values(first) == values(second)
    third = quick(tmp_path, seeds=3)
    assert trained == ["VAE"] * 3
    assert values(third).items() >= values(first).items()
    assert len(Store(tmp_path, "digits").records()) == len(third)


def test_a_new_metric_trains_nothing_and_moves_nothing(tmp_path, trained):
    first = quick(tmp_path, metrics=STANDARD)
    second = quick(tmp_path, metrics={**STANDARD, "brightness": Brightness()})
    assert trained == ["VAE"]
    assert values(second).items() >= values(first).items()
    assert ("vae", 0, "brightness", "brightness") in values(second)


def test_a_metrics_setting_scores_again_without_training(tmp_path, trained):
    first = quick(tmp_path, metrics={"brightness": Brightness()})
    second = quick(tmp_path, metrics={"brightness": Brightness(offset=1.0)})
    assert trained == ["VAE"]
    assert second["value"][0] == pytest.approx(first["value"][0] + 1)
    assert len(Store(tmp_path, "digits").records()) == 1


def test_an_option_trains_a_row_of_its_own(tmp_path, trained):
    quick(tmp_path)
    quick(tmp_path, options=["vae.hidden=16", "vae.epochs=3"])
    assert trained == ["VAE"] * 2
    variants = {r.variant for r in Store(tmp_path, "digits").records()}
    assert variants == {"hidden=(16,), epochs=2", "hidden=(16,), epochs=3"}


def test_more_samples_do_not_train_again(tmp_path, trained):
    quick(tmp_path)
    steps = []

    class Counting(Silent):
        def news(self, cell, news):
            steps.extend([news] * isinstance(news, harness.Epoch))

    quick(tmp_path, samples=300, listener=Counting())
    # the second call starts at the end of its last checkpoint
    assert trained == ["VAE", "VAE"]
    assert steps == []


def test_damaged_samples_are_drawn_again(tmp_path):
    first = quick(tmp_path, metrics=STANDARD)
    path, *_ = sorted((tmp_path / ".cache" / "samples").iterdir())
    path.write_bytes(path.read_bytes()[:100])
    second = quick(tmp_path, metrics={**STANDARD, "brightness": Brightness()})
    assert values(second).items() >= values(first).items()
    assert second["value"].notna().all()


def test_a_new_default_renames_the_row_it_fits(tmp_path, monkeypatch, trained):
    quick(tmp_path, ["mean"])
    options = ["vae.epochs=2", "vae.hidden=16"]
    quick(tmp_path, options=options)
    monkeypatch.setitem(MODELS, "vae", replace(settings_for("vae", "digits"), epochs=2, hidden=(16,)))
    monkeypatch.setattr(vae.Config, "SETTINGS", {})
    records = quick(tmp_path, options=[])
    assert trained == ["GaussianFit", "VAE"]
    assert set(records["variant"]) == {""}
    assert {(r.model, r.variant) for r in Store(tmp_path, "digits").records()} == {("mean", ""), ("vae", "")}


def other_code(record):
    """The row as if made by other code of its model, sealed."""
    parts = json.loads(record.ingredients)
    parts["fit"]["code of the model"] = {"models.old": "0" * 16}
    return replace(record, ingredients=json.dumps(parts)).sealed()


def test_lines_that_other_code_made_are_named_and_marked_in_the_table(tmp_path):
    heard = []

    class Listening(Silent):
        def ended(self, stale):
            heard.append(stale)

    quick(tmp_path, ["mean", "vae"], metrics=STANDARD, listener=Listening())
    store = Store(tmp_path, "digits")
    store.path.write_text(to_csv([other_code(r) if r.model == "vae" else r for r in store.records()]))
    quick(tmp_path, ["mean"], metrics=STANDARD, listener=Listening())
    quick(tmp_path, ["mean"], metrics={"brightness": Brightness()}, listener=Listening())
    quick(
        tmp_path,
        ["mean"],
        metrics={"brightness": Brightness(), "parzen": replace(STANDARD["parzen"], valid_images=50)},
        listener=Listening(),
    )
    stale = ["vae (hidden=(16,), epochs=2)"]
    assert heard == [[], stale, stale, stale]
    (note,) = (line for line in (tmp_path / "digits" / "table1.md").read_text().splitlines() if STALE in line)
    assert note == f"- (a) digits: {STALE}"
    quick(tmp_path, ["mean", "vae"], metrics=STANDARD, listener=Listening())
    assert heard[-1] == []
    assert STALE not in (tmp_path / "digits" / "table1.md").read_text()


@dataclass(frozen=True)
class NeedsDecoder:
    """A metric of the tests' own that needs more of the model than samples."""

    min_samples: int = 1

    @property
    def needs(self):
        return (Decoder,)

    def __call__(self, subject, reference):
        value = subject.model.decoder(torch.zeros(1, 8)).detach().sigmoid().mean().item()
        return Result({"value": Score(value, 0.0, "samples", 1, "share", "neither")})


@runtime_checkable
class Decoder(Protocol):
    decoder: object


def test_a_metric_that_needs_the_model_gets_it_early_or_late(tmp_path, trained):
    early = quick(tmp_path / "a", metrics={"needy": NeedsDecoder()})
    quick(tmp_path / "b")
    late = quick(tmp_path / "b", metrics={"needy": NeedsDecoder()})
    assert values(early) == values(late)
    assert list(late["status"]) == ["ok"]


def test_force_trains_again_and_gives_the_same_bits(tmp_path, trained):
    first = quick(tmp_path)
    second = quick(tmp_path, force=True)
    assert trained == ["VAE"] * 2
    assert values(first) == values(second)


def test_force_goes_by_its_own_mark_and_by_no_clock(tmp_path, trained):
    quick(tmp_path, ["deep-gsn", "deep-gsn-chain"])
    tomorrow = time.time() + 86_400
    for path in (tmp_path / ".cache").rglob("*"):
        os.utime(path, (tomorrow, tomorrow))
    made = {path: path.read_bytes() for path in (tmp_path / ".cache").glob("samples/*")}
    del trained[:]
    steps = []

    class Counting(Silent):
        def news(self, cell, news):
            steps.append((cell.model, news.stage)) if isinstance(news, harness.Progress) else None

    quick(tmp_path, ["deep-gsn", "deep-gsn-chain"], force=True, listener=Counting())
    # two models share one training: it is made once, and found by the second
    assert {model for model, stage in steps if stage == "walkback"} == {"deep-gsn"}
    assert {path: path.read_bytes()[-1000:] for path in made} == {
        path: content[-1000:] for path, content in made.items()
    }
    assert all(path.stat().st_mtime < tomorrow - 3600 for path in made)
    assert not list((tmp_path / ".cache").glob("marks/*"))


SEEN = []


class Looking(Brightness):
    def __call__(self, subject, reference):
        SEEN.append(torch.get_float32_matmul_precision())
        return super().__call__(subject, reference)


def test_precision_is_part_of_a_number_and_what_torch_is_set_to_is_not(tmp_path, trained):
    before = torch.get_float32_matmul_precision()
    SEEN.clear()
    metrics = {"brightness": Looking()}
    torch.set_float32_matmul_precision("medium")
    try:
        records = quick(tmp_path, metrics=metrics, precision="tf32")
        assert set(records["variant"]) == {"hidden=(16,), epochs=2, precision=tf32"}
        assert torch.get_float32_matmul_precision() == "medium"
        quick(tmp_path, metrics=metrics)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert len(trained) == 2
    assert SEEN == ["high", "highest"]
    quick(tmp_path, metrics=metrics)
    assert len(trained) == 2
    with pytest.raises(BadOption, match="--precision: got 'low', expected float32 or tf32 or bf16"):
        quick(tmp_path, precision="low")


def test_what_a_run_outdates_is_told_and_kept(tmp_path):
    quick(tmp_path, seeds=2)
    store = Store(tmp_path, "digits")
    store.path.write_text(to_csv([other_code(r) for r in store.records()]))
    heard = []

    class Hearing(Silent):
        def news(self, cell, news):
            heard.append(news.text) if isinstance(news, Notice) else None

    quick(tmp_path, seeds=1, listener=Hearing())
    assert {r.seed for r in store.records()} == {0}
    kept = read_records(store.superseded)
    assert {r.seed for r in kept} == {1}  # those of seed 0 equal the new ones
    assert heard == [
        f"{len(kept)} rows that it outdates (vae (hidden=(16,), epochs=2) seed 1) are superseded, "
        f"kept in {store.superseded}"
    ]


def test_another_content_under_a_known_name_is_refused(tmp_path, monkeypatch):
    quick(tmp_path, ["mean"])
    other = load("digits")
    other = assemble(
        "digits",
        other.train.flip(3),
        None,
        [torch.arange(800), torch.arange(800, 1000), torch.arange(1000, 1197)],
    )
    monkeypatch.setattr("genmodel_bench.commands.run.load", lambda name, root: other)
    before = Store(tmp_path, "digits").records()
    with pytest.raises(
        BenchError,
        match=r"digits: the data at hand .* are not those of the rows in .*; supersede .* --replace-data",
    ):
        quick(tmp_path, ["mean"])
    assert Store(tmp_path, "digits").records() == before
    quick(tmp_path, ["mean"], replace_data=True)
    assert {r.dataset_digest for r in Store(tmp_path, "digits").records()} == {other.digest}
    assert read_records(Store(tmp_path, "digits").superseded) == before


def test_an_interrupted_run_goes_on(tmp_path):
    whole = quick(tmp_path / "whole")

    class Impatient(Silent):
        def news(self, cell, news):
            if isinstance(news, harness.Progress) and news.done == 30:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(harness.train, "__kwdefaults__", {**harness.train.__kwdefaults__, "every": 0.0})
        quick(tmp_path / "cut", listener=Impatient())
    assert list((tmp_path / "cut" / ".cache" / "fits").glob("*/*.pt"))
    assert values(quick(tmp_path / "cut")) == values(whole)


@runtime_checkable
class Density(Protocol):
    def log_prob(self, x): ...


def test_a_metric_that_needs_what_a_model_has_not_is_not_applicable(tmp_path):
    needy = replace(Brightness(), needs=(Density,))
    records = quick(tmp_path, metrics={"brightness": needy})
    assert list(records["status"]) == ["n/a: needs Density"]


def test_what_does_not_apply_costs_no_training_and_is_a_dash_without_a_note(tmp_path):
    needy = replace(Brightness(), needs=(Density,))
    records = quick(tmp_path, metrics={"needy": needy})
    assert not list((tmp_path / ".cache").glob("fits/*/*"))
    assert records["fit_seconds"].isna().all()
    assert quick(tmp_path, metrics={"needy": needy}).equals(records)
    both = quick(tmp_path, metrics={"needy": needy, "brightness": Brightness()})
    assert set(both["status"]) == {"n/a: needs Density", "ok"}
    table = table1(Store(tmp_path, "digits").records())
    assert [column.title for column in table.columns if column.is_score] == ["brightness"]
    assert table.footnotes == []


def test_what_applies_is_asked_of_a_model_whose_building_changes_no_random_number(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    data, needy = load("digits"), {"needy": replace(Brightness(), needs=(Density,))}
    context = Context(data, Store(tmp_path, "digits"), needy, torch.device("cpu"))
    cell = plan(data, ["vae"], STANDARD, seeds=1)[0]
    assert lacking(cell, context, ["needy"]) == {"needy": ["Density"]}
    assert torch.equal(torch.rand(2), expected)


class Raising(Brightness):
    def __call__(self, subject, reference):
        raise ValueError("cannot")


class Infinite(Brightness):
    def __call__(self, subject, reference):
        return Result({"x": Score(float("inf"), 0.0, "samples", 1, "share", "neither")})


def test_a_metric_that_raises_or_gives_nan_is_a_failed_row(tmp_path):
    records = quick(tmp_path, metrics={"infinite": Infinite(), "raising": Raising()})
    assert records["status"].str.startswith("failed: ").all()
    assert records["value"].isna().all()


def test_two_processes_give_the_same_rows(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = values(quick(tmp_path / "a", ["mean", "vae"], metrics=STANDARD, seeds=2))
    finally:
        torch.set_num_threads(before)
    heard = []

    class Listening(Silent):
        def started(self, cell):
            heard.append((cell.model, cell.seed))

    together = values(
        quick(tmp_path / "b", ["mean", "vae"], metrics=STANDARD, seeds=2, jobs=2, listener=Listening())
    )
    assert set(heard) <= {(m, s) for m in ("mean", "vae") for s in (0, 1)}
    assert heard
    assert together.keys() == alone.keys()
    for key, value in alone.items():
        assert together[key] == pytest.approx(value, abs=1e-3)


def test_the_other_checkpoint_is_a_row_of_its_own(tmp_path, trained):
    quick(tmp_path, metrics=STANDARD)
    quick(tmp_path, metrics=STANDARD, checkpoint="best")
    rows = Store(tmp_path, "digits").records()
    options = "hidden=(16,), epochs=2"
    assert {(r.variant, r.checkpoint) for r in rows} == {
        (options, "last"),
        (f"{options}, checkpoint=best", "best"),
    }
    assert quick(tmp_path, ["mean"], checkpoint="best")["variant"].unique().tolist() == [""]


def test_curves_and_draws_are_stored_with_the_records(tmp_path):
    quick(tmp_path, draws=3, metrics=STANDARD)
    row = next(r for r in Store(tmp_path, "digits").records() if r.quantity == "log_likelihood")
    curves = json.loads(row.curves)
    assert sorted(curves) == ["samples", "sigma on validation", "validation by epoch"]
    assert len(curves["sigma on validation"]) == 10
    assert curves["validation by epoch"]["2"] == row.valid_last
    assert row.variant.endswith("draws=3")
    assert row.draws == 3
    assert row.draw_sd > 0
    assert (row.checkpoint, row.epochs, row.checkpoint_epoch) == ("last", 2, 2)
    assert row.valid_best >= row.valid_last


def test_another_number_of_draws_is_a_row_of_its_own(tmp_path):
    quick(tmp_path, ["mean"], seeds=2)
    quick(tmp_path, ["mean"], draws=1)
    assert {(r.variant, r.seed) for r in Store(tmp_path, "digits").records()} == {
        ("", 0),
        ("", 1),
        ("draws=1", 0),
    }


def test_tables_are_written_while_cells_still_run(tmp_path, monkeypatch):
    monkeypatch.setattr("genmodel_bench.commands.run.INTERIM", 0.0)
    seen = []

    class Reader(Silent):
        def finished(self, cell, outcome):
            table = tmp_path / "digits" / "table1.md"
            seen.append((cell.model, table.read_text() if table.exists() else ""))

        def notice(self, text):
            seen.append(text)

    run(["mean", "gaussian"], seeds=1, samples=100, results=tmp_path, figures=False, listener=Reader())
    assert seen[0] == ("mean", "")
    assert seen[1] == f"tables so far: {tmp_path / 'digits' / 'table1.md'}"
    name, table = seen[2]
    assert name == "gaussian"
    assert "| mean" in table
    assert "| gaussian" not in table


def test_tables_so_far_leave_pages_alone(tmp_path):
    run(["mean"], seeds=1, samples=100, results=tmp_path)
    page = (tmp_path / "digits" / "report.html").read_bytes()
    tables_so_far(Store(tmp_path, "digits"))
    assert (tmp_path / "digits" / "report.html").read_bytes() == page
    assert (tmp_path / "index.html").exists()
