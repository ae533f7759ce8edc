"""Do the results support what a paper claims? `bench claims`.

A file of claims is TOML:

    claims = [
        "gan-ns > dbn on parzen, mnist",
        "vae < data on neighbours.exact_copies, mnist",
    ]

`>` and `<` compare the numbers, whatever direction of the score is better. A claim is
supported, or contradicted, if the two rows are told apart (`report/compare.py`), the p
values corrected by Holm over all claims of the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genmodel_bench.commands.compare import Rows
from genmodel_bench.errors import BenchError, DataMissing
from genmodel_bench.report.compare import Difference, corrected, difference
from genmodel_bench.storage.names import in_home, results_at

FORM = re.compile(r"(?P<a>.+?)\s*(?P<sign>[<>])\s*(?P<b>.+?)\s+on\s+(?P<score>[^\s,]+)\s*,\s*(?P<dataset>.+)")

Finding = Literal["supported", "contradicted", "undetermined"]


@dataclass(frozen=True)
class Claim:
    """That the number of row `a` is above (">") or below ("<") that of row `b`."""

    text: str
    a: str
    sign: str
    b: str
    score: str
    dataset: str


@dataclass(frozen=True)
class Judged:
    """What the results say of a claim, and why."""

    claim: str
    finding: Finding
    reason: str


def read_claims(path: Path) -> list[Claim]:
    """Return the claims of a TOML file.

    Raises:
        DataMissing: there is no such file.
        BenchError: it cannot be read as claims.
    """
    if not path.is_file():
        raise DataMissing(f"claims: {path} not found; expected a TOML file with a list `claims`")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise BenchError(f"claims: {path} is no TOML: {' '.join(str(error).split())[:200]}") from None
    texts = content.get("claims")
    if not isinstance(texts, list) or not texts:
        raise BenchError(
            f'claims: {path} has no list of claims; expected claims = ["A > B on METRIC, DATASET"]'
        )
    return [parsed(text) for text in texts]


def parsed(text: object) -> Claim:
    """Return a claim from its text. Raises BenchError."""
    found = FORM.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise BenchError(f"claims: got {repr(text)[:200]}, expected 'A > B on METRIC, DATASET' or with '<'")
    return Claim(str(text).strip(), *(found[name].strip() for name in ("a", "sign", "b", "score", "dataset")))


def claims(path: Path | str, results: Path | str | None = None) -> list[Judged]:
    """Return what the results say of each claim of a file, in order.

    Raises:
        BenchError: the file cannot be read as claims.
    """
    every, results = read_claims(in_home(path)), results_at(results)
    rows: dict[tuple[str, str], Rows] = {}
    pairs: list[tuple[Claim, Difference]] = []
    judged: dict[int, Judged] = {}
    for i, claim in enumerate(every):
        try:
            place = claim.dataset, claim.score
            rows[place] = rows.get(place) or Rows(results, *place)
            a, b = rows[place].standing(claim.a), rows[place].standing(claim.b)
        except BenchError as error:
            judged[i] = Judged(claim.text, "undetermined", str(error))
            continue
        column = rows[place].column
        pairs.append((claim, difference(a, b, unit=column.unit, better=column.better)))
    tested = corrected([pair for _, pair in pairs])
    found = iter(judge(claim, pair) for (claim, _), pair in zip(pairs, tested, strict=True))
    return [judged[i] if i in judged else next(found) for i in range(len(every))]


def judge(claim: Claim, pair: Difference) -> Judged:
    """Return what the difference of its two rows says of a claim."""
    if pair.verdict in ("unknown", "not told apart"):
        return Judged(claim.text, "undetermined", pair.sentence)
    said = {">": "higher", "<": "lower"}[claim.sign]
    return Judged(claim.text, "supported" if pair.verdict == said else "contradicted", pair.sentence)


def exit_code(judged: Sequence[Judged]) -> int:
    """Return the exit code: 3 if any is contradicted, else 4 if any is undetermined."""
    findings = {each.finding for each in judged}
    return 3 if "contradicted" in findings else 4 if "undetermined" in findings else 0
