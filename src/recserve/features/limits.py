"""How large an fg.json may be. Whoever writes one may be a stranger: what is absurd is refused before it is
built, within a second, and nothing that is refused costs memory.

| what                                                                  | at most        |
|-----------------------------------------------------------------------|----------------|
| the file                                                              | 64 MiB         |
| features, those of sequence groups counted one by one                 | 20,000         |
| a name                                                                | 512 bytes, no control characters |
| a text, such as a default, a formula, a pattern or a constant         | 1 MiB          |
| entries of a list: `boundaries`                                       | 100,000        |
| entries of a list: words of a vocabulary, values of a map             | 10,000,000     |
| entries of any other list, such as inputs                             | 1,024          |
| `value_dim`                                                           | 65,536         |
| `sequence_length`                                                     | 2^31 - 1       |
| any other integer                                                     | 64 bits        |
| a file that fg.json names                                             | 1 GiB          |

All of them are ours. Beside them Python's parser limits how deep JSON is nested, the parser of formulas has
64 KiB and 256 levels as its own limits (cpp/features/expression.h), and RE2 takes linear time for any.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_FILE_BYTES = 64 << 20
MAX_FEATURES = 20_000
MAX_NAME_BYTES = 512
MAX_TEXT_BYTES = 1 << 20
MAX_ENTRIES = 1_024
MAX_ASSET_BYTES = 1 << 30

#: Lists and objects that may be longer than others.
LIST_LIMITS = {
    "boundaries": 100_000,
    "vocab_list": 10_000_000,
    "vocab_dict": 10_000_000,
    "value_map": 10_000_000,
}
#: Integers that make memory, or counts.
INTEGER_LIMITS = {
    "value_dim": 65_536,
    "value_dimension": 65_536,
    "sequence_length": 2**31 - 1,
}
_INT64 = 2**63

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_name(what: str, name: object) -> str:
    """Refuse what cannot be the name of a feature or a group."""
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{what} {_shown(name)} is not a name; write a text")
    if _CONTROL.search(name):
        raise ConfigError(f"{what} {_shown(name)} holds a control character; use letters, digits and _")
    _check_text(what, name, MAX_NAME_BYTES)
    return name


def check_keys(keys: Mapping[str, Any]) -> None:
    """Refuse absurd sizes among the keys of a feature or a group."""
    for key, value in keys.items():
        if key != "features":
            _check_value(key, value)


def check_file(path: Path, key: str, most: int) -> None:
    """Refuse a file by its size, before it is read; `key` says what it is."""
    size = path.stat().st_size
    if size > most:
        raise ConfigError(f"{key} '{path.name}' has {size:,} bytes; {most:,} are the most")


def check_count(features: int) -> None:
    """Refuse too many features."""
    if features > MAX_FEATURES:
        raise ConfigError(f"fg.json has {features:,} features; {MAX_FEATURES:,} are the most")


def _check_value(key: str, value: Any) -> None:
    if isinstance(value, str):
        _check_text(key, value, MAX_TEXT_BYTES)
    elif isinstance(value, (list, dict)):
        most = LIST_LIMITS.get(key, MAX_ENTRIES)
        if len(value) > most:
            raise ConfigError(f"{key} has {len(value):,} entries; {most:,} are the most")
        # The file is bounded, so its texts need no bound of their own here.
        _check_text(key, "".join(entry for entry in value if isinstance(entry, str)), MAX_FILE_BYTES)
        for entry in value if isinstance(value, list) else value.values():
            if isinstance(entry, (int, float)):
                _check_number(key, entry, _INT64 - 1)
    elif isinstance(value, (int, float)):
        _check_number(key, value, INTEGER_LIMITS.get(key, _INT64 - 1))


def _check_number(key: str, value: float, most: int) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{key} is {value}, which is no number")
    elif not -_INT64 <= value <= most:
        raise ConfigError(f"{key} is {_shown(value)}; {most:,} is the most")


def _check_text(key: str, text: str, most: int) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ConfigError(f"{key} {_shown(text)} is not Unicode text: half of a surrogate pair") from None
    if size > most:
        raise ConfigError(f"{key} {_shown(text)} has {size:,} bytes; {most:,} are the most")


def _shown(value: object, most: int = 60) -> str:
    """A value for a message: the start of a long one."""
    text = ascii(value)
    return text if len(text) <= most else f"{text[:most]}…"
