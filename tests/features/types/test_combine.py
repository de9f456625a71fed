from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from recserve.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from tests.features.conftest import Generate

COMBINE = {"feature_type": "combine_feature", "expression": "user:x", "default_value": "0"}
BUCKETS = {"num_buckets": 10, "value_type": "int64", "value_dim": 1}
TAGS = {"value_map": {"tag1": 1.0, "tag2": 2.0, "tag3": 3.0}}


@pytest.mark.parametrize(
    ("keys", "cells", "expected"),
    [
        ({}, ["1.0\x1d2.0", "3.0", "", None], {"values": [3.0, 3.0, 0.0, 0.0]}),
        ({"combiner": "mean"}, ["1.0\x1d2.0", "3.0", "", None], {"values": [1.5, 3.0, 0.0, 0.0]}),
        (
            {"boundaries": [-0.5, 0.5, 1.5, 2.5]},
            ["1.0\x1d2.0", "0.0", "", None],
            {"values": [4, 1, 1, 1], "lengths": [1] * 4},
        ),
        (
            {"boundaries": [-0.5, 0.5, 1.5, 2.5], "combiner": "mean"},
            ["1.0\x1d2.0", "0.0", "", None],
            {"values": [3, 1, 1, 1], "lengths": [1] * 4},
        ),
        (BUCKETS, ["1\x1d2", "3", "", None], {"values": [3, 3, 0, 0], "lengths": [1] * 4}),
        (
            {**BUCKETS, "combiner": "mean"},
            ["1\x1d2", "3", "", None],
            {"values": [1, 3, 0, 0], "lengths": [1] * 4},
        ),
        (
            {**BUCKETS, **TAGS},
            ["tag1\x1dtag2", "tag3", "", None],
            {"values": [3, 3, 0, 0], "lengths": [1] * 4},
        ),
        (
            {**BUCKETS, **TAGS, "combiner": "mean"},
            ["tag1\x1dtag2", "tag3", "", None],
            {"values": [1, 3, 0, 0], "lengths": [1] * 4},
        ),
        (
            {**BUCKETS, **TAGS, "group": {}},
            ["tag1\x1dtag2;tag1", "tag2", ""],
            {"values": [3, 1, 2, 0], "lengths": [2, 1, 1]},
        ),
        (
            {**TAGS, "group": {}, "combiner": "mean"},
            ["tag1\x1dtag2;tag1", "tag2", ""],
            {"values": [1.5, 1.0, 2.0, 0.0], "lengths": [2, 1, 1]},
        ),
        (
            {**BUCKETS, "feature_type": "sequence_combine_feature", "combiner": "mean"},
            ["1\x1d2;3", "4", ""],
            {"values": [1, 3, 4, 0], "lengths": [2, 1, 1]},
        ),
    ],
)
def test_the_cases_of_the_training_side(
    generate: Generate, keys: dict[str, Any], cells: list[Any], expected: dict[str, Any]
) -> None:
    column = "s__x" if "group" in keys else "x"

    assert generate({**COMBINE, **keys}, {column: cells}) == expected


@pytest.mark.parametrize(
    ("keys", "cell", "expected"),
    [
        ({"combiner": "min"}, "3\x1d1\x1d6", 1.0),
        ({"combiner": "max"}, "3\x1d1\x1d6", 6.0),
        ({"combiner": "avg"}, "3\x1d1", 2.0),
        ({"combiner": "count"}, "3\x1d1\x1d6", 3.0),
        ({"combiner": "gap_min"}, "3\x1d1\x1d6", 2.0),
        ({"combiner": "gap_max"}, "3\x1d1\x1d6", 3.0),
        ({"combiner": "gap_max"}, "3", 0.0),
        ({"combiner": ""}, "3\x1d1", 3.0),
        ({"combiner": "", "value_dim": 3}, "3\x1d1", [3.0, 1.0, 0.0]),
        ({}, [3, 1], 4.0),
        ({}, [0.5, 0.25], 0.75),
        ({"separator": ","}, "3,1", 4.0),
        ({"default_value": "9"}, "3\x1dx", 9.0),
        ({**TAGS, "default_value": "9"}, "tag1\x1dother", 1.0),
        ({**TAGS, "combiner": "count"}, "tag1\x1dother\x1dtag1", 2.0),
        ({**TAGS, "default_value": "9"}, "other", 9.0),
        ({"value_map": {"7": 0.5, "2.5": 1}}, [7, 7, 8], 1.0),
        ({"value_map": {"7": 0.5, "2.5": 1}}, [7.0, 2.5], 1.5),
        ({"value_type": "int64", "combiner": "mean"}, "1\x1d2", 1.0),
    ],
)
def test_numbers_of_one_row(
    generate: Generate, keys: dict[str, Any], cell: Any, expected: float | list[float]
) -> None:
    assert generate({**COMBINE, **keys}, {"x": [cell]}) == {"values": [expected]}


def test_nothing_without_default_has_no_id(generate: Generate) -> None:
    feature = {**COMBINE, "default_value": "", "boundaries": [0.5]}

    assert generate(feature, {"x": ["1", "", "x"]}) == {"values": [1], "lengths": [1, 0, 0]}


def test_texts_are_normalized_in_double_and_numbers_in_float(generate: Generate) -> None:
    feature = {**COMBINE, "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"}
    text = (0.1 - float(np.float32(0.1))) / float(np.float32(0.3))

    assert generate(feature, {"x": ["0.1"]})["values"] == [float(np.float32(text))]
    assert generate(feature, {"x": [0.1]})["values"] == [0.0]
    mapped = {**feature, "value_map": {"a": 0.1}}
    assert generate(mapped, {"x": ["a"]})["values"] == [0.0]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"combiner": "median"}, "combiner 'median' is not known; known: sum, mean,"),
        ({"value_map": {"a": "1"}}, "value_map is .*; an object of text to number is wanted"),
        ({"value_map": ["a"]}, "value_map is .*; an object of text to number is wanted"),
        ({"value_type": "string"}, "value_type 'string' on a numeric feature"),
    ],
)
def test_wrong_keys_are_refused(generate: Generate, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generate({**COMBINE, **keys}, {"x": ["1"]})


def test_a_map_has_no_numbers_to_combine(generate: Generate) -> None:
    cell = pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float32()))

    with pytest.raises(RequestError, match="feature 'f' reads column 'x', which is a map"):
        generate(COMBINE, {"x": cell})
    assert generate({**COMBINE, "value_map": {"a": 4}}, {"x": cell}) == {"values": [4.0]}
