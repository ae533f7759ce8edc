"""How is a Ray cluster reached, or Ray started on this machine, and how is it left as it was found?"""

from __future__ import annotations

import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
from genmodel_bench.errors import BadOption
from genmodel_bench.execution.cluster.code import lay_out
from genmodel_bench.execution.rows import one_line
from genmodel_bench.storage.provenance import git_commit

ANSWER_SECONDS = 5.0
"""Time in which an address has to answer."""
CLIENT_PORT = 10001
"""Where Ray listens to those outside the cluster, unless told otherwise."""

FAREWELL = 3.0
"""Seconds in which an interrupted task may leave its machine tidy."""


@contextmanager
def connected(address: str | None, threads: int) -> Iterator[None]:
    """Be connected to the cluster at `address`, or to Ray on this machine alone (None); workers run this process's code.

    A process that is connected already stays so, and its workers run the code that they have. Raises BadOption where nothing answers.
    """
    if ray.is_initialized():
        yield
        return
    if address not in (None, "auto"):
        check_answers(address)
    main = threading.current_thread() is threading.main_thread()
    terminated = signal.getsignal(signal.SIGTERM)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-code-") as folder:
            lay_out(Path(folder))
            join(address, folder, threads)
        yield
    finally:
        ray.shutdown()
        if main:
            signal.signal(signal.SIGTERM, terminated)  # Ray puts its own there


def join(address: str | None, code: str, threads: int) -> None:
    """Start Ray here, or become a driver of the cluster; nothing of Ray's own is printed. Raises BadOption."""
    # As the working directory of its tasks the code comes before whatever lies on a worker's path, a clone of its own for example.
    variables = {"GIT_COMMIT": git_commit(), "OMP_NUM_THREADS": str(threads)}
    environment = {"working_dir": code, "env_vars": variables}
    usual: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": environment}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is said again by the error
        try:
            if address is None:
                ray.init("local", include_dashboard=False, **usual)
            else:
                ray.init(address, **usual)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            if address is None:
                raise BadOption(
                    f"--executor ray: Ray does not start on this machine ({one_line(error)})"
                ) from error
            hint = "its Ray and Python have to be of the same version as here, and RAY_AUTH_MODE set as there"
            raise BadOption(
                f"--address: cannot join the cluster at {address} ({one_line(error)}); {hint}"
            ) from error


def check_answers(address: str) -> None:
    """Raise BadOption where nothing answers at HOST:PORT or ray://HOST:PORT: Ray itself would wait for minutes."""
    try:
        parts = urlsplit(address if "//" in address else f"//{address}")
        port = parts.port or (CLIENT_PORT if parts.scheme == "ray" else None)
        if not parts.hostname or port is None or parts.scheme not in ("", "ray"):
            raise BadOption(
                f"--address: got {address!r}, expected auto, HOST:PORT or ray://HOST:{CLIENT_PORT}"
            )
        socket.create_connection((parts.hostname, port), timeout=ANSWER_SECONDS).close()
    except (OSError, ValueError) as error:
        hint = "start it there with `ray start --head`, or leave --address out for this machine alone"
        raise BadOption(f"--address: nothing answers at {address} ({one_line(error)}); {hint}") from error


@contextmanager
def ctrl_c_noted() -> Iterator[Callable[[], None]]:
    """Note Ctrl-C instead of raising at once, and yield what is to be called where it may be raised; a second one is raised at once.

    An exception that a signal raises while Ray computes is lost, or comes out as another one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = signal.getsignal(signal.SIGINT)
    noted: list[Any] = []
    heeded: list[bool] = []

    def note(*args: Any) -> None:
        noted.append(args)
        if len(noted) > 1 and not heeded and callable(before):  # of what is heeded, the tasks are being ended
            before(*args)  # if it is lost, what was noted first is not

    def heed() -> None:
        if noted and callable(before) and not heeded:
            heeded.append(True)
            before(*noted[0])

    signal.signal(signal.SIGINT, note)
    try:
        yield heed
    finally:
        if signal.getsignal(signal.SIGINT) is note:  # the command line lets the first one decide
            signal.signal(signal.SIGINT, before)
        heed()  # also in the place of another exception: Ctrl-C in a terminal reaches Ray's processes too, and that they end is no fault


def end(refs: list[Any]) -> None:
    """End tasks: by an interrupt, upon which they leave no file behind, and those that do not heed it by force."""
    for ref in refs:
        ray.cancel(ref, force=False)
    if refs:
        ray.wait(refs, num_returns=len(refs), timeout=FAREWELL)
    for ref in refs:
        ray.cancel(ref, force=True)
