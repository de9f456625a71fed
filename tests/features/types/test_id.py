from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve._core import murmur64a

if TYPE_CHECKING:
    from tests.features.conftest import Generate

WORDS = ["a", "b", "c", "7", "f_a", "a:b", "5.2", "3"]
VOCAB = {"feature_type": "id_feature", "expression": "item:x", "vocab_list": ["?", *WORDS]}
MAP = pa.map_(pa.string(), pa.float32())


@pytest.mark.parametrize(
    ("keys", "cell", "tokens"),
    [
        ({}, pa.array(["a\x1db"]), ["a", "b"]),
        ({}, pa.array(["a\x1d\x1db"]), ["a", "b"]),
        ({"separator": "|"}, pa.array(["a|b\x1dc"]), ["a", "b", "c"]),
        ({"value_dim": 2}, pa.array(["a\x1db\x1dc"]), ["a", "b"]),
        ({"value_dimension": 1}, pa.array(["a\x1db"]), ["a"]),
        ({}, pa.array([["a", "", "b\x1dc"]]), ["a", "b\x1dc"]),
        ({}, pa.array([7]), ["7"]),
        ({}, pa.array([[7, 3]]), ["7", "3"]),
        ({}, pa.array([5.2], pa.float32()), ["5.2"]),
        ({}, pa.array([3.0]), ["3"]),
        ({"need_prefix": True}, pa.array(["a"]), ["f_a"]),
        ({}, pa.array([[("a", 0.5), ("b", 1.0)]], MAP), ["a", "b"]),
        ({"default_value": "c"}, pa.array([None], pa.string()), ["c"]),
        ({"default_value": "c"}, pa.array([""]), ["c"]),
        ({"default_value": "c"}, pa.array([[]], pa.list_(pa.string())), ["c"]),
        ({"default_value": "c"}, pa.array([[]], MAP), ["c"]),
        ({"default_value": "a|b", "separator": "|"}, pa.array([None], pa.string()), ["a|b"]),
        ({"default_value": "a", "need_prefix": True}, pa.array([None], pa.string()), ["a"]),
        ({}, pa.array([None], pa.string()), []),
    ],
)
def test_tokens_of_one_cell(
    generate: Generate, keys: dict[str, Any], cell: pa.Array, tokens: list[str]
) -> None:
    result = generate({**VOCAB, **keys}, {"x": cell})

    words = ["?", *WORDS]
    expected = [words.index(token) if token in words else 0 for token in tokens]
    assert result == {"values": expected, "lengths": [len(tokens)]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5),
        ("+01", 1),
        ("00099", 99),
        ("100", 0),
        ("-1", 0),
        ("99999999999999999999", 0),
        ("1|2", 0),
        ("x", 0),
    ],
)
def test_num_buckets_takes_integers_in_range(generate: Generate, text: str, expected: int) -> None:
    feature = {"feature_type": "id_feature", "expression": "item:x", "num_buckets": 100}

    assert generate(feature, {"x": [text]}) == {"values": [expected], "lengths": [1]}


def test_num_buckets_takes_integer_columns_as_they_are(generate: Generate) -> None:
    feature = {
        "feature_type": "id_feature",
        "expression": "item:x",
        "num_buckets": 10,
        "need_prefix": True,
        "default_value": "12",
    }

    result = generate(feature, {"x": [3, -3, 10, None]})

    assert result == {"values": [3, 0, 0, 0], "lengths": [1, 1, 1, 1]}


def test_hashes_text_modulo_the_buckets(generate: Generate) -> None:
    feature = {"feature_type": "id_feature", "expression": "item:x", "hash_bucket_size": 100}

    result = generate(feature, {"x": ["abc", "hij", "xyz", "中文", "0"]})

    assert result == {"values": [33, 66, 13, 94, 26], "lengths": [1] * 5}


def test_zch_keeps_the_whole_hash_modulo_two_to_the_63_less_one(generate: Generate) -> None:
    feature = {"feature_type": "id_feature", "expression": "item:x", "hash_bucket_size": 2**63 - 1}

    assert generate(feature, {"x": ["1"]})["values"] == [murmur64a("1") % (2**63 - 1)]


@pytest.mark.parametrize(
    ("cell", "values", "weights"),
    [
        (pa.array(["a:0.5\x1db"]), [1, 2], [0.5, 1.0]),
        (pa.array([["b:2", "a"]]), [2, 1], [2.0, 1.0]),
        (pa.array(["a:b:3"]), [6], [3.0]),
        (pa.array([[("b", 0.25), ("a", 4.0)]], MAP), [2, 1], [0.25, 4.0]),
        (pa.array([7]), [4], [1.0]),
        (pa.array([None], pa.string()), [3], [1.0]),
        (pa.array(["a:0.5\x1db:x"]), [3], [1.0]),
    ],
)
def test_weights_run_parallel_to_the_values(
    generate: Generate, cell: pa.Array, values: list[int], weights: list[float]
) -> None:
    result = generate({**VOCAB, "weighted": True, "default_value": "c"}, {"x": cell})

    assert result == {"values": values, "weights": weights, "lengths": [len(values)]}


@pytest.mark.parametrize(
    ("cell", "values", "lengths", "key_lengths"),
    [
        (pa.array(["a;b"]), [1, 2], [2], [1, 1]),
        (pa.array(["a;;b;b;"]), [1, 3, 2, 2, 3], [5], [1] * 5),
        (pa.array([""]), [3], [1], [1]),
        (pa.array(["a\x1db;c"]), [1, 2, 3], [2], [2, 1]),
        (pa.array([["a\x1db", "c"]]), [1, 2, 3], [2], [2, 1]),
        (pa.array([[["a", "b"], [], ["c"]]]), [1, 2, 3, 3], [3], [2, 1, 1]),
        (pa.array([7]), [4], [1], [1]),
        (pa.array([[7, 3]]), [4, 8], [2], [1, 1]),
    ],
)
def test_a_sequence_keeps_its_elements_aligned(
    generate: Generate, cell: pa.Array, values: list[int], lengths: list[int], key_lengths: list[int]
) -> None:
    feature = {**VOCAB, "feature_type": "sequence_id_feature", "default_value": "c"}

    result = generate(feature, {"x": cell})

    assert result == {"values": values, "lengths": lengths, "key_lengths": key_lengths}


def test_a_sequence_with_value_dim_1_has_one_value_per_element(generate: Generate) -> None:
    feature = {**VOCAB, "feature_type": "sequence_id_feature", "default_value": "c", "value_dim": 1}

    result = generate(feature, {"x": ["a\x1db;c", None]})

    assert result == {"values": [1, 3, 3], "lengths": [2, 1]}


def test_a_sequence_is_cut_to_its_first_elements(generate: Generate) -> None:
    feature = {**VOCAB, "default_value": "c", "value_dim": 1, "group": {"sequence_length": 2}}

    result = generate(feature, {"s__x": pa.array([["b", "a", "c"], ["a"]])})

    assert result == {"values": [2, 1, 1], "lengths": [2, 1]}


@pytest.mark.parametrize("number", [math.nan, -math.nan])
@pytest.mark.parametrize("column_type", [pa.float32(), pa.float64()])
def test_the_text_of_every_nan_is_nan(generate: Generate, number: float, column_type: pa.DataType) -> None:
    feature = {"feature_type": "id_feature", "expression": "user:x", "vocab_list": ["-nan", "nan"]}

    assert generate(feature, {"x": pa.array([number], column_type)})["values"] == [1]


def test_a_group_cuts_at_its_own_delimiter(generate: Generate) -> None:
    feature = {**VOCAB, "default_value": "c", "value_dim": 1, "group": {"sequence_delim": "|"}}

    result = generate(feature, {"s__x": ["c||a|b|b|"]})

    assert result == {"values": [3, 3, 1, 2, 2, 3], "lengths": [6]}
