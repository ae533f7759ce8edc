"""Two rows compared: what the page gets of them."""

import base64
import io
import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from genmodel_bench import BadOption, compare
from genmodel_bench.report.compare import Standing, difference
from genmodel_bench.report.examples import keep_examples
from genmodel_bench.report.page.compare import names_of, worth_seeing
from genmodel_bench.report.page.page import page
from genmodel_bench.storage.store import Store
from pages import (
    DIGEST,
    IMAGES,
    OFFSETS,
    RECORDS,
    STRANGER,
    Reader,
    compared,
    keep,
    log_probs,
    made,
    sealed_at,
    tables,
)
from PIL import Image

SEEDS = {"vae": 3, "gan-ns": 3}
NAMES = ["vae", "gan-ns", "dbn", STRANGER, "data", "mean"]


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    return Reader(made(tmp_path_factory.mktemp("compared")))


@pytest.fixture
def results(tmp_path):
    keep(tmp_path)
    return tmp_path


def embedded(read):
    (scores,) = read.all("script", id="scores")
    return json.loads(scores["text"])


def names(comparison):
    return {key[1] for key in comparison.by_image}


def of_seeds(name):
    return [log_probs(OFFSETS[name] + seed) for seed in range(SEEDS.get(name, 1))]


def test_scores_in_the_page_are_the_means_over_seeds(read):
    found = embedded(read)["rows"]
    assert [row["name"] for row in found] == NAMES
    for row in found:
        values = np.frombuffer(base64.b64decode(row["values"]), "<f4")
        expected = np.mean(of_seeds(row["name"]), axis=0)
        np.testing.assert_array_equal(values, expected.astype(np.float32))


def test_every_pair_is_compared_as_everywhere_in_the_order_of_the_rows(read):
    """Made here from the arrays, by the function that tables and `bench compare` call."""
    payload = embedded(read)
    standings = [
        Standing(
            name,
            tuple(float(x.mean()) for x in of_seeds(name)),
            2.0,
            10_000,
            np.mean(of_seeds(name), axis=0).astype(np.float32).astype(float),
            trained=name != STRANGER,
        )
        for name in NAMES
    ]
    pairs = [difference(a, b, unit="nats", better="higher") for a, b in combinations(standings, 2)]
    assert [pair["sentence"] for pair in payload["pairs"]] == [f"{d.sentence}." for d in pairs]
    for pair, d in zip(payload["pairs"], pairs, strict=True):
        # Scores are in float64, values by image in float32: 24 bits of a number near 100.
        assert (pair["value"], pair["stderr"]) == pytest.approx((d.value, d.stderr), rel=1e-6)


def test_the_images_that_any_two_rows_need_are_in_the_sprite(read):
    payload = embedded(read)
    (sprite,) = read.all("img", id="sprite")
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(sprite["src"].split(",")[1]))))
    w, h, columns = payload["width"], payload["height"], payload["columns"]
    assert (w, h, payload["shown"]) == (5, 6, 8)
    for place, image in enumerate(payload["images"]):
        top, left = place // columns * h, place % columns * w
        # image i is all of value i
        assert (sheet[top : top + h, left : left + w] == image).all()
    arrays = [np.frombuffer(base64.b64decode(row["values"]), "<f4").astype(float) for row in payload["rows"]]
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
    comparison = compared(tmp_path)
    sheet = Image.open(io.BytesIO(comparison.sprite))
    assert (comparison.size, sheet.mode) == (size, mode)
    first = comparison.images[0]
    assert sheet.getpixel((0, 0)) == (first if mode == "L" else (first,) * 3)


def test_fewer_images_are_shown_where_they_would_be_too_many(results, monkeypatch):
    shown, size = [], len(compared(results).sprite)
    for budget in (size, size - 1, 0):
        monkeypatch.setattr("genmodel_bench.report.page.compare.BUDGET", budget)
        comparison = compared(results)
        shown.append(comparison.shown)
        assert len(comparison.sprite) <= budget
    assert shown[0] == 8
    assert 0 < shown[1] < 8
    assert shown[2] == 0
    assert not Reader(page("mnist", tables(results)[0], RECORDS, [], comparison)).all("img")


def test_over_folds_the_error_is_of_their_means(tmp_path):
    folds = np.repeat([3, 5, 9], IMAGES // 3)
    payload = embedded(Reader(made(tmp_path, folds=folds)))
    a, b = (np.mean(of_seeds(name), axis=0).astype(np.float32).astype(float) for name in ("dbn", "data"))
    means = [(a - b)[folds == fold].mean() for fold in (3, 5, 9)]
    place = list(combinations(NAMES, 2)).index(("dbn", "data"))
    # The one error that is known: each has one training run.
    assert payload["pairs"][place]["stderr"] == pytest.approx(np.std(means, ddof=1) / np.sqrt(3), rel=1e-6)


def test_rows_that_lack_an_array_of_a_seed_are_compared_without_images(results):
    # the scores of vae's second seed, and of dbn
    (results / ".cache" / "scores" / f"{RECORDS[1].score_key}.safetensors").unlink()
    (results / ".cache" / "scores" / f"{RECORDS[6].score_key}.safetensors").write_bytes(b"damaged")
    comparison = compared(results)
    assert names(comparison) == set(NAMES) - {"vae", "dbn"}
    assert list(comparison.rows.values()) == NAMES
    paired = {(d.a, d.b): d.paired for d in comparison.pairs}
    assert (paired["gan-ns", "data"], paired["vae", "data"], paired["vae", "dbn"]) == (True, False, False)


def test_rows_of_another_number_of_test_images_are_compared_without_images(results):
    path = results / ".cache" / "scores" / f"{RECORDS[6].score_key}.safetensors"
    sealed_at(path, {"log_prob": log_probs(0, 10)})
    assert names(compared(results)) == set(NAMES) - {"dbn"}
    (results / ".cache" / "images" / f"{DIGEST}.safetensors").unlink()
    assert names(compared(results)) == set(NAMES) - {"dbn"}


def test_fewer_than_two_rows_are_not_compared(results):
    assert compared(results, RECORDS[:3]) is None
    assert compared(results, RECORDS[-1:]) is None


def test_without_test_images_their_values_are_compared(results):
    path = results / ".cache" / "images" / f"{DIGEST}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)  # damaged, then gone
    for _ in range(2):
        comparison = compared(results)
        assert (names(comparison), comparison.shown, comparison.sprite) == (set(OFFSETS), 0, b"")
        path.unlink(missing_ok=True)


def test_arrays_under_another_rows_key_are_not_believed(results):
    paths = [results / ".cache" / "scores" / f"{RECORDS[i].score_key}.safetensors" for i in (6, 7)]
    first, second = (path.read_bytes() for path in paths)
    paths[0].write_bytes(second)
    paths[1].write_bytes(first)
    assert names(compared(results)) == set(NAMES) - {"dbn", STRANGER}


def test_a_clone_without_artefacts_compares_by_the_values_beside_its_records(results):
    table, examples = tables(results)
    before = compared(results)
    (results / "mnist").mkdir()
    keep_examples(Store(results, "mnist"), DIGEST, examples, table.keys)
    (results / ".cache").rename(results / "moved")
    after = compared(results)
    assert names(after) == set(OFFSETS)
    for key, values in before.by_image.items():
        np.testing.assert_array_equal(after.by_image[key], values)
    assert after.pairs == before.pairs
    assert (before.shown, after.shown) == (8, 0)


def test_values_are_in_the_unit_of_the_score(results):
    """A column printed in per cent is compared in per cent, the images too."""
    column = json.dumps(json.loads(RECORDS[0].column) | {"factor": 100.0})
    records = [replace(r, column=column) for r in RECORDS]
    comparison, plain = compared(results, records), compared(results)
    for key, values in comparison.by_image.items():
        np.testing.assert_allclose(values, 100 * plain.by_image[key], rtol=1e-6)  # float32
    assert comparison.pairs[0].value == pytest.approx(100 * plain.pairs[0].value, rel=1e-9)


def test_no_two_rows_have_one_name():
    keys = [
        ("model", "vae", "", 10_000),
        ("model", "vae", "", 1_000),
        ("samples", "vae", "", 1_000),
        ("model", "vae", "epochs=3", 10_000),
        ("model", "dbn", "", 10_000),
        ("samples", "dbn", "", 10_000),
    ]
    assert list(names_of(keys).values()) == [
        "vae, N = 10,000",
        "vae, N = 1,000, model",
        "vae, N = 1,000, samples",
        "vae (epochs=3)",
        "dbn, model",
        "dbn, samples",
    ]


def test_a_list_of_rows_is_told_how_they_are_given(results):
    with pytest.raises(BadOption, match="as in compare"):
        compare(["mean", "data"], results=results)
