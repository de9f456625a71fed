"""Every row of the table of bucketizers: hash, num_buckets, vocabularies, boundaries."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from conformance.plain.bucketize import bucket
from conformance.plain.hash import hash_double, hash_float
from conformance.write import FOLDER, Case, bucketizers, decode
from hypothesis import given
from hypothesis import strategies as st

from recserve._core import Bucketizer, Normalizer, Vocabulary
from recserve.errors import ConfigError

VECTORS: dict[str, list[Case]] = json.loads((FOLDER / "bucketize.json").read_text())
KINDS = {
    "text": "text",
    "integer": "integer",
    "float32": "number",
    "float64": "number64",
    "int64": "number_integer",
}


def make(bucketizer: Case) -> Bucketizer:
    if "hash_bucket_size" in bucketizer:
        return Bucketizer.hash(bucketizer["hash_bucket_size"], bucketizer.get("farm", False))
    if "num_buckets" in bucketizer:
        return Bucketizer.num_buckets(bucketizer["num_buckets"])
    if "vocab" in bucketizer:
        words, indices = zip(*bucketizer["vocab"], strict=True)
        return Bucketizer.vocab(Vocabulary.of(list(words), list(indices)), bucketizer["default"])
    return Bucketizer.boundaries(bucketizer["boundaries"])


def native_bucket(bucketizer: Case, kind: str, value: Any) -> int | None:
    result: int | None = getattr(make(bucketizer), KINDS[kind])(value)
    return result


def test_the_vectors_are_those_of_plain_python() -> None:
    assert bucketizers() == VECTORS


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case}"[:60])
def test_the_vectors_hold(case: Case) -> None:
    kind = next(key for key in KINDS if key in case)
    value = case[kind] if kind == "text" else decode(case[kind])

    assert native_bucket(VECTORS["bucketizers"][case["bucketizer"]], kind, value) == case["id"]


# Recorded from the original feature generator.
RECORDED: list[tuple[Case, str, Any, int]] = [
    ({"hash_bucket_size": 100}, "text", "match_feat_1", 71),
    ({"hash_bucket_size": 100}, "float32", 20.0, 63),
    ({"num_buckets": 10}, "text", "10", 0),
    ({"num_buckets": 10}, "text", "-3", 0),
    ({"num_buckets": 10}, "text", "99999999999999999999", 0),
    ({"num_buckets": 10}, "text", "+01", 1),
    ({"num_buckets": 100}, "text", "00099", 99),
    ({"num_buckets": 10}, "float32", 1.5, 1),
    ({"vocab": [["a", 0], ["b", 1], ["a", 2]], "default": 9}, "text", "a", 2),
    ({"vocab": [["a", 0], ["b", 1], ["a", 2]], "default": 9}, "text", "z", 9),
    ({"boundaries": [1.0, 2.0]}, "float32", 2.0, 2),
    ({"boundaries": [1.0, 2.0]}, "float32", math.nan, 2),
    ({"boundaries": [150.0, 1500.0]}, "float64", 1067.3, 1),
]


@pytest.mark.parametrize(("bucketizer", "kind", "value", "expected"), RECORDED, ids=str)
def test_values_fall_where_they_were_recorded(bucketizer: Case, kind: str, value: Any, expected: int) -> None:
    assert native_bucket(bucketizer, kind, value) == expected


@pytest.mark.parametrize(
    ("bucketizer", "kind", "size"),
    [
        ({"hash_bucket_size": 7}, "HASH", 7),
        ({"hash_bucket_size": 2**63 - 1, "farm": True}, "HASH", 2**63 - 1),
        ({"num_buckets": 7}, "NUM_BUCKETS", 7),
        ({"vocab": [["a", 5], ["b", 3]], "default": 1}, "VOCAB", 6),
        ({"vocab": [["a", 0]], "default": 8}, "VOCAB", 9),
        ({"vocab": [["a", -1]], "default": 0}, "VOCAB", 0),
        ({"vocab": [["a", 2**63 - 1]], "default": 0}, "VOCAB", 0),
        ({"boundaries": [0.5, 1.5]}, "BOUNDARIES", 3),
        ({"boundaries": []}, "BOUNDARIES", 1),
    ],
    ids=str,
)
def test_a_bucketizer_knows_its_kind_and_size(bucketizer: Case, kind: str, size: int) -> None:
    made = make(bucketizer)

    assert (made.kind, made.size) == (Bucketizer.Kind[kind], size)


def test_no_bucketizer_is_a_kind_too() -> None:
    none = Bucketizer()

    assert (none.kind, none.size, none.text("a"), none.number(3.0)) == (Bucketizer.Kind.NONE, 0, 0, 0)


def test_an_empty_vocabulary_has_the_default_only() -> None:
    empty = Bucketizer.vocab(Vocabulary.of([], []), 4)

    assert (empty.text(""), empty.text("a"), empty.size) == (4, 4, 5)


@pytest.mark.parametrize(
    ("value", "value_type", "expected"),
    [
        (10.0, "FLOAT32", 39),
        (0.1, "FLOAT32", hash_float(0.1) % 100),
        (0.1, "FLOAT64", hash_double(0.1) % 100),
        (107.9, "INT64", 7),
        (-0.9, "INT64", 0),
        (-1.0, "INT64", (2**64 - 1) % 100),
        (math.nan, "INT64", 0),
        (1e300, "INT64", (2**63 - 1) % 100),
        (-math.inf, "INT64", 2**63 % 100),
    ],
)
def test_a_result_hashes_by_its_value_type(value: float, value_type: str, expected: int) -> None:
    assert Bucketizer.hash(100).result(value, Bucketizer.ValueType[value_type]) == expected


@pytest.mark.parametrize(
    ("bucketizer", "message"),
    [
        ({"hash_bucket_size": 0}, "hash_bucket_size 0 is not between 1 and"),
        ({"hash_bucket_size": 2**63}, "hash_bucket_size 9223372036854775808 is not between"),
        ({"num_buckets": 0}, "num_buckets 0 is not at least 1"),
        ({"num_buckets": -5}, "num_buckets -5"),
        ({"boundaries": [1.0, 1.0]}, r"must increase \(as float32\): entry 1 \(1\) follows 1"),
        ({"boundaries": [1.0, 3.0, 2.5]}, r"entry 2 \(2.5\) follows 3"),
        ({"boundaries": [1.0, math.nan]}, "entry 1 is NaN"),
    ],
    ids=str,
)
def test_a_bucketizer_that_makes_no_sense_is_refused(bucketizer: Case, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(bucketizer)


def test_each_word_needs_an_index() -> None:
    with pytest.raises(ConfigError, match="2 words and 1 indices"):
        Vocabulary.of(["a", "b"], [0])


FLOATS = st.floats(width=32, allow_nan=False)
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 30)
TOKENS = st.text("ab1", max_size=3) | st.text("+-0123456789 ", max_size=4) | st.text(max_size=40)
BOUNDARIES = st.lists(FLOATS, max_size=40).map(lambda bounds: sorted({bound + 0.0 for bound in bounds}))
ENTRIES = st.tuples(st.text("ab1", max_size=3), st.integers(-1, 50))
BUCKETIZERS = st.one_of(
    st.fixed_dictionaries({"hash_bucket_size": st.integers(1, 2**63 - 1), "farm": st.booleans()}),
    st.fixed_dictionaries({"num_buckets": st.integers(1, 2**63 - 1) | st.integers(1, 20)}),
    st.fixed_dictionaries(
        {
            "vocab": st.lists(ENTRIES, min_size=1, max_size=40),
            "default": st.integers(-1, 50),
        }
    ),
    st.fixed_dictionaries({"boundaries": BOUNDARIES}),
)
VALUES = st.one_of(
    st.tuples(st.just("text"), TOKENS),
    st.tuples(st.just("integer"), INTEGERS),
    st.tuples(st.just("int64"), INTEGERS),
    st.tuples(st.just("float32"), FLOATS | st.integers(-2, 30).map(float)),
    st.tuples(st.just("float64"), st.floats(allow_nan=False)),
)


@given(BUCKETIZERS, VALUES)
def test_any_value_falls_where_plain_python_puts_it(bucketizer: Case, value: tuple[str, Any]) -> None:
    assert native_bucket(bucketizer, *value) == bucket(bucketizer, *value)


@given(BOUNDARIES)
def test_a_value_equal_to_a_boundary_goes_right(boundaries: list[float]) -> None:
    result = [Bucketizer.boundaries(boundaries).number(b) for b in boundaries]

    assert result == list(range(1, len(boundaries) + 1))


def test_a_large_vocabulary_finds_each_word_and_no_other() -> None:
    words = [f"w{i}" for i in range(20_000)]
    vocab = Bucketizer.vocab(Vocabulary.of(words, list(range(20_000))), 20_000)

    assert [vocab.text(word) for word in words] == list(range(20_000))
    assert {vocab.text(f"x{i}") for i in range(20_000)} == {20_000}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\n", {"a": 0, "b": 1}),
        ("a\r\n\r\n b \rc", {"a": 0, "b": 2, "c": 3}),
        ("a 7\nb\t-1\nbig apple 9\nnew york\n5", {"a": 7, "b": -1, "big apple": 9, "new york": 3, "5": 4}),
        ("a\nb\na", {"a": 2, "b": 1}),
        ("", {}),
    ],
)
def test_a_vocab_file_has_a_word_in_a_line(text: str, expected: dict[str, int]) -> None:
    vocabulary = Vocabulary.parse(text.encode())

    assert dict(zip(vocabulary.words, vocabulary.indices, strict=True)) == expected


def test_an_index_that_fits_no_bucket_is_refused() -> None:
    with pytest.raises(ConfigError, match="line 2: the index 9223372036854775808 does not fit 64 bits"):
        Vocabulary.parse(b"a\nb 9223372036854775808")


def test_vocabularies_are_equal_by_their_words_and_ids() -> None:
    words = Vocabulary.of(["a", "b"], [0, 1])

    assert words == Vocabulary.parse(b"a\nb")
    assert hash(words) == hash(Vocabulary.parse(b"a\nb"))
    assert words != Vocabulary.of(["a", "b"], [0, 2])
    assert words != Vocabulary.of(["ab", ""], [0, 1])


@given(st.floats(min_value=2, max_value=2**100, width=32))
def test_a_logarithm_is_rounded_once(x: float) -> None:
    assert Normalizer.parse("method=log10").number(x) == np.float32(math.log10(x))
