"""How do Parzen's time and memory grow with N centres, with n points, and with d?

The centres of the curve against N are in one memory-mapped file; the other two curves
have random centres in memory.
"""

import os
import shutil
from dataclasses import asdict, replace

import pytest

from benchmarks.growth import Size, in_process, write_centres
from benchmarks.ratios import divide

AXES = {
    "N": (Size(0, 100, 784), (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)),
    "n": (Size(10_000, 0, 784), (100, 300, 1_000, 3_000, 10_000)),
    "d": (Size(10_000, 1_000, 0), (64, 128, 256, 512, 784, 1_024, 2_304, 3_072)),
}
CASES = [(axis, value) for axis, (_, values) in AXES.items() for value in values]
QUICK = 2
"""The number of sizes of each axis in a quick run."""


@pytest.fixture(scope="module")
def file(tmp_path_factory, place):
    """A .npy file of centres, as large as the disk and the memory allow."""
    path = tmp_path_factory.mktemp("growth") / "centres.npy"
    sizes = AXES["N"][1][: QUICK if place.quick else None]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # the file's pages must stay in memory, or the disk would be measured
    N = max(N for N in sizes if N * 784 * 4 < min(shutil.disk_usage(path.parent).free, memory) / 2)
    write_centres(path, N, 784)
    yield path, N
    path.unlink()


@pytest.mark.parametrize(("axis", "value"), CASES, ids=[f"{axis}-{value}" for axis, value in CASES])
def test_growth(benchmark, place, file, axis, value):
    size = replace(AXES[axis][0], **{axis: value})
    path, most = file
    if place.quick and value not in AXES[axis][1][:QUICK]:
        pytest.skip("a quick run")
    if axis == "N" and value > most:
        pytest.skip(f"disk or memory are short of {value:,} centres of 784 numbers")
    size = replace(size, file=str(path)) if axis == "N" else size
    benchmark.group = "growth"
    found = benchmark.pedantic(in_process, args=(size, place), kwargs={"budget": 0 if place.quick else 4})
    words = f"{size.n:,} × {size.N:,} × {size.d:,}"
    title = {
        "section": "growth",
        "ours": "`parzen_log_probs`, one σ",
        "other": "one `torch.mm` of the size",
        "size": words,
    }
    facts = {"axis": axis, "value": value, "peak_mib": found.peak_mib}
    record = {"threads": place.threads, "share": 1.0, "target": None, "note": "", "facts": facts} | asdict(
        found
    )
    benchmark.extra_info.update(title | record | {"ratios": divide(found.our_seconds, found.other_seconds)})
