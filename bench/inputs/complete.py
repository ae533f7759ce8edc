"""Do the data of an image end before its last row?

Pillow gives such rows a colour and says nothing where a file is cut and then closed as
its format asks for.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of a PNG, by its type of colour."""
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced PNG: first column and row, steps of columns and rows."""
END = b"\xff\xd9"


def check_complete(content: bytes) -> None:
    """Check that the data of a PNG or JPEG do not end before the image does.

    Raises:
        ValueError: they do.
    """
    if content.startswith(PNG):
        got, expected = png_bytes(content)
        if got < expected:
            raise ValueError(f"its data end after {got} of {expected} bytes")
    elif content.startswith(JPEG) and END in content and is_cut(content):
        raise ValueError("its data end before the last row")


def png_bytes(content: bytes) -> tuple[int, int]:
    """Return how many bytes a PNG's data are uncompressed, and how many it needs."""
    w, h, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", content[16:29])
    sizes = [(-(-(w - x) // dx), -(-(h - y) // dy)) for x, y, dx, dy in ADAM7] if interlaced else [(w, h)]
    # A byte before each row says how it is filtered; a pass without columns has no rows.
    expected = sum(
        rows * (1 + -(-columns * bits * CHANNELS[colour] // 8)) for columns, rows in sizes if columns > 0
    )
    unpack = zlib.decompressobj()
    got = 0
    for data in chunks(content):
        while data and got <= expected:  # a bomb is not unpacked further
            got += len(unpack.decompress(data, 2**20))
            data = unpack.unconsumed_tail
    return got, expected


def chunks(content: bytes) -> Iterator[bytes]:
    """Yield the data chunks of a PNG."""
    place = len(PNG)
    while place + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        if kind == b"IDAT":
            yield content[place + 8 : place + 8 + length]
        place += 12 + length


def is_cut(content: bytes) -> bool:
    """Return whether the data of a JPEG end before the image does.

    Other bytes are put before the end of its data: a decoder that has all blocks passes
    over them, and one that lacks some takes them for these.
    """
    end = content.rindex(END)
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
        before = np.asarray(picture)
    for noise in NOISE:
        with Image.open(io.BytesIO(content[:end] + noise + content[end:]), formats=("JPEG",)) as picture:
            if not np.array_equal(before, np.asarray(picture)):
                return True
    return False


def noise_of(seed: int) -> bytes:
    """Return bytes that no decoder takes for the end, with every restart marker twice."""
    plain = np.random.RandomState(seed).randint(1, 255, 64).astype(np.uint8).tobytes()
    return plain + b"".join(bytes([0xFF, 0xD0 + k % 8]) + plain[:24] for k in range(16))


NOISE = (noise_of(1), noise_of(2))
"""Twice, since one of them may by chance be what is missing."""
