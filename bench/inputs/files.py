"""How is an untrusted file of numbers read safely?

Nothing in it is ever unpickled or executed. Before any data are read, what the header
declares is checked against the expected images, the size of the file and the available
memory. An .npy, .pt or .safetensors is mapped, not loaded: the numbers stay on disk until
they are used.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import stat
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from genmodel_bench.errors import BadSamples, BenchError
from genmodel_bench.inputs.mending import for_shape, is_channels_last
from torch import Tensor

HEADER = 10_240
"""The most bytes of an .npy's header; NumPy itself refuses longer ones."""
DTYPES = ("float16", "bfloat16", "float32", "float64", "uint8")


def read_array(path: Path, shape: tuple[int, int, int]) -> Any:
    """Return the array or tensor in a file of images of `shape`, perhaps mapped from it.

    Raises:
        BadSamples: the file cannot be read, or does not hold such images.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise BadSamples(f"{path}: expected a file ending in {', '.join(READERS)}, or a folder of images")
    if path.stat().st_size == 0:
        raise BadSamples(f"{path}: is empty, expected an array; write it again")
    kind = path.suffix.lower()
    try:
        with warnings.catch_warnings():
            # The libraries warn of oddities; what they cannot read raises.
            warnings.simplefilter("ignore")
            return reader(path, shape)
    except BadSamples:
        raise
    except MemoryError as error:
        raise BadSamples(
            f"{path}: cannot be read, it says it holds more numbers than fit into memory; save it as .npy"
        ) from error
    except pickle.UnpicklingError as error:
        raise BadSamples(
            f"{path}: cannot be read as .pt of plain tensors: it holds other objects, or is damaged; "
            "save one tensor"
        ) from error
    except Exception as error:  # on a damaged file the libraries may raise anything
        text = f"{path}: cannot be read as {kind} of plain numbers ({first_line(error)}); write it again"
        raise BadSamples(text) from error


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder rather than a file.

    Raises:
        BenchError: it is neither, does not exist, or cannot be opened.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            path.open("rb").close()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise BenchError(
                f"{path}: is a link to {os.readlink(path)}, which does not exist; repair or remove it"
            ) from error
        raise BenchError(f"{path}: no such file or folder; name one that is there") from error
    except (OSError, ValueError) as error:
        raise BenchError(
            f"{path}: cannot be opened ({getattr(error, 'strerror', None) or error}); "
            "make it readable, or name another"
        ) from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        # Reading a pipe could block forever; a device may have no end.
        raise BenchError(
            f"{path}: is a pipe, socket or device, expected a file or a folder; "
            "save the samples to a file first"
        )
    return stat.S_ISDIR(mode)


def check_form(dtype: Any, got: tuple[int, ...], shape: tuple[int, int, int], who: str) -> None:
    """Check that an array of this dtype and shape `got` can hold images of `shape`.

    Raises:
        BadSamples: it cannot, or it holds no image at all.
    """
    kind = str(dtype).removeprefix("torch.")
    if isinstance(dtype, np.dtype) and dtype.hasobject:
        raise BadSamples(
            f"{who}: cannot be read without running code: it holds Python objects (dtype {kind:.60}); "
            "save plain numbers"
        )
    if not (isinstance(dtype, np.dtype) and dtype.kind == "f") and kind not in DTYPES:
        raise BadSamples(f"{who}: dtype {kind:.60}, expected float in [0, 1] or uint8; convert it")
    c, h, w = shape
    fits = {2: (math.prod(shape),), 3: (h, w) if c == 1 else (), 4: shape}
    if (len(got) not in fits or got[1:] != fits[len(got)]) and not is_channels_last(got, shape):
        kinds = [f"(n, {math.prod(shape)})", *([f"(n, {h}, {w})"] if c == 1 else []), f"(n, {c}, {h}, {w})"]
        raise BadSamples(
            f"{who}: shape {got!s:.200}, expected {', '.join(kinds[:-1])} or {kinds[-1]}; "
            f"{for_shape(got, shape)}"
        )
    if got[0] < 1:
        raise BadSamples(f"{who}: holds no samples, expected some thousands; write it again")


def read_npy(path: Path, shape: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    """Return the array (n, …) of an .npy file, mapped.

    Raises:
        BadSamples: its header does not fit `shape` or the size of the file.
    """
    with path.open("rb") as file:
        got, fortran, dtype, offset = npy_header(file, path)
        check_form(dtype, got, shape, str(path))
        check_length(got, dtype, path.stat().st_size - offset, str(path))
        return np.memmap(file, dtype, "r", offset, got, "F" if fortran else "C")


def npy_header(file: IO[bytes], who: object) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return what an .npy's header declares: shape, whether in Fortran order, dtype.

    The fourth value is the length of the header in bytes.

    Raises:
        BadSamples: the version of the format is not 1.0 or 2.0.
    """
    head = io.BytesIO(file.read(HEADER))
    version = np.lib.format.read_magic(head)
    readers: dict[Any, Any] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise BadSamples(
            f"{who}: cannot be read as .npy of version {version}, expected 1.0 or 2.0; "
            "save it with NumPy as plain numbers"
        )
    shape, fortran, dtype = readers[version](head)
    return tuple(map(int, shape)), fortran, dtype, head.tell()


def check_length(shape: tuple[int, ...], dtype: np.dtype[Any], there: int, who: str) -> None:
    """Check that an array fits into the `there` bytes of data in its file.

    Raises:
        BadSamples: it is longer; the file was truncated.
    """
    rows = there // (math.prod(shape[1:]) * dtype.itemsize)
    if rows < shape[0]:
        raise BadSamples(
            f"{who}: cannot be read, declares {shape[0]!s:.30} rows but holds {rows}: it was cut off; "
            "write or copy it again"
        )


def read_npz(path: Path, shape: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    """Return the only array of an .npz file, or the one named 'samples'.

    Other arrays are not read.

    Raises:
        BadSamples: there is no such array, or it does not fit `shape`, file or memory.
    """
    with zipfile.ZipFile(path) as archive:
        members = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        name = (
            "arr_0"
            if set(members) == {"arr_0", "arr_1"} and labels_in(path)
            else only_name(list(members), path)
        )
        info, who = members[name], f"{path}, member {name!r:.60}"
        with archive.open(info) as file:
            got, _, dtype, offset = npy_header(file, who)
        check_form(dtype, got, shape, who)
        check_length(got, dtype, info.file_size - offset, who)
        if info.file_size > available_memory() // 2:
            raise BadSamples(
                f"{who}: declares {gib(info.file_size)}, of memory {gib(available_memory())} are free; "
                "save it as .npy"
            )
        with archive.open(info) as file:
            array: np.ndarray[Any, Any] = np.lib.format.read_array(file, allow_pickle=False)
            while file.read(2**20):  # the checksum is verified at the end of the member
                pass
        return array


def labels_in(path: Path) -> bool:
    """Return whether `arr_1` of an .npz is whole numbers, labels of `arr_0`."""
    with zipfile.ZipFile(path) as archive, archive.open("arr_1.npy") as file:
        shape, _, dtype, _ = npy_header(file, path)
    return len(shape) == 1 and dtype.kind in "iu"


def read_pt(path: Path, shape: tuple[int, int, int]) -> Any:
    """Return the only tensor of a .pt file, or the one named 'samples', mapped.

    The file may hold tensors and plain values only. Without mapping, torch would trust
    the declared length of a storage and read beyond its end.

    Raises:
        BadSamples: the file is damaged, too old or compressed, its name is not UTF-8, or
            there is no such tensor.
    """
    if not zipfile.is_zipfile(path):
        raise BadSamples(
            f"{path}: cannot be read as .pt: it is damaged, or older than torch 1.6; "
            "save it again, or as .npy"
        )
    check_name(path)
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        if (
            any(record.compress_type != zipfile.ZIP_STORED for record in records)
            or sum(r.file_size for r in records) > path.stat().st_size
        ):
            raise BadSamples(
                f"{path}: cannot be read as .pt: its records are compressed, as torch.save leaves none; "
                "save it as .npy"
            )
        damaged = archive.testzip()
        if damaged is not None:
            raise BadSamples(
                f"{path}: cannot be read, record {damaged!r:.60} is damaged; write or copy it again"
            )
    content = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    if isinstance(content, dict):
        arrays = {key: value for key, value in content.items() if isinstance(value, Tensor)}
        return arrays[only_name(list(arrays), path)]
    return content


def read_safetensors(path: Path, shape: tuple[int, int, int]) -> Tensor:
    """Return the only tensor of a .safetensors file, or the one named 'samples', mapped.

    Raises:
        BadSamples: there is no such tensor, or the file's name is not UTF-8.
    """
    from safetensors import safe_open

    check_name(path)
    with safe_open(str(path), framework="pt") as file:
        tensor: Tensor = file.get_tensor(only_name(list(file.keys()), path))
        return tensor


READERS: dict[str, Any] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".pt": read_pt,
    ".safetensors": read_safetensors,
}


def only_name(names: list[Any], path: Path) -> Any:
    """Return the name of the array to score: 'samples', or the only one.

    Raises:
        BadSamples: there is no array, or there are several and none is named 'samples'.
    """
    if "samples" in names:
        return "samples"
    if len(names) != 1:
        shown = ", ".join(f"{name!r:.40}" for name in names[:5]) + (
            f" and {len(names) - 5} more" if len(names) > 5 else ""
        )
        raise BadSamples(f"{path}: expected one array, or one named 'samples'; got {shown or 'none'}")
    return names[0]


def check_name(path: Path) -> None:
    """Check that a file's name is UTF-8: torch and safetensors can open no other.

    Raises:
        BadSamples: it is not.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise BadSamples(
            f"{path}: its name is not UTF-8, which files of this kind need; rename it, or save it as .npy"
        ) from error


def available_memory() -> int:
    """Return the bytes of memory that this process can still allocate.

    This is the least of what the machine, the container and the process limits leave.
    """
    free = [2**50]
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free.append(int(fields["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):  # no Linux
        free.append(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 if hasattr(os, "sysconf") else 2**32
        )
    free += cgroup_memory(Path("/sys/fs/cgroup"))
    try:
        import resource

        used = {
            line.split(":")[0]: line.split()[1]
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("Vm")
        }
        for limit, field in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
            soft = resource.getrlimit(limit)[0]
            if soft != resource.RLIM_INFINITY:
                free.append(max(0, soft - int(used[field]) * 1024))
    except (ImportError, OSError, KeyError):
        pass
    return min(free)


def cgroup_memory(folder: Path) -> list[int]:
    """Return the bytes that the control groups at `folder` leave, version 2 and 1.

    A group without a limit gives no entry. Cached file pages count as free: the kernel
    can reclaim them.
    """
    found = []
    for limit, used, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            stat = dict(
                line.split() for line in (folder / used).with_name("memory.stat").read_text().splitlines()
            )
            taken = int((folder / used).read_text()) - int(stat.get(cached, 0))
            found.append(max(0, int((folder / limit).read_text()) - max(0, taken)))
        except (OSError, ValueError):  # no such group, or no limit: "max"
            continue
    return found


def gib(n: int) -> str:
    """Return a number of bytes as text in GiB, with three significant digits."""
    return f"{n / 2**30:.3g} GiB"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, of at most 300 characters.

    A text of one word or none is preceded by the name of the error's class.
    """
    text = (str(error).splitlines() or [""])[0]
    return f"{text if ' ' in text else f'{type(error).__name__} {text}'.strip():.300}"
