"""JSON that was edited by hand is read, or refused with a ValueError."""

import json

import pytest
import torch
from genmodel_bench.execution.artefacts import highest
from genmodel_bench.execution.checks import read_checks
from genmodel_bench.storage.arrays import kept_arrays
from genmodel_bench.storage.ingredients import Vouched, equivalences_path, read_vouched
from genmodel_bench.storage.plain import DEEPEST, from_json
from genmodel_bench.storage.record import COLUMNS, OBJECTS, parsed
from safetensors.torch import save_file

ODD = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep object": '{"a":' * 20_000 + "1" + "}" * 20_000,
    "rather deep": "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
    "half a surrogate pair": '{"a": "\\ud800"}',
    "cut": '{"a": [1, ',
    "not UTF-8": b"\xff",
    "a number of too many digits": '{"a": ' + "1" * 5000 + "}",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        from_json(text)


@pytest.mark.parametrize(
    "text", ['{"a": [1, {"b": null}], "c": "猫"}', "[]", "3", '"x"', "[" * 50 + "]" * 50]
)
def test_json_is_read_as_it_is(text):
    assert from_json(text) == from_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text", [*ODD.values(), b'{"values": {"1": 1' + b"0" * 400 + b'}, "seal": ""}', b"3"]
)
def test_files_that_hold_odd_json_count_as_not_there(text, tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert read_checks(path) == {}
    path.replace(equivalences_path(tmp_path))
    assert read_vouched(tmp_path) == Vouched()


@pytest.mark.parametrize("text", ["9" * 400, "[" * 100_000, "x"])
def test_an_odd_peak_of_memory_counts_as_not_there(text, tmp_path):
    (tmp_path / "peak.json").write_text(text)
    assert highest(tmp_path / "peak.json", 3.0) == 3.0


@pytest.mark.parametrize("name", [*OBJECTS, "trace"])
@pytest.mark.parametrize("text", [text for text in ODD.values() if isinstance(text, str)])
def test_odd_json_in_a_column_is_a_value_error(name, text):
    with pytest.raises(ValueError):
        parsed(name, text)


@pytest.mark.parametrize("code", ["text", 3, None, [1], {"a": 1, "b": "x"}, float("nan")])
def test_code_that_was_edited_to_anything_is_compared(code):
    before, now = {"code of the model": code}, {"code of the model": {"a": "x"}}
    assert Vouched().changed(before, now) == ["code of the model"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float16])
def test_arrays_of_a_type_that_numpy_lacks_count_as_not_there(dtype, tmp_path):
    save_file({"a": torch.ones(2).to(dtype)}, tmp_path / "a.safetensors", {"key": "k"})
    assert kept_arrays(tmp_path / "a.safetensors", "k") is None


def test_numbers_beyond_64_bits_are_value_errors():
    with pytest.raises(ValueError):
        parsed("curves", '{"samples": {"1": 1' + "0" * 400 + "}}")
    for name in set(COLUMNS) & {"seed", "n", "epochs", "samples", "parameters", "threads"}:
        for number in (2**63, -(2**63), 10**400):
            with pytest.raises(ValueError):
                parsed(name, str(number))
        assert parsed(name, str(2**63 - 1)) == 2**63 - 1
