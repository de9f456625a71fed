from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

if TYPE_CHECKING:
    from tests.features.conftest import Generate

RAW = {"feature_type": "raw_feature", "expression": "item:x"}
TEXT = pa.string()
BUCKETS = {"boundaries": [0, 1, 10]}


@pytest.mark.parametrize(
    ("keys", "cell", "row"),
    [
        ({}, pa.array([3.5]), [3.5]),
        ({}, pa.array(["3.5"]), [3.5]),
        ({}, pa.array([" +1e2 "]), [100.0]),
        ({}, pa.array([7]), [7.0]),
        ({}, pa.array([[3.5, 4.0]]), [3.5]),
        ({"value_dim": 3, "separator": ","}, pa.array(["1,2,3"]), [[1.0, 2.0, 3.0]]),
        ({"value_dim": 3}, pa.array([["1", "2", "3"]]), [[1.0, 2.0, 3.0]]),
        ({"value_dim": 3}, pa.array([[1, 2]]), [[1.0, 2.0, 0.0]]),
        ({"value_dim": 2}, pa.array([[1, 2, 3]]), [[1.0, 2.0]]),
        ({"value_dim": 2}, pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2)), [[1.0, 2.0]]),
        ({"default_value": "5"}, pa.array([None], TEXT), [5.0]),
        ({"default_value": "5", "value_dim": 2}, pa.array([None], TEXT), [[5.0, 5.0]]),
        ({"default_value": "5,6", "value_dim": 2, "separator": ","}, pa.array([None], TEXT), [[5.0, 6.0]]),
        ({}, pa.array([None], TEXT), [0.0]),
        ({}, pa.array([None], pa.float32()), [0.0]),
        ({"default_value": "5"}, pa.array(["x"]), [5.0]),
        ({"default_value": "5", "value_dim": 2, "separator": ","}, pa.array(["1,x"]), [[5.0, 5.0]]),
        ({"value_type": "int64"}, pa.array([-2.7]), [-2.0]),
        ({"default_value": "-2.7", "value_type": "int64"}, pa.array([None], TEXT), [-2.0]),
    ],
)
def test_the_numbers_of_one_cell(generate: Generate, keys: dict[str, Any], cell: pa.Array, row: Any) -> None:
    assert generate({**RAW, **keys}, {"x": cell}) == {"values": row}


@pytest.mark.parametrize(
    ("keys", "cell", "expected"),
    [
        ({}, pa.array([-1.0, 0.0, 0.5, 1.0, 10.0]), [0, 1, 1, 2, 3]),
        ({"value_dim": 2}, pa.array([[0.5, 20.0]]), [1, 3]),
        ({"value_dim": 2}, pa.array([[20.0]]), [3, 1]),
        ({"default_value": "5"}, pa.array([None], TEXT), [2]),
        ({"default_value": "5", "value_dim": 2}, pa.array([None], TEXT), [2, 2]),
        ({}, pa.array([None], pa.float32()), [1]),
        ({}, pa.array([None], pa.int32()), [1]),
        ({"normalizer": "method=zscore,mean=10,standard_deviation=1"}, pa.array([None], pa.int64()), [1]),
        ({}, pa.array([None], TEXT), []),
        ({}, pa.array([[]], pa.list_(pa.float32())), []),
        ({"value_dim": 2}, pa.array([None], pa.float32()), []),
    ],
)
def test_boundaries_and_what_a_missing_value_is(
    generate: Generate, keys: dict[str, Any], cell: pa.Array, expected: list[int]
) -> None:
    assert generate({**RAW, **BUCKETS, **keys}, {"x": cell})["values"] == expected


def test_an_absent_column_is_a_null_of_the_features_own_value_type(generate: Generate) -> None:
    assert generate({**RAW, **BUCKETS}, {"other": [1, 2]}) == {"values": [1, 1], "lengths": [1, 1]}


def test_text_is_normalized_in_double_and_numbers_in_float(generate: Generate) -> None:
    keys = {**RAW, "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"}

    text = generate(keys, {"x": ["0.1"]})["values"]
    number = generate(keys, {"x": [0.1]})["values"]

    assert number == [0.0]
    assert text == [float(np.float32(-4.967e-09))] or abs(text[0] + 4.967e-09) < 1e-12


def test_a_default_is_never_normalized(generate: Generate) -> None:
    keys = {**RAW, "normalizer": "method=log10", "default_value": "7"}

    assert generate(keys, {"x": pa.array([None, "100", "1"])}) == {"values": [7.0, 2.0, 0.0]}


@pytest.mark.parametrize(
    ("keys", "cell", "expected"),
    [
        ({}, pa.array(["1;;3"]), {"values": [1.0, 9.0, 3.0], "lengths": [3]}),
        ({}, pa.array([""]), {"values": [9.0], "lengths": [1]}),
        ({}, pa.array([[1, 2]]), {"values": [1.0, 2.0], "lengths": [2]}),
        (
            {"value_dim": 2, "separator": ","},
            pa.array(["1,2;;3,4"]),
            {"values": [[1.0, 2.0], [9.0, 9.0], [3.0, 4.0]], "lengths": [3]},
        ),
        (BUCKETS, pa.array(["0.5;;20"]), {"values": [1, 2, 3], "lengths": [3]}),
        ({"value_dim": 0, **BUCKETS}, pa.array(["0.5;;20"]), {"values": [1, 2, 3], "lengths": [3]}),
        (
            {"value_dim": 2, **BUCKETS},
            pa.array([["1\x1d20"]]),
            {"values": [2, 3], "key_lengths": [2], "lengths": [1]},
        ),
        (BUCKETS, pa.array([None], pa.float32()), {"values": [2], "lengths": [1]}),
    ],
)
def test_sequences_of_numbers(
    generate: Generate, keys: dict[str, Any], cell: pa.Array, expected: dict[str, Any]
) -> None:
    feature = {**RAW, "feature_type": "sequence_raw_feature", "default_value": "9", **keys}

    assert generate(feature, {"x": cell}) == expected
