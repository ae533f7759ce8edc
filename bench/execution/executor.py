"""Where do cells run: in this process, in several of this machine, or on a cluster?"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

from genmodel_bench.cells.cell import Cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BadOption
from genmodel_bench.execution.context import Setup
from genmodel_bench.execution.listener import Listener
from genmodel_bench.execution.messages import Outcome
from genmodel_bench.execution.pool import Pool, in_turn
from genmodel_bench.execution.tensorboard import check_installed
from genmodel_bench.storage.provenance import resolve_device

Kind = Literal["local", "ray"]
QUIET = {"RAY_DEDUP_LOGS_SKIP_REGEX": "^", "RAY_USAGE_STATS_ENABLED": "0"}
"""Settings that keep Ray's own messages off the terminal: notices say the same."""


@dataclass(frozen=True)
class Executor:
    """Where the cells of a run are computed, and how many at once.

    kind: 'local', or 'ray' for the machines of a Ray cluster.
    jobs: number of cells at once, each in a process of its own. 0 means one after another
        in this process, or on a cluster as many as it has room for.
    timeout: seconds after which a cell is stopped; cells need processes of their own.
    address: of the cluster, 'auto', 'HOST:PORT' or 'ray://HOST:PORT'; None starts Ray on
        this machine alone.
    cpus_per_cell, gpus_per_cell: threads (default 1) and GPUs (default 0; a share like
        0.25) of each cell on a cluster.
    """

    kind: Kind = "local"
    jobs: int = 0
    timeout: float | None = None
    address: str | None = None
    cpus_per_cell: int | None = None
    gpus_per_cell: float | None = None

    def check(self, *, device: str, tensorboard: bool) -> None:
        """Check that the options fit together, and that what they need is there.

        Raises:
            BadOption: they do not, a package is not installed, or the device does not
                exist.
        """
        if tensorboard:
            check_installed()
        if self.kind not in get_args(Kind):
            raise BadOption(f"--executor: got {self.kind!r}, expected {' or '.join(get_args(Kind))}")
        if self.jobs < 0:
            raise BadOption(f"--jobs: got {self.jobs}, expected at least 1")
        if self.kind == "ray":
            self.check_cluster(device, tensorboard)
            return
        if self.timeout is not None and not (self.timeout > 0 and self.jobs):
            text = f"--timeout: got {self.timeout} and {self.jobs} jobs"
            raise BadOption(f"{text}, expected seconds above 0, and cells in other processes (jobs ≥ 1)")
        options = {
            "--address": self.address,
            "--cpus-per-cell": self.cpus_per_cell,
            "--gpus-per-cell": self.gpus_per_cell,
        }
        for option, value in options.items():
            if value is not None:
                raise BadOption(f"{option}: got {value}, but this run is of one machine; add --executor ray")
        resolve_device(device)

    def check_cluster(self, device: str, tensorboard: bool) -> None:
        """Check the options of a run on a cluster.

        The device is not looked for: it is of other machines, which report it if it is
        missing.

        Raises:
            BadOption: Ray is not installed, or the cluster cannot do what is asked for.
        """
        if find_spec("ray") is None:
            raise BadOption("--executor ray: needs Ray; pip install 'genmodel-bench[ray]'")
        if tensorboard:
            raise BadOption(
                "--tensorboard: writes on this machine while others train; leave it out with --executor ray"
            )
        if self.timeout is not None and not self.timeout > 0:
            raise BadOption(f"--timeout: got {self.timeout}, expected seconds above 0")
        if self.cpus_per_cell is not None and self.cpus_per_cell < 1:
            raise BadOption(f"--cpus-per-cell: got {self.cpus_per_cell}, expected at least 1")
        gpus = self.gpus_per_cell or 0.0
        if not (0 <= gpus <= 1 or (1 < gpus < 1e6 and gpus == int(gpus))):
            raise BadOption(
                f"--gpus-per-cell: got {gpus:g}, expected a share of one, as 0.25, or a whole number"
            )
        if device.startswith("cuda") and not gpus:
            raise BadOption(
                f"--device {device}: a cell on a cluster sees the GPUs it is given; "
                "add --gpus-per-cell, as 0.25"
            )

    def outcomes(
        self, cells: Sequence[Cell], data: Dataset, setup: Setup, listener: Listener
    ) -> Generator[tuple[Cell, Outcome]]:
        """Run the cells, and yield each with its outcome, which is stored by then."""
        if self.kind == "ray":
            # Ray reads them when it is imported or started.
            for name, value in QUIET.items():
                os.environ.setdefault(name, value)
            from genmodel_bench.execution.cluster.driver import Cluster

            return Cluster(self, data, setup, listener).run(cells)
        if self.jobs:
            return Pool(data, setup, listener, jobs=self.jobs, timeout=self.timeout).run(cells)
        return in_turn(cells, setup.context(data), listener)
