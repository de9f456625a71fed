from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from tests.features.conftest import Generate

PRODUCT = {"feature_type": "kv_dot_product", "query": "user:q", "document": "item:d"}
MAP = pa.map_(pa.string(), pa.float32())
FORMS = {
    "text": (["a:0.5|b:0.5", "a|b|c", "a|b", None], ["a:0.5|b:0.5", "a|b", "", ""]),
    "array": (
        [["a:0.5", "b:0.5"], ["a", "b", "c"], ["a", "b"], None],
        [["a:0.5", "b:0.5"], ["a", "b"], [], []],
    ),
    "map": (
        pa.array([{"a": 0.5, "b": 0.5}, {"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1}, None], MAP),
        pa.array([{"a": 0.5, "b": 0.5}, {"a": 1, "b": 1}, {}, {}], MAP),
    ),
}


@pytest.mark.parametrize("query", FORMS)
@pytest.mark.parametrize("document", FORMS)
def test_the_cases_of_the_training_side_in_any_form(generate: Generate, query: str, document: str) -> None:
    cells = {"q": FORMS[query][0], "d": FORMS[document][1]}
    feature = {**PRODUCT, "separator": "|"}
    boundaries = [0.05, 0.15, 1.0]

    dense = generate({**feature, "default_value": "0.1"}, cells)
    bucketized = generate({**feature, "default_value": "0.1", "boundaries": boundaries}, cells)
    without = generate({**feature, "boundaries": boundaries}, cells)

    assert dense["values"] == pytest.approx([0.5, 2.0, 0.1, 0.1])
    assert bucketized == {"values": [2, 3, 1, 1], "lengths": [1, 1, 1, 1]}
    assert without == {"values": [2, 3, 0, 0], "lengths": [1, 1, 1, 1]}


@pytest.mark.parametrize(
    ("query", "document", "expected"),
    [
        ("a:2", "b:3", 0.0),
        ("a:2\x1da:3", "a:5\x1da:7", 21.0),
        ("a:-2\x1db:1e1", "b:2\x1da", 18.0),
        ("1:2", [1], 2.0),
        ([1, 2], [2, 1, 3], 2.0),
        (pa.array([[(1, 2.0)]], pa.map_(pa.int64(), pa.float64())), "1:4", 8.0),
        (pa.array([[("a", "2")]], pa.map_(pa.string(), pa.string())), "a:4", 8.0),
        (":2", ":3", 6.0),
        ("a:x", "a:3", 9.0),
        ("a:3", "a:2\x1db:x", 9.0),
        ("a:1:2", "a", 9.0),
        ("\x1d", "a", 9.0),
        ([""], "a", 9.0),
    ],
)
def test_a_product_of_one_row(generate: Generate, query: Any, document: Any, expected: float) -> None:
    cells = {
        name: cell if isinstance(cell, pa.Array) else [cell] for name, cell in (("q", query), ("d", document))
    }

    assert generate({**PRODUCT, "default_value": "9"}, cells) == {"values": [expected]}


def test_another_delimiter(generate: Generate) -> None:
    feature = {**PRODUCT, "kv_delimiter": "#", "separator": ";"}

    assert generate(feature, {"q": ["a#2;b:1#3"], "d": ["b:1;a#5"]}) == {"values": [13.0]}


@pytest.mark.parametrize(("query", "expected"), [("a:1e16|b:3|c:-1e16", 4.0), ("a:1e16|c:-1e16|b:3", 3.0)])
def test_products_are_added_in_the_order_of_the_query_whichever_side_stands_for_all(
    generate: Generate, query: str, expected: float
) -> None:
    feature = {**PRODUCT, "separator": "|"}
    document = "c|z|b:7|a|b"

    for rows in ((1, 1), (1, 2), (2, 1), (2, 2)):
        result = generate(feature, {"q": [query] * rows[0], "d": [document] * rows[1]})

        assert result == {"values": [expected] * max(rows)}


def test_a_normalizer_sees_the_product_and_no_default(generate: Generate) -> None:
    feature = {**PRODUCT, "normalizer": "method=minmax,min=0,max=4", "default_value": "7"}

    assert generate(feature, {"q": ["a:2", ""], "d": ["a", "a"]}) == {"values": [0.5, 7.0]}


def test_every_element_of_a_sequence_meets_the_query(generate: Generate) -> None:
    feature = {**PRODUCT, "group": {}}

    result = generate(feature, {"q": ["a:2"], "s__d": pa.array([["a:3\x1db", "", "b"]])})

    assert result == {"values": [6.0, 0.0, 0.0], "lengths": [3]}
    alone = {**PRODUCT, "feature_type": "sequence_kv_dot_product", "default_value": "1"}
    assert generate(alone, {"q": ["a:2"], "d": ["a:3;;b"]}) == {"values": [6.0, 1.0, 0.0], "lengths": [3]}


def test_a_delimiter_is_one_byte(generate: Generate) -> None:
    with pytest.raises(ConfigError, match="kv_delimiter '::' is not exactly one byte"):
        generate({**PRODUCT, "kv_delimiter": "::"}, {"q": ["a"], "d": ["a"]})
