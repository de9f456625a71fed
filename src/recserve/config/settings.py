"""A setting is one line: type, default, sentence. A section is a frozen dataclass of such lines.

    @dataclass(frozen=True, slots=True)
    class Rpc:
        keepalive_ms: int = setting(5000, "Time budget of a request …", unit="ms", key="keepalive", least=1)

`read(Rpc, {"keepalive": "300"}, "metadata.rpc")` checks names, types and ranges and gives
`Rpc(keepalive_ms=300)`.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from recserve.config.nearest import nearest
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of one key, beside the name, type and default that its dataclass field has."""

    sentence: str  # what it means, for the reference page
    key: str  # the name in the file, where it differs from the field's
    unit: str = ""
    choices: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None
    secret: bool = False  # never in a repr, a message or a log
    required: bool = False


def setting(
    default: T,
    sentence: str,
    *,
    unit: str = "",
    key: str = "",
    choices: tuple[T, ...] = (),
    least: float | None = None,
    most: float | None = None,
    secret: bool = False,
    required: bool = False,
) -> T:
    """Declare one key of a section; `default` is what an absent key means (a required key never is)."""
    known = Setting(sentence, key, unit, choices, least, most, secret, required)
    declared: T = field(default=default, repr=not secret, metadata={"setting": known})
    return declared


def settings(section: type) -> dict[str, tuple[Setting, Field[Any]]]:
    """The settings of a section by their key in the file."""
    found = {}
    for entry in fields(section):
        known = entry.metadata.get("setting")
        if known is not None:
            found[known.key or entry.name] = (known, entry)
    return found


def read(section: type[S], values: Mapping[str, Any], where: str) -> S:
    """Build a section from the keys of `values` that it knows; the others are the caller's business.

    Raises ConfigError with key, value and what would be right. A null value means: as if it were absent.
    """
    arguments = {}
    for key, (known, entry) in settings(section).items():
        name = f"{where}.{key}" if where else key
        value = values.get(key)
        if value is not None:
            arguments[entry.name] = _checked(name, value, _KINDS[str(entry.type)], known)
        elif known.required:
            raise ConfigError(f"{name} is missing: {known.sentence}")
    return section(**arguments)


def checked(name: str, value: Any, known: Setting, entry: Field[Any]) -> Any:
    """Convert one value of a setting; raises ConfigError with `name`, the value and what would be right."""
    return _checked(name, value, _KINDS[str(entry.type)], known)


def unknown_key(key: str, where: str, known: Iterable[str]) -> str:
    """The warning for a key that no section has, with the nearest one that there is."""
    name = f"{where}.{key}" if where else key
    near = nearest(key, list(known))
    hint = f"did you mean '{near}'?" if near else "it has no effect"
    return f"unknown key '{name}': {hint}"


def default_of(entry: Field[Any]) -> Any:
    """The value of a field that the file does not name."""
    assert entry.default is not MISSING  # setting() always gives one
    return entry.default


def _checked(name: str, value: Any, kind: _Kind, known: Setting) -> Any:
    shown = "the value (not shown)" if known.secret else repr(value)
    try:
        result = kind.convert(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{name}: {shown} is not {kind.expected}; write {kind.example}") from None
    if known.choices and result not in known.choices:
        allowed = ", ".join(str(choice) for choice in known.choices)
        raise ConfigError(f"{name}: {shown} is none of its values; known: {allowed}")
    if known.least is not None and result < known.least:
        raise ConfigError(f"{name}: {shown} is too small; the least is {known.least:g} {known.unit}".rstrip())
    if known.most is not None and result > known.most:
        raise ConfigError(f"{name}: {shown} is too large; the most is {known.most:g} {known.unit}".rstrip())
    return result


@dataclass(frozen=True, slots=True)
class _Kind:
    convert: Callable[[Any], Any]
    expected: str
    example: str


def _boolean(value: Any) -> bool:
    """The spellings of configurations in the wild: true, 1, "1", "True"."""
    spelled = str(value).lower()
    if isinstance(value, (bool, int, str)) and spelled in {"true", "1", "false", "0"}:
        return spelled in {"true", "1"}
    raise ValueError(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return int(value)


def _number(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(value)
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _names(value: Any) -> tuple[str, ...]:
    """A list of names, or one string with commas between them."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        raise TypeError(value)
    return tuple(part.strip() for part in parts if part.strip())


# By the annotation of the field, as it is written.
_KINDS: dict[str, _Kind] = {
    "bool": _Kind(_boolean, "true or false", "true or false"),
    "int": _Kind(_whole, "a whole number", "a number without quotes, such as 8"),
    "float": _Kind(_number, "a number", "a number without quotes, such as 0.5"),
    "str": _Kind(_text, "a string", 'it in double quotes, such as "text"'),
    "tuple[str, ...]": _Kind(_names, "a list of strings", '["a", "b"] or "a,b"'),
}
