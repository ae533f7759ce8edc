"""What the tests of the page share.

Records with scores and test images behind them, some under hostile names.
"""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import torch
from genmodel_bench.report.figures.figure import Figure
from genmodel_bench.report.page.compare import comparison
from genmodel_bench.report.page.page import page
from genmodel_bench.report.rebuild import Today, tabulated
from genmodel_bench.storage import sealed
from genmodel_bench.storage.store import Store
from PIL import Image
from test_report import ROW

STRANGER = "<script>alert(1)</script>\"'&</script><!--"
DIGEST = "d1"
IMAGES = 60


def log_probs(seed, n=IMAGES):
    return np.random.default_rng(seed).normal(100 + 10 * seed, 20, n)


def rows(model, seeds=(0,), *, role="model", offset=0, **changes):
    """Records of one table row, with `log_probs` as the arrays of its seeds."""
    found = []
    for seed in seeds:
        key = f"{role}-{abs(hash_of(model))}-{seed}"
        value = float(log_probs(offset + seed).mean())
        settings = json.dumps({"hidden": [16, 12], "lr": 0.05, "note": model})
        made = replace(
            ROW,
            model=model,
            role=role,
            seed=seed,
            value=value,
            stderr=2.0,
            dataset_digest=DIGEST,
            score_key=key,
        )
        found.append(
            replace(
                made, model_settings=settings, device="cpu", commit="abc", score_seconds=1.0 + seed, **changes
            )
        )
    return found


def hash_of(text):
    return sum(ord(character) * 31**i for i, character in enumerate(text[:10]))


RECORDS = [
    *rows("vae", (0, 1, 2), offset=4),
    *rows("gan-ns", (0, 1, 2), offset=2),
    *rows("dbn", offset=1),
    *rows(STRANGER, role="samples", offset=3, status=f"warning: {STRANGER}"),
    *rows("data", role="reference", offset=6),
    *rows("mean", role="reference", offset=0),
    replace(ROW, model="rbm", seed=0, status="failed: no luck", dataset_digest=DIGEST),
]
OFFSETS = {"vae": 4, "gan-ns": 2, "dbn": 1, STRANGER: 3, "data": 6, "mean": 0}


def sealed_at(path, arrays, about=""):
    """Write arrays as an artefact under its own name."""
    sealed.save(
        path, path.stem, {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, about
    )


def keep(results, *, records=RECORDS, folds=None, shape=(1, 6, 5), dtype=np.uint8):
    """Write the arrays behind `records`, and test images: image i is all of value i."""
    cache = results / ".cache"
    for r in records:
        if r.score_key:
            arrays = {"log_prob": log_probs(OFFSETS[r.model] + r.seed), "sigma_curve": np.zeros(10)}
            sealed_at(cache / "scores" / f"{r.score_key}.safetensors", arrays)
    test = np.arange(IMAGES, dtype=np.uint8)[:, None, None, None] * np.ones(shape, np.uint8)
    arrays = {"test": test if dtype == np.uint8 else (test / 255).astype(dtype)}
    if folds is not None:
        arrays["fold"] = np.asarray(folds)
    sealed_at(cache / "images" / f"{DIGEST}.safetensors", arrays)


def draw(folder):
    """Figures of two rows and of all; one has a known resolution, one is missing.

    The summary has a form for two columns too. Each has a PDF of its own.
    """
    sizes = {"a": (40, 60), "d": (40, 60), "b": (300, 2000), "s": (600, 975), "s-wide": (300, 2025)}
    for name, size in sizes.items():
        grey = Image.fromarray(np.full(size, 100 + len(name) + ord(name[0]), np.uint8))
        grey.save(folder / f"{name}.png", **({} if size == (40, 60) else {"dpi": (300, 300)}))
        (folder / f"{name}.pdf").write_bytes(b"%PDF of " + name.encode())
    vae, stranger = ("model", "vae", "", 10_000), ("samples", STRANGER, "", 10_000)
    told = "None chosen. Framed: the nearest."
    return [
        Figure(folder / "s.png", "summary", "The rows", "Best first.", "Dots."),
        Figure(folder / "s-wide.png", "summary", "The rows", "Best first.", "Dots.", wide=True),
        Figure(folder / "b.png", "curves", "Parzen against σ", "Over the grid.", "A line."),
        Figure(folder / "a.png", "samples", "vae", f"{told} Sharp.", "Digits of vae.", vae),
        Figure(folder / "d.png", "samples", STRANGER, f"{told} Of {STRANGER}.", STRANGER, stranger),
        Figure(folder / "gone.png", "film", "gone", "gone", "gone", vae),
    ]


def tables(folder, records=RECORDS, dataset="mnist"):
    """The table of records, and the values by image behind it."""
    return tabulated(Store(folder, dataset), records, Today())


def compared(folder, records=RECORDS, dataset="mnist"):
    table, examples = tables(folder, records, dataset)
    return comparison(table, records, examples, folder / ".cache")


def made(folder, *, records=RECORDS, folds=None, dataset="mnist"):
    keep(folder, records=records, folds=folds)
    table, _ = tables(folder, records, dataset)
    return page(dataset, table, records, draw(folder), compared(folder, records, dataset))


VOID = {"meta", "link", "img", "br", "source", "input"}


class Reader(HTMLParser):
    """The elements of a page in order: tag, attributes, text.

    It fails where they are not nested.
    """

    def __init__(self, text):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, **dict(attributes), "text": ""}
        assert len(attributes) == len(dict(attributes)), "an attribute twice"
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attributes):
        return [
            e
            for e in self.elements
            if e["tag"] == tag and all(e.get(name) == value for name, value in attributes.items())
        ]
