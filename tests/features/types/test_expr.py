from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

if TYPE_CHECKING:
    from tests.features.conftest import Generate

EXPR = {"feature_type": "expr_feature", "expression": "a + b", "variables": ["item:a", "user:b"]}


@pytest.mark.parametrize(
    ("keys", "columns", "expected"),
    [
        ({}, {"a": [1], "b": ["2"]}, 3.0),
        ({}, {"a": [1.5], "b": [2]}, 3.5),
        ({"default_value": "9"}, {"a": pa.array([None], pa.float32()), "b": [2]}, 9.0),
        ({"default_value": "9"}, {"a": ["x"], "b": [2]}, 9.0),
        ({}, {"a": [""], "b": [2]}, 0.0),
        ({"expression": "a > b"}, {"a": [1], "b": [2]}, 0.0),
        ({}, {"a": [[1, 2]], "b": [10]}, 11.0),
        ({"value_dim": 3}, {"a": [[1, 2]], "b": [10]}, [11.0, 12.0, 0.0]),
        ({"value_dim": 2}, {"a": ["1\x1d2"], "b": [[10]]}, [11.0, 12.0]),
        ({"value_dim": 2, "fill_missing": 5}, {"a": [[1, 2]], "b": [[10, 20, 30]]}, [11.0, 22.0]),
        ({"expression": "dot(a, b)"}, {"a": [[1, 2]], "b": [[3, 4]]}, 11.0),
        ({"value_type": "int64"}, {"a": [1.75], "b": [1]}, 2.0),
    ],
)
def test_a_formula_on_one_row(
    generate: Generate, keys: dict[str, Any], columns: dict[str, Any], expected: float | list[float]
) -> None:
    assert generate({**EXPR, **keys}, columns) == {"values": [expected]}


def test_a_result_is_normalized_and_a_default_is_not(generate: Generate) -> None:
    feature = {**EXPR, "normalizer": "method=minmax,min=0.1,max=7.3", "default_value": "9"}

    result = generate(feature, {"a": pa.array([0.25, None], pa.float32()), "b": [0.25, 1]})

    assert result == {"values": [0.0555555522441864, 9.0]}


def test_numeric_columns_are_float32_and_text_is_double(generate: Generate) -> None:
    feature = {"feature_type": "expr_feature", "expression": "(a - 0.1) * 1e9", "variables": ["item:a"]}

    assert generate(feature, {"a": [0.1]})["values"] == [
        float(np.float32((float(np.float32(0.1)) - 0.1) * 1e9))
    ]
    assert generate(feature, {"a": ["0.1"]})["values"] == [0.0]


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        ({"hash_bucket_size": 100}, [39, 63, 46, 0]),
        ({"boundaries": [0, 15, 30]}, [1, 2, 3, 1]),
        ({"num_buckets": 25}, [10, 20, 0, 0]),
    ],
)
def test_results_are_bucketized_as_numbers(
    generate: Generate, buckets: dict[str, Any], expected: list[int]
) -> None:
    result = generate({**EXPR, **buckets}, {"a": [9, 19, 29, -1], "b": [1, 1, 1, 1]})

    assert result == {"values": expected, "lengths": [1] * 4}


def test_num_buckets_truncates_toward_zero(generate: Generate) -> None:
    assert generate({**EXPR, "num_buckets": 5}, {"a": [1.0, -0.9], "b": [0.5, 0.0]})["values"] == [1, 0]


def test_a_bucketized_vector_has_one_value_per_entry(generate: Generate) -> None:
    result = generate({**EXPR, "boundaries": [15]}, {"a": [[1, 10], []], "b": [10, 10]})

    assert result == {"values": [0, 1], "lengths": [2, 0]}


def test_a_default_of_one_number_is_repeated_to_value_dim(generate: Generate) -> None:
    keys = {**EXPR, "boundaries": [15], "value_dim": 3, "default_value": "20"}

    assert generate(keys, {"a": [""], "b": [1]}) == {"values": [1, 1, 1], "lengths": [3]}


def test_the_float32_result_reaches_the_boundary(generate: Generate) -> None:
    feature = {
        "feature_type": "expr_feature",
        "expression": "dot(a, b)",
        "variables": ["item:a", "item:b"],
        "boundaries": [0.1],
    }
    numbers = pa.list_(pa.float32())

    result = generate(feature, {"a": pa.array([[0.2, 0.3]], numbers), "b": pa.array([[0.2, 0.2]], numbers)})

    assert result["values"] == [1]


def test_one_element_at_a_time_in_a_sequence(generate: Generate) -> None:
    feature = {**EXPR, "default_value": "0", "group": {}}

    assert generate(feature, {"s__a": ["1;;x;4"], "b": [10]}) == {
        "values": [11.0, 0.0, 0.0, 14.0],
        "lengths": [4],
    }
