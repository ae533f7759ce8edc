"""How far are the Parzen window and neighbours from one matrix product?

In time, next to a product of their size, and in nats, from float64.
"""

from functools import partial

import pytest
import torch
from genmodel_bench.metrics import precision_recall_density_coverage
from genmodel_bench.metrics.distances import nearest
from genmodel_bench.metrics.parzen import PAPER_SIGMAS, parzen_log_prob, parzen_log_probs
from torch.nn.functional import interpolate

from benchmarks.conftest import Title, size_of
from benchmarks.rivals import scipy_float64

SECTION, FLOOR = "parzen", "one `torch.mm` of 10,000 × 10,000 × 784"


@pytest.fixture(scope="module")
def images(place, mnist):
    """Test images (n, d) and training images (N, d), of the floor's size."""
    n = place.size(10_000, 500)
    return mnist.test[:n].flatten(1).to(place.device), mnist.train[:n].flatten(1).to(place.device)


@pytest.fixture(scope="module")
def floor(images):
    x, s = images
    product, transposed = torch.empty(len(x), len(s), device=x.device), s.T.contiguous()
    return partial(torch.mm, x, transposed, out=product)


def test_one_sigma(compare, place, images, floor):
    title = Title(SECTION, "`parzen_log_prob`, one σ", FLOOR, size_of(*images))
    compare(
        title,
        lambda: parzen_log_prob(*images, 0.2),
        floor,
        budget=25,
        target=2.0 if place.device.type == "cuda" else 1.3,
    )


def test_selection_of_sigma(compare, mnist, place, images, floor):
    valid = mnist.valid[: place.size(1000, 50)].flatten(1).to(place.device)
    title = Title(
        SECTION,
        "`parzen_log_probs`, ten σ, as they are chosen on validation images",
        FLOOR,
        size_of(valid, images[1]),
    )
    compare(title, lambda: parzen_log_probs(valid, images[1], PAPER_SIGMAS), floor, target=0.35)


def test_nearest_neighbour(compare, images, floor):
    title = Title(SECTION, "`nearest`", FLOOR, size_of(*images))
    compare(title, lambda: nearest(*images), floor, budget=20)


def test_precision_and_coverage(compare, images, floor):
    """Two products at least: one of both sets, and half a one of each with itself."""
    title = Title(SECTION, "`precision_recall_density_coverage`", FLOOR, size_of(*images))
    note = "needs two products"
    found = partial(precision_recall_density_coverage, *images, 5)
    compare(title, found, floor, budget=40, target=3.6, note=note)


@pytest.mark.parametrize("side", [28, 48])
def test_error_in_float32(compare, place, mnist, side):
    """The error is the largest over the paper's ten σ and all images."""
    n, N = place.size(200, 20), place.size(10_000, 300)
    x, s = (
        interpolate(part, (side, side), mode="bilinear").flatten(1).to(place.device)
        for part in (mnist.test[:n], mnist.train[:N])
    )
    found, exact = (
        parzen_log_probs(x, s, PAPER_SIGMAS).cpu(),
        torch.stack([scipy_float64(x, s, sigma) for sigma in PAPER_SIGMAS]),
    )
    title = Title("error", "`parzen_log_probs`, ten σ, float32", "the same in float64", size_of(x, s))
    xs, ss = x.double(), s.double()
    ours, theirs = (
        (lambda: parzen_log_probs(x, s, PAPER_SIGMAS)),
        (lambda: parzen_log_probs(xs, ss, PAPER_SIGMAS)),
    )
    compare(title, ours, theirs, budget=5, error_nats=float((found - exact).abs().max()))
