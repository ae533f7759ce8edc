import warnings
from dataclasses import replace

import pytest
from flat import run
from genmodel_bench import BadOption
from genmodel_bench.execution.context import Context
from genmodel_bench.execution.execute import complete
from genmodel_bench.metrics import METRICS
from genmodel_bench.storage.store import Store
from test_selection import CPU, cell_of


def seen(folder):
    """The scalars and images that TensorBoard reads in a folder, by tag.

    {tag: {step: value}}, {tag: [steps]}
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its protocol buffers warn
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()
    tags = events.Tags()
    scalars = {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in tags["scalars"]}
    return scalars, {tag: [e.step for e in events.Images(tag)] for tag in tags["images"]}


def board(few, tmp_path, **changes):
    context = Context(few, Store(tmp_path, "digits"), {"neighbours": METRICS["neighbours"]}, CPU, **changes)
    outcome = complete(cell_of(few, taken="last"), context)
    (folder,) = (tmp_path / ".cache").glob("tensorboard/digits/*/seed-0") if context.tensorboard else [None]
    return outcome, folder


def test_training_is_written_as_it_is_logged(few, tmp_path):
    outcome, folder = board(few, tmp_path, tensorboard=True)
    scalars, images = seen(folder)
    assert set(scalars["elbo/loss"]) == set(scalars["elbo/kl"]) == {1, 2, 3, 4}
    assert set(scalars["validation/parzen"]) == {1, 2, 3, 4}
    # TensorBoard stores float32
    assert scalars["validation/parzen"][4] == pytest.approx(outcome.records[0].valid_last)
    assert images == {"samples": [1, 2, 3, 4]}
    assert scalars["scores/neighbours/ratio"] == {4: pytest.approx(outcome.records[0].value)}


def test_no_number_depends_on_whether_it_is_watched(few, tmp_path):
    alone, _ = board(few, tmp_path / "a")
    watched, _ = board(few, tmp_path / "b", tensorboard=True)
    assert [(r.value, r.weights) for r in alone.records] == [(r.value, r.weights) for r in watched.records]


def test_a_training_that_was_finished_before_is_written_from_its_visuals_once(few, tmp_path):
    live, _ = board(few, tmp_path / "live", tensorboard=True)
    board(few, tmp_path / "later")
    again, folder = board(few, tmp_path / "later", tensorboard=True)
    assert again.reused
    scalars, images = seen(folder)
    assert scalars == seen(next((tmp_path / "live").glob(".cache/tensorboard/digits/*/seed-0")))[0]
    assert images == {"samples": [1, 2, 3, 4]}
    board(few, tmp_path / "later", tensorboard=True)
    assert len(seen(folder)[1]["samples"]) == 4
    assert [r.value for r in live.records] == [r.value for r in again.records]


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("genmodel_bench.execution.tensorboard.find_spec", lambda name: None)
    with pytest.raises(BadOption, match="needs the package tensorboard; pip install tensorboard"):
        run(["mean"], results=tmp_path, tensorboard=True)
    assert not list(tmp_path.iterdir())


def test_names_of_variants_are_folders_of_their_own(few, tmp_path):
    context = Context(
        few, Store(tmp_path, "digits"), {"neighbours": METRICS["neighbours"]}, CPU, tensorboard=True
    )
    for options in ({}, {"epochs": 4}, {"../../x": ""}):
        complete(replace(cell_of(few, taken="last"), options=options), context)
    assert len(list((tmp_path / ".cache").glob("tensorboard/digits/*/seed-0"))) == 3
