"""What are samples that somebody made, and how do they become records?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from genmodel_bench.cells.catalogue import sources_of
from genmodel_bench.cells.cell import metric_ingredients
from genmodel_bench.data.dataset import Dataset
from genmodel_bench.errors import BadSamples
from genmodel_bench.execution.evidence import Evidence
from genmodel_bench.execution.listener import Listener, Silent
from genmodel_bench.execution.measure import subject_of
from genmodel_bench.execution.plausible import doubt_of_copies, doubt_of_values, held_out_copies
from genmodel_bench.execution.rows import score_records
from genmodel_bench.inputs.labels import Labels, as_labels, labels_of, shares_of
from genmodel_bench.inputs.samples import as_samples, parts, read_samples
from genmodel_bench.metrics.base import Metric
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.ingredients import Ingredients, read_vouched, score_key_of
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.provenance import machine, now
from genmodel_bench.storage.record import Record
from genmodel_bench.storage.store import Store
from torch import Tensor

SILENT = Silent()


@dataclass(frozen=True)
class Given:
    """A user's samples as they were read, and what identifies them.

    sets: one for each seed or draw, (n, c, h, w) float32 in [0, 1] each, on the CPU.
    who: what each of them is called.
    digests: of their contents.
    labels: of each of them, (n,), where there are any.
    doubts: whether the values of each are those of images of the data; "" if so.
    """

    name: str
    sets: tuple[Tensor, ...]
    who: tuple[str, ...]
    digests: tuple[str, ...]
    labels: tuple[Labels, ...]
    doubts: tuple[str, ...]
    as_draws: bool
    dataset: str
    dataset_digest: str

    @property
    def seeds(self) -> list[int | None]:
        """Return the seeds: None for the training of a single file, or of all draws."""
        return [None] if self.as_draws or len(self.sets) == 1 else list(range(len(self.sets)))

    def draws(self, seed: int | None) -> tuple[Tensor, ...]:
        """Return the sets of samples of one training."""
        return self.sets if seed is None else (self.sets[seed],)

    def cell(self, seed: int | None) -> str:
        """Return the digest of the samples of one training."""
        digests = self.digests if seed is None else (self.digests[seed],)
        return content_digest("given", *digests)

    def ingredients(self, seed: int | None) -> Ingredients:
        """Return what the samples of one training are, by name."""
        labels = [hashlib.sha256(y.tobytes()).hexdigest() for y in self.labels]
        return {
            "name": self.name,
            "data set": self.dataset,
            "content of the data set": self.dataset_digest,
            "content of the samples": content_digest("given", *self.digests),
            **({"labels of the samples": content_digest(*labels)} if labels else {}),
            **({} if seed is None else {"seed": seed}),
        }

    def classes(self, seed: int | None) -> dict[str, float]:
        """Return the share of each class in the samples of one training, if known."""
        if not self.labels:
            return {}
        return shares_of(np.concatenate(self.labels if seed is None else [self.labels[seed]]))


def read_given(
    samples: Sequence[Any],
    name: str,
    content: Dataset,
    store: Store,
    listener: Listener = SILENT,
    *,
    as_draws: bool = False,
    labels: Any = None,
) -> Given:
    """Return samples that are called `name`, read and checked.

    samples: paths or arrays, one for each seed, or for each draw.
    store: in whose folder samples that do not fit into memory are put.

    Raises:
        BadSamples: they cannot be read, were divided by 255 twice, differ in number, or
            two are the same.
    """
    if not samples:
        raise BadSamples("score: got an empty list, expected samples; give a file or an array for each seed")
    brightest = float(content.train.max())
    sets: list[Tensor] = []
    who = tuple(
        str(each) if isinstance(each, (str, Path)) else f"samples {i + 1}" if len(samples) > 1 else "samples"
        for i, each in enumerate(samples)
    )
    digests: dict[str, str] = {}
    for i, (each, called) in enumerate(zip(samples, who, strict=True)):
        listener.step(f"reading {called}", i, len(samples))
        if isinstance(each, (str, Path)):
            x = read_samples(Path(each), content.shape, brightest=brightest, scratch=store.cache)
        else:
            x = as_samples(each, content.shape, who=called, brightest=brightest, scratch=store.cache)
        if sets and len(x) != len(sets[0]):
            raise BadSamples(
                f"{called}: {len(x):,} samples, but {who[0]} holds {len(sets[0]):,}; those of one row are "
                f"equally many: give x[:{min(len(x), len(sets[0]))}] of each"
            )
        digest = sha256(x)
        if digest in digests:
            raise BadSamples(
                f"{called}: holds the same samples as {digests[digest]}; seeds and draws differ; leave it out"
            )
        digests[digest] = called
        sets.append(x)
    doubts = [doubt_of_values(x, content.train, called) for x, called in zip(sets, who, strict=True)]
    known = given_labels(samples, labels, [len(x) for x in sets], content)
    return Given(
        name, tuple(sets), who, tuple(digests), known, tuple(doubts), as_draws, content.name, content.digest
    )


def given_labels(
    samples: Sequence[Any], labels: Any, sizes: Sequence[int], content: Dataset
) -> tuple[Labels, ...]:
    """Return the labels of each set of samples, none where none are known.

    Raises:
        BadSamples: they do not fit, or there are not as many sets of them.
    """
    several = isinstance(labels, (list, tuple)) and not (
        len(samples) == 1 and np.ndim(labels) == 1 and len(labels) == sizes[0]
    )
    given = list(labels) if several else [] if labels is None else [labels]
    if not given and content.labels:
        inside = [labels_of(Path(each)) if isinstance(each, (str, Path)) else None for each in samples]
        given = [path for path in inside if path is not None]
        given = given if len(given) == len(samples) else []
    if not given:
        return ()
    if len(given) != len(samples):
        raise BadSamples(
            f"--labels: got {len(given)}, expected one for each of {len(samples)} sets of samples"
        )
    classes = set(torch.cat(list(content.labels.values())).tolist()) if content.labels else set()
    return tuple(as_labels(each, n, classes) for each, n in zip(given, sizes, strict=True))


def score_given(
    given: Given,
    content: Dataset,
    where: torch.device,
    store: Store,
    metrics: Mapping[str, Metric],
    listener: Listener = SILENT,
) -> list[Record]:
    """Return the rows of samples, of every seed and metric; the data are on `where`."""
    vouched, n = read_vouched(store.results), len(given.sets[0])
    evidence = Evidence(content, store, listener.notice)
    records: list[Record] = []
    for i, seed in enumerate(given.seeds):
        draws, subject = given.draws(seed), subject_of(given.draws(seed), None, where)
        steps, of = len(given.seeds) * (len(metrics) + 1), f" of seed {seed}" if seed is not None else ""
        at = i * (len(metrics) + 1)
        listener.step(f"comparing {n:,} samples{of} with held-out images", at, steps)
        counted = [held_out_copies(x, content) for x in (subject.samples, *subject.redraws)]
        copies = {kind: sum(count[kind] for count in counted) for kind in ("valid", "test")}
        doubts = [
            *(given.doubts if seed is None else [given.doubts[i]]),
            doubt_of_copies(copies, n * len(draws)),
        ]
        warning = "; ".join(dict.fromkeys(filter(None, doubts)))
        classes = given.classes(seed)
        row = Record(
            content.name,
            given.name,
            role="samples",
            seed=seed,
            samples=n,
            draws=len(draws),
            model_settings=as_json({"copies": copies, **({"classes": classes} if classes else {})}),
            dataset_digest=content.digest,
            cell=given.cell(seed),
            created=now(),
            dtype=str(given.sets[0].dtype).removeprefix("torch."),
            **machine(where),
        )
        for j, (key, metric) in enumerate(metrics.items()):
            listener.step(f"scoring {n:,} samples{of} with {key}", at + 1 + j, steps)
            ingredients = ingredients_of(given, seed, key, metric)
            blank = replace(
                row,
                sources=sources_of(metric=(key, metric)),
                ingredients=as_json(ingredients),
                score_key=score_key_of(ingredients, vouched),
            )
            rows = score_records(
                blank,
                key,
                metric,
                subject,
                evidence,
                base_seed=seed or 0,
                of=given.name,
                store=store,
                warning=warning,
            )
            if rows[0].value is not None:
                warning = ""  # it is on the first score that there is
            records += rows
    return [r.sealed().settled(vouched) for r in records]


def ingredients_of(given: Given, seed: int | None, key: str, metric: Metric) -> dict[str, Ingredients]:
    """Return all that a metric's scores of samples depend on, by part."""
    draws = len(given.draws(seed))
    return {
        "samples": given.ingredients(seed),
        "score": metric_ingredients(key, metric, dataset=given.dataset, draws=draws),
    }


def check_numbers(given: Given, metrics: Mapping[str, Metric]) -> None:
    """Check that samples are enough for each metric. Raises BadSamples."""
    n = len(given.sets[0])
    for key, metric in metrics.items():
        if n < metric.min_samples:
            raise BadSamples(
                f"{given.who[0]}: {n} samples are too few for {key}, which needs at least "
                f"{metric.min_samples}; draw 10,000 to compare with published numbers"
            )


def sha256(x: Tensor) -> str:
    """Return the SHA-256 of the values of x: (n, ...), in hexadecimal.

    x may be mapped from a file larger than memory: it is read in parts.
    """
    digest = hashlib.sha256()
    for part in parts(x):
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()
