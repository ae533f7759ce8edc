"""How is a file written whole or not at all, even if the process is killed?

The temporary file that a killed process leaves is deleted later.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import socket
import threading
from pathlib import Path

NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file may not become as large",
}
"""Error numbers for lack of room, each with its meaning."""


class NoRoom(OSError):
    """A file could not be written for lack of room; no part of it is left."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` by temporary file, sync and rename.

    Missing folders are made. A link stays, and what it points to is written. A folder
    that has the file's name is set aside, for it would be in the way for ever.

    Raises:
        NoRoom: the disk or the quota is full, or the file may not become as large.
        OSError: it cannot be written for another reason.
    """
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    # With the host's name: on a shared disk, processes of other hosts have the same ids.
    temporary = path.with_name(
        f"{path.name}.{threading.get_native_id()}.{socket.gethostname()}.{os.getpid()}.tmp"
    )
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.is_dir():
            set_aside(path)
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise NoRoom(
                f"{path}: {NO_ROOM[error.errno]}; make room, the same command goes on from what is finished"
            ) from error
        raise


def set_aside(path: Path) -> Path:
    """Rename a file or folder that cannot be used to *.damaged; return its new path.

    A number is added while the name is taken.
    """
    names = (path.with_suffix(f".damaged{i or ''}") for i in itertools.count())
    return path.rename(next(name for name in names if not os.path.lexists(name)))


def remove(path: Path) -> None:
    """Delete a file, if it exists; set aside a folder that has its name."""
    if path.is_dir() and not path.is_symlink():
        set_aside(path)
    else:
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, where the system lets folders be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Delete temporary files under `folder` that ended processes of this host left."""
    for path in folder.rglob("*.tmp"):
        owner = re.search(r"\.([^/]+)\.(\d+)\.tmp$", path.name)
        if (
            owner
            and path.name.endswith(f".{socket.gethostname()}.{owner[2]}.tmp")
            and not is_running(int(owner[2]))
        ):
            path.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Return whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
