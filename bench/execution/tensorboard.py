"""What does TensorBoard show of a run (`bench run --tensorboard`)?

It shows scalars by epoch and grids of samples, written while a model is trained. A
training that was finished before is written once, from the cell's visuals.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from genmodel_bench.cells.cell import Cell
from genmodel_bench.errors import BadOption
from genmodel_bench.execution.artefacts import visuals_path
from genmodel_bench.execution.messages import News
from genmodel_bench.models.base import Model
from genmodel_bench.storage import sealed
from genmodel_bench.storage.names import file_name
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store
from genmodel_bench.training.loop import Epoch
from genmodel_bench.training.seeding import check_seed, seed_everything
from genmodel_bench.training.selection import Check
from torch import Tensor

GRID = 64
"""Number of samples in a grid."""


def check_installed() -> None:
    """Check that the package is installed that torch's writer needs.

    Raises:
        BadOption: it is not.
    """
    if find_spec("tensorboard") is None:
        raise BadOption("--tensorboard: needs the package tensorboard; pip install tensorboard")


class TensorBoardWriter:
    """Writes the training of one cell for TensorBoard.

    The folder is `.cache/tensorboard/DATASET/MODEL/seed-SEED` under the results; MODEL
    includes the options that differ from the registered ones.
    """

    def __init__(self, cell: Cell, store: Store) -> None:
        from torch.utils.tensorboard import SummaryWriter

        name = file_name(f"{cell.model} {cell.variant}".strip())
        self.folder = store.artefact("tensorboard", store.folder.name) / name / f"seed-{cell.seed}"
        self.cell, self.store = cell, store
        self.before = any(self.folder.glob("events*"))
        self.heard = False
        self.writer: Any = SummaryWriter(str(self.folder))

    def hear(self, news: News) -> None:
        """Write the means of an epoch, or the value of a validation check in nats."""
        if isinstance(news, Epoch):
            self.heard = True
            self.scalars(news.stage, news.epoch, news.means)
        elif isinstance(news, Check):
            self.writer.add_scalar("validation/parzen", news.value, news.epoch)

    def look(self, model: Model, epoch: int) -> None:
        """Write a grid of the model's samples after an epoch. Seeds the generators.

        The random numbers are the same for every epoch.
        """
        seed_everything(check_seed(self.cell.seed, self.cell.dataset, self.cell.family))
        self.grid(model.sample(GRID), epoch)

    def scalars(self, stage: str, epoch: int, means: Mapping[str, float]) -> None:
        """Write the means over an epoch of a stage's logged values, by name."""
        for name, value in means.items():
            self.writer.add_scalar(f"{stage}/{name}", value, epoch)

    def grid(self, images: Tensor, epoch: int) -> None:
        """Write images (n, c, h, w) in [0, 1] as a grid that is nearly square."""
        from torchvision.utils import make_grid

        self.writer.add_image(
            "samples", make_grid(images.cpu(), nrow=math.ceil(math.sqrt(len(images))), padding=1), epoch
        )

    def close(self, records: list[Record]) -> None:
        """Write the scores, and close the file.

        A training whose epochs were written neither now nor before is written from the
        visuals.
        """
        if not (self.heard or self.before):
            self.replay(records)
        for r in records:
            if r.value is not None:
                self.writer.add_scalar(f"scores/{r.metric}/{r.quantity}", r.value, r.checkpoint_epoch or 0)
        self.writer.close()

    def replay(self, records: list[Record]) -> None:
        """Write a finished training: checks from the records, the rest from the visuals.

        The rest is the losses and the film; it is left out where there are no visuals.
        """
        checks = {
            epoch: value
            for r in records
            for epoch, value in json.loads(r.curves).get("validation by epoch", {}).items()
        }
        for epoch, value in checks.items():
            self.writer.add_scalar("validation/parzen", value, int(epoch))
        try:
            images, text, _ = sealed.load(visuals_path(self.cell, self.store), self.cell.id)
        except (FileNotFoundError, sealed.Broken):
            return
        about = json.loads(text)
        for row in about["history"]:
            self.scalars(
                row["stage"],
                row["epoch"],
                {name: value for name, value in row.items() if name not in ("stage", "epoch")},
            )
        for each, frames in zip(about["epochs"], images["film"], strict=True):
            self.grid(frames, each)
