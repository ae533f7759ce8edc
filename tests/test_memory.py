"""Samples that do not fit into memory are scored from disk, or refused in one line."""

import hashlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from genmodel_bench.commands.score import score
from genmodel_bench.errors import BadSamples
from genmodel_bench.execution.given import sha256
from genmodel_bench.inputs import files as bench_files
from genmodel_bench.inputs import samples as bench_samples
from genmodel_bench.inputs.samples import as_samples, read_samples
from genmodel_bench.metrics.neighbours import Neighbours
from genmodel_bench.metrics.parzen import Parzen
from hypothesis import HealthCheck, settings
from safetensors.torch import save_file
from strangers import SHAPE, grey, oracle

ROOT = Path(__file__).parents[1]
QUICK = settings(deadline=None, derandomize=True, max_examples=150, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("dtype", ["u1", ">f4", "<f8", "<f2", np.longdouble, "fortran"])
def test_what_is_converted_on_disk_is_what_is_converted_in_memory_and_leaves_nothing(
    dtype, tmp_path, monkeypatch
):
    x = (
        (grey(50) * 255).astype("u1")
        if dtype == "u1"
        else grey(50)
        if dtype == "fortran"
        else grey(50).astype(dtype)
    )
    np.save(tmp_path / "x.npy", np.asfortranarray(x) if dtype == "fortran" else x)
    expected = read_samples(tmp_path / "x.npy", SHAPE)
    assert np.array_equal(expected.numpy(), oracle(x))
    monkeypatch.setattr(bench_samples, "available_memory", lambda: 0)
    monkeypatch.setattr(bench_samples, "CHUNK", 60)
    assert torch.equal(read_samples(tmp_path / "x.npy", SHAPE, scratch=tmp_path / "not" / "there"), expected)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "x.npy"]
    with pytest.raises(BadSamples, match="as float32, of memory 0 GiB are free; save it as a float32"):
        read_samples(tmp_path / "x.npy", SHAPE)


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_samples, "available_memory", lambda: 0)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(
        BadSamples,
        match=r"do not fit into memory, and cannot be written to a disk either, at .* \(no space left",
    ):
        as_samples(grey().astype(float), SHAPE, scratch=tmp_path)


def test_what_must_be_read_whole_and_does_not_fit_says_so(tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", grey())
    monkeypatch.setattr(bench_files, "available_memory", lambda: 1000)
    with pytest.raises(
        BadSamples, match=r"member 'arr_0': declares .* GiB, of memory .* are free; save it as \.npy"
    ):
        read_samples(tmp_path / "x.npz", SHAPE)


def test_float32_files_are_mapped_not_read(tmp_path):
    np.save(tmp_path / "x.npy", grey())
    torch.save(torch.from_numpy(grey()), tmp_path / "x.pt")
    save_file({"x": torch.from_numpy(grey())}, tmp_path / "x.safetensors")
    for path in sorted(tmp_path.iterdir()):
        x = read_samples(path, SHAPE)
        assert str(path) in Path("/proc/self/maps").read_text(), path
        assert torch.equal(x, torch.from_numpy(grey()))


def test_the_digest_is_of_the_bytes_whatever_the_chunks(monkeypatch):
    x = torch.from_numpy(grey(50))
    monkeypatch.setattr(bench_samples, "CHUNK", 60)
    assert sha256(x) == hashlib.sha256(x.numpy().tobytes()).hexdigest()


def test_the_memory_that_is_left_is_no_more_than_the_limit_of_the_process():
    assert 0 < bench_files.available_memory() < 2**50
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (2**33, hard))
    try:
        assert bench_files.available_memory() < 2**33
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@pytest.mark.parametrize(
    ("limit", "used", "cached"),
    [
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_of_a_control_groups_limit_what_is_in_use_is_not_free(tmp_path, limit, used, cached):
    assert bench_files.cgroup_memory(tmp_path) == []
    for name, text in (
        (limit, "1000\n"),
        (used, "700\n"),
        (str(Path(used).with_name("memory.stat")), f"anon 500\n{cached} 150\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert bench_files.cgroup_memory(tmp_path) == [1000 - (700 - 150)]
    (tmp_path / used).write_text("5000\n")
    assert bench_files.cgroup_memory(tmp_path) == [0]
    (tmp_path / limit).write_text("max\n")
    assert bench_files.cgroup_memory(tmp_path) == []


@pytest.mark.slow
def test_more_samples_than_memory_are_scored(tmp_path):
    """Bytes become a mapped file of float32, which is then scored as such files are.

    The process may take 330 MiB above what it has after its imports, 300 of them for
    Parzen's blocks; as float32 the samples are 360 MiB.
    """
    n, few = 360 * 2**20 // 256, 4096
    block = np.random.default_rng(0).integers(0, 256, (few, 64), dtype=np.uint8)
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", block.dtype, (n, 64))
    for i in range(0, n, few):
        mapped[i : i + few] = block
    mapped.flush()
    # glibc would keep hundreds of MiB of freed memory
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1000000"}
    command = [sys.executable, "-c", SCORE, str(tmp_path / "x.npy"), str(tmp_path / "r")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, env=env)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["n"] == n
    assert not [
        p for p in (tmp_path / "r" / ".cache").iterdir() if p.name not in (".gitignore", "scores", "images")
    ]
    # Every centre occurs n / few times: the mixture is the same, and so is every distance
    # to the nearest.
    few_metrics = {"parzen": Parzen(sigmas=(0.2, 0.5)), "neighbours": Neighbours(resamples=5)}
    same = score(
        block, dataset="digits", name="few", results=tmp_path / "few", device="cpu", metrics=few_metrics
    )["metrics"]
    assert found["parzen"] == pytest.approx(same["parzen"]["value"], abs=1e-4)
    assert found["ratio"] == pytest.approx(same["neighbours"]["value"], rel=1e-6)


SCORE = """
import json, resource, sys
import numpy as np
from genmodel_bench.commands.score import score
from genmodel_bench.metrics.neighbours import Neighbours
from genmodel_bench.metrics.parzen import Parzen
score(np.random.default_rng(1).random((200, 64), dtype=np.float32), dataset="digits", name="warm", \
results=sys.argv[2], device="cpu")
now = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (now + 330 * 2**20,) * 2)
try:
    np.ones(360 * 2**20, np.uint8)
except MemoryError:
    pass
else:
    sys.exit("the limit does not hold")
few = {"parzen": Parzen(sigmas=(0.2, 0.5)), "neighbours": Neighbours(resamples=5)}
found = score(sys.argv[1], dataset="digits", results=sys.argv[2], device="cpu", metrics=few)
metrics = found["metrics"]
assert metrics["parzen"]["value"] is not None and metrics["neighbours"]["value"] is not None, found
print(json.dumps({"n": found["n"], "parzen": metrics["parzen"]["value"], \
"ratio": metrics["neighbours"]["value"]}))
"""
