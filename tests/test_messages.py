"""The input schema of a bundle is read, checked and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recserve.errors import BundleError
from recserve.messages import InputSchema

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = InputSchema(
    user={"age": "int32", "年龄": "list<list<float64>>"},
    context={"hour": "int64"},
    item={"prices": "map<string, float32>", "tags": "list<string>"},
)


def test_a_schema_reads_back_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "input_schema.json"
    path.write_text(SCHEMA.to_json(), encoding="utf-8")

    assert InputSchema.load(path) == SCHEMA


def test_a_side_that_is_absent_is_empty() -> None:
    assert InputSchema.from_json('{"user": {"a": "string"}}') == InputSchema(user={"a": "string"})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"user": {"a": "text"}}', "user column 'a' has the unknown type 'text'; known: int32"),
        ('{"item": {"a": "map<float32,string>"}}', "item column 'a' has the unknown type"),
        ('{"item": {"a": "list<list<list<int32>>>"}}', "item column 'a' has the unknown type"),
        ('{"item": {"a": 3}}', "item column 'a' has the unknown type 3"),
        ('{"users": {}}', r"unknown sides \['users'\]; known: user, context, item"),
        ('{"user": []}', "an object of objects is wanted"),
        ("[]", "an object of objects is wanted"),
        ("{", "not JSON"),
    ],
)
def test_a_schema_that_is_wrong_says_where(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=f"input schema: {why}"):
        InputSchema.from_json(text)
    path = tmp_path / "input_schema.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"input_schema\.json: input schema"):
        InputSchema.load(path)


def test_a_schema_file_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"input_schema\.json"):
        InputSchema.load(tmp_path / "input_schema.json")
