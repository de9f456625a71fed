"""Strict JSON with errors that a person can act on: file, line, column and the usual mistake."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

# What stands at the place of the error, and what the writer probably meant. First match wins.
_MISTAKES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"\s*(//|#|/\*)"), "JSON has no comments; remove it"),
    (re.compile(r"\s*(True|False|None)\b"), "JSON writes true, false and null, in lower case"),
    (re.compile(r"\s*[“”‘’']"), 'JSON needs straight double quotes (")'),
    (re.compile(r"\s*(NaN|-?Infinity)\b"), "JSON has no such number"),
    (re.compile(r"\s*[}\]]"), "a comma before a closing bracket is not JSON; remove the comma"),
    (re.compile(r'\s*["{\[\w]'), "a comma is missing before it"),
]


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a UTF-8 file (a byte-order mark is skipped)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: byte {error.start} is not UTF-8; save the file with UTF-8 encoding"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_json(text, str(path))


def parse_json(text: str, where: str) -> dict[str, Any]:
    """Parse a JSON object; a key that stands twice in one object is an error, not the last one's win."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ConfigError(f"{where}: the key '{twice}' stands twice in one object; keep one")
        return result

    def constant(name: str) -> Any:
        raise ConfigError(f"{where}: JSON has no number {name}; write a finite one")

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{where}, line {error.lineno}, column {error.colno}: not JSON: {_mistake(text, error)}"
        ) from None
    except RecursionError:
        raise ConfigError(f"{where}: nested too deeply to be a configuration") from None
    except ValueError:  # Python's own limit
        raise ConfigError(f"{where}: an integer of more than 4,300 digits is no configuration") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: a JSON object ({{…}}) is expected, not {type(value).__name__}")
    return value


def _mistake(text: str, error: json.JSONDecodeError) -> str:
    rest = text[error.pos :]
    if not rest.strip():
        return "the text ends too early; a bracket or a quote is not closed"
    if error.msg.startswith(("Invalid control character", "Invalid \\escape", "Unterminated", "Extra data")):
        return error.msg
    if error.msg.startswith("Expecting ':'"):
        return "a colon is missing after the key"
    return next((hint for pattern, hint in _MISTAKES if pattern.match(rest)), error.msg)
