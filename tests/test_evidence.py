import multiprocessing
import time

import pytest
import torch
from genmodel_bench.data.dataset import assemble
from genmodel_bench.execution import evidence
from genmodel_bench.execution.evidence import Evidence, size
from genmodel_bench.metrics.evidence import Memory, remembered, stored
from genmodel_bench.metrics.features import Features, features
from genmodel_bench.storage import sealed
from genmodel_bench.storage.store import Store


def made(calls, value=1.0):
    def make():
        calls.append(value)
        return {"x": torch.tensor([value])}

    return make


def test_a_data_set_with_a_memory_is_what_metrics_need(few, tmp_path):
    found = Evidence(few, Store(tmp_path, few.name))
    assert isinstance(found, Memory)
    assert not isinstance(few, Memory)
    for name in ("train", "valid", "test", "labels", "folds", "name", "digest", "shape"):
        assert getattr(found, name) is getattr(few, name) or getattr(found, name) == getattr(few, name)


def test_what_is_remembered_is_made_once(few):
    calls, memory = [], Evidence(few)
    assert {float(remembered(memory, key, made(calls))["x"]) for key in "aab"} == {1.0}
    assert len(calls) == 2
    remembered(few, "a", made(calls))  # it has no memory
    remembered(few, "a", made(calls))
    assert len(calls) == 4


def test_the_latest_used_are_remembered_up_to_a_bound(few, monkeypatch):
    monkeypatch.setattr(evidence, "MOST", 2 * 4)  # two numbers
    calls, memory = [], Evidence(few)
    for key in "abaca":  # b is the oldest when c comes
        memory.remembered(key, made(calls))
    assert len(calls) == 3
    memory.remembered("b", made(calls))
    assert len(calls) == 4
    memory.remembered("large", lambda: torch.ones(100))
    assert len(memory.remembered("large", lambda: None)) == 100  # one is, whatever its size


def test_the_size_is_that_of_all_tensors_in_it():
    x = torch.ones(3)
    assert size((x, [x, {"a": x}], Features(len, {"x": x}), 4, "text", Features)) == 4 * 12


def test_what_is_stored_is_made_once_and_found_by_another_process(few, tmp_path):
    calls = []
    for _ in range(2):
        memory = Evidence(few, Store(tmp_path, few.name))
        assert stored(memory, "key", made(calls))["x"] == 1
    assert len(calls) == 1
    assert stored(memory, "other key", made(calls, 2.0))["x"] == 2
    images = torch.cat([few.train, few.valid, few.test])
    other = assemble("digits", 1 - images, None, [torch.arange(200), *torch.arange(200, 280).split(40)])
    stored(Evidence(other, memory.store), "key", made(calls, 3.0))
    assert len(calls) == 3
    stored(Evidence(few), "key", made(calls))  # it has no folder
    assert len(calls) == 4


def test_other_code_is_another_key(few, tmp_path, monkeypatch):
    calls, memory = [], Evidence(few, Store(tmp_path, few.name))
    stored(memory, "key", made(calls))
    monkeypatch.setattr(evidence, "code_digests", lambda module: {module: "other"})
    stored(memory, "key", made(calls))
    assert len(calls) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-2] + b"\x01\x01", lambda b: b""])
def test_a_damaged_file_is_made_again(damage, few, tmp_path):
    calls, memory = [], Evidence(few, Store(tmp_path, few.name))
    stored(memory, "key", made(calls))
    (path,) = (tmp_path / ".cache" / "features").glob("*.safetensors")
    path.write_bytes(damage(path.read_bytes()))
    assert stored(memory, "key", made(calls))["x"] == 1
    assert len(calls) == 2
    assert sealed.load(path, path.stem)[0]["x"] == 1


def count(few, results, path):
    def make():
        with path.open("a") as file:
            file.write("made\n")
        time.sleep(0.5)  # the others come meanwhile
        return {"x": torch.ones(1)}

    assert stored(Evidence(few, Store(results, few.name)), "key", make)["x"] == 1


def test_of_several_processes_one_makes_it(few, tmp_path):
    context = multiprocessing.get_context("fork")
    these = [context.Process(target=count, args=(few, tmp_path, tmp_path / "calls.txt")) for _ in range(3)]
    for process in these:
        process.start()
    for process in these:
        process.join()
    assert [process.exitcode for process in these] == [0, 0, 0]
    assert (tmp_path / "calls.txt").read_text() == "made\n"


def test_a_network_sees_a_set_of_images_once(few):
    memory = Evidence(few)
    found = features("random", memory)
    assert features("random", memory) is found
    y, kept = found.of(few.test), len(memory._kept)
    assert torch.equal(found.of(few.test + 0), y)
    assert len(memory._kept) == kept, "the same content"
    assert not torch.equal(found.of(1 - few.test), y)
    assert len(memory._kept) == kept + 1
    torch.testing.assert_close(y, features("random", few).of(few.test))


def test_the_classifier_is_trained_once(few, tmp_path):
    store = Store(tmp_path, few.name)
    first = features("classifier", Evidence(few, store))
    (path,) = (tmp_path / ".cache" / "features").glob("*.safetensors")
    before = path.stat().st_mtime_ns
    second = features("classifier", Evidence(few, store))
    assert path.stat().st_mtime_ns == before
    assert second.about == first.about
    assert torch.equal(second.of(few.test), first.of(few.test))
