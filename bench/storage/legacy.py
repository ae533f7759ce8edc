"""How are rows of the first form of runs.csv read?

In that form the changed options were a label, code was an ingredient by module, and the
seal covered the typed columns. Such a row is read as one of today's: its seal is checked
as it was made, and the columns that changed are kept in `formerly`. Its code was hashed
in another way than today, so none of its artefacts is reused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from genmodel_bench.storage.digest import content_digest
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.record import COLUMNS, Record, meant, parsed

SAMPLING = {
    "models.cae.Config": ("sample_steps", "step"),
    "models.dbn.Config": ("sample_steps",),
    "models.gsn.Config": ("chain", "sample_steps"),
    "models.rbm.Config": ("sample_steps",),
}
"""The settings of that time that only sampling read."""
GONE = ("variant", "recipe", "metric_recipe")
"""The columns of that form that today's lacks."""
LOOP = tuple(f"bench.{name}" for name in ("atomic", "checkpoint", "graph", "harness", "sealed", "seeding"))
"""The modules that were the training loop."""


def is_legacy(row: Mapping[str, str]) -> bool:
    """Return whether a row's columns are those of the first form."""
    return "variant" in row and "options" not in row


def modernised(row: Mapping[str, str]) -> Record:
    """Return a row of the first form as one of today's.

    Raises:
        ValueError, KeyError: the row is damaged.
    """
    typed: dict[str, Any] = {
        name: meant(text) if name in GONE else parsed(name, text) for name, text in row.items()
    }
    whole = typed["seal"] == content_digest("row", typed | {"seal": ""})
    parts = json.loads(typed["ingredients"])
    options = options_of(typed["variant"], json.loads(typed["model_settings"]))
    former = {name: typed[name] for name in ("ingredients", "recipe", "metric_recipe", "score_key")}
    columns: dict[str, Any] = {name: value for name, value in typed.items() if name in COLUMNS}
    columns["options"] = as_json(options, in_order=True)
    columns["ingredients"] = as_json(ingredients_of(typed, parts, options))
    columns["formerly"] = as_json(former | {"ingredients": parts})
    record = Record(**columns)
    return record.sealed() if whole else record


def options_of(variant: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a label like 'epochs=3, hidden=(16,), checkpoint=best'."""
    named: dict[str, Any] = dict(re.findall(r"(?:^|, )(checkpoint|draws|deterministic)=(\w+)", variant))
    plain: dict[str, Any] = {
        name: settings[name] for name in re.findall(r"(?:^|, )(\w+)=", variant) if name not in named
    }
    if "checkpoint" in named:
        plain["checkpoint"] = named["checkpoint"]
    if "draws" in named:
        plain["draws"] = int(named["draws"])
    return plain | ({"deterministic": True} if "deterministic" in named else {})


def ingredients_of(
    row: Mapping[str, Any], parts: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the ingredients of a row of the first form, by part.

    Code is given by role, with the digests of that time.
    """
    fit, samples, score = ({**parts.get(part, {})} for part in ("fit", "samples", "score"))
    metric = {
        "data set": row["dataset"],
        "draws": row["draws"],
        "metric": row["metric"],
        **without_code(score),
        "code of the metric": code(score),
    }
    if row["role"] == "samples":
        given = {
            "name": row["model"],
            "data set": row["dataset"],
            "content of the data set": row["dataset_digest"],
            "content of the samples": row["recipe"],
        }
        return {"samples": given, "score": metric}
    settings, sampling = json.loads(row["model_settings"]), SAMPLING.get(fit["kind of model"], ())
    modules = code(fit)
    return {
        "fit": {
            "data set": row["dataset"],
            "content of the data set": row["dataset_digest"],
            "kind of model": fit["kind of model"],
            **{f"setting {name}": value for name, value in settings.items() if name not in sampling},
            "seed": row["seed"],
            "deterministic": bool(options.get("deterministic", False)),
            "float32 matmul precision": "highest",
            "code of the model": {name: digest for name, digest in modules.items() if name not in LOOP},
            "code of the training loop": {name: digest for name, digest in modules.items() if name in LOOP},
        },
        "samples": {
            "data set": row["dataset"],
            "kind of model": fit["kind of model"],
            **{f"setting {name}": settings[name] for name in sampling if name in settings},
            "number of samples": row["samples"],
            "checkpoint": row["checkpoint"] or "last",
            **({"code of the selection": code(samples)} if code(samples) else {}),
        },
        "score": metric,
    }


def code(part: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of code among ingredients, by module."""
    return {
        name.removeprefix("code of "): value for name, value in part.items() if name.startswith("code of ")
    }


def without_code(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ingredients that are not code."""
    return {name: value for name, value in part.items() if not name.startswith("code of ")}
