"""An untrusted file of numbers is read right or refused in one line.

No other exception, no hang, nothing left behind.
"""

import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from genmodel_bench.errors import BadSamples, printable
from genmodel_bench.inputs.samples import read_samples
from hypothesis import HealthCheck, settings
from strangers import SHAPE, grey, is_one_line

ROOT = Path(__file__).parents[1]
QUICK = settings(deadline=None, derandomize=True, max_examples=150, suppress_health_check=list(HealthCheck))


def header(descr="<f4", shape=(12, 1, 4, 5), order=False):
    text = repr({"descr": descr, "fortran_order": order, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def npz(path, members, *, compress=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def pt_of(path, value):
    torch.save(value, path)


def lying_pt(path):
    """A .pt whose tensor and storage are declared much longer than what is stored.

    The checksums fit, and torch.load alone may crash.
    """
    torch.save(torch.zeros(12, 20), path)
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    key = next(name for name in records if name.endswith("data.pkl"))
    records[key] = (
        records[key]
        .replace(b"M\xf0\x00", b"J\xff\xff\xff\x7f")
        .replace(b"K\x0cK\x14", b"J\xff\xff\xff\x04K\x14")
    )
    npz(path, records, compress=zipfile.ZIP_STORED)


def legacy_pt(path):
    torch.save(torch.zeros(12, 20), path, _use_new_zipfile_serialization=False)


def bomb_pt(path):
    torch.save(torch.zeros(100_000, 20), path)
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    npz(path, records)


def spoilt_pt(path):
    torch.save(torch.rand(12, 20), path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at = next(info.header_offset for info in archive.infolist() if info.filename.endswith("/0"))
    content[at + 200] ^= 1
    path.write_bytes(content)


def array_bytes(x):
    buffer = io.BytesIO()
    np.save(buffer, x)
    return buffer.getvalue()


def spoilt_npz(path):
    npz(path, {"x.npy": array_bytes(grey())}, compress=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)


def infinite(x, row, value):
    x[row, 0, 0, 0] = value
    return x


FILES = {
    "empty.npy": (lambda p: p.touch(), "is empty"),
    "empty.npz": (lambda p: p.touch(), "is empty"),
    "nothing.npz": (lambda p: npz(p, {}), "one named 'samples'; got none"),
    "text.npy": (lambda p: p.write_text("hello\nworld"), "cannot be read as .npy"),
    "pickle.npy": (lambda p: np.save(p, np.array([{}] * 12), allow_pickle=True), "it holds Python objects"),
    "pickle.npz": (
        lambda p: np.savez(p, np.array([{}] * 12)),
        "member 'arr_0': cannot be read without running code",
    ),
    "cut.npy": (lambda p: p.write_bytes(array_bytes(grey())[:-1]), "declares 12 rows but holds 11"),
    "much.npy": (
        lambda p: p.write_bytes(header(shape=(10**15, 20)) + bytes(80)),
        "declares 1000000000000000 rows but holds 1",
    ),
    "endless.npy": (lambda p: p.write_bytes(header(shape=(10**3000, 20)) + bytes(80)), "rows but holds 1"),
    "negative.npy": (lambda p: p.write_bytes(header(shape=(-3, 20)) + bytes(960)), "holds no samples"),
    "nested.npy": (
        lambda p: p.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000),
        "cannot be read as .npy",
    ),
    "long.npy": (
        lambda p: p.write_bytes(b"\x93NUMPY\x02\x00" + b"\xff\xff\xff\x7f" + b" " * 50_000),
        "cannot be read as .npy",
    ),
    "version.npy": (lambda p: p.write_bytes(b"\x93NUMPY\x09\x00" + bytes(50)), "version (9, 0)"),
    "names.npy": (lambda p: np.save(p, np.zeros(12, [("a\nb", "f4")])), "dtype [('a\\nb', '<f4')]"),
    "one.npy": (lambda p: np.save(p, np.float32(0.5)), "shape (), expected"),
    "none.npy": (lambda p: np.save(p, grey(0)), "holds no samples"),
    "channels.npy": (
        lambda p: np.save(p, np.zeros((12, 3, 4, 5), np.float32)),
        "shape (12, 3, 4, 5), expected",
    ),
    "nan.npy": (
        lambda p: np.save(p, infinite(grey(), 7, np.nan)),
        "1 of 12 rows are not finite (first: row 7)",
    ),
    "range.npy": (
        lambda p: np.save(p, infinite(grey().astype(float), 5, 1 + 1e-12)),
        "(first: row 5, values span [0.00",
    ),
    "bomb.npz": (
        lambda p: npz(p, {"x.npy": header(shape=(20_000_000,)) + bytes(80_000_000)}),
        "shape (20000000,), expected",
    ),
    "head.npz": (
        lambda p: npz(p, {"x.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\x04" + b" " * 90_000_000}),
        "cannot be read as .npz",
    ),
    "short.npz": (
        lambda p: npz(p, {"x.npy": header(shape=(99, 20)) + bytes(960)}),
        "declares 99 rows but holds 12",
    ),
    "spoilt.npz": (spoilt_npz, "Bad CRC-32 for file 'x.npy'"),
    "many.npz": (lambda p: np.savez(p, **{f"a{i}\n": grey() for i in range(9)}), "got 'a0\\n', 'a1\\n', "),
    "code.pt": (lambda p: pt_of(p, {"samples": Path}), "cannot be read as .pt of plain tensors"),
    "list.pt": (lambda p: pt_of(p, [torch.zeros(12, 20)]), "expected an array, got list"),
    "expanded.pt": (
        lambda p: pt_of(p, torch.zeros(1, 20).expand(10**14, 20)),
        "repeats a few stored numbers",
    ),
    "lying.pt": (lying_pt, "cannot be read as .pt"),
    "legacy.pt": (legacy_pt, "older than torch 1.6"),
    "bomb.pt": (bomb_pt, "its records are compressed"),
    "spoilt.pt": (spoilt_pt, "record 'spoilt/data/0' is damaged"),
    "meta.pt": (lambda p: pt_of(p, torch.zeros(12, 20, device="meta")), "expected a dense tensor"),
    "text.safetensors": (lambda p: p.write_bytes(b"\xff" * 50), "cannot be read as .safetensors"),
    "folder.npy": (lambda p: p.mkdir(), "no images there"),
    "pipe.npy": (os.mkfifo, "is a pipe, socket or device"),
    "null.npy": (lambda p: p.symlink_to("/dev/zero"), "is a pipe, socket or device"),
    "loop.npy": (lambda p: p.symlink_to(p), "cannot be opened (Too many levels of symbolic links)"),
    "broken.npy": (lambda p: p.symlink_to("a\nb"), "is a link to a\\nb, which does not exist"),
    "new\nline\x1b[31m.npy": (lambda p: p.touch(), "new\\nline\\x1b[31m.npy: is empty"),
    os.fsdecode(b"bytes\xff.npy"): (lambda p: p.touch(), "bytes\\udcff.npy: is empty"),
    os.fsdecode(b"bytes\xff.pt"): (
        lambda p: pt_of(p.with_name("a"), torch.zeros(12, 20)) or p.with_name("a").rename(p),
        "not UTF-8",
    ),
    "a" * 300 + ".npy": (lambda p: None, "cannot be opened (File name too long)"),
    "null\0.npy": (lambda p: None, "cannot be opened"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_one_line(name, tmp_path):
    write, gist = FILES[name]
    write(tmp_path / name)
    with pytest.raises(BadSamples) as error:
        read_samples(tmp_path / name, SHAPE)
    is_one_line(str(error.value))
    assert gist in str(error.value)
    assert str(error.value).startswith(printable(str(tmp_path)))


def test_no_permission_is_one_line(tmp_path):
    np.save(tmp_path / "x.npy", grey())
    (tmp_path / "x.npy").chmod(0)
    tmp_path.chmod(0o755)
    (tmp_path / "f").mkdir(mode=0)
    root = os.geteuid() == 0
    parents = [p for p in tmp_path.parents if p.name.startswith("pytest-")]
    for parent in parents if root else []:
        parent.chmod(0o755)
    if root:
        os.seteuid(65534)  # root may read anything
    try:
        for name in ("x.npy", "f"):
            with pytest.raises(BadSamples, match=r"cannot be (opened|listed) \(Permission denied\)"):
                read_samples(tmp_path / name, SHAPE)
    finally:
        if root:
            os.seteuid(0)


COMMANDS = {
    "pickle.npy": "it holds Python objects",
    "pipe.npy": "is a pipe, socket or device",
    "new\nline\x1b[31m.npy": "--name: got 'new\\nline\\x1b[31m'",
    "loop.npy": "Too many levels of symbolic links",
    os.fsdecode(b"bytes\xff.npy"): "--name: got 'bytes\\udcff'",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_line_says_one_line_and_leaves_nothing(name, tmp_path, typed):
    FILES[name][0](tmp_path / name)
    options = ["--dataset", "digits", "--results", tmp_path / "r", "--device", "cpu"]
    code, out, error = typed("score", tmp_path / name, *options)
    assert (code, out) == (2, ""), error
    assert error.startswith("bench: ")
    assert error.endswith("\n")
    is_one_line(error[:-1])
    assert COMMANDS[name] in error
    assert not (tmp_path / "r").exists()
