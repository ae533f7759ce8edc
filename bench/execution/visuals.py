"""What is drawn of a trained model besides its samples: the film of its training, walks through its latent space, arithmetic in it?

    film         the same latent points, or the same random numbers, after each epoch at which weights were kept
    walks        codes between two draws of the prior: on a straight line, as in the paper, or on a great circle where the prior is
                 Gaussian, for a line's middle is nearer to 0 than draws are (White 2016, arXiv 1609.04468)
    arithmetic   the mean of three codes of one kind, minus that of another, plus that of a third (Radford et al. 2016, arXiv 1511.06434).
                 A code is of the kind that its image's nearest training image has, and no code is chosen by hand

Nothing is trained for them: it is made of the weights that are kept, and lies with the losses by epoch under the cell's id, naming the
weights and the code that made it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.cells.cell import Cell
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.execution.artefacts import visuals_path
from genmodel_bench.execution.checks import checks_of, epochs_of
from genmodel_bench.metrics.capabilities import Latent
from genmodel_bench.metrics.distances import nearest
from genmodel_bench.storage import sealed
from genmodel_bench.storage.digest import source_of
from genmodel_bench.storage.record import as_json
from genmodel_bench.storage.store import Store
from genmodel_bench.training import checkpoint
from genmodel_bench.training.seeding import derive_seed, seed_everything
from torch import Tensor

POINTS = 8
"""Latent points that the film follows."""
WALKS, STEPS = 4, 10
SUMS, TERMS, MEMBERS = 3, 3, 3
"""Rows of arithmetic, kinds in each, codes of each kind."""
DRAWN = 1000
"""Codes among which the kinds are looked for."""


def straight(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return the points (1 − t)·a + t·b: (k,), (k,), (steps,) -> (steps, k)."""
    return torch.lerp(a, b, t[:, None])


def great_circle(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return sin((1−t)Ω)/sin Ω · a + sin(tΩ)/sin Ω · b with Ω the angle between a and b: (k,), (k,), (steps,) -> (steps, k).

    Where a and b point the same way, this is the straight line. Source: Shoemake (1985), Animating rotation with quaternion curves.
    """
    cosine = (a @ b / (a.norm() * b.norm())).clamp(-1, 1)
    omega = cosine.double().acos()
    if (
        omega.sin() < 1e-4
    ):  # the quotient of two vanishing sines; opposite codes have no great circle of their own
        return straight(a, b, t)
    ours, theirs = ((1 - t) * omega).sin() / omega.sin(), (t * omega).sin() / omega.sin()
    points: Tensor = ours[:, None].to(a) * a + theirs[:, None].to(a) * b
    return points


WALK = {"uniform": straight, "gaussian": great_circle}


def make_visuals(cell: Cell, data: Dataset, store: Store, device: torch.device) -> None:
    """Make the visuals of a trained cell, where they are not there. The data lie on `device`. Seeds the generators."""
    epoch = visuals_due(cell, data, store)
    if epoch is None:
        return
    folder, seed = (
        store.artefact("fits", cell.fit_key),
        derive_seed(cell.seed, cell.dataset, cell.family, "album"),
    )
    model = cell.config.build(data.shape).to(device).eval()
    film = []
    for each in epochs_of(cell):
        model.load_state_dict(weights_after(each, folder))
        seed_everything(seed)
        film.append(model.sample(POINTS))
    weights = weights_after(epoch, folder)
    model.load_state_dict(weights)
    pictures = {"film": torch.stack(film)}  # (epochs, points, c, h, w)
    about: dict[str, Any] = {"epochs": epochs_of(cell), "history": history(folder, device)}
    if isinstance(model, Latent):
        seed_everything(seed)
        pictures["walks"] = walks(model)
        about["prior"] = model.prior
        if data.labels is not None:
            sums, about["kinds"] = arithmetic(model, data.train, data.labels["train"])
            pictures |= sums
    about |= {"weights": sealed.tensors_digest(weights), "recipe": cell.recipe, "code": code_of_visuals()}
    sealed.save(visuals_path(cell, store), cell.id, pictures, as_json(about))


def visuals_due(cell: Cell, data: Dataset, store: Store) -> int | None:
    """Return the epoch whose weights the cell samples if all that are kept are there and its visuals are not, or of other weights or code."""
    epoch, folder = checks_of(cell, data, store).taken, store.artefact("fits", cell.fit_key)
    try:
        digests = {
            each: sealed.header(checkpoint.snapshot_path(folder, each)).get("digest")
            for each in epochs_of(cell)
        }
    except (FileNotFoundError, sealed.Broken):
        return None
    try:
        about = json.loads(sealed.load(visuals_path(cell, store), cell.id)[1])
    except (FileNotFoundError, sealed.Broken):
        return epoch
    there = (about.get("weights"), about.get("recipe"), about.get("code"))
    return None if epoch is not None and there == (digests[epoch], cell.recipe, code_of_visuals()) else epoch


def code_of_visuals() -> str:
    """Return the digest of this module; that of the model's own code is in the recipe of its samples."""
    return source_of("genmodel_bench.execution.visuals").digest


def weights_after(epoch: int, folder: Path) -> dict[str, Tensor]:
    """Return the kept weights. Raises ValueError for damaged ones."""
    weights = checkpoint.load_snapshot(folder, epoch)
    if weights is None:
        raise ValueError(f"the weights after epoch {epoch} are damaged")
    return weights


def history(folder: Path, device: torch.device) -> list[dict[str, Any]]:
    """Return the means of what training logged, by stage and epoch; nothing where the last checkpoint is gone."""
    state = checkpoint.load_latest(folder, device)
    found: list[dict[str, Any]] = state["log"][0] if state else []
    return found


@torch.no_grad()
def walks(model: Latent) -> Tensor:
    """Return images on the way between pairs of draws of the prior, the first ones that come: (walks, steps, c, h, w)."""
    ends = model.latent(2 * WALKS)
    t = torch.linspace(0, 1, STEPS, device=ends.device)
    images = [model.decode(WALK[model.prior](a, b, t)) for a, b in zip(ends[0::2], ends[1::2], strict=True)]
    return torch.stack(images)


@torch.no_grad()
def arithmetic(model: Latent, train: Tensor, labels: Tensor) -> tuple[dict[str, Tensor], list[list[int]]]:
    """Return mean(a) − mean(b) + mean(c) of codes by kind, as images, and the kinds of each row: a, b, c, and that of the result.

    train: (n, c, h, w) and labels: (n,) tell of what kind an image is: that of the training image nearest to it. The kinds of which
    there are enough codes are taken three by three, in order. Of each row the images of "members" (rows, terms, members, c, h, w), of
    "means" (rows, terms, c, h, w) and of "sums" (rows, c, h, w).
    """
    z = model.latent(DRAWN)
    kinds = kinds_of(model.decode(z), train, labels)
    found = [kind for kind in sorted(set(labels.tolist())) if int((kinds == kind).sum()) >= MEMBERS]
    rows = [found[i : i + TERMS] for i in range(0, SUMS * TERMS, TERMS) if len(found) >= i + TERMS]
    if not rows:
        return {}, []
    members = torch.stack(
        [torch.stack([z[kinds == kind][:MEMBERS] for kind in row]) for row in rows]
    )  # (rows, terms, members, k)
    means = members.mean(2)
    sums = means[:, 0] - means[:, 1] + means[:, 2]
    images = {
        "members": torch.stack([torch.stack([model.decode(kind) for kind in row]) for row in members]),
        "means": torch.stack([model.decode(row) for row in means]),
        "sums": model.decode(sums),
    }
    return images, with_results(rows, kinds_of(images["sums"], train, labels))


def kinds_of(images: Tensor, train: Tensor, labels: Tensor) -> Tensor:
    """Return the label of the training image nearest to each of images: (n, c, h, w) -> (n,)."""
    _, index = nearest(images.flatten(1), train.flatten(1))
    return labels[index]


def with_results(rows: Sequence[list[int]], results: Tensor) -> list[list[int]]:
    """Return the kinds of each row with that of its result at the end."""
    return [[*row, int(result)] for row, result in zip(rows, results, strict=True)]
