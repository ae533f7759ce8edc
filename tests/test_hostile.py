"""Whatever a stranger hands in is either read right or refused in one line: no other exception, no hang, nothing left behind."""

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from safetensors.torch import save_file

from bench import BenchError
from bench import files as bench_files
from bench import images as bench_images
from bench import samples as bench_samples
from bench.data import load
from bench.errors import BadSamples, DataMissing, printable
from bench.samples import as_samples, read_samples
from bench.scoring import score, sha256
from metrics.neighbours import Neighbours
from metrics.parzen import Parzen

ROOT = Path(__file__).parents[1]
SHAPE = (1, 4, 5)
QUICK = settings(deadline=None, derandomize=True, max_examples=150, suppress_health_check=list(HealthCheck))


def grey(n=12):
    return np.random.default_rng(0).random((n, *SHAPE), dtype=np.float32)


def is_one_line(text):
    assert text
    assert text.isprintable()
    assert len(text) < 2000
    text.encode()


# --- a file that is what it must not be


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
    """A .pt whose tensor and storage are declared much longer than what is stored; the checksums fit, and torch.load alone may crash."""
    torch.save(torch.zeros(12, 20), path)
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    key = next(name for name in records if name.endswith("data.pkl"))
    records[key] = records[key].replace(b"M\xf0\x00", b"J\xff\xff\xff\x7f").replace(b"K\x0cK\x14", b"J\xff\xff\xff\x04K\x14")
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
    "pickle.npz": (lambda p: np.savez(p, np.array([{}] * 12)), "member 'arr_0': cannot be read without running code"),
    "cut.npy": (lambda p: p.write_bytes(array_bytes(grey())[:-1]), "declares 12 rows but holds 11"),
    "much.npy": (lambda p: p.write_bytes(header(shape=(10**15, 20)) + bytes(80)), "declares 1000000000000000 rows but holds 1"),
    "endless.npy": (lambda p: p.write_bytes(header(shape=(10**3000, 20)) + bytes(80)), "rows but holds 1"),
    "negative.npy": (lambda p: p.write_bytes(header(shape=(-3, 20)) + bytes(960)), "holds no samples"),
    "nested.npy": (lambda p: p.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000), "cannot be read as .npy"),
    "long.npy": (lambda p: p.write_bytes(b"\x93NUMPY\x02\x00" + b"\xff\xff\xff\x7f" + b" " * 50_000), "cannot be read as .npy"),
    "version.npy": (lambda p: p.write_bytes(b"\x93NUMPY\x09\x00" + bytes(50)), "version (9, 0)"),
    "names.npy": (lambda p: np.save(p, np.zeros(12, [("a\nb", "f4")])), "dtype [('a\\nb', '<f4')]"),
    "one.npy": (lambda p: np.save(p, np.float32(0.5)), "shape (), expected"),
    "none.npy": (lambda p: np.save(p, grey(0)), "holds no samples"),
    "channels.npy": (lambda p: np.save(p, np.zeros((12, 3, 4, 5), np.float32)), "shape (12, 3, 4, 5), expected"),
    "nan.npy": (lambda p: np.save(p, infinite(grey(), 7, np.nan)), "1 of 12 rows are not finite (first: row 7)"),
    "range.npy": (lambda p: np.save(p, infinite(grey().astype(float), 5, 1 + 1e-12)), "(first: row 5, values span [0.00"),
    "bomb.npz": (lambda p: npz(p, {"x.npy": header(shape=(20_000_000,)) + bytes(80_000_000)}), "shape (20000000,), expected"),
    "head.npz": (lambda p: npz(p, {"x.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\x04" + b" " * 90_000_000}), "cannot be read as .npz"),
    "short.npz": (lambda p: npz(p, {"x.npy": header(shape=(99, 20)) + bytes(960)}), "declares 99 rows but holds 12"),
    "spoilt.npz": (spoilt_npz, "Bad CRC-32 for file 'x.npy'"),
    "many.npz": (lambda p: np.savez(p, **{f"a{i}\n": grey() for i in range(9)}), "got 'a0\\n', 'a1\\n', "),
    "code.pt": (lambda p: pt_of(p, {"samples": Path}), "cannot be read as .pt of plain tensors"),
    "list.pt": (lambda p: pt_of(p, [torch.zeros(12, 20)]), "expected an array, got list"),
    "expanded.pt": (lambda p: pt_of(p, torch.zeros(1, 20).expand(10**14, 20)), "repeats a few stored numbers"),
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
    os.fsdecode(b"bytes\xff.pt"): (lambda p: pt_of(p.with_name("a"), torch.zeros(12, 20)) or p.with_name("a").rename(p), "not UTF-8"),
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


# --- a folder of images


def folder(path, n=20):
    path.mkdir(exist_ok=True)
    for i, x in enumerate(grey(n)):
        Image.fromarray((x[0] * 255).astype(np.uint8)).save(path / f"{i:02d}.png")
    return path


def huge_png(path):
    """A PNG of one grey pixel whose header claims 60,000 by 60,000."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)


def translucent(mode):
    def write(path):
        pixels = np.full((4, 5, len(mode)), 255, np.uint8)
        pixels[1, 1, -1] = 254
        Image.fromarray(pixels).save(path)

    return write


def sixteen_bit_colour(path):
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0), b"IDAT" + zlib.compress(bytes(4 * (1 + 30))), b"IEND"]
    parts = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def animated(path):
    frames = [Image.fromarray(np.full((4, 5), i, np.uint8)) for i in (0, 99)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


IMAGES = {
    "a.png": (lambda p: p.touch(), "cannot be read as an image"),
    "b.png": (lambda p: p.write_bytes((p.parent / "00.png").read_bytes()[:60]), "cannot be read as an image"),
    "c.png": (lambda p: Image.new("L", (9, 9)).save(p), "is 9×9 pixels where "),
    "d.png": (huge_png, "d.png: "),
    "e.png": (translucent("RGBA"), "has transparent pixels"),
    "f.png": (translucent("LA"), "has transparent pixels"),
    "g.png": (lambda p: Image.new("P", (5, 4)).save(p, transparency=0), "has transparent pixels"),
    "h.png": (lambda p: Image.fromarray(np.zeros((4, 5), np.uint16)).save(p, transparency=0), "has transparent pixels"),
    "i.png": (sixteen_bit_colour, "has 16 bits per colour"),
    "j.gif": (animated, "holds several frames"),
    "k.png": (animated, "holds several frames"),
    "l.tiff": (animated, "holds several frames"),
    "m.tiff": (lambda p: Image.fromarray(np.zeros((4, 5), np.float32)).save(p), "whose range is not known"),
    "n.png": (lambda p: p.mkdir(), "is a folder, expected an image"),
    "o.png": (os.mkfifo, "is a pipe, socket or device"),
    "p.png": (lambda p: p.symlink_to(p), "Too many levels of symbolic links"),
    "q.png": (lambda p: p.symlink_to("absent"), "is a link to absent, which does not exist"),
    "r.png": (lambda p: p.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 4\n"), "cannot be read as an image"),
    "s\n{0}.png": (lambda p: p.touch(), "s\\n{0}.png: cannot be read as an image"),
    "!{x}.png": (lambda p: Image.new("L", (9, 9)).save(p), "9×9"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_a_bad_image_is_one_line(name, tmp_path):
    write, gist = IMAGES[name]
    write(folder(tmp_path / "images") / name)
    with pytest.raises(BadSamples) as error:
        read_samples(tmp_path / "images", SHAPE)
    is_one_line(str(error.value))
    assert gist in str(error.value)
    with pytest.raises(BenchError) as error:
        load(f"folder:{tmp_path / 'images'}")
    is_one_line(str(error.value))
    assert gist in str(error.value)


def test_a_bad_image_folder_is_one_line(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name, gist in [("loop", "cannot be listed (Too many levels"), ("absent\n", "no such folder"), ("nul\0", "cannot be listed")]:
        with pytest.raises(BenchError) as error:
            load(f"folder:{tmp_path / name}")
        is_one_line(str(error.value))
        assert gist in str(error.value)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataMissing, match="no such folder"):
        load(f"folder:{tmp_path / 'pipe'}")


def test_a_colour_among_grey_images_is_named(tmp_path):
    Image.new("RGB", (5, 4), (9, 0, 0)).save(folder(tmp_path / "x") / "07.png")
    with pytest.raises(BadSamples, match=r"07\.png: is in colour, expected grey"):
        read_samples(tmp_path / "x", SHAPE)
    assert read_samples(tmp_path / "x", (3, 4, 5)).shape == (20, 3, 4, 5)


def test_more_images_than_memory_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_images, "available_memory", lambda: 3000)
    with pytest.raises(BadSamples, match=r"20 images of 5×4 take .*, too much for memory; score them as one \.npy"):
        read_samples(folder(tmp_path / "x"), SHAPE)


def test_every_picture_that_loses_nothing_is_read(tmp_path):
    values = np.arange(20, dtype=np.uint16).reshape(4, 5) * 3449
    eight = (values >> 8).astype(np.uint8)
    opaque = np.stack([eight, eight, eight, np.full_like(eight, 255)], -1)
    path = tmp_path / "x"
    path.mkdir()
    Image.fromarray(values).save(path / "sixteen.png")
    Image.fromarray(values).save(path / "sixteen.tiff")
    (path / "sixteen.pgm").write_bytes(b"P5 5 4 65535\n" + values.astype(">u2").tobytes())
    Image.fromarray(opaque).save(path / "opaque.png")
    Image.fromarray(eight).save(path / "still.gif")
    Image.fromarray(eight).save(path / os.fsdecode(b"\xff.png"))
    Image.fromarray(eight > 100).save(path / "zbit.png")
    Image.fromarray(eight).convert("CMYK").save(path / "zcmyk.tiff")
    found = {p.name: x for p, x in zip(bench_images.image_paths(path), read_samples(path, SHAPE)[:, 0].numpy(), strict=True)}
    for name in ("sixteen.png", "sixteen.tiff", "sixteen.pgm"):
        assert (found[name] == values.astype(np.float32) / np.float32(65535)).all(), name
    for name in ("opaque.png", "still.gif", os.fsdecode(b"\xff.png"), "zcmyk.tiff"):
        assert (found[name] == eight.astype(np.float32) / np.float32(255)).all(), name
    assert (found["zbit.png"] == (eight > 100)).all()


# --- any array, any bytes


EDGES = [0.0, -0.0, 1.0, 5e-324, 1e-45, -1e-45, 1e-40, 0.5, 1 + 1e-12, 1.0000001, -1e-9, np.nan, np.inf, -np.inf, 255.0]
ODD = [np.dtype(kind) for kind in ("O", "O,f4", "M8[s]", "m8", "S3", "U3", "V4", "?", "c8", "u1", "i4", np.longdouble)]
KINDS = st.one_of(hnp.floating_dtypes(endianness="?"), hnp.scalar_dtypes(), hnp.array_dtypes(), st.sampled_from(ODD))
SHAPES = st.one_of(
    st.integers(0, 5).flatmap(lambda n: st.sampled_from([(n, 20), (n, 4, 5), (n, 1, 4, 5)])),
    hnp.array_shapes(min_dims=0, max_dims=5, min_side=0),
)


@st.composite
def arrays(draw):
    dtype, shape = draw(KINDS), draw(SHAPES)
    if dtype.kind == "f":
        base = np.random.default_rng(draw(st.integers(0, 9))).random(shape)
        with np.errstate(all="ignore"):
            x = np.asarray(base).astype(dtype)
            if x.size and draw(st.booleans()):
                x.flat[draw(st.integers(0, x.size - 1))] = draw(st.sampled_from(EDGES))
    elif dtype.kind == "u" and dtype.itemsize == 1:
        x = np.random.default_rng(0).integers(0, draw(st.sampled_from([1, 2, 256])), shape, dtype=np.uint8)
    else:
        x = np.zeros(shape, dtype)
    way = draw(st.sampled_from(["as is", "fortran", "backwards", "expanded", "masked", "tensor"]))
    if way == "fortran":
        return np.asfortranarray(x)
    if way == "backwards" and x.ndim:
        return x[::-1]
    if way == "expanded" and x.ndim:
        return np.broadcast_to(x[:1], x.shape) if len(x) else x
    if way == "tensor":
        try:
            return torch.from_numpy(x)
        except (TypeError, ValueError):
            return x
    return np.ma.masked_array(x) if way == "masked" else x


def oracle(x):
    """What samples mean, said once more, slowly; None for what is no set of images."""
    if isinstance(x, np.ma.MaskedArray):
        return None
    x = x.numpy() if isinstance(x, torch.Tensor) else x
    if x.shape[:1] == (0,) or x.shape not in [(len(x) if x.ndim else 0, *rest) for rest in ((20,), (4, 5), (1, 4, 5))]:
        return None
    if x.dtype == np.uint8:
        return x.astype(np.float32).reshape(-1, *SHAPE) / np.float32(255) if x.max() > 1 else None
    if x.dtype.kind != "f" or not all(np.isfinite(v) and 0 <= v <= 1 for v in x.ravel()):
        return None
    return x.astype(np.float64).astype(np.float32).reshape(-1, *SHAPE)


def agrees(read, expected):
    """Whether what was read is what the oracle says, or is refused in one line where the oracle has nothing."""
    try:
        found = read()
    except BadSamples as error:
        is_one_line(str(error))
        return expected is None
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    return expected is not None and np.array_equal(found.numpy(), expected)


@QUICK
@given(arrays(), st.sampled_from([20, 60, 10**6]))
def test_any_array_is_read_right_or_refused_in_one_line(x, chunk):
    before, bench_samples.CHUNK = bench_samples.CHUNK, chunk
    try:
        assert agrees(lambda: as_samples(x, SHAPE), oracle(x))
    finally:
        bench_samples.CHUNK = before


@QUICK
@given(st.one_of(st.text(), st.binary().map(os.fsdecode), st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Zp"])))
def test_any_text_is_printable_on_one_line(text):
    once = printable(text)
    assert once.isprintable()
    assert once == printable(once) == str(BenchError(text))
    once.encode()


def written(kind, path):
    x = grey()
    if kind == "png":
        path.mkdir(exist_ok=True)
        for i in range(2):
            Image.fromarray((x[i, 0] * 255).astype(np.uint8)).save(path / f"{i}.png")
        return path / "1.png"
    if kind == "npy":
        np.save(path, x)
    elif kind == "npz":
        np.savez_compressed(path, x)
    elif kind == "pt":
        torch.save({"samples": torch.from_numpy(x)}, path)
    else:
        save_file({"x": torch.from_numpy(x)}, path)
    return path


def trusted(kind, path):
    """What the format's own library says of a damaged file, or None where it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "npy":
                return np.load(path, allow_pickle=False)
            if kind == "png":
                return np.stack([np.asarray(Image.open(path.parent / f"{i}.png").convert("L")) for i in range(2)])
    except Exception:  # noqa: BLE001  # it may raise anything
        return None


@pytest.mark.parametrize("kind", ["npy", "npz", "pt", "safetensors", "png"])
def test_any_damage_is_read_as_it_stands_or_refused_in_one_line(kind, tmp_path):
    path = written(kind, tmp_path / f"x.{kind}")
    whole, top = path.read_bytes(), tmp_path / f"x.{kind}"
    original = read_samples(top, SHAPE).clone()

    @QUICK
    @given(st.data())
    def damage(data):
        content = bytearray(whole)
        how = data.draw(st.sampled_from(["flip", "cut", "random", "splice"]))
        if how == "flip":
            for at in data.draw(st.lists(st.integers(0, len(whole) * 8 - 1), min_size=1, max_size=3)):
                content[at // 8] ^= 1 << at % 8
        elif how == "cut":
            content = content[: data.draw(st.integers(0, len(whole) - 1))]
        elif how == "random":
            content[:] = data.draw(st.binary(max_size=200))
        else:
            at = data.draw(st.integers(0, len(whole)))
            content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        path.unlink()  # what was mapped before stays whole
        path.write_bytes(content)
        try:
            found = read_samples(top, SHAPE)
        except BadSamples as error:
            is_one_line(str(error))
            return
        assert found.dtype == torch.float32
        assert 0 <= float(found.min()) <= float(found.max()) <= 1
        if kind in ("npz", "pt", "png"):  # their checksums tell
            assert torch.equal(found, original)
        if kind == "npy":
            expected = trusted(kind, path)
            assert expected is not None
            assert np.array_equal(found.numpy(), oracle(expected))

    damage()


# --- more than memory


@pytest.mark.parametrize("dtype", ["u1", ">f4", "<f8", "<f2", np.longdouble, "fortran"])
def test_what_is_converted_on_disk_is_what_is_converted_in_memory_and_leaves_nothing(dtype, tmp_path, monkeypatch):
    x = (grey(50) * 255).astype("u1") if dtype == "u1" else grey(50) if dtype == "fortran" else grey(50).astype(dtype)
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
    with pytest.raises(BadSamples, match=r"do not fit into memory, and cannot be written to a disk either, at .* \(no space left"):
        as_samples(grey().astype(float), SHAPE, scratch=tmp_path)


def test_what_must_be_read_whole_and_does_not_fit_says_so(tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", grey())
    monkeypatch.setattr(bench_files, "available_memory", lambda: 1000)
    with pytest.raises(BadSamples, match=r"member 'arr_0': declares .* GiB, of memory .* are free; save it as \.npy"):
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
    code = (
        "import resource, bench.files as f; resource.setrlimit(resource.RLIMIT_DATA, (2**33, 2**33)); assert f.available_memory() < 2**33"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.slow
def test_more_samples_than_memory_are_scored(tmp_path):
    """Bytes become a mapped file of float32, which is then scored as such files are.

    The process may take 330 MiB above what it has after its imports, 300 for Parzen's blocks; as float32 the samples are 360.
    """
    n, few = 360 * 2**20 // 256, 4096
    block = np.random.default_rng(0).integers(0, 256, (few, 64), dtype=np.uint8)
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", block.dtype, (n, 64))
    for i in range(0, n, few):
        mapped[i : i + few] = block
    mapped.flush()
    # glibc would keep hundreds of MiB of what was freed
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1000000"}
    command = [sys.executable, "-c", SCORE, str(tmp_path / "x.npy"), str(tmp_path / "r")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, env=env)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["n"] == n
    assert not [p for p in (tmp_path / "r" / ".cache").iterdir() if p.name not in (".gitignore", "scores")]
    # Every centre is there n / few times: the mixture is the same, and so is every distance to the nearest.
    few_metrics = {"parzen": Parzen(sigmas=(0.2, 0.5)), "neighbours": Neighbours(resamples=5)}
    same = score(block, dataset="digits", name="few", results=tmp_path / "few", device="cpu", metrics=few_metrics)["metrics"]
    assert found["parzen"] == pytest.approx(same["parzen"]["value"], abs=1e-4)
    assert found["ratio"] == pytest.approx(same["neighbours"]["value"], rel=1e-6)


SCORE = """
import json, resource, sys
import numpy as np
from bench.scoring import score
from metrics.neighbours import Neighbours
from metrics.parzen import Parzen
score(np.random.default_rng(1).random((200, 64), dtype=np.float32), dataset="digits", name="warm", results=sys.argv[2], device="cpu")
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
print(json.dumps({"n": found["n"], "parzen": metrics["parzen"]["value"], "ratio": metrics["neighbours"]["value"]}))
"""


# --- the command line


def scored(path, results):
    return subprocess.run(
        [sys.executable, "-m", "bench", "score", path, "--dataset", "digits", "--results", results, "--device", "cpu"],
        capture_output=True, cwd=ROOT, env={**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}, timeout=60,
    )  # fmt: skip


COMMANDS = {
    "pickle.npy": "it holds Python objects",
    "pipe.npy": "is a pipe, socket or device",
    "new\nline\x1b[31m.npy": "--name: got 'new\\nline\\x1b[31m'",
    "loop.npy": "Too many levels of symbolic links",
    os.fsdecode(b"bytes\xff.npy"): "--name: got 'bytes\\udcff'",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_line_says_one_line_and_leaves_nothing(name, tmp_path):
    FILES[name][0](tmp_path / name)
    done = scored(tmp_path / name, tmp_path / "r")
    error = done.stderr.decode("utf-8")
    assert done.returncode == 2, error
    assert error.startswith("bench: ")
    assert error.endswith("\n")
    is_one_line(error[:-1])
    assert COMMANDS[name] in error
    assert not done.stdout
    assert not (tmp_path / "r").exists()
