"""How is a file written whole or not at all, and what becomes of the pieces that a killed process leaves?"""

from __future__ import annotations

import errno
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
"""What the system says when it cannot take more bytes, in words."""


class NoRoom(OSError):
    """A file could not be written for want of room; nothing of it is left."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` by temporary file, sync and rename; folders are made as needed. Raises NoRoom, and OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The machine's name is part of it: on a shared disk another one's processes have the same numbers.
    temporary = path.with_name(
        f"{path.name}.{threading.get_native_id()}.{socket.gethostname()}.{os.getpid()}.tmp"
    )
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise NoRoom(
                f"{path}: {NO_ROOM[error.errno]}; make room, the same command goes on from what is finished"
            ) from error
        raise


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
    """Delete the temporary files under `folder` of processes of this machine that are no more."""
    for path in folder.rglob("*.tmp"):
        owner = re.search(r"\.([^/]+)\.(\d+)\.tmp$", path.name)
        if (
            owner
            and path.name.endswith(f".{socket.gethostname()}.{owner[2]}.tmp")
            and not is_running(int(owner[2]))
        ):
            path.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Return whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
