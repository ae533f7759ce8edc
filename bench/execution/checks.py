"""How do the weights after each epoch score on validation, and where is that stored?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genmodel_bench.cells.cell import Cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.models.base import Model
from genmodel_bench.storage.arrays import seal
from genmodel_bench.storage.atomic import write_atomically
from genmodel_bench.storage.plain import from_json
from genmodel_bench.storage.store import Store
from genmodel_bench.training.drawing import chosen_epoch
from genmodel_bench.training.loop import snapshot_epochs
from genmodel_bench.training.selection import Check, checked


class Checks:
    """The checks of a cell's training: validation scores in nats, by epoch.

    They are stored in a file that is sealed under its name and grows with each check.
    """

    def __init__(self, cell: Cell, data: Dataset, path: Path) -> None:
        self.cell, self.data, self.path, self.epochs = cell, data, path, epochs_of(cell)
        self.values = {epoch: value for epoch, value in read_checks(path).items() if epoch in self.epochs}

    def make(self, model: Model, epoch: int) -> Check:
        """Return the check of `model` after `epoch`; compute it if it is not stored.

        Computing it seeds the generators.
        """
        if epoch not in self.values:
            cell = self.cell
            check = checked(
                model, epoch, self.data.valid, base_seed=cell.seed, dataset=cell.dataset, family=cell.family
            )
            self.values[epoch] = check.value
            self.write()
        return Check(epoch, self.values[epoch])

    def write(self) -> None:
        """Store the checks, sealed."""
        content = {"values": self.values, "seal": seal(self.path.stem, json.dumps(self.values))}
        write_atomically(self.path, json.dumps(content).encode())

    @property
    def complete(self) -> bool:
        """Return whether every epoch whose weights are stored has a check."""
        return set(self.values) == set(self.epochs)

    @property
    def taken(self) -> int | None:
        """Return the epoch whose weights the cell samples; None if it does not train.

        The checks have to be complete.
        """
        return chosen_epoch(self.cell.protocol.checkpoint, self.values)

    @property
    def columns(self) -> dict[str, Any]:
        """Return the columns of a row about the selection of the checkpoint."""
        epoch, values = self.taken, self.values
        best, last = (chosen_epoch(checkpoint, values) for checkpoint in ("best", "last"))
        if epoch is None or best is None or last is None:
            return {"checkpoint_epoch": None, "valid_best": None, "valid_last": None}
        return {"checkpoint_epoch": epoch, "valid_best": values[best], "valid_last": values[last]}


def epochs_of(cell: Cell) -> Sequence[int]:
    """Return the epochs after which the cell's weights are stored.

    There are none for a model that does not train.
    """
    return snapshot_epochs(getattr(cell.config, "epochs", 0))


def checks_path(cell: Cell, store: Store) -> Path:
    """Return the path of the checks of the cell's training."""
    return store.artefact("checks", f"{cell.check_key}.json")


def checks_of(cell: Cell, data: Dataset, store: Store) -> Checks:
    """Return the stored validation checks of the cell's training."""
    return Checks(cell, data, checks_path(cell, store))


def read_checks(path: Path) -> dict[int, float]:
    """Return the values in a file of checks, by epoch.

    It is empty where the file is missing or does not match its seal: the checks are then
    computed again.
    """
    try:
        content = from_json(path.read_bytes())
        whole = content["seal"] == seal(path.stem, json.dumps(content["values"]))
        return {int(epoch): float(value) for epoch, value in content["values"].items()} if whole else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return {}
