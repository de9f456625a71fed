"""Every concrete case that the specification marks [test], with the tensors that it states.

One feature `f` each (or the name that its spec gives); columns are type and cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tests.features.referee.hashing import murmur

Columns = Mapping[str, tuple[str, list[Any]]]

HASH = {"hash_bucket_size": 100}


def hashed(*texts: str, buckets: int = 100) -> list[int]:
    """The buckets of texts under the default hash."""
    return [murmur(text.encode()) % buckets for text in texts]


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

SPEC_CASES: dict[str, tuple[Any, Columns, dict[str, list[Any]]]] = {
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
