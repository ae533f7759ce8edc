"""For whom does a process wait at a lock?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

PATIENCE = 3.0
"""Seconds of waiting before it is said for whom."""
Say = Callable[[str], None]


def in_silence(text: str) -> None:
    """Say nothing."""


@contextmanager
def held(path: Path, doing: str, say: Say = in_silence) -> Iterator[None]:
    """Hold the lock at `path`; what holds it meanwhile is named by `say`, in one line.

    doing: what the other process does with it, as "writes rows".
    """
    lock = FileLock(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    wait_for(lock, doing, say)
    try:
        yield
    finally:
        lock.release()


def wait_for(lock: BaseFileLock, doing: str, say: Say) -> None:
    """Acquire a lock, and say who has it when that takes longer than a few seconds."""
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        path = Path(lock.lock_file)
        say(f"waits for {holder(path)}, which {doing} ({path.name})")
        lock.acquire()


def holder(path: Path) -> str:
    """Return who holds a lock: 'process 123', or 'another process' if unknown."""
    try:
        inode = path.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            parts = line.split()  # 1: FLOCK ADVISORY WRITE 123 fe:01:4567 0 EOF
            if (
                len(parts) > 5
                and parts[1] == "FLOCK"
                and parts[5].endswith(f":{inode}")
                and int(parts[4]) > 0
            ):
                return f"process {parts[4]}"
    except (OSError, ValueError):
        pass
    return "another process"
