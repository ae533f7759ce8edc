"""Two rows compared test image by test image: what the page gets of them."""

import base64
import io
import json

import numpy as np
import pytest
from genmodel_bench.report.page.compare import comparison, worth_seeing
from genmodel_bench.report.page.page import page
from genmodel_bench.report.tables.table import table1
from pages import DIGEST, IMAGES, OFFSETS, RECORDS, STRANGER, Reader, keep, log_probs, made, sealed_at
from PIL import Image


@pytest.fixture
def read(tmp_path):
    return Reader(made(tmp_path))


@pytest.fixture
def cache(tmp_path):
    keep(tmp_path)
    return tmp_path


def decoded(read):
    (scores,) = read.all("script", type="application/json")
    return json.loads(scores["text"])


def test_scores_in_the_page_are_the_means_over_seeds(read):
    for row in decoded(read)["rows"]:
        found = np.frombuffer(base64.b64decode(row["logProb"]), "<f4")
        seeds = range(3) if row["name"] == "vae" else range(1)
        expected = np.mean([log_probs(OFFSETS[row["name"]] + seed) for seed in seeds], axis=0)
        np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_the_images_that_any_two_rows_need_are_in_the_sprite(read):
    payload = decoded(read)
    (sprite,) = read.all("img", id="sprite")
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(sprite["src"].split(",")[1]))))
    w, h, columns = payload["width"], payload["height"], payload["columns"]
    assert (w, h, payload["shown"]) == (5, 6, 8)
    for place, image in enumerate(payload["images"]):
        top, left = place // columns * h, place % columns * w
        # image i is all of value i
        assert (sheet[top : top + h, left : left + w] == image).all()
    arrays = [np.frombuffer(base64.b64decode(row["logProb"]), "<f4").astype(float) for row in payload["rows"]]
    for a in arrays:
        for b in arrays:
            if a is not b:
                assert set(sorted(range(IMAGES), key=lambda i: (a - b)[i])[-8:]) <= set(payload["images"])


def test_images_worth_seeing_are_those_at_both_ends():
    a = np.array([5, 0, 1, -7, 2], np.float32)
    assert worth_seeing([a, np.zeros(5, np.float32)], 1) == [0, 3]
    assert worth_seeing([a, np.zeros(5, np.float32)], 0) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    ("shape", "size", "mode"),
    [((1, 6, 5), (6, 5), "L"), ((3, 6, 5), (6, 5), "RGB"), ((3, 128, 64), (64, 32), "RGB")],
)
def test_grey_colour_and_large_images_are_shown(tmp_path, dtype, shape, size, mode):
    keep(tmp_path, shape=shape, dtype=dtype)
    compared = comparison(RECORDS, tmp_path)
    sheet = Image.open(io.BytesIO(compared.sprite))
    assert (compared.size, sheet.mode) == (size, mode)
    assert sheet.getpixel((0, 0)) == (compared.images[0] if mode == "L" else (compared.images[0],) * 3)


def test_fewer_images_are_shown_where_they_would_be_too_many(cache, monkeypatch):
    shown, size = [], len(comparison(RECORDS, cache).sprite)
    for budget in (size, size - 1, 0):
        monkeypatch.setattr("genmodel_bench.report.page.compare.BUDGET", budget)
        compared = comparison(RECORDS, cache)
        shown.append(compared.shown)
        assert len(compared.sprite) <= budget
    assert shown[0] == 8
    assert 0 < shown[1] < 8
    assert shown[2] == 0
    assert not Reader(page("mnist", table1(RECORDS), RECORDS, [], compared)).all("img")


def test_folds_are_handed_on(tmp_path):
    folds = np.repeat([3, 5, 9], IMAGES // 3)
    text = made(tmp_path, folds=folds)
    payload = decoded(Reader(text))
    assert payload["folds"] == (np.arange(IMAGES) // (IMAGES // 3)).tolist()
    # Student's t with two degrees of freedom
    assert payload["clear"] == pytest.approx(4.3027, abs=1e-4)
    assert "over the means of the folds" in text
    assert "over the means of the folds" not in made(tmp_path)


def test_only_rows_with_the_arrays_of_all_their_seeds_are_compared(cache):
    # the scores of vae's second seed, and of gan-ns
    (cache / "scores" / f"{RECORDS[1].score_key}.safetensors").unlink()
    (cache / "scores" / f"{RECORDS[3].score_key}.safetensors").write_bytes(b"damaged")
    assert {key[1] for key in comparison(RECORDS, cache).log_probs} == {"dbn", STRANGER, "data"}


def test_rows_of_another_number_of_test_images_are_not_compared(cache):
    sealed_at(cache / "scores" / f"{RECORDS[3].score_key}.safetensors", {"log_prob": log_probs(0, 10)})
    assert "gan-ns" not in {key[1] for key in comparison(RECORDS, cache).log_probs}


def test_without_images_or_a_second_row_nothing_is_compared(cache):
    assert comparison(RECORDS[:3], cache) is None
    assert comparison([], cache) is None
    (cache / "images" / f"{DIGEST}.safetensors").unlink()
    assert comparison(RECORDS, cache) is None


def test_arrays_under_another_rows_key_are_not_compared(cache):
    paths = [cache / "scores" / f"{RECORDS[i].score_key}.safetensors" for i in (3, 4)]
    first, second = (path.read_bytes() for path in paths)
    paths[0].write_bytes(second)
    paths[1].write_bytes(first)
    assert {key[1] for key in comparison(RECORDS, cache).log_probs} == {"vae", STRANGER, "data"}


def test_a_changed_byte_is_not_compared(cache):
    path = cache / "images" / f"{DIGEST}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert comparison(RECORDS, cache) is None
