"""Strict JSON: the usual mistakes are named with their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recserve.config.document import parse_json, read_json
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n}', "f, line 2, column 1: not JSON: a comma before a closing bracket is not JSON"),
        ('{"a": [1, 2, ]}', "f, line 1, column 14: not JSON: a comma before a closing bracket"),
        ('{\n  "a": 1, // one\n}', "f, line 2, column 11: not JSON: JSON has no comments; remove it"),
        ('{"a": 1 # one\n}', "f, line 1, column 9: not JSON: JSON has no comments; remove it"),
        ('{"a": True}', "f, line 1, column 7: not JSON: JSON writes true, false and null, in lower case"),
        ("{'a': 1}", 'f, line 1, column 2: not JSON: JSON needs straight double quotes (")'),
        ("{“a”: 1}", 'f, line 1, column 2: not JSON: JSON needs straight double quotes (")'),
        ('{"a": 1 "b": 2}', "f, line 1, column 9: not JSON: a comma is missing before it"),
        ('{"a" 1}', "f, line 1, column 6: not JSON: a colon is missing after the key"),
        ('{"a": 1', "not JSON: the text ends too early; a bracket or a quote is not closed"),
        ('{"a": 1}}', "f, line 1, column 9: not JSON: Extra data"),
        ('{"a": "x}', "f, line 1, column 7: not JSON: Unterminated string"),
        ("", "not JSON: the text ends too early"),
        ('{"a": NaN}', "f: JSON has no number NaN"),
        ('{"a": 1, "a": 2}', "f: the key 'a' stands twice in one object; keep one"),
        ("[1]", "f: a JSON object ({…}) is expected, not list"),
        ("[" * 100_000, "f: nested too deeply"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_json(text, "f")
    assert message in str(raised.value)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "service.json"
    path.write_bytes(b'\xef\xbb\xbf{"name": "r"}')
    assert read_json(path) == {"name": "r"}


def test_a_file_that_cannot_be_read_or_is_not_utf8_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: cannot be read: No such file"):
        read_json(tmp_path / "none.json")
    path = tmp_path / "latin.json"
    path.write_bytes(b'{"name": "\xe9"}')
    with pytest.raises(ConfigError, match="byte 10 is not UTF-8"):
        read_json(path)
