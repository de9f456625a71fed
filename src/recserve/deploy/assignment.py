"""`-Dmetadata.instance=3 -Dmodel_config.fg_mode=normal`: changes of a document, as the command line has them.

A path's parts are separated by dots; `\\.` is a dot of a name (`metadata.eas\\.x`). A value is JSON if it can
be read as such (3, true, null, ["a"], {"a": 1}), else a text; null takes the key away. Ours: entries of lists
cannot be named, as a change is laid over objects; give the whole list.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable


def change(assignments: Iterable[str]) -> dict[str, Any]:
    """All of them as one change; ConfigError names the one that cannot be read."""
    result: dict[str, Any] = {}
    for text in assignments:
        path, equals, value = text.partition("=")
        parts = [part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", path)]
        if not equals or not all(parts):
            raise ConfigError(f"-D{text}: a path and a value are expected, such as -Dmetadata.instance=3")
        if any("[" in part for part in parts):
            raise ConfigError(f"-D{text}: entries of lists cannot be named; give the whole list as JSON")
        below = result
        for part in parts[:-1]:
            below = below.setdefault(part, {})
            if not isinstance(below, dict):
                raise ConfigError(f"-D{text}: another -D gives {part!r} a value")
        if parts[-1] in below:
            raise ConfigError(f"-D{text}: another -D says something of {path} already")
        below[parts[-1]] = _value(value)
    return result


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        return text


def _refused(name: str) -> Any:
    raise ValueError(name)
