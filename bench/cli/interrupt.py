"""How does Ctrl-C end a command, whatever it is doing?"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import typer


class Interrupted(BaseException):
    """Ctrl-C, as an exception that typer does not handle itself."""


NOTED: list[int] = []
"""The signals received.

A library may turn the exception raised inside it into another one, so `main` looks here.
"""


def interrupt(number: int, frame: FrameType | None) -> None:
    """Stop what runs in the main thread, on Ctrl-C.

    Only the first one counts; later ones are ignored.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    NOTED.append(number)
    # Some modules catch whatever an optional import raises, and go on: exit here instead.
    if is_importing(frame):
        say_interrupted()
        sys.stdout.flush()
        os._exit(130)
    raise Interrupted


def is_importing(frame: FrameType | None) -> bool:
    """Return whether this frame, or one of its callers, imports a module."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def say_interrupted() -> None:
    """Say on stderr that nothing is lost."""
    typer.echo(
        "bench: interrupted; what is finished is kept, and the same command goes on from here", err=True
    )
