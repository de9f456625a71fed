"""Plain values become columns of the right type, or an error that names the feature."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recserve.client.request import build_request, read_bodies
from recserve.columns import to_arrow
from recserve.errors import ConfigError, RequestError
from recserve.wire.json_scores import from_json
from recserve.wire.torchrec import Decoder, encode_request

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("value", "type_", "cell"),
    [
        ("a", "string", "a"),
        (7, "int64", 7),
        (2**40, "int64", 2**40),
        (1.5, "double", 1.5),
        (True, "int32", 1),
        (np.float32(1.5), "float", 1.5),
        (np.int32(3), "int32", 3),
        (np.array(3), "int64", 3),
        (["a", ""], "list<item: string>", ["a", ""]),
        ((1, 2.5), "list<item: double>", [1.0, 2.5]),
        (np.array([1, 2], np.float32), "list<item: float>", [1.0, 2.0]),
        ([[1], []], "list<item: list<item: int64>>", [[1], []]),
        (np.zeros((2, 1), np.float32), "list<item: list<item: float>>", [[0.0], [0.0]]),
        ({"a": 0.5}, "map<string, double>", [("a", 0.5)]),
        ({3: "x"}, "map<int64, string>", [(3, "x")]),
        (None, "string", None),
        ("", "string", None),
        ([], "string", None),
        ({}, "string", None),
        (np.array([]), "string", None),
    ],
)
def test_a_value_becomes_a_cell_of_its_own_type(value: Any, type_: str, cell: Any) -> None:
    column = to_arrow(build_request({"f": value}).user["f"])

    assert str(column.type) == type_
    assert column.to_pylist() == [cell]


def test_item_columns_have_a_value_per_item_and_may_miss_some() -> None:
    request = build_request(
        item_ids=["i1", 2],
        context={"position": np.array([1, 2]), "query": ["a", None]},
        item_features={"tags": [["x"], []], "weights": [{"a": 1}, {}]},
    )

    assert to_arrow(request.item_ids).to_pylist() == ["i1", "2"]
    assert to_arrow(request.context["position"]).to_pylist() == [1, 2]
    assert to_arrow(request.context["query"]).to_pylist() == ["a", None]
    assert to_arrow(request.item_features["tags"]).to_pylist() == [["x"], None]
    assert to_arrow(request.item_features["weights"]).to_pylist() == [[("a", 1)], None]


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        ({"item_ids": ["a", "b"]}, 2),
        ({"context": {"c": [1, 2, 3]}}, 3),
        ({"context": {"c": [1]}, "item_features": {"d": [1, 2]}}, 2),
        ({"user": {"u": 1}}, 1),
    ],
)
def test_rows_are_the_ids_else_the_longest_list_else_one(arguments: dict[str, Any], rows: int) -> None:
    assert build_request(**arguments).rows == rows


def test_one_value_stands_for_all_items() -> None:
    assert build_request(item_ids=["a", "b"], context={"c": [5]}).context["c"].rows == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"user": {"f": [1, "a"]}}, "user 'f': Could not convert 'a'"),
        ({"user": {"f": 2**70}}, "user 'f': .*; the values of one column need one type"),
        ({"user": {"f": ["a", None]}}, "user 'f': None inside a list"),
        ({"user": {"f": {"a": 1, 2: 3}}}, "user 'f': "),
        ({"user": {"f": object()}}, "user 'f': "),
        (
            {"item_ids": ["a", "b", "c"], "context": {"c": [1, 2]}},
            "context 'c' has 2 values for 3 items; send 3 or 1",
        ),
        ({"item_ids": ["a"], "item_features": {"c": [1, 2]}}, "item_features 'c' has 2 values for 1 items"),
        ({"item_ids": ["a"], "context": {"c": "x"}}, "context 'c' is a str; a list with one value per item"),
        ({"item_ids": ["a"], "context": {"c": 1}}, "context 'c' is a int"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        build_request(**arguments)


def test_bodies_are_read_from_json_lines_and_from_encoded_files(tmp_path: Path) -> None:
    contents: list[dict[str, Any]] = [{"item_ids": ["a"]}, {"item_ids": ["b", "c"]}]
    lines = tmp_path / "requests.jsonl"
    lines.write_text("\n".join(json.dumps(content) for content in contents) + "\n\n")
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.pb").write_bytes(encode_request(from_json(content)))

    assert read_bodies(lines) == read_bodies(tmp_path)
    assert [Decoder().decode(body).rows for body in read_bodies(lines)] == [1, 2]
    assert read_bodies(tmp_path / "1.pb") == read_bodies(lines)[1:]


def test_a_file_without_requests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds no request"):
        read_bodies(tmp_path)
    with pytest.raises(RequestError, match="cannot be read: No such file"):
        read_bodies(tmp_path / "none.jsonl")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"item_ids": ["a"]}\n{"item_ids": [,]}')
    with pytest.raises(ConfigError, match=r"broken\.jsonl, request 2, line 1, column 15: not JSON"):
        read_bodies(broken)
