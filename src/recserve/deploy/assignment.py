"""`-Dmetadata.rpc.keepalive=1000`: a place in a document and what is to stand there.

    metadata.instance=3                        {"metadata": {"instance": 3}}
    metadata.eas\\.termination_grace_period=60  {"metadata": {"eas.termination_grace_period": 60}}
    labels.team=search                         {"labels": {"team": "search"}}
    labels.build='"007"'                       {"labels": {"build": "007"}}    (7 would be a number)
    model_config.outputs=null                  takes the key away

Ours: a value that is JSON is that, any other a text; eascmd's page does not say.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A dot that no backslash stands before.
_DOT = re.compile(r"(?<!\\)\.")


def assigned(assignments: Iterable[str]) -> dict[str, Any]:
    """The change that assignments make together; ConfigError if one is none, or contradicts another."""
    result: dict[str, Any] = {}
    for text in assignments:
        place, found, value = text.partition("=")
        keys = [key.replace("\\.", ".") for key in _DOT.split(place.strip())]
        if not found or not all(keys):
            raise ConfigError(f"-D{place}: key=value is expected, such as -Dmetadata.instance=3")
        below = result
        for key in keys[:-1]:
            below = below.setdefault(key, {})
            if not isinstance(below, dict):
                raise ConfigError(f"-D{place}: another -D gives {key} a value; keep one of the two")
        if isinstance(below.get(keys[-1]), dict):
            raise ConfigError(f"-D{place}: another -D gives {keys[-1]} keys; keep one of the two")
        below[keys[-1]] = _value(value)
    return result


def laid_over(document: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A change laid over another one: its nulls stay, for what they take away is not in here."""
    result = dict(document)
    for key, value in change.items():
        below = result.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            result[key] = laid_over(below, value)
        else:
            result[key] = value
    return result


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text
