"""A setting is one line: type, default, sentence. A section is a frozen dataclass of such lines.

    @dataclass(frozen=True, slots=True)
    class Rpc:
        keepalive_ms: int = setting(5000, "Time budget of a request …", unit="ms", key="keepalive", least=1)

`read(Rpc, {"keepalive": "300"}, "metadata.rpc")` checks names, types and ranges and gives
`Rpc(keepalive_ms=300)`.
"""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from recserve.config.concealed import kept
from recserve.config.nearest import did_you_mean, nearest
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")
S = TypeVar("S")


#: Who had a key first: the page of the hosted TorchEasyRec processor, the docs of TorchEasyRec itself, the
#: page of the hosted EasyRec processor, the parameters of all services of the hosted platform, the training
#: code's variables, the messages of the clients, and recserve.
PROCESSOR = "TorchEasyRec Processor"
DOCS = "TorchEasyRec docs"
EASYREC = "EasyRec Processor"
EAS = "EAS service parameters"
CODE = "TorchEasyRec code"
PROTOCOL = "protocol"
OURS = "ours"


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
    source: str = OURS  # who had the key first
    keys: tuple[str, ...] = ()  # of an object: the only ones that it may have
    no_effect_yet: str = ""  # why a file that has the key is warned


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
    source: str = OURS,
    keys: tuple[str, ...] = (),
    no_effect_yet: str = "",
) -> T:
    """Declare one key of a section; `default` is what an absent key means (a required key never is)."""
    known = Setting(sentence, key, unit, choices, least, most, secret, required, source, keys, no_effect_yet)
    metadata = {"setting": known}
    if isinstance(default, dict):  # a default of its own for each record
        made: T = field(default_factory=lambda: dict(default), repr=not secret, metadata=metadata)  # type: ignore[assignment]
        return made
    declared: T = field(default=default, repr=not secret, metadata=metadata)
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
    if entry.default_factory is not MISSING:
        return entry.default_factory()
    assert entry.default is not MISSING  # setting() always gives one
    return entry.default


def _checked(name: str, value: Any, kind: _Kind, known: Setting) -> Any:
    shown = "the value (not shown)" if known.secret else repr(value)
    try:
        result = kind.convert(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{name}: {shown} is not {kind.expected}; write {kind.example}") from None
    if known.choices:
        if result not in known.choices:
            allowed = ", ".join(str(choice) for choice in known.choices)
            raise ConfigError(f"{name}: {shown} is none of its values; known: {allowed}")
        result = known.choices[known.choices.index(result)]  # none of these is a secret
    for key in result if known.keys else ():
        if key not in known.keys:
            hint = did_you_mean(key, known.keys) or f"; known: {', '.join(known.keys)}"
            raise ConfigError(f"{name}: unknown key '{key}'{hint}")
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
    return tuple(
        kept(part.strip(), value if isinstance(value, str) else part) for part in parts if part.strip()
    )


def _texts(value: Any) -> Mapping[str, str]:
    """An object of strings; numbers and booleans are taken as they are written in JSON."""
    if not isinstance(value, dict):
        raise TypeError(value)
    return {key: entry if isinstance(entry, str) else _written(entry) for key, entry in value.items()}


def _written(value: Any) -> str:
    if not isinstance(value, (bool, int, float)):
        raise TypeError(value)
    return json.dumps(value)


# By the annotation of the field, as it is written.
_KINDS: dict[str, _Kind] = {
    "bool": _Kind(_boolean, "true or false", "true or false"),
    "int": _Kind(_whole, "a whole number", "a number without quotes, such as 8"),
    "float": _Kind(_number, "a number", "a number without quotes, such as 0.5"),
    "str": _Kind(_text, "a string", 'it in double quotes, such as "text"'),
    "Mapping[str, str]": _Kind(_texts, "an object of strings", '{"model_version": "7"}'),
    "tuple[str, ...]": _Kind(_names, "a list of strings", '["a", "b"] or "a,b"'),
}
