"""How does a run join a Ray cluster, or start Ray on this machine, and how does it leave?

It leaves the cluster and this process's signal handlers as it found them.
"""

from __future__ import annotations

import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
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
"""Seconds within which an address has to answer."""
CLIENT_PORT = 10001
"""Ray's default port for clients from outside the cluster."""

FAREWELL = 3.0
"""Seconds that an interrupted task has to clean up on its machine."""


@contextmanager
def connected(address: str | None, threads: int, modules: Sequence[str] = ()) -> Iterator[None]:
    """Connect to the cluster at `address`, or start Ray on this machine alone (None).

    The workers run this process's code. A process that is connected already stays
    connected, and its workers run the code that they have.

    threads: their number in each task (OMP_NUM_THREADS).
    modules: those of models and metrics, whose code is sent along.

    Raises:
        BadOption: nothing answers at `address`, or the cluster cannot be joined.
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
            lay_out(Path(folder), modules)
            join(address, folder, threads)
        yield
    finally:
        ray.shutdown()
        if main:
            signal.signal(signal.SIGTERM, terminated)  # Ray installs its own


def join(address: str | None, code: str, threads: int) -> None:
    """Start Ray on this machine, or join the cluster at `address` as a driver.

    Ray's own messages are not printed.

    code: the folder that holds this package.

    Raises:
        BadOption: Ray does not start, or the cluster cannot be joined.
    """
    # As the working directory of its tasks, the code comes before anything on a worker's
    # path, such as a clone on its machine.
    variables = {"GIT_COMMIT": git_commit(), "OMP_NUM_THREADS": str(threads)}
    environment = {"working_dir": code, "env_vars": variables}
    usual: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": environment}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the error says the same
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
    """Check that something answers at HOST:PORT or ray://HOST:PORT.

    Ray itself would wait for minutes.

    Raises:
        BadOption: nothing answers, or the address has another form.
    """
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
    """Delay Ctrl-C, and yield a function that raises it where that is safe.

    An exception that a signal raises while Ray computes is lost, or replaced by another
    one. A second Ctrl-C is raised at once if the first is still delayed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = signal.getsignal(signal.SIGINT)
    noted: list[Any] = []
    heeded: list[bool] = []

    def note(*args: Any) -> None:
        noted.append(args)
        # After the first was raised, the tasks are being ended: that is not interrupted.
        if len(noted) > 1 and not heeded and callable(before):
            before(*args)  # if Ray loses this one, the first is still noted

    def heed() -> None:
        if noted and callable(before) and not heeded:
            heeded.append(True)
            before(*noted[0])

    signal.signal(signal.SIGINT, note)
    try:
        yield heed
    finally:
        # The command line ignores Ctrl-C after the first one: that is not undone.
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, before)
        # Raised even in place of another exception: Ctrl-C in a terminal also ends Ray's
        # processes, and the error from that is not to be reported.
        heed()


def end(refs: list[Any]) -> None:
    """Cancel tasks by an interrupt, and after FAREWELL seconds by force.

    An interrupted task leaves no files behind.
    """
    for ref in refs:
        ray.cancel(ref, force=False)
    _, left = ray.wait(refs, num_returns=len(refs), timeout=FAREWELL) if refs else ([], [])
    for ref in left:
        ray.cancel(ref, force=True)
