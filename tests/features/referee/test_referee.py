"""The referee itself against every concrete case that the specification marks [test]."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.features.referee.cells import is_missing, number_to_text
from tests.features.referee.config import read
from tests.features.referee.evaluate import Request, Table, evaluate, evaluate_online
from tests.features.referee.formula import Formula, Value
from tests.features.referee.hashing import fingerprint, murmur, murmur_float32

if TYPE_CHECKING:
    from pathlib import Path

Columns = Mapping[str, tuple[str, list[Any]]]

HASH = {"hash_bucket_size": 100}


def run(features: Any, columns: Columns, name: str = "f", **options: Any) -> dict[str, Any]:
    """The tensors of feature `name` as lists, by kind; `features` is one spec or several."""
    fg = {"features": features if isinstance(features, list) else [{"feature_name": name, **features}]}
    cells = {column: values for column, (_, values) in columns.items()}
    types = {column: column_type for column, (column_type, _) in columns.items()}
    rows = max(map(len, cells.values()))
    tensors = evaluate(fg, cells, types, rows, **options)
    prefix = f"{name}."
    return {
        key.removeprefix(prefix): tensor.tolist() for key, tensor in tensors.items() if key.startswith(prefix)
    }


def hashed(*texts: str, buckets: int = 100) -> list[int]:
    return [murmur(text.encode()) % buckets for text in texts]


@pytest.mark.parametrize(
    ("text", "default", "farm"),
    [
        ("", 0x553E93901E462A6E, 0x9AE16A3B2F90404F),
        ("0", 0x1FE2F4E72B63D536, 0xD2ED96073B81823F),
        ("1", 0x8CFF77ADFACB8EA3, 0x811F023A122D0BE1),
        ("abc", 0x32D82BF8ED3DBA39, 0x24A5B3A074E7F369),
        ("hij", 0xD8469FF58B9E8182, 0x8D16684170DA4A3B),
        ("xyz", 0x91E4C7BD6105C1D9, 0x503C5CDC323530AC),
        ("ua_ia", 0x89D768FB8A3BA9A9, 0x884CBA2D93501C9D),
        ("12345678", 0x8C5B90A33A04DCA5, 0x2F99D2664A0FB6EA),
        ("123456789", 0xAAEB28D3D5F165C0, 0x6290B5B99F49DC6A),
        ("中文", 0x88C3D66952A4013E, 0x54B77AFB85EB4CAB),
    ],
)
def test_hashes_match_the_vectors_of_the_specification(text: str, default: int, farm: int) -> None:
    assert murmur(text.encode()) == default
    assert fingerprint(text.encode()) == farm


@pytest.mark.parametrize(
    ("size", "farm"),
    # Computed with Google's FarmHash over the bytes 0, 1, 2, … 255, 0, 1, …
    [
        (17, 0xBBB6A6F8F20D1F1C),
        (32, 0x1A9D8199972CDF49),
        (33, 0xE8756EC1CB75524E),
        (64, 0xF58504BB53DECC4B),
        (65, 0xC6A3282C3E793DBE),
        (128, 0x1C484C95F0EA5DD3),
        (129, 0xCE8BA3741121083E),
        (1024, 0x8756F6A437668508),
    ],
)
def test_long_texts_take_the_other_branches_of_fingerprint64(size: int, farm: int) -> None:
    assert fingerprint(bytes(at % 256 for at in range(size))) == farm


def test_floats_hash_as_their_four_bytes_and_zero_as_zero() -> None:
    assert [murmur_float32(number) % 100 for number in (10, 20, 30, 0.0, -0.0)] == [39, 63, 46, 0, 0]
    assert murmur_float32(0.5) == murmur(struct.pack("<f", 0.5))


@pytest.mark.parametrize("cell", [None, "", [], ()])
def test_null_and_empty_are_missing(cell: Any) -> None:
    assert is_missing(cell)


@pytest.mark.parametrize("cell", ["0", 0, 0.0])
def test_zero_is_not_missing(cell: Any) -> None:
    assert not is_missing(cell)


@pytest.mark.parametrize(
    ("number", "text"),
    [(-5, "-5"), (0, "0"), (5.2, "5.2"), (3.0, "3"), (1234567.0, "1.23457e+06"), (-0.0, "0")],
)
def test_numbers_become_text(number: float, text: str) -> None:
    assert number_to_text(number) == text


ID = {"feature_type": "id_feature", "expression": "item:x"}
RAW = {"feature_type": "raw_feature", "expression": "item:x"}
COMBO = {"feature_type": "combo_feature", "expression": ["user:u", "item:x"]}
LOOKUP = {"feature_type": "lookup_feature", "map": "user:m", "key": "item:x"}
MATCH = {"feature_type": "match_feature", "user": "user:m", "category": "item:c", "item": "item:x"}
EXPR = {"feature_type": "expr_feature", "variables": ["item:x"], "expression": "x"}
VOCAB = {"vocab_list": ["", "<OOV>", "a", "b", "a"], "default_bucketize_value": 1}
TEXTS = ("string", ["a", None, "b\x1da"])
PAIRS = ("string", ["k1:1\x1dk2:3\x1dk3:v:w,x"])
NESTED = ("string", ["k1^a:1,b:2|k2^a:3"])

ONE_FEATURE: dict[str, tuple[Any, Columns, dict[str, list[Any]]]] = {
    # 2: cells
    "integers as decimal text": (
        {**ID, **HASH},
        {"x": ("int64", [-5, 0, None])},
        {"values": hashed("-5", "0"), "lengths": [1, 1, 0]},
    ),
    "a one-row column is repeated": (
        {**EXPR, "variables": ["user:u", "item:x"], "expression": "u + x"},
        {"u": ("float64", [1.0]), "x": ("float64", [1.0, 2.0])},
        {"values": [[2.0], [3.0]]},
    ),
    "a configured separator never removes \\x1d": (
        {**ID, **HASH, "separator": "|"},
        {"x": ("string", ["a|b\x1dc", "|a||"])},
        {"values": hashed("a", "b", "c", "a"), "lengths": [3, 1]},
    ),
    "const is the literal text": (
        {**COMBO, **HASH, "expression": ["const:ua", "item:x"]},
        {"x": ("string", ["ia", "ib"])},
        {"values": hashed("ua_ia", "ua_ib"), "lengths": [1, 1]},
    ),
    # 4: missing results and defaults
    "missing without default gives no value": (
        {**ID, **HASH},
        {"x": ("list<string>", [[], None, ["a", "", None]])},
        {"values": hashed("a"), "lengths": [0, 0, 1]},
    ),
    "a discrete default is one token": (
        {**ID, **HASH, "default_value": "1|2", "separator": "|", "need_prefix": True},
        {"x": TEXTS},
        {"values": hashed("f_a", "1|2", "f_b", "f_a"), "lengths": [1, 1, 2]},
    ),
    "a default out of num_buckets is clamped to 0": (
        {**ID, "num_buckets": 10, "default_value": "10"},
        {"x": ("int64", [None, 9])},
        {"values": [0, 9], "lengths": [1, 1]},
    ),
    "a numeric default is repeated and never normalized": (
        {**RAW, "value_dim": 2, "default_value": "0.5", "normalizer": "method=log10"},
        {"x": ("string", ["10\x1d100", ""])},
        {"values": [[1.0, 2.0], [0.5, 0.5]]},
    ),
    "a numeric default is split at the separator": (
        {**RAW, "value_dim": 2, "default_value": "1|2", "separator": "|"},
        {"x": ("list<float32>", [[3.0, 4.0], []])},
        {"values": [[3.0, 4.0], [1.0, 2.0]]},
    ),
    "null in a numeric raw column is 0.0, not normalized, and bucketized": (
        {**RAW, "boundaries": [-0.5, 0.5], "normalizer": "method=zscore,mean=5,standard_deviation=1"},
        {"x": ("float32", [None, 5.0, 6.0])},
        {"values": [1, 1, 2], "lengths": [1, 1, 1]},
    ),
    "an all-null float column behaves the same": (
        {**RAW, "boundaries": [-0.5, 0.5]},
        {"x": ("float64", [None, None])},
        {"values": [1, 1], "lengths": [1, 1]},
    ),
    "null in a text raw column has no bucket": (
        {**RAW, "boundaries": [0.5]},
        {"x": ("string", [None, "1"])},
        {"values": [1], "lengths": [0, 1]},
    ),
    "null in an array raw column has no bucket": (
        {**RAW, "boundaries": [0.5]},
        {"x": ("list<float32>", [[], [1.0]])},
        {"values": [1], "lengths": [0, 1]},
    ),
    "null in expr has no bucket": (
        {**EXPR, "boundaries": [0.5]},
        {"x": ("float32", [None, 1.0])},
        {"values": [1], "lengths": [0, 1]},
    ),
    "null in a discrete lookup has no bucket": (
        {**LOOKUP, **HASH, "needDiscrete": True},
        {"m": PAIRS, "x": ("string", [None, "k1"])},
        {"values": hashed("1"), "lengths": [0, 1]},
    ),
    "no match has no bucket": (
        {**MATCH, **HASH},
        {"m": NESTED, "c": ("string", ["k1"]), "x": ("string", [None, "z"])},
        {"values": [], "lengths": [0, 0]},
    ),
    # 5.1: normalizers
    "log10 compares strictly with its threshold": (
        {**RAW, "normalizer": "method=log10"},
        {"x": ("int64", [1, 2, 0, 1000])},
        {"values": [[0.0], [float(np.float32(np.log10(2.0)))], [0.0], [3.0]]},
    ),
    "log10 has a threshold and a default of its own": (
        {**RAW, "normalizer": "method=log10,threshold=1e-10,default=-10"},
        {"x": ("float32", [0.0, 0.1])},
        {"values": [[-10.0], [float(np.float32(np.log10(np.float64(np.float32(0.1)))))]]},
    ),
    "zscore of a number is float32": (
        {**RAW, "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"},
        {"x": ("float64", [0.1])},
        {"values": [[0.0]]},
    ),
    "zscore of a text is double": (
        {**RAW, "normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"},
        {"x": ("string", ["0.1"])},
        {"values": [[float(np.float32((0.1 - float(np.float32(0.1))) / float(np.float32(0.3))))]]},
    ),
    "minmax does not clip": (
        {**RAW, "normalizer": "method=minmax,min=0,max=10"},
        {"x": ("int64", [5, 20, -10])},
        {"values": [[0.5], [2.0], [-1.0]]},
    ),
    # 5.2: bucketizers
    "a value equal to a boundary goes right": (
        {**RAW, "boundaries": [0.1, 0.2]},
        {"x": ("float64", [0.0, 0.1, 0.15, 0.2, float("nan")])},
        {"values": [0, 1, 1, 2, 2], "lengths": [1, 1, 1, 1, 1]},
    ),
    "num_buckets gives 0 out of range": (
        {**ID, "num_buckets": 100},
        {"x": ("string", ["99", "100", "-1", "+01", "00099", "9223372036854775808"])},
        {"values": [99, 0, 0, 1, 99, 0], "lengths": [1] * 6},
    ),
    "num_buckets truncates a numeric result": (
        {**EXPR, "expression": "x / 2", "num_buckets": 10},
        {"x": ("float32", [3.0])},
        {"values": [1], "lengths": [1]},
    ),
    "a word listed twice has its last index": (
        {**ID, **VOCAB, "default_value": ""},
        {"x": ("string", ["a", "b", "zz"])},
        {"values": [4, 3, 1], "lengths": [1, 1, 1]},
    ),
    "the default of a vocabulary is a word of it": (
        {**ID, "vocab_list": ["b", "<OOV>", "a", "b"], "default_bucketize_value": 1, "default_value": "b"},
        {"x": ("string", ["", "a"])},
        {"values": [3, 2], "lengths": [1, 1]},
    ),
    "words of a vocab_dict share an id": (
        {**ID, "vocab_dict": {"a": 2, "b": 2, "c": 3}, "default_bucketize_value": 1},
        {"x": ("string", ["a", "b", "c", "d"])},
        {"values": [2, 2, 3, 1], "lengths": [1] * 4},
    ),
    "numbers hash as float32": (
        {**EXPR, **HASH},
        {"x": ("float32", [10.0, 20.0, 30.0, 0.0])},
        {"values": [39, 63, 46, 0], "lengths": [1] * 4},
    ),
    "hash of texts": (
        {**ID, **HASH},
        {"x": ("string", ["abc", "hij", "xyz", "中文", "12345678"])},
        {"values": [33, 66, 13, 94, 85], "lengths": [1] * 5},
    ),
    "a zch id is the unsigned hash modulo 2^63-1": (
        {**ID, "hash_bucket_size": 2**63 - 1},
        {"x": ("string", ["hij"])},
        {"values": [0xD8469FF58B9E8182 - (2**63 - 1)], "lengths": [1]},
    ),
    # 6.1: id
    "value_dim keeps the first tokens": (
        {**ID, **HASH, "value_dim": 1},
        {"x": ("string", ["b\x1da"])},
        {"values": hashed("b"), "lengths": [1]},
    ),
    "weights run beside the values": (
        {**ID, **HASH, "weighted": True, "default_value": "d"},
        {"x": ("string", ["a:0.5\x1db", None, "u:v:2"])},
        {"values": hashed("a", "b", "d", "u:v"), "lengths": [2, 1, 1], "weights": [0.5, 1.0, 1.0, 2.0]},
    ),
    "a native map is id to weight": (
        {**ID, **HASH, "weighted": True},
        {"x": ("map<int64,float32>", [((7, 0.5), (3, 2.0)), ()])},
        {"values": hashed("7", "3"), "lengths": [2, 0], "weights": [0.5, 2.0]},
    ),
    # 6.2: raw
    "a one-entry array is its number": (
        RAW,
        {"x": ("list<float64>", [[2.5], [1.0]])},
        {"values": [[2.5], [1.0]]},
    ),
    "a vector comes from text": (
        {**RAW, "value_dim": 3, "separator": ","},
        {"x": ("string", ["1,2.5,-3"])},
        {"values": [[1.0, 2.5, -3.0]]},
    ),
    "a vector comes from numeric texts": (
        {**RAW, "value_dim": 2},
        {"x": ("list<string>", [["1", "2.5"]])},
        {"values": [[1.0, 2.5]]},
    ),
    "each component is bucketized": (
        {**RAW, "value_dim": 2, "boundaries": [1, 2]},
        {"x": ("list<int64>", [[0, 2], [1, 5]])},
        {"values": [0, 2, 1, 2], "lengths": [2, 2]},
    ),
    # 6.3: combo
    "the first input varies slowest": (
        {**COMBO, **HASH},
        {"u": ("string", ["ua\x1dub"]), "x": ("string", ["ia\x1dib"])},
        {"values": hashed("ua_ia", "ua_ib", "ub_ia", "ub_ib"), "lengths": [4]},
    ),
    "a missing input makes the product missing": (
        {**COMBO, **HASH},
        {"u": ("string", ["ua"]), "x": ("string", ["", "ia"])},
        {"values": hashed("ua_ia"), "lengths": [0, 1]},
    ),
    # 6.4: lookup
    "sum of the keys found": (
        {**LOOKUP, "needDiscrete": False},
        {"m": ("string", ["1:1.5\x1d2:3"]), "x": ("list<int64>", [[1, 2, 9], [9], []])},
        {"values": [[4.5], [0.0], [0.0]]},
    ),
    "mean over the found keys only": (
        {**LOOKUP, "combiner": "mean", "default_value": "7"},
        {"m": ("map<string,float32>", [(("1", 1.0), ("2", 4.0))]), "x": ("string", ["1\x1d2\x1d9", "9"])},
        {"values": [[2.5], [7.0]]},
    ),
    "without combiner every hit is a value": (
        {**LOOKUP, "combiner": "", "boundaries": [2], "value_dim": 1},
        {"m": PAIRS, "x": ("string", ["k2\x1dk1"])},
        {"values": [1, 0], "lengths": [2]},
    ),
    "value_dim does not truncate a lookup": (
        {**LOOKUP, **HASH, "needDiscrete": True, "value_dim": 1},
        {"m": PAIRS, "x": ("string", ["k1\x1dk2"])},
        {"values": hashed("1", "3"), "lengths": [2]},
    ),
    "needKey shows the key": (
        {**LOOKUP, **HASH, "needDiscrete": True, "needKey": True},
        {"m": PAIRS, "x": ("string", ["k3"])},
        {"values": hashed("k3_v:w,x"), "lengths": [1]},
    ),
    # 6.5: match
    "a match is prefixed with the feature name": (
        {**MATCH, **HASH, "feature_name": "match_feat", "show_category": False, "show_item": False},
        {"m": NESTED, "c": ("string", ["k1"]), "x": ("string", ["a"])},
        {"values": [71], "lengths": [1]},
    ),
    "the full form shows both keys": (
        {
            **MATCH,
            "feature_name": "brand_hit",
            "hash_bucket_size": 1000000,
            "show_category": True,
            "show_item": True,
        },
        {
            "m": ("string", ["50006842^30068:19"]),
            "c": ("int64", [50006842]),
            "x": ("string", ["30068"]),
        },
        {"values": hashed("brand_hit_50006842_30068_19", buckets=1000000), "lengths": [1]},
    ),
    "num_buckets parses the bare value": (
        {**MATCH, "num_buckets": 10},
        {"m": NESTED, "c": ("string", ["k2"]), "x": ("string", ["a"])},
        {"values": [3], "lengths": [1]},
    ),
    "the default of a match is bare": (
        {**MATCH, **HASH, "default_value": "0"},
        {"m": NESTED, "c": ("string", ["k2"]), "x": ("string", ["zz"])},
        {"values": hashed("0"), "lengths": [1]},
    ),
    "ALL with multihit takes every key": (
        {**MATCH, "category": "ALL", "matchType": "multihit", "needDiscrete": False, "boundaries": [2]},
        {"m": NESTED, "x": ("string", ["a", "b"])},
        {"values": [0, 1, 1], "lengths": [2, 1]},
    ),
    # 6.6 and 8: expr
    "a dot product reaches a float32 boundary": (
        {**EXPR, "variables": ["user:u", "item:x"], "expression": "dot(u, x)", "boundaries": [0.1]},
        {"u": ("list<float32>", [[0.2, 0.3]]), "x": ("list<float32>", [[0.2, 0.2], [0.2, 0.1]])},
        {"values": [1, 0], "lengths": [1, 1]},
    ),
    "a comparison is 1 or 0": (
        {**EXPR, "expression": "x > 1", "value_type": "int64", "num_buckets": 2},
        {"x": ("string", ["0.5", "2"])},
        {"values": [0, 1], "lengths": [1, 1]},
    ),
    # 7: sequences
    "empty pieces are default elements": (
        {**ID, **HASH, "feature_type": "sequence_id_feature", "sequence_delim": "|", "value_dim": 1}
        | {"default_value": "0"},
        {"x": ("string", ["c||a|b|b|"])},
        {"values": hashed("c", "0", "a", "b", "b", "0"), "lengths": [6]},
    ),
    "no elements are one default element": (
        {**RAW, "feature_type": "sequence_raw_feature", "default_value": "0.5"},
        {"x": ("list<float32>", [[], None, [1.0, 2.0]])},
        {"values": [[0.5], [0.5], [1.0], [2.0]], "lengths": [1, 1, 2]},
    ),
    "a default is repeated in a sequence of vectors": (
        {
            **RAW,
            "feature_type": "sequence_raw_feature",
            "default_value": "0",
            "value_dim": 2,
            "separator": ",",
        },
        {"x": ("string", ["1,2;;3,4", ""])},
        {"values": [[1.0, 2.0], [0.0, 0.0], [3.0, 4.0], [0.0, 0.0]], "lengths": [3, 1]},
    ),
    "texts in a sequence array are split again": (
        {**ID, **HASH, "feature_type": "sequence_id_feature", "default_value": "0", "value_dim": 0},
        {"x": ("list<string>", [["4\x1d5", "6"]])},
        {"values": hashed("4", "5", "6"), "lengths": [2], "key_lengths": [2, 1]},
    ),
    "value_dim 1 takes the first of each element": (
        {**ID, **HASH, "feature_type": "sequence_id_feature", "default_value": "0", "value_dim": 1},
        {"x": ("list<list<int64>>", [[[4, 5], [], [6]], None])},
        {"values": hashed("4", "0", "6", "0"), "lengths": [3, 1]},
    ),
    "a sequence is cut at its tail": (
        {**ID, **HASH, "feature_type": "sequence_id_feature", "default_value": "0", "value_dim": 1}
        | {"sequence_length": 2},
        {"x": ("string", ["a;b;c"])},
        {"values": hashed("a", "b"), "lengths": [2]},
    ),
    "a plain input of a sequence feature is whole for every element": (
        {**COMBO, **HASH, "feature_type": "sequence_combo_feature", "default_value": "0", "value_dim": 1},
        {"u": ("string", ["ua\x1dub"]), "x": ("string", ["a;;b"])},
        {"values": hashed("ua_a", "0", "ua_b"), "lengths": [3]},
    ),
}


@pytest.mark.parametrize("case", ONE_FEATURE)
def test_a_case_of_the_specification(case: str) -> None:
    spec, columns, expected = ONE_FEATURE[case]

    assert run(spec, columns, spec.get("feature_name", "f")) == expected


def test_an_empty_batch_keeps_its_shapes() -> None:
    fg = {"features": [{"feature_name": "f", **ID, **HASH}, {"feature_name": "g", **RAW, "value_dim": 3}]}

    tensors = evaluate(fg, {"x": []}, {"x": "string"}, 0)

    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "f.values": (0,),
        "f.lengths": (0,),
        "g.values": (0, 3),
    }


def test_a_vocab_file_has_words_and_indices(tmp_path: Path) -> None:
    tmp_path.joinpath("words.txt").write_text("a\nb\n")
    tmp_path.joinpath("numbered.txt").write_text("a 5\r\nb 5\r\n")
    columns = {"x": ("string", ["b", "z"])}

    plain = run({**ID, "vocab_file": "words.txt"}, columns, directory=tmp_path)
    numbered = run(
        {**ID, "vocab_file": "numbered.txt", "default_bucketize_value": 1}, columns, directory=tmp_path
    )

    assert plain["values"] == [1, 0]
    assert numbered["values"] == [5, 1]


def test_farm_hash_replaces_the_text_hash() -> None:
    columns = {"x": ("string", ["abc", "xyz"])}

    assert run({**ID, **HASH}, columns, farm_hash=True)["values"] == [85, 20]


def test_a_stub_delivers_its_strings_and_is_no_output() -> None:
    stub = {"feature_name": "stub", **ID, "expression": "user:u", "stub_type": True}
    combo = {"feature_name": "f", **COMBO, **HASH, "expression": ["feature:stub", "item:x"]}
    columns = {"u": ("string", ["ua\x1dub"]), "x": ("string", ["ia"])}

    assert run([combo, stub], columns)["values"] == hashed("ua_ia", "ub_ia")
    assert run([combo, stub], columns, "stub") == {}


def test_a_lookup_finds_the_bucket_of_its_producer() -> None:
    bucket = {"feature_name": "bucket", **RAW, "boundaries": [1, 2]}
    lookup = {"feature_name": "f", **LOOKUP, "key": "feature:bucket"}
    columns: Columns = {"x": ("float32", [1.5]), "m": ("string", ["1:10\x1d2:20"])}

    assert run([bucket, lookup], columns)["values"] == [[10.0]]


def test_a_vector_lookup_goes_through_a_stub() -> None:
    stub = {
        "feature_name": "f__lookup",
        **LOOKUP,
        "needDiscrete": True,
        "combiner": "",
        "stub_type": True,
    } | {"default_value": "0,0"}
    vector = {"feature_name": "f", **RAW, "expression": "feature:f__lookup", "separator": ",", "value_dim": 2}
    columns = {"m": ("string", ["a:1,2\x1db:3,4"]), "x": ("string", ["b", "z"])}

    assert run([stub, vector], columns)["values"] == [[3.0, 4.0], [0.0, 0.0]]


GROUP: dict[str, Any] = {
    "sequence_name": "click",
    "sequence_length": 3,
    "sequence_pk": "user:clicked",
    "features": [
        {"feature_name": "x", **ID, **HASH, "default_value": "0", "value_dim": 1},
        {"feature_name": "t", **RAW, "expression": "user:t", "default_value": "-1"},
        {"feature_name": "y", **COMBO, **HASH, "default_value": "0", "value_dim": 1}
        | {"expression": ["feature:x", "item:x"], "sequence_fields": ["x"]},
    ],
}


def test_a_group_prefixes_its_outputs_and_sequence_columns() -> None:
    group = {**GROUP, "features": GROUP["features"][:2]}
    flat = {"feature_name": "f", **COMBO, **HASH, "expression": ["feature:click__x", "user:u"]}
    columns: Columns = {
        "click__x": ("string", ["a;b", None]),
        "click__t": ("list<float32>", [[1.0, 2.0], [3.0]]),
        "u": ("string", ["ua"]),
    }
    fg = {"features": [group, flat]}

    tensors = evaluate(
        fg,
        {name: cells for name, (_, cells) in columns.items()},
        {name: kind for name, (kind, _) in columns.items()},
        2,
    )
    ids = hashed("a", "b", "0")

    assert tensors["click__x.values"].tolist() == ids
    assert tensors["click__x.lengths"].tolist() == [2, 1]
    assert tensors["click__t.values"].tolist() == [[1.0], [2.0], [3.0]]
    assert tensors["f.values"].tolist() == hashed(*(f"{number}_ua" for number in ids))
    assert tensors["f.lengths"].tolist() == [2, 1]


def test_sequence_fields_name_a_sibling() -> None:
    members = read({"features": [GROUP]}).by_name()

    assert [(source.name, source.sequence) for source in members["click__y"].inputs] == [
        ("click__x", True),
        ("click__x", True),
    ]


TABLE = Table(["i1", "i2"], {"x": ["a", "b"], "p": [1.0, None]}, {"x": "string", "p": "float32"})
REQUEST = Request(
    user={"clicked": "i2;nobody;i1;i1", "click__t": [5.0], "age": 7},
    context={},
    item_ids=["i1", "nobody", "i2"],
    item_features={},
    types={"clicked": "string", "click__t": "list<float32>", "age": "int64"},
)
ONLINE: dict[str, Any] = {
    "features": [
        {**GROUP, "features": GROUP["features"][:2]},
        {"feature_name": "x", **ID, **HASH},
        {"feature_name": "age", **ID, **HASH, "expression": "user:age"},
    ]
}


def test_a_request_is_joined_with_the_item_table() -> None:
    tensors = evaluate_online(ONLINE, REQUEST, TABLE)

    assert tensors["click__x.values"].tolist() == hashed("b", "0", "a") * 3
    assert tensors["click__t.values"].tolist() == [[5.0]] * 3
    assert tensors["x.lengths"].tolist() == [1, 0, 1]
    assert tensors["age.values"].tolist() == hashed("7") * 3


def test_a_tile_has_user_features_once() -> None:
    tensors = evaluate_online(ONLINE, REQUEST, TABLE, tile=True)

    assert tensors["click__x.values"].tolist() == hashed("b", "0", "a")
    assert tensors["age.lengths"].tolist() == [1]
    assert tensors["x.lengths"].tolist() == [1, 0, 1]
    assert tensors["batch_size"].tolist() == [3]


def test_item_features_hide_the_table() -> None:
    request = Request(
        REQUEST.user, {}, REQUEST.item_ids, {"x": ["z", None, None]}, {**REQUEST.types, "x": "string"}
    )

    tensors = evaluate_online(ONLINE, request, TABLE)

    assert tensors["x.values"].tolist() == hashed("z")
    assert tensors["x.lengths"].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2 ^ 2", -4.0),
        ("2 ^ 3 ^ 2", 512.0),
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("1 < 2 == 1", 1.0),
        ("6 & 3 | 8", 10.0),
        ("0 || 1 && 0", 0.0),
        ("0 ? 1 : 0 ? 2 : 3", 3.0),
        ("rint(2.5) + round(-2.5) + trunc(-1.5)", -1.0),
        ("roundp(2.345, 1)", 2.3),
        ("mod(-7, 3)", -1.0),
        ("1 / 0", float("inf")),
        ("log(0)", float("-inf")),
        ("isnan(log(-1))", 1.0),
        ("sign(0) + sign(-3)", -1.0),
        ("max(1, 3, 2) + avg(1, 3)", 5.0),
        ("sigmoid(0)", 0.5),
        ("ln(_e) + _pi * 0", 1.0),
        ("len(v) + reduce_sum(v)", 9.0),
        ("squared_norm(v)", 14.0),
        ("variance(v) * 3", 2.0),
        ("pop_variance(v)", 1.0),
        ("reduce_prod(v) + reduce_mean(v)", 8.0),
        ("dot(v, v) + euclid_dist(v, v)", 14.0),
        ("corr(v, v)", 1.0),
    ],
)
def test_a_formula_has_its_value(text: str, value: float) -> None:
    assert Formula(text, ["v"])({"v": [1.0, 2.0, 3.0]}, float("nan")) == pytest.approx(value)


def test_vectors_go_element_by_element_and_the_shorter_is_padded() -> None:
    variables: dict[str, Value] = {"a": [1.0, 2.0, 3.0], "b": [10.0, 20.0], "c": 5.0, "d": [7.0]}

    assert Formula("a + b", ["a", "b"])(variables, 0.5) == [11.0, 22.0, 3.5]
    assert Formula("a * c", ["a", "c"])(variables, 0.5) == [5.0, 10.0, 15.0]
    assert Formula("a + d", ["a", "d"])(variables, 0.5) == [8.0, 9.0, 10.0]


def test_a_great_circle_is_in_kilometres() -> None:
    result = Formula("sphere_dist(116.4, 39.9, 121.47, 31.23)", [])({}, 0.0)

    assert result == pytest.approx(1068, abs=2)
