"""What does a part of a result depend on, by name, and when are two of them the same?

A part (fit, samples, score) has ingredients: values of the data, the settings, the seed,
and code by its role, as "code of the model". Code is a digest for each module, by the
module's name. The names are for people and only the digests count, so that moving a file
changes nothing. Where somebody has vouched that one code gives the same bits as another
(`bench vouch`), both count as the older one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from genmodel_bench.storage.code import code_digests
from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.plain import from_json

Ingredients = dict[str, Any]

CODE = "code of the "
"""Prefix of the names of ingredients that are code."""


def code_of(role: str, *modules: str) -> Ingredients:
    """Return the ingredient of a role: digests of modules and of what they import."""
    return {CODE + role: code_digests(*modules)}


def code_digest(code: Mapping[str, str]) -> str:
    """Return one digest of a role's code; the names of its modules do not count."""
    return content_digest(sorted(code.values()))


def is_code(name: str, value: Any) -> bool:
    """Return whether an ingredient is code; in an edited row it may be anything."""
    return (
        name.startswith(CODE)
        and isinstance(value, dict)
        and all(isinstance(digest, str) for digest in value.values())
    )


@dataclass(frozen=True)
class Equivalence:
    """The statement that one code gives the same bits as another.

    It holds for results of `of`, a kind of model or a metric, on one data set: there the
    code `new` of the ingredient `what` gives the bits of `old`. `evidence` says in words
    what was made again and compared.
    """

    of: str
    dataset: str
    what: str
    old: str
    new: str
    evidence: tuple[str, ...]
    processor: str
    versions: str
    commit: str
    created: str
    seal: str = ""

    def sealed(self) -> Equivalence:
        """Return this entry with the digest of all its other fields in `seal`."""
        return replace(self, seal=content_digest("vouched", asdict(replace(self, seal=""))))


@dataclass(frozen=True)
class Vouched:
    """All equivalences of a results folder."""

    entries: tuple[Equivalence, ...] = ()

    @cached_property
    def first(self) -> dict[tuple[str, str, str, str], str]:
        """Return the first code with the same bits, by (of, data set, what, digest)."""
        found: dict[tuple[str, str, str, str], str] = {}
        for e in self.entries:  # in order: a later entry moves no existing key
            old, new = (found.get((e.of, e.dataset, e.what, digest), digest) for digest in (e.old, e.new))
            for key, digest in list(found.items()):
                if key[:3] == (e.of, e.dataset, e.what) and digest == new:
                    found[key] = old
            found |= {(e.of, e.dataset, e.what, digest): old for digest in (e.old, e.new, new)}
        return found

    def settled(self, ingredients: Mapping[str, Any]) -> Ingredients:
        """Return the ingredients of a part as they enter keys.

        Code enters as the digest of the first code with the same bits.
        """
        of, dataset = (
            str(ingredients.get("metric", ingredients.get("kind of model"))),
            str(ingredients.get("data set")),
        )

        def oldest(what: str, code: Mapping[str, str]) -> str:
            digest = code_digest(code)
            return self.first.get((of, dataset, what, digest), digest)

        return {
            name: oldest(name, value) if is_code(name, value) else value
            for name, value in ingredients.items()
        }

    def changed(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
        """Return the names of ingredients that differ, in the order of `now`.

        Those that `now` no longer has come last.
        """
        missing = object()
        before, now = self.settled(before), self.settled(now)
        return [
            name
            for name in [*now, *(k for k in before if k not in now)]
            if before.get(name, missing) != now.get(name, missing)
        ]


def equivalences_path(results: Path) -> Path:
    """Return the file in which `bench vouch` stores equivalences."""
    return results / "equivalent.json"


def read_vouched(results: Path) -> Vouched:
    """Return the equivalences of a results folder.

    An entry that was edited, or a file of another form, is ignored.
    """
    try:
        return _vouched(equivalences_path(results).read_text(encoding="utf-8"))
    except (OSError, UnicodeError):
        return Vouched()


@cache
def _vouched(text: str) -> Vouched:
    try:
        entries = [
            Equivalence(**{**entry, "evidence": tuple(entry["evidence"])}) for entry in from_json(text)
        ]
        return Vouched(tuple(entry for entry in entries if entry.seal == entry.sealed().seal))
    except (ValueError, TypeError, KeyError):
        return Vouched()


def equivalences_as_text(entries: Iterable[Equivalence]) -> str:
    """Return equivalences as the text of their file, JSON."""
    return json.dumps([asdict(entry) for entry in entries], indent=1, ensure_ascii=False) + "\n"


def changed_modules(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the modules of a role with new code, then those whose code is gone.

    `bench why` names them. "imports" is among them only where no module changed.
    """
    there, was = set(now.values()), set(before.values())
    found = [name for name, digest in now.items() if digest not in was] + [
        name for name, digest in before.items() if digest not in there
    ]
    return [name for name in dict.fromkeys(found) if name != "imports"] or list(dict.fromkeys(found))


def fit_key_of(fit: Mapping[str, Any], vouched: Vouched) -> str:
    """Return the key of a training: the digest of its ingredients."""
    return content_digest("fit", vouched.settled(fit))


def score_key_of(parts: Mapping[str, Mapping[str, Any]], vouched: Vouched) -> str:
    """Return the key of a metric's scores, from the ingredients of all parts.

    The parts are fit, samples and score; a user's own samples have no fit.
    """
    made = [fit_key_of(parts["fit"], vouched)] if "fit" in parts else []
    return content_digest("score", *made, vouched.settled(parts["samples"]), vouched.settled(parts["score"]))


@cache
def _parts(ingredients: str) -> dict[str, Ingredients]:
    found: dict[str, Ingredients] = json.loads(ingredients)
    return found


@cache
def recipe_of(ingredients: str, vouched: Vouched) -> str:
    """Return the digest of what the samples of every seed depend on.

    `ingredients` is that column of a row. Rows of one line of a table share the digest.
    """
    parts = _parts(ingredients)
    samples = parts.get("samples", {})
    samples = samples | ({"seed": None} if "seed" in samples else {})  # of a user's: a fit has its own
    return content_digest(vouched.settled(parts.get("fit", {}) | {"seed": None}), vouched.settled(samples))


@cache
def metric_recipe_of(ingredients: str, vouched: Vouched) -> str:
    """Return the digest of what makes two scores of a metric comparable.

    That is its name, settings, code and the number of draws.
    """
    return content_digest(vouched.settled(_parts(ingredients).get("score", {})))
