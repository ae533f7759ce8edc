"""An untrusted folder of images is read right or refused in one line."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from genmodel_bench import BenchError
from genmodel_bench.data.registry import load
from genmodel_bench.errors import BadSamples, DataMissing
from genmodel_bench.inputs import images as bench_images
from genmodel_bench.inputs.samples import read_samples
from hypothesis import HealthCheck, settings
from PIL import Image
from strangers import SHAPE, grey, is_one_line

ROOT = Path(__file__).parents[1]
QUICK = settings(deadline=None, derandomize=True, max_examples=150, suppress_health_check=list(HealthCheck))


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
    chunks = [
        b"IHDR" + struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0),
        b"IDAT" + zlib.compress(bytes(4 * (1 + 30))),
        b"IEND",
    ]
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
    "h.png": (
        lambda p: Image.fromarray(np.zeros((4, 5), np.uint16)).save(p, transparency=0),
        "has transparent pixels",
    ),
    "i.png": (sixteen_bit_colour, "has 16 bits per colour"),
    "j.gif": (animated, "holds several frames"),
    "k.png": (animated, "holds several frames"),
    "l.tiff": (animated, "holds several frames"),
    "m.tiff": (lambda p: Image.fromarray(np.zeros((4, 5), np.float32)).save(p), "whose range is not known"),
    "n.png": (lambda p: p.mkdir(), "is a folder, expected an image"),
    "o.png": (os.mkfifo, "is a pipe, socket or device"),
    "p.png": (lambda p: p.symlink_to(p), "Too many levels of symbolic links"),
    "q.png": (lambda p: p.symlink_to("absent"), "is a link to absent, which does not exist"),
    "r.png": (
        lambda p: p.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 4\n"),
        "cannot be read as an image",
    ),
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
    for name, gist in [
        ("loop", "cannot be listed (Too many levels"),
        ("absent", "no such folder"),
        ("absent\n", "expected printable text; rename the file or folder"),
        ("a\rb", "expected printable text"),
        ("nul\0", "expected printable text"),
        (os.fsdecode(b"\xff"), "expected printable text"),
    ]:
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
    with pytest.raises(
        BadSamples, match=r"20 images of 5×4 take .*, too much for memory; score them as one \.npy"
    ):
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
    found = {
        p.name: x
        for p, x in zip(bench_images.image_paths(path), read_samples(path, SHAPE)[:, 0].numpy(), strict=True)
    }
    for name in ("sixteen.png", "sixteen.tiff", "sixteen.pgm"):
        assert (found[name] == values.astype(np.float32) / np.float32(65535)).all(), name
    for name in ("opaque.png", "still.gif", os.fsdecode(b"\xff.png"), "zcmyk.tiff"):
        assert (found[name] == eight.astype(np.float32) / np.float32(255)).all(), name
    assert (found["zbit.png"] == (eight > 100)).all()


def oriented(path, value, **saved):
    """A picture whose EXIF says how it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = value
    shape = (5, 4) if value >= 5 else (4, 5)
    picture = Image.fromarray(np.arange(20, dtype=np.uint8).reshape(shape) * 12)
    picture.save(path, exif=exif, **saved)
    return picture


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jpg", ".webp"])
def test_a_picture_is_turned_as_its_exif_says(suffix, value, tmp_path):
    saved = {".jpg": {"quality": 100}, ".webp": {"lossless": True}}.get(suffix, {})
    plain = np.asarray(oriented(tmp_path / f"a{suffix}", value, **saved), np.float32) / 255
    turned = {
        1: plain,
        2: plain[:, ::-1],
        3: plain[::-1, ::-1],
        4: plain[::-1],
        5: plain.T,
        6: np.rot90(plain, -1),
        7: plain[::-1, ::-1].T,
        8: np.rot90(plain),
    }[value]
    found = bench_images.read_image(tmp_path / f"a{suffix}", (5, 4))
    np.testing.assert_allclose(found, turned, atol=0.02 if suffix == ".jpg" else 0)
    if value >= 5:
        with pytest.raises(BenchError, match="is 5×4 pixels where "):
            bench_images.read_image(tmp_path / f"a{suffix}", (4, 5), "the first")


def png_of(rows, *, h=8, w=8, interlaced=0):
    """A PNG whose data end after some rows, and which is closed as it should be."""
    data = zlib.compress(b"".join(b"\0" + bytes([200] * w) for _ in range(rows)))
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, interlaced), b"IDAT" + data, b"IEND"]
    parts = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_png_whose_data_end_early_is_refused():
    assert bench_images.read_image(png_of(8), None).shape == (8, 8)
    for rows in range(8):
        with pytest.raises(BenchError, match=f"its data end after {9 * rows} of 72 bytes"):
            bench_images.read_image(png_of(rows), None, name="x")
    with pytest.raises(BenchError, match="its data end after 27 of 79 bytes"):
        bench_images.read_image(png_of(3, interlaced=1), None, name="x")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (9, 17)])
def test_a_whole_png_is_known_as_whole(mode, size):
    x = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    picture = Image.fromarray(x).convert("L" if mode == "I;16" else mode)
    if mode == "LA":
        picture.putalpha(255)
    picture = Image.fromarray(np.asarray(picture, np.uint16) * 257) if mode == "I;16" else picture
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    assert bench_images.read_image(buffer.getvalue(), size).shape[:2] == size[::-1]


JPEGS = {
    "plain": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "progressive restarts": {"progressive": True, "restart_marker_blocks": 2},
    "colour at half size": {"subsampling": 2},
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_is_cut_and_closed_is_refused(kind):
    rng, cuts = np.random.default_rng(0), 0
    for i in range(4):
        noise = rng.integers(0, 256, (40 + i, 33, 3), dtype=np.uint8)
        smooth = np.tile(np.linspace(0, 255, 33).astype(np.uint8)[:, None], (40 + i, 1, 3))
        buffer = io.BytesIO()
        Image.fromarray((noise, smooth)[i % 2]).save(buffer, "JPEG", quality=60 + 10 * i, **JPEGS[kind])
        whole = buffer.getvalue()
        expected = bench_images.read_image(whole, None)
        begin = whole.rindex(b"\xff\xda") + 20
        for end in np.linspace(begin, len(whole) - 8, 7).astype(int):
            cut = whole[:end] + b"\xff\xd9"
            with Image.open(io.BytesIO(cut)) as left, Image.open(io.BytesIO(whole)) as right:
                if left.tobytes() == right.tobytes():  # what is missing changed nothing
                    continue
            cuts += 1
            with pytest.raises(BenchError, match="cannot be read as an image"):
                bench_images.read_image(cut, None, name="x")
        # What follows the end, as a camera's preview, is no fault.
        assert (bench_images.read_image(whole + b"\0" * 9, None) == expected).all()
    assert cuts > 14


def test_a_sixteen_bit_tiff_in_which_0_is_white_is_refused(tmp_path):
    grey = np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000
    Image.fromarray(grey).save(tmp_path / "a.tiff", tiffinfo={262: 0})
    with pytest.raises(BenchError, match="is a 16-bit TIFF in which 0 is white; save it with 0 as black"):
        bench_images.read_image(tmp_path / "a.tiff", None)
    Image.fromarray(grey).save(tmp_path / "b.tiff", tiffinfo={262: 1})
    assert bench_images.read_image(tmp_path / "b.tiff", None)[0, 1] == np.float32(3000 / 65535)
    eight = np.arange(20, dtype=np.uint8).reshape(4, 5) * 12
    Image.fromarray(eight).save(tmp_path / "c.tiff", tiffinfo={262: 0})
    stored = (tmp_path / "c.tiff").read_bytes()
    assert (255 - eight).tobytes() in stored
    assert (bench_images.read_image(tmp_path / "c.tiff", None) == eight / np.float32(255)).all()
