"""A command on a terminal of a given size, and what its screen shows, for tests."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[1]


class Screen:
    """`bench` with some arguments on a terminal of `columns` and `lines`."""

    def __init__(self, *args, columns=80, lines=24, **env):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        without = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench", *map(str, args)], cwd=ROOT,
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**without, "TERM": "xterm-256color", **env},
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)

    def read(self, seconds):
        """Take in what is written within `seconds`; return whether more may come."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                try:
                    self.stream.feed(os.read(self.terminal, 65536))
                except OSError:  # the last process that had the terminal has ended
                    return False
        return True

    @property
    def shown(self):
        """The lines of the screen, without blanks at their ends."""
        return [line.rstrip() for line in self.screen.display]

    def wait_for(self, found, seconds=120):
        """Read until `found` is true of the lines shown; return them."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            more = self.read(0.1)
            if found(self.shown):
                return self.shown
            assert more, self.shown
        raise AssertionError("\n".join(self.shown))
