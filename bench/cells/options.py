"""How does `--set MODEL.KEY=VALUE` become a field of a Config?"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from genmodel_bench.errors import BadOption, UnknownName

if TYPE_CHECKING:
    from genmodel_bench.models.base import Config


def apply_options(configs: dict[str, Config], options: Sequence[str]) -> dict[str, Config]:
    """Return `configs` by model name with each option 'MODEL.KEY=VALUE' applied.

    Raises:
        UnknownName: the model is not among `configs`.
        BadOption: the option has another form, or its key or value does not fit.
    """
    changes: dict[str, dict[str, Any]] = {}
    for option in options:
        target, equals, text = option.partition("=")
        model, dot, key = target.strip().partition(".")
        if not equals or not dot:
            raise BadOption(f"--set: expected MODEL.KEY=VALUE, got {option!r}")
        if model not in configs:
            raise UnknownName("model", model, configs)
        changes.setdefault(model, {})[key] = value_of(model, configs[model], key, text.strip())
    return {model: changed(model, config, changes.get(model, {})) for model, config in configs.items()}


def value_of(model: str, config: Config, key: str, text: str) -> Any:
    """Return the text of an option as a value of the Config's field `key`.

    Raises:
        BadOption: there is no such field, or the text is no value of its type.
    """
    names = [f.name for f in fields(config)]
    if key not in names:
        close = difflib.get_close_matches(key, names, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise BadOption(f"{model}: no option {key!r}; {hint}options: {', '.join(names) or 'none'}")
    try:
        return parse(text, get_type_hints(type(config))[key])
    except ValueError as error:
        raise BadOption(f"{model}: {key}: {error}") from error


def changed(model: str, config: Config, values: dict[str, Any]) -> Config:
    """Return `config` with all its options changed at once.

    Some values are only valid together.

    Raises:
        BadOption: the Config refuses the values.
    """
    try:
        return replace(config, **values)
    except ValueError as error:
        raise BadOption(f"{model}: {', '.join(values)}: {error}") from error


def parse(text: str, kind: Any) -> Any:
    """Return `text` as a value of the annotation `kind`.

    kind: bool, int, float, str, Literal, tuple or optional of them.

    Raises:
        ValueError: the text is no such value; the message says what was expected.
    """
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if text.lower() == "none" and type(None) in args:
            return None
        return parse(text, next(a for a in args if a is not type(None)))
    if origin is Literal:
        if text not in args:
            raise ValueError(f"got {text!r}, expected one of {', '.join(args)}")
        return text
    if origin is tuple:
        return tuple(parse(part.strip(), args[0]) for part in text.strip("()[]").split(",") if part.strip())
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"got {text!r}, expected true or false")
        return text.lower() == "true"
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"got {text!r}, expected a value of type {kind.__name__}") from None
    if kind is float and not math.isfinite(value):
        raise ValueError(f"got {text!r}, expected a finite number")
    return value
