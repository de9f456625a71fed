from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

if TYPE_CHECKING:
    from tests.features.conftest import Generate

LOOKUP = {"feature_type": "lookup_feature", "map": "user:m", "key": "item:k"}
NATIVE = pa.map_(pa.string(), pa.float32())
TEXT_MAPS = [
    pa.array(["a:0.5"]),
    pa.array([["a:0.5"]]),
    pa.array([[("a", "0.5")]], pa.map_(pa.string(), pa.string())),
]
NUMBER_MAPS = [
    pa.array([[("a", 0.5)]], NATIVE),
    pa.array([[("a", 0.5)]], pa.map_(pa.string(), pa.float64())),
]
TEXT = "a:1\x1db:2\x1dc:x\x1dignored\x1dd:4:5"


@pytest.mark.parametrize(
    ("keys", "key", "expected"),
    [
        ({}, "a", 1.0),
        ({}, "b\x1da", 3.0),
        ({"combiner": "mean"}, "b\x1da\x1dz", 1.5),
        ({"combiner": "avg"}, "b\x1da", 1.5),
        ({"combiner": "min"}, "b\x1da", 1.0),
        ({"combiner": "max"}, "b\x1da", 2.0),
        ({"combiner": "count"}, "b\x1da\x1dz", 2.0),
        ({"combiner": "gap_min"}, "b\x1da\x1da", 0.0),
        ({"combiner": "gap_max"}, "b\x1da\x1da", 1.0),
        ({"combiner": "gap_max"}, "b", 0.0),
        ({"combiner": ""}, "b\x1da", 2.0),
        ({"combiner": "", "value_dim": 3}, "b\x1da", [2.0, 1.0, 0.0]),
        ({}, "c", 9.0),
        ({}, "z", 9.0),
        ({}, "", 9.0),
        ({"normalizer": "method=minmax,min=0,max=2"}, "b\x1da", 1.5),
        ({"normalizer": "method=minmax,min=0,max=2"}, "z", 9.0),
        ({"value_type": "int64", "combiner": "mean"}, "b\x1da", 1.0),
    ],
)
def test_numbers_found_in_a_text_map(
    generate: Generate, keys: dict[str, Any], key: str, expected: float | list[float]
) -> None:
    result = generate({**LOOKUP, "default_value": "9", **keys}, {"m": [TEXT], "k": [key]})

    assert result == {"values": [expected]}


@pytest.mark.parametrize(
    "map_cell",
    [
        pa.array([[("1", 10.0), ("2", 20.0)]], NATIVE),
        pa.array([[(1, 10), (2, 20)]], pa.map_(pa.int64(), pa.int32())),
        pa.array([[("1", "10"), ("2", "20")]], pa.map_(pa.string(), pa.string())),
        pa.array([["1:10", "2:20"]]),
        pa.array(["1:5\x1d2:20\x1d1:10"]),
    ],
)
def test_keys_compare_as_text_and_the_last_of_a_repeated_key_counts(
    generate: Generate, map_cell: pa.Array
) -> None:
    assert generate(LOOKUP, {"m": map_cell, "k": [1]}) == {"values": [10.0]}
    assert generate(LOOKUP, {"m": map_cell, "k": [["2", "1"]]}) == {"values": [30.0]}


@pytest.mark.parametrize(
    ("keys", "key", "tokens"),
    [
        ({}, "b\x1da", ["2", "1"]),
        ({"needDiscrete": False, "value_type": "String"}, "a", ["1"]),
        ({"needKey": True}, "b\x1da", ["b_2", "a_1"]),
        ({"needKey": True, "value_type": "int64"}, "b", ["2"]),
        ({"need_prefix": True}, "a", ["f_1"]),
        ({"value_dim": 1}, "b\x1da", ["2", "1"]),
        ({}, "d", ["4:5"]),
        ({"default_value": "none"}, "z", ["none"]),
        ({}, "z", []),
    ],
)
def test_tokens_found_in_a_map(generate: Generate, keys: dict[str, Any], key: str, tokens: list[str]) -> None:
    words = ["1", "2", "b_2", "a_1", "f_1", "4:5", "none"]
    feature = {**LOOKUP, "needDiscrete": True, "vocab_list": words, **keys}

    result = generate(feature, {"m": [TEXT], "k": [key]})

    assert result == {"values": [words.index(token) for token in tokens], "lengths": [len(tokens)]}


def test_boundaries_after_combining(generate: Generate) -> None:
    feature = {**LOOKUP, "boundaries": [0, 2, 5]}

    result = generate(feature, {"m": [TEXT] * 3, "k": ["a", "a\x1db", "z"]})

    assert result == {"values": [1, 2], "lengths": [1, 1, 0]}


@pytest.mark.parametrize(("separator", "default"), [("\x1d", "1\x1d7"), (",", "1,7"), (",", "1\x1d7")])
def test_a_default_of_several_numbers_is_bucketized_whole(
    generate: Generate, separator: str, default: str
) -> None:
    feature = {**LOOKUP, "boundaries": [0, 2, 5], "separator": separator, "default_value": default}

    assert generate(feature, {"m": [TEXT], "k": ["z"]}) == {"values": [1, 3], "lengths": [2]}


@pytest.mark.parametrize("combiner", ["sum", "", "max"])
def test_values_of_a_text_map_are_normalized_in_double_and_numbers_in_float(
    generate: Generate, combiner: str
) -> None:
    feature = {**LOOKUP, "normalizer": "method=minmax,min=0.1,max=7.3", "combiner": combiner}

    text = [generate(feature, {"m": cell, "k": ["a"]}) for cell in TEXT_MAPS]
    number = [generate(feature, {"m": cell, "k": ["a"]}) for cell in NUMBER_MAPS]

    low, span = np.float32(0.1), np.float32(7.3) - np.float32(0.1)
    assert text == [{"values": [float(np.float32((0.5 - float(low)) / float(span)))]}] * len(TEXT_MAPS)
    assert number == [{"values": [float((np.float32(0.5) - low) / span)]}] * len(NUMBER_MAPS)
    assert text[0] != number[0]


def test_every_element_looks_its_own_key_up(generate: Generate) -> None:
    feature = {**LOOKUP, "default_value": "9", "group": {}}

    assert generate(feature, {"m": [TEXT], "s__k": ["b;z;a\x1db"]}) == {
        "values": [2.0, 9.0, 3.0],
        "lengths": [3],
    }


def test_a_missing_map_is_a_missing_result(generate: Generate) -> None:
    assert generate({**LOOKUP, "default_value": "9"}, {"m": pa.array([None], pa.string()), "k": ["a"]}) == {
        "values": [9.0]
    }
