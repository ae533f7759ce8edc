"""How much faster are the Parzen estimate, precision and coverage than others' code?

Each rival must first compute the same number. One that would take minutes is given a part
of the points, and its seconds are scaled by their number. One that can use one thread
only is compared with one thread on both sides.
"""

import pytest
from genmodel_bench.metrics import precision_recall_density_coverage
from genmodel_bench.metrics.parzen import parzen_log_prob

from benchmarks import rivals
from benchmarks.conftest import Title, size_of

SIGMA = 0.2
AGREED = 0.05
"""Nats: float32 without centring loses a few hundredths at d = 784."""


@pytest.fixture(scope="module")
def images(place, mnist):
    n = place.size(10_000, 500)
    return mnist.test[:n].flatten(1).to(place.device), mnist.train[:n].flatten(1).to(place.device)


@pytest.fixture
def against(compare, images):
    """Compare with a rival that is given the first `points` test images."""

    def run(name, rival, points, *, agrees=True, threads=None, note=""):
        x, s = images
        few = x[:points]
        difference = float((rival(few).cpu() - parzen_log_prob(few, s, SIGMA).cpu()).abs().max())
        assert not agrees or difference < AGREED, (
            f"{name}: {difference:.3f} nats from ours; a comparison of seconds would say nothing"
        )
        title = Title("rivals", "`parzen_log_prob`", name, size_of(x, s))
        share = len(few) / len(x)
        part = f"timed on {len(few):,} points and scaled" if share < 1 else ""
        note = "; ".join(text for text in (part, note) if text)
        compare(
            title,
            lambda: parzen_log_prob(x, s, SIGMA),
            lambda: rival(few),
            share=share,
            threads=threads,
            note=note,
            difference=difference,
        )

    return run


def test_chunked(against, place, images):
    against(
        "torch: ‖x‖² + ‖s‖² − 2 x·s and logsumexp, in chunks",
        lambda x: rivals.chunked(x, images[1], SIGMA),
        place.size(10_000, 500),
    )


def test_cdist(against, place, images):
    against(
        "torch: `cdist` and logsumexp, in chunks",
        lambda x: rivals.cdist(x, images[1], SIGMA),
        place.size(10_000, 500),
    )


def test_broadcasting(against, images):
    against(
        "torch: broadcasting, as the released script does", lambda x: rivals.released(x, images[1], SIGMA), 20
    )


@pytest.mark.filterwarnings("default")
def test_keops(against, place, images):
    pytest.importorskip("pykeops")
    points = 10_000 if place.device.type == "cuda" else place.size(200, 50)
    against("KeOps: `LazyTensor` and logsumexp", lambda x: rivals.keops(x, images[1], SIGMA), points)


def test_scipy(against, place, images):
    note = "one thread on both sides; SciPy computes in float64"
    against(
        "SciPy: `cdist` and `logsumexp`",
        lambda x: rivals.scipy_float64(x, images[1], SIGMA),
        place.size(200, 20),
        threads=1,
        note=note,
    )


def test_kernel_density(against, place, images):
    """Its numbers are not checked: scikit-learn 1.9.1 is wrong at this d.

    See `metrics/windows.py`.
    """
    density = rivals.kernel_density(images[1], SIGMA)
    ask = lambda x: rivals.score_density(density, x)  # noqa: E731
    note = "one thread on both sides; its tree was built before; **its numbers are wrong** at this d"
    against("scikit-learn: `KernelDensity`", ask, place.size(50, 10), agrees=False, threads=1, note=note)


@pytest.fixture
def against_balls(compare, place, images):
    """Compare precision, recall, density and coverage with a rival."""

    def run(name, rival):
        few = place.size(1000, 300)
        for n in (few, len(images[0])):
            samples, real = images[1][:n], images[0][:n]
            ours, theirs = precision_recall_density_coverage(samples, real, 5), rival(samples, real, 5)
            difference = max(abs(ours[each].value - value) for each, value in theirs.items())
            # theirs are float32 without centring: a few images change sides
            assert difference < 2e-3, f"{name}: {difference:.4f} from ours"
        title = Title("rivals", "`precision_recall_density_coverage`", name, size_of(samples, real))
        compare(
            title,
            lambda: precision_recall_density_coverage(samples, real, 5),
            lambda: rival(samples, real, 5),
            budget=60,
            note=f"{', '.join(theirs)}; the difference is one of shares",
            difference=difference,
        )

    return run


@pytest.mark.filterwarnings("default")
def test_prdc(against_balls):
    pytest.importorskip("prdc")
    against_balls("prdc: whole matrices of distances", rivals.prdc_package)


@pytest.mark.filterwarnings("default")
def test_torch_fidelity(against_balls):
    """Of torchmetrics there is nothing to compare: 1.9.0 has neither."""
    pytest.importorskip("torch_fidelity")
    against_balls("torch-fidelity: `cdist` and `kthvalue`", rivals.torch_fidelity)
