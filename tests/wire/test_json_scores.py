"""Requests and answers in JSON: types, rows, what is missing, what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from recserve.columns import column_from_arrow, to_arrow
from recserve.errors import RequestError
from recserve.messages import ScoreResponse
from recserve.wire.json_scores import decode, encode

if TYPE_CHECKING:
    from numpy.typing import NDArray


def body(**content: Any) -> bytes:
    return json.dumps(content).encode()


def answer(outputs: dict[str, NDArray[Any]], *ids: str, **texts: dict[str, str]) -> Any:
    response = ScoreResponse(column_from_arrow(pa.array(ids, pa.string())), outputs, **texts)
    return json.loads(encode(response), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


# --- requests ---


@pytest.mark.parametrize(
    ("value", "kind", "read"),
    [
        ("a", pa.string(), "a"),
        (7, pa.int64(), 7),
        (2**63 - 1, pa.int64(), 2**63 - 1),
        (1.5, pa.float64(), 1.5),
        (True, pa.int32(), 1),
        (["a", "b"], pa.list_(pa.string()), ["a", "b"]),
        ([1, 2.5], pa.list_(pa.float64()), [1.0, 2.5]),
        ([[1], [2, 3]], pa.list_(pa.list_(pa.int64())), [[1], [2, 3]]),
        ({"a": 1.5}, pa.map_(pa.string(), pa.float64()), [("a", 1.5)]),
        ({"a": "b", "": "c"}, pa.map_(pa.string(), pa.string()), [("a", "b"), ("", "c")]),
        (None, pa.string(), None),
        ("", pa.string(), None),
        ([], pa.string(), None),
        ({}, pa.string(), None),
    ],
)
def test_a_value_is_a_cell_of_its_type_and_what_is_empty_is_missing(
    value: Any, kind: pa.DataType, read: Any
) -> None:
    array = to_arrow(decode(body(user={"f": value})).user["f"])

    assert (array.type, array.to_pylist()) == (kind, [read])


def test_a_whole_request_is_read() -> None:
    request = decode(
        body(
            user={"u": "x"},
            item_ids=["i1", 2],
            context={"c": [1, None]},
            item_features={"p": [0.5]},
            debug_level=3,
            neighbours=9,
            meta={"request_id": "r"},
        )
    )

    assert to_arrow(request.item_ids).to_pylist() == ["i1", "2"]
    assert to_arrow(request.context["c"]).to_pylist() == [1, None]
    assert to_arrow(request.item_features["p"]).to_pylist() == [0.5]
    assert (request.rows, request.debug_level, request.neighbours) == (2, 3, 9)
    assert request.meta == {"request_id": "r"}


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ({}, 1),
        ({"item_ids": ["a", "b"]}, 2),
        ({"context": {"c": [1, 2, 3]}}, 3),
        ({"context": {"c": [1]}, "item_features": {"p": [1, 2]}}, 2),
        ({"item_ids": ["a"], "context": {"c": [1, 2]}}, 1),
    ],
)
def test_ids_say_how_many_rows_there_are_and_without_ids_the_longest_list(
    content: dict[str, Any], rows: int
) -> None:
    request = decode(body(**content))

    assert request.rows == rows
    assert all(request.context[name].rows in (1, rows) for name in request.context.names)


def test_an_object_beside_missing_ones_is_a_map() -> None:
    column = to_arrow(decode(body(item_features={"m": [None, {"a": 1}, {}]})).item_features["m"])

    assert column.to_pylist() == [None, [("a", 1)], None]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "failed to parse request: .*the text ends too early"),
        (b"[]", "failed to parse request: .*a JSON object"),
        (b'{"user": {"a": NaN}}', "JSON has no number NaN"),
        (b'{"user": {"a": Infinity}}', "JSON has no number Infinity"),
        (b'{"user": {"a": 1, "a": 2}}', "the key 'a' stands twice"),
        (b'{"user": {"a": "\xff"}}', "byte 16 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"user": {"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}", "nested too deeply"),
        (b'{"user": {"a": ' + b"9" * 5000 + b"}}", "digits"),
        (body(items=[]), "unknown key 'items' in a request; did you mean 'item_ids'"),
        (body(user=[]), "'user' is a list; an object is expected"),
        (body(item_ids="a"), "'item_ids' is a text; a list is expected"),
        (body(item_ids=[1.5]), r"item_ids\[0\] is a number; a text or a whole number"),
        (body(item_ids=["a", None]), r"item_ids\[1\] is null"),
        (body(item_ids=[True]), r"item_ids\[0\] is a boolean"),
        (body(debug_level="1"), "'debug_level' is a text; a whole number is expected"),
        (body(debug_level=True), "'debug_level' is a boolean"),
        (body(debug_level=2**31), "'debug_level' is 2147483648; it has no more than 32 bits"),
        (body(neighbours=1.5), "'neighbours' is a number"),
        (body(meta={"a": 1}), "meta 'a' is a whole number; a text is expected"),
        (body(context={"c": 1}), "context 'c' is a whole number; a list with one value per item"),
        (body(context={"c": {"a": 1}}), "context 'c' is an object; a list"),
        (body(item_ids=["a", "b", "c"], context={"c": [1, 2]}), "'c' has 2 values for 3 items; send 3 or 1"),
        (body(item_ids=["a"], item_features={"c": []}), "item_features 'c' has 0 values for 1 items"),
        (body(user={"f": [1, "a"]}), "user 'f': .*; the values of one column need one type"),
        (body(context={"f": [1, "a"]}), "context 'f': .*need one type"),
        (body(context={"f": [{"a": 1}, 2]}), "context 'f': objects beside other values"),
        (body(context={"f": [{"a": 1}, {"a": "b"}]}), "context 'f': .*need one type"),
        (body(user={"f": {"a": {"b": 1}}}), "user 'f': .*need one type"),
        (body(user={"f": [[[1]]]}), "user 'f': .*need one type"),
        (body(user={"f": ["a", None]}), "user 'f': null inside a list"),
        (body(user={"f": [["a"], [None]]}), "user 'f': null inside a list"),
        (body(user={"f": {"a": None}}), "user 'f': null inside"),
        (body(user={"f": 2**64}), "user 'f': .*need one type"),
        (b'{"user": {"f": "\\ud800"}}', "user 'f': .*surrogates"),
        (b'{"item_ids": ["\\ud800"]}', "'item_ids': .*surrogates"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(sent: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        decode(sent)


# --- answers ---


def test_an_answer_has_lists_of_scores_by_output_and_the_ids() -> None:
    told = answer(
        {"ctr": np.array([0.1, 1.0], np.float32), "emb": np.array([[1, 2], [3, 4]], np.float64)}, "i1", "ü"
    )

    assert told == {"item_ids": ["i1", "ü"], "outputs": {"ctr": [0.1, 1.0], "emb": [[1.0, 2.0], [3.0, 4.0]]}}


def test_what_is_no_finite_number_is_null() -> None:
    told = answer({"s": np.array([np.nan, np.inf, -np.inf, 1], np.float32)}, *"abcd")

    assert told["outputs"]["s"] == [None, None, None, 1.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_come_back_to_the_bit(dtype: type[np.floating[Any]]) -> None:
    generator = np.random.default_rng(5)
    bits = generator.integers(0, 256, (5000, np.dtype(dtype).itemsize), np.uint8)
    values = bits.view(dtype).ravel()
    values = values[np.isfinite(values)]

    told = answer({"s": values})["outputs"]["s"]

    assert np.array_equal(np.array(told, dtype).view(np.uint8), values.view(np.uint8))


@pytest.mark.parametrize(
    "values", [np.array([True, False]), np.array([1, -2], np.int64), np.zeros(0, np.float32)]
)
def test_other_numbers_are_written_as_they_are(values: NDArray[Any]) -> None:
    assert answer({"s": values})["outputs"]["s"] == values.tolist()


def test_texts_are_there_when_there_are_any() -> None:
    told = answer(
        {}, "i1", pass_through={"a": '"b"'}, raw_features={"i1": "x:1"}, generate_features={"i1": ""}
    )

    assert told == {
        "item_ids": ["i1"],
        "outputs": {},
        "pass_through": {"a": '"b"'},
        "raw_features": {"i1": "x:1"},
        "generate_features": {"i1": ""},
    }
