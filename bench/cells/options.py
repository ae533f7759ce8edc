"""How does `--set MODEL.KEY=VALUE` become fields of Configs?

Several values, as in `vae.lr=1e-3,1e-4`, are several Configs. The comma is unambiguous:

- in a field that holds one value, it parts the values to be run;
- in a field that holds a tuple, it parts the elements, as in `vae.hidden=16,16`; several
  tuples are each put in parentheses, as in `vae.hidden=(16,16),(32,32)`.

Several such options give each combination. A number has to be of the sign of what is
registered: where all registered values of a field are positive, whole numbers are at
least 1 and others above 0; where one is 0, they are at least 0; where one is negative,
any is taken. A Config says otherwise in `BOUNDS`.
"""

from __future__ import annotations

import difflib
import math
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from genmodel_bench.errors import BadOption, UnknownName

if TYPE_CHECKING:
    from genmodel_bench.models.base import Config

MOST = 10**9
"""The largest whole number that is taken; the bounds of a Config may have others."""
TUPLE = r"[(\[][^()\[\]]*[)\]]"
"""A tuple in parentheses, as text."""


def apply_options(configs: Mapping[str, Config], options: Sequence[str]) -> dict[str, list[Config]]:
    """Return the Configs of each model, one for each combination of the options' values.

    options: as 'MODEL.KEY=VALUE' or 'MODEL.KEY=VALUE,VALUE'; the last dot before the
        equals sign parts model and key.

    Raises:
        UnknownName: the model is not registered.
        BadOption: it is not among `configs`, or the option has another form, or its key
            or value does not fit.
    """
    changes: dict[str, dict[str, list[Any]]] = {}
    for option in options:
        target, equals, text = option.partition("=")
        model, dot, key = (part.strip() for part in target.rpartition("."))
        if not (equals and dot and model and key):
            raise BadOption(f"--set: got {short(option)}, expected MODEL.KEY=VALUE, as vae.epochs=20")
        check_model(model, configs)
        given = changes.setdefault(model, {})
        if key in given:
            raise BadOption(
                f"--set: {model}.{key} is given twice, expected once; list its values: {model}.{key}=A,B"
            )
        given[key] = values_of(model, configs[model], key, text.strip())
    return {
        model: list(dict.fromkeys(combinations(model, config, changes.get(model, {}))))
        for model, config in configs.items()
    }


def check_model(model: str, configs: Mapping[str, Config]) -> None:
    """Check that a model that an option names is among `configs`.

    Raises:
        UnknownName: it is not registered.
        BadOption: it is registered, and not among them.
    """
    from genmodel_bench.models import MODELS  # here: the command line's help would wait for torch

    if model in configs:
        return
    if model not in MODELS:
        raise UnknownName("model", model, configs)
    raise BadOption(f"--set: {model} is not in this run, expected one of {', '.join(configs)}; name it too")


def values_of(model: str, config: Config, key: str, text: str) -> list[Any]:
    """Return the values that the text of an option gives the Config's field `key`.

    Raises:
        BadOption: there is no such field, or the text is no value of its type and within
            its bounds.
    """
    names = [f.name for f in fields(config)]
    if key not in names:
        close = difflib.get_close_matches(key, names, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise BadOption(f"{model}: no option {short(key)}; {hint}options: {', '.join(names) or 'none'}")
    kind = get_type_hints(type(config))[key]
    try:
        found = [parse(part, kind) for part in parts(text, kind)]
        for value in found:
            check_bounds(config, key, value)
    except ValueError as error:
        raise BadOption(f"{model}: {key}: {error}; `bench list models` shows what is registered") from error
    return found


def parts(text: str, kind: Any) -> list[str]:
    """Return the texts of the values that an option lists.

    Raises:
        ValueError: some tuples are in parentheses and others are not.
    """
    if not holds_tuple(kind):
        return [part.strip() for part in text.split(",")]
    if not set("()[]") & set(text):
        return [text]
    if not re.fullmatch(rf"{TUPLE}(\s*,\s*{TUPLE})*", text):
        raise ValueError(f"got {short(text)}, expected tuples in parentheses, as (16,16),(32,32)")
    return re.findall(TUPLE, text)


def holds_tuple(kind: Any) -> bool:
    """Return whether a field of this annotation holds a tuple."""
    if get_origin(kind) in (Union, types.UnionType):
        return any(holds_tuple(each) for each in get_args(kind))
    return get_origin(kind) is tuple


def check_bounds(config: Config, key: str, value: Any) -> None:
    """Check the numbers of a value, each on its own.

    Raises:
        ValueError: one is not within the bounds of the field.
    """
    declared = getattr(type(config), "BOUNDS", {}).get(key)
    least = least_registered(config, key)
    for number in numbers_in(value):
        if declared is not None:
            low, high = declared
            good = (low is None or number >= low) and (high is None or number < high)
            limits = ("at least", low), ("below", high)
            expected = " and ".join(f"{word} {limit}" for word, limit in limits if limit is not None)
        elif isinstance(number, int):
            low = -MOST if least < 0 else min(int(least), 1)
            good = low <= number <= MOST
            expected = f"at least {low}" if number < low else f"at most {MOST:,}"
        elif least > 0:
            good, expected = number > 0, "above 0"
        else:
            good, expected = least < 0 or number >= 0, "at least 0"
        if not good:
            raise ValueError(f"got {number_text(number)}, expected {expected}")


def least_registered(config: Config, key: str) -> float:
    """Return the least number that is registered for a field, 1 if there is none.

    It may be of another model with the same Config, or of any data set.
    """
    from genmodel_bench.models import MODELS

    kind = type(config)
    registered = [getattr(c, key) for c in (config, *MODELS.values()) if type(c) is kind]
    registered += [settings[key] for settings in getattr(kind, "SETTINGS", {}).values() if key in settings]
    return min((number for value in registered for number in numbers_in(value)), default=1)


def numbers_in(value: Any) -> Iterator[float]:
    """Yield the numbers of a value: itself, or the elements of a tuple."""
    for each in value if isinstance(value, tuple) else (value,):
        if isinstance(each, (int, float)) and not isinstance(each, bool):
            yield each


def number_text(number: float) -> str:
    """Return a number as text that is not long."""
    text = str(number)
    return text if len(text) <= 30 else f"{text[:29]}…"


def combinations(model: str, config: Config, values: Mapping[str, Sequence[Any]]) -> Iterator[Config]:
    """Yield `config` with each combination of the values of its options.

    Raises:
        BadOption: the Config refuses one.
    """
    for chosen in product(*values.values()):
        yield changed(model, config, dict(zip(values, chosen, strict=True)))


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
    if not text:
        raise ValueError("got nothing, expected a value")
    if origin is Literal:
        if text not in args:
            raise ValueError(f"got {short(text)}, expected one of {', '.join(args)}")
        return text
    if origin is tuple:
        elements = [part.strip() for part in text.strip("()[]").split(",")]
        if not elements[-1]:  # as in '()' and '(64,)'
            elements.pop()
        if args[-1] is not ... and len(elements) != len(args):
            raise ValueError(f"got {short(text)}, expected {len(args)} elements")
        return tuple(parse(element, args[0]) for element in elements)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"got {short(text)}, expected true or false")
        return text.lower() == "true"
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"got {short(text)}, expected a value of type {kind.__name__}") from None
    if kind is float and not math.isfinite(value):
        raise ValueError(f"got {short(text)}, expected a finite number")
    return value


def short(text: str) -> str:
    """Return a text in quotes, at most 60 characters of it."""
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
