"""fg.json keys ──▶ the fields of a record, each converted to its type or refused by name."""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING
from functools import cache, partial
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: How keys are spelled elsewhere → the field.
ALIASES = {
    "value_dimension": "value_dim",
    "needDiscrete": "need_discrete",
    "needKey": "need_key",
    "matchType": "match_type",
}


def canonical(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Give keys their one spelling; a key that is null is absent."""
    return {ALIASES.get(key, key): value for key, value in keys.items() if value is not None}


#: The types of a record's fields, by name.
field_types = cache(get_type_hints)


def read_fields(record: type, keys: Mapping[str, Any], *, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read the fields of a dataclass, `but` some, from `keys` in their one spelling; others are ignored."""
    hints = field_types(record)
    fields = [f for f in dataclasses.fields(record) if f.name not in but]
    missing = [
        f.name for f in fields if f.name not in keys and f.default is MISSING and f.default_factory is MISSING
    ]
    if missing:
        raise ConfigError(f"missing keys {missing}")
    present = [f.name for f in fields if f.name in keys]
    values = together(*(partial(_read, key, keys[key], hints[key]) for key in present))
    return dict(zip(present, values, strict=True))


def together(*reads: Callable[[], Any]) -> list[Any]:
    """Do all of several, so that one ConfigError tells what is wrong with each."""
    results, wrong = [], []
    for read in reads:
        try:
            results.append(read())
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("; ".join(wrong))
    return results


def read_flag(keys: Mapping[str, Any], key: str) -> bool:
    """Read a key that is true or false; absent, it is false."""
    return keys.get(key) is not None and bool(_read(key, keys[key], bool))


def kind_of(hint: Any) -> str:
    """Say what a key of this type takes."""
    return " or ".join(name for _, name in _readers(hint))


def _read(key: str, value: Any, hint: Any) -> Any:
    """Convert a JSON value to a field's type, or to the first of several that takes it."""
    for reader, _ in _readers(hint):
        if (read := reader(value)) is not None:
            return read
    raise ConfigError(f"{key} is {value!r:.60}; {kind_of(hint)} is wanted")


def _readers(hint: Any) -> list[tuple[Callable[[Any], Any], str]]:
    hints = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    return [_READERS[wanted] for wanted in hints if wanted is not NoneType]


def _text(value: Any) -> str | None:
    """A number stands for its text: default_value 0 is "0"."""
    if isinstance(value, float):
        return f"{value:.17g}" if float(f"{value:g}") != value else f"{value:g}"
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def _flag(value: Any) -> bool | None:
    return {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower())


def _integer(value: Any) -> int | None:
    """Operator keys that went through a protobuf Struct are floats: 3.0 is 3."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    known = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    return value if known else None


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _texts(value: Any) -> tuple[str, ...] | None:
    listed = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    return tuple(value) if listed else None


def _numbers_by_text(value: Any) -> tuple[tuple[str, float], ...] | None:
    numbers = isinstance(value, dict) and all(
        isinstance(number, (int, float)) and not isinstance(number, bool) for number in value.values()
    )
    return tuple((text, float(number)) for text, number in value.items()) if numbers else None


#: The type of a field → what reads it, and what to call it.
_READERS: dict[Any, tuple[Callable[[Any], Any], str]] = {
    str: (_text, "text"),
    bool: (_flag, "true or false"),
    int: (_integer, "an integer"),
    float: (_number, "a number"),
    tuple[str, ...]: (_texts, "a list of texts"),
    tuple[tuple[str, float], ...]: (_numbers_by_text, "an object of text to number"),
}
