"""Plain columns take a short cut (cpp/features/plain.h): it gives what the way around it gives.

One odd row at the end, whose cell is cut or is an array, sends the whole column the long way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recserve.columns import batch_from_arrow, to_arrow
from recserve.features.config import load
from recserve.features.generator import Generator

ID = {"feature_type": "id_feature", "expression": "item:x"}
RAW = {"feature_type": "raw_feature", "expression": "item:x"}
HASH = {"hash_bucket_size": 1_000_003}
WORDS = [
    "",
    "a",
    "bb",
    "ccc",
    "dddd",
    "exactly8",
    "nine bytes",
    "a text of more than sixteen bytes",
    "日本",
    "\0",
]

TEXTS = st.lists(st.none() | st.sampled_from(WORDS) | st.text(max_size=20), min_size=1, max_size=40).map(
    lambda texts: [text if text is None else text.replace("\x1d", "").replace(";", "") for text in texts]
)
NUMBERS = st.lists(
    st.none() | st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0]), min_size=1, max_size=40
)
INTEGERS = st.lists(
    st.none() | st.integers(-5, 20) | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40
)
DEFAULTS = st.sampled_from(["", "7"])


def made(feature: dict[str, Any], columns: dict[str, pa.Array]) -> pa.Array:
    generator = Generator(load({"features": [{"feature_name": "f", **feature}]}))
    result = to_arrow(generator.generate_columns(batch_from_arrow(columns))["f"])
    rows = max(len(column) for column in columns.values())
    return result if len(result) == rows else result.take(pa.array([0] * rows))


def assert_same_with_an_odd_row(
    feature: dict[str, Any], columns: dict[str, pa.Array], odd: dict[str, pa.Array]
) -> None:
    longer = {name: pa.concat_arrays([column, odd[name]]) for name, column in columns.items()}
    rows = max(len(column) for column in columns.values())

    result = made(feature, columns)

    expected = made(feature, longer)[:rows]
    assert bits(result) == bits(expected)


def bits(array: pa.Array) -> list[Any]:
    """Values that compare as their bits do: NaN and the sign of zero count."""
    return [repr(np.float32(value)) if isinstance(value, float) else value for value in array.to_pylist()]


@settings(deadline=None)
@given(
    TEXTS,
    DEFAULTS,
    st.sampled_from([HASH, {"vocab_list": ["a", "ccc", "7"], "default_bucketize_value": 5}]),
    st.sampled_from([0, 1]),
)
def test_texts_have_their_ids(texts: list[Any], default: str, bucketizer: dict[str, Any], dim: int) -> None:
    feature = {**ID, **bucketizer, "default_value": default, "value_dim": dim}

    assert_same_with_an_odd_row(feature, {"x": pa.array(texts, pa.string())}, {"x": pa.array(["a\x1db"])})


@settings(deadline=None)
@given(INTEGERS, st.sampled_from([HASH, {"num_buckets": 10}, {"vocab_list": ["1", "7"]}]), DEFAULTS)
def test_integers_have_the_ids_of_arrays_of_one(
    integers: list[Any], bucketizer: dict[str, Any], default: str
) -> None:
    feature = {**ID, **bucketizer, "default_value": default}

    result = made(feature, {"x": pa.array(integers, pa.int64())})

    arrays = pa.array([None if n is None else [n] for n in integers], pa.list_(pa.int64()))
    assert result.to_pylist() == made(feature, {"x": arrays}).to_pylist()


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=10), DEFAULTS, st.sampled_from([0, 1, 2]))
def test_lists_of_texts_have_the_ids_of_one_text(rows: list[Any], default: str, dim: int) -> None:
    feature = {**ID, **HASH, "default_value": default, "value_dim": dim}

    result = made(
        feature, {"x": pa.array([[text or "" for text in row] for row in rows], pa.list_(pa.string()))}
    )

    joined = ["\x1d".join(text or "" for text in row) for row in rows]
    assert result.to_pylist() == made(feature, {"x": pa.array([*joined, "a\x1db"])})[:-1].to_pylist()


@settings(deadline=None)
@given(
    NUMBERS,
    DEFAULTS,
    st.sampled_from(
        ["", "method=log10", "method=zscore,mean=0.1,standard_deviation=0.3", "method=expression,expr=x*2"]
    ),
    st.sampled_from([{}, {"boundaries": [-1, 0, 0.5, 7]}, {"num_buckets": 9}, HASH]),
)
def test_numbers_are_those_of_arrays_of_one(
    numbers: list[Any], default: str, normalizer: str, bucketizer: dict[str, Any]
) -> None:
    feature = {**RAW, **bucketizer, "default_value": default, "normalizer": normalizer}
    present = [0.25 if number is None and bucketizer and not default else number for number in numbers]

    result = made(feature, {"x": pa.array(present, pa.float32())})

    arrays = pa.array([None if n is None else [n] for n in present], pa.list_(pa.float32()))
    assert bits(result) == bits(made(feature, {"x": arrays}))


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.float32(), pa.float64()], ids=str)
def test_numbers_of_every_type_become_float32_once(kind: pa.DataType) -> None:
    values = [0, 1, None, 2**24 + 1, -7] if pa.types.is_integer(kind) else [0.1, None, -0.0, 3e38, 1e-40]
    column = pa.array(values, kind)

    result = made(RAW, {"x": column})

    assert bits(result) == bits(
        made(RAW, {"x": pa.array([v if v is None else [v] for v in values], pa.list_(kind))})
    )


@settings(deadline=None)
@given(TEXTS, st.none() | st.sampled_from(WORDS), DEFAULTS)
def test_a_users_text_is_crossed_with_those_of_the_items(texts: list[Any], user: Any, default: str) -> None:
    feature = {
        "feature_type": "combo_feature",
        "expression": ["user:u", "item:x"],
        **HASH,
        "default_value": default,
    }
    items = pa.array(texts, pa.string())

    alone = made(feature, {"u": pa.array([user], pa.string()), "x": items})
    repeated = made(feature, {"u": pa.array([user] * len(texts), pa.string()), "x": items})
    longer = {
        "u": pa.array([user] * (len(texts) + 1), pa.string()),
        "x": pa.array([*texts, "a\x1db"], pa.string()),
    }

    expected = made(feature, longer)[:-1].to_pylist()
    assert alone.to_pylist() == expected
    assert repeated.to_pylist() == expected


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=8), INTEGERS, TEXTS, st.sampled_from([0, 1, 3]))
def test_lists_integers_and_texts_are_combined(
    lists: list[Any], integers: list[Any], texts: list[Any], dim: int
) -> None:
    rows = min(len(lists), len(integers), len(texts))
    names = ["item:l", "item:n", "item:x"]
    feature = {
        "feature_type": "combo_feature",
        "expression": names,
        **HASH,
        "value_dim": dim,
        "default_value": "",
    }
    columns = {
        "l": pa.array([[text or "" for text in row] for row in lists[:rows]], pa.list_(pa.string())),
        "n": pa.array(integers[:rows], pa.int64()),
        "x": pa.array(texts[:rows], pa.string()),
    }
    odd = {"l": pa.array([["q"]]), "n": pa.array([1]), "x": pa.array(["a\x1db"])}

    assert_same_with_an_odd_row(feature, columns, odd)


@settings(deadline=None)
@given(
    st.lists(st.none() | st.lists(st.sampled_from(WORDS), max_size=9), min_size=1, max_size=9),
    st.sampled_from([0, 3]),
)
def test_sequences_are_cut_and_hashed(rows: list[Any], length: int) -> None:
    feature: dict[str, Any] = {**ID, "feature_type": "sequence_id_feature", **HASH, "value_dim": 1}
    feature |= {"sequence_length": length, "default_value": "d"}
    texts = pa.array([None if row is None else ";".join(row) for row in rows], pa.string())
    arrays = pa.array(rows, pa.list_(pa.string()))

    assert_same_with_an_odd_row(feature, {"x": texts}, {"x": pa.array(["a\x1db"])})
    assert_same_with_an_odd_row(feature, {"x": arrays}, {"x": pa.array([["a\x1db"]])})


def test_a_sequence_may_have_a_delimiter_of_several_bytes() -> None:
    feature = {**ID, "feature_type": "sequence_id_feature", **HASH, "value_dim": 1, "default_value": "d"}

    result = made({**feature, "sequence_delim": "||"}, {"x": pa.array(["a||b|c||", "|"])})

    expected = made({**feature, "sequence_delim": ";"}, {"x": pa.array(["a;b|c;", "|"])})
    assert result.to_pylist() == expected.to_pylist()


@settings(deadline=None)
@given(TEXTS, st.sampled_from(["", "sum", "mean", "count", "gap_max"]), DEFAULTS, st.booleans())
def test_keys_are_looked_up(texts: list[Any], combiner: str, default: str, one_map: bool) -> None:
    feature = {"feature_type": "lookup_feature", "map": "user:u", "key": "item:x", "combiner": combiner}
    feature |= {"default_value": default, "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"}
    pairs = [("a", 1.5), ("bb", 2.0), ("ccc", -0.0), ("a", 0.25)]
    count = 1 if one_map else len(texts)
    maps = pa.array([pairs, None, pairs[:2]] * count, pa.map_(pa.string(), pa.float32()))[:count]
    items = pa.array(texts, pa.string())

    result = made(feature, {"u": maps, "x": items})

    every = maps if not one_map else pa.concat_arrays([maps] * len(texts))
    longer = {"u": pa.concat_arrays([every, maps[:1]]), "x": pa.array([*texts, "a\x1dbb"], pa.string())}
    assert bits(result) == bits(made(feature, longer)[:-1])


FORMULAS = [
    "u * 2 + x",
    "log(u * u + 1) / x",
    "max(u, 3) > x ? x : u",
    "len(v) * x + dot(v, v)",
    "u + 1",
    "sqrt(v) + x",
]


@settings(deadline=None)
@given(NUMBERS, st.none() | st.floats(width=32), st.sampled_from(FORMULAS))
def test_what_a_formula_makes_of_the_user_is_folded(numbers: list[Any], user: Any, formula: str) -> None:
    feature = {
        "feature_type": "expr_feature",
        "expression": formula,
        "variables": ["user:u", "user:v", "item:x"],
        "value_dim": 1,
    }
    items, vector = pa.array(numbers, pa.float32()), pa.array([[1.5, 2.5]], pa.list_(pa.float32()))
    one, rows = pa.array([user], pa.float32()), len(numbers)

    result = made(feature, {"u": one, "v": vector, "x": items})

    repeated = {"u": pa.concat_arrays([one] * rows), "v": pa.concat_arrays([vector] * rows), "x": items}
    assert bits(result) == bits(made(feature, repeated))


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_a_formula_runs_over_whole_columns(first: list[Any], second: list[Any]) -> None:
    rows = min(len(first), len(second))
    feature = {
        "feature_type": "expr_feature",
        "expression": "a / (b - 1) + exp(a)",
        "variables": ["item:a", "item:b"],
    }
    columns = {"a": pa.array(first[:rows], pa.float32()), "b": pa.array(second[:rows], pa.float32())}

    result = made(feature, columns)

    arrays = {
        name: pa.array([None if v is None else [v] for v in column.to_pylist()], pa.list_(pa.float32()))
        for name, column in columns.items()
    }
    assert bits(result) == bits(made(feature, arrays))


def test_a_formula_runs_over_more_rows_than_a_block() -> None:
    numbers = np.random.default_rng(0).random(2000, np.float32)
    feature = {"feature_type": "expr_feature", "expression": "x * 3 - 1", "variables": ["item:x"]}

    result = made(feature, {"x": pa.array(numbers)})

    assert result.to_pylist() == (numbers.astype(np.float64) * 3 - 1).astype(np.float32).tolist()
