"""What is drawn of a trained model besides its samples?

    film         samples of the same latent points, or from the same random numbers, after
                 each epoch whose weights are stored
    walks        images of codes between two draws of the prior: on a straight line, as in
                 the paper, or on a great circle where the prior is Gaussian, because the
                 middle of a line is nearer to 0 than draws are (White 2016, arXiv
                 1609.04468)
    arithmetic   the mean of three codes of one kind, minus that of another, plus that of
                 a third (Radford et al. 2016, arXiv 1511.06434). The kind of a code is
                 the label of the training image nearest to its image; no code is chosen
                 by hand

Nothing is trained for them: they are made with the stored weights. They are stored under
the cell's id, with the losses by epoch and the digests of the weights and of the code
that they were made with.
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
from genmodel_bench.storage.code import source_of
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.store import Store
from genmodel_bench.training import checkpoint
from genmodel_bench.training.seeding import derive_seed, seed_everything
from torch import Tensor

POINTS, PLANE_POINTS = 8, 1000
"""Number of samples that the film follows; of those that are points of the plane."""
WALKS, STEPS = 4, 10
SUMS, TERMS, MEMBERS = 3, 3, 3
"""Rows of arithmetic, kinds in each row, codes of each kind."""
DRAWN = 1000
"""Codes drawn from the prior, among which those of each kind are found."""


def straight(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return the points (1 − t)·a + t·b: (k,), (k,), (steps,) -> (steps, k)."""
    return torch.lerp(a, b, t[:, None])


def great_circle(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return the points at `t` on the great circle from a to b.

    They are sin((1−t)Ω)/sin Ω · a + sin(tΩ)/sin Ω · b, with Ω the angle between a and b:
    (k,), (k,), (steps,) -> (steps, k). Where a and b point the same way or opposite ways,
    they are on the straight line.

    Source: Shoemake (1985), Animating rotation with quaternion curves.
    """
    cosine = (a @ b / (a.norm() * b.norm())).clamp(-1, 1)
    omega = cosine.double().acos()
    # Both sines in the quotients vanish; opposite codes have no unique great circle.
    if omega.sin() < 1e-4:
        return straight(a, b, t)
    ours, theirs = ((1 - t) * omega).sin() / omega.sin(), (t * omega).sin() / omega.sin()
    points: Tensor = ours[:, None].to(a) * a + theirs[:, None].to(a) * b
    return points


WALK = {"uniform": straight, "gaussian": great_circle}


def make_visuals(cell: Cell, data: Dataset, store: Store, device: torch.device) -> None:
    """Make the visuals of a trained cell, if they are due. Seeds the generators.

    data: on `device`.
    """
    epoch = visuals_due(cell, data, store)
    if epoch is None:
        return
    folder, seed = (
        store.artefact("fits", cell.fit_key),
        derive_seed(cell.seed, cell.dataset, cell.family, "album"),
    )
    model = cell.config.build(data.shape).to(device).eval()
    plane, film = data.shape == (1, 1, 2), []
    for each in epochs_of(cell):
        model.load_state_dict(weights_after(each, folder))
        seed_everything(seed)
        film.append(model.sample(PLANE_POINTS if plane else POINTS))
    weights = weights_after(epoch, folder)
    model.load_state_dict(weights)
    pictures = {"film": torch.stack(film)}  # (epochs, points, c, h, w)
    about: dict[str, Any] = {"epochs": epochs_of(cell), "history": history(folder, device)}
    if isinstance(model, Latent):
        seed_everything(seed)
        pictures["walks"] = walks(model)
        about["prior"] = model.prior
        if data.labels is not None and not plane:
            sums, about["kinds"] = arithmetic(model, data.train, data.labels["train"])
            pictures |= sums
    about |= {"weights": sealed.tensors_digest(weights), "recipe": cell.recipe, "code": code_of_visuals()}
    sealed.save(visuals_path(cell, store), cell.id, pictures, as_json(about))


def visuals_due(cell: Cell, data: Dataset, store: Store) -> int | None:
    """Return the epoch whose weights the cell samples, if its visuals are to be made.

    They are to be made if all the weights by epoch are stored, but no visuals are, or
    only those of other weights, another recipe or other code. Else None.
    """
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
    """Return the digest of this module's code.

    The digest of the model's code is in the recipe of its samples.
    """
    return source_of("genmodel_bench.execution.visuals").digest


def weights_after(epoch: int, folder: Path) -> dict[str, Tensor]:
    """Return the stored weights after `epoch`.

    Raises:
        ValueError: they are damaged or missing.
    """
    weights = checkpoint.load_snapshot(folder, epoch)
    if weights is None:
        raise ValueError(f"the weights after epoch {epoch} are damaged")
    return weights


def history(folder: Path, device: torch.device) -> list[dict[str, Any]]:
    """Return the means that training logged, by stage and epoch.

    It is empty where no intact checkpoint is left.
    """
    state = checkpoint.load_latest(folder, device)
    found: list[dict[str, Any]] = state["log"][0] if state else []
    return found


@torch.no_grad()
def walks(model: Latent) -> Tensor:
    """Return images between pairs of draws of the prior: (walks, steps, c, h, w).

    The pairs are the first draws, not chosen.
    """
    ends = model.latent(2 * WALKS)
    t = torch.linspace(0, 1, STEPS, device=ends.device)
    images = [model.decode(WALK[model.prior](a, b, t)) for a, b in zip(ends[0::2], ends[1::2], strict=True)]
    return torch.stack(images)


@torch.no_grad()
def arithmetic(model: Latent, train: Tensor, labels: Tensor) -> tuple[dict[str, Tensor], list[list[int]]]:
    """Return mean(a) − mean(b) + mean(c) of codes by kind, as images, and their kinds.

    train, labels: (n, c, h, w), (n,). The kind of an image is the label of the training
        image nearest to it.

    The kinds of which there are enough codes are taken three by three, in order, one row
    each. The images of a row are "members" (rows, terms, members, c, h, w), "means"
    (rows, terms, c, h, w) and "sums" (rows, c, h, w); its kinds are those of a, b, c and
    of the result. Both are empty where there are too few kinds.
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
    """Return the label of each image's nearest training image: (n, c, h, w) -> (n,)."""
    _, index = nearest(images.flatten(1), train.flatten(1))
    return labels[index]


def with_results(rows: Sequence[list[int]], results: Tensor) -> list[list[int]]:
    """Return the kinds of each row, followed by the kind of its result."""
    return [[*row, int(result)] for row, result in zip(rows, results, strict=True)]
