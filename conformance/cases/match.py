"""match_feature: a nested map, an outer and an inner key."""

from conformance.cases.case import HASH, MATCH, Case, Columns, rule
from tests.features.referee.hashing import hashed

NESTED = ("string", ["k1^a:1,b:2|k2^a:3"])
KEYS: Columns = {"c": ("string", ["k1", "k2", "k1\x1dk2", "z", ""]), "x": ("string", ["a\x1db"])}
NUMERIC = {"needDiscrete": False}
HIDDEN = {"show_category": False, "show_item": False}
BRAND = {**MATCH, "feature_name": "brand_hit", "hash_bucket_size": 1000000}

CASES: list[Case] = [
    *rule(
        "6.5 A token is the feature's name and the value, joined by _, where neither key is shown.",
        "test",
        {
            "a match is prefixed with the feature name": (
                {**MATCH, **HASH, **HIDDEN, "feature_name": "match_feat"},
                {"m": NESTED, "c": ("string", ["k1"]), "x": ("string", ["a"])},
                {"values": [71], "lengths": [1]},
            ),
        },
        recorded=True,
    ),
    *rule(
        "6.5 A token is the feature's name, outer key, inner key and value, as far as they are shown.",
        "doc",
        {
            "the full form shows both keys": (
                {**BRAND, "show_category": True, "show_item": True},
                {
                    "m": ("string", ["50006842^30068:19"]),
                    "c": ("int64", [50006842]),
                    "x": ("string", ["30068"]),
                },
                {"values": hashed("brand_hit_50006842_30068_19", buckets=1000000), "lengths": [1]},
            ),
            "the outer key alone": (
                {**MATCH, **HASH, "show_category": True, "show_item": False},
                {"m": NESTED, "c": ("string", ["k1"]), "x": ("string", ["b"])},
                {"values": hashed("f_k1_2"), "lengths": [1]},
            ),
            "without the name": (
                {**MATCH, **HASH, "need_prefix": False, "show_category": True, "show_item": True},
                {"m": NESTED, "c": ("string", ["k2"]), "x": ("string", ["a"])},
                {"values": hashed("k2_a_3"), "lengths": [1]},
            ),
            "the value alone": (
                {**MATCH, **HASH, **HIDDEN, "need_prefix": False},
                {"m": NESTED, **KEYS},
                {"values": hashed("1", "2", "3", "1", "2", "3"), "lengths": [2, 1, 3, 0, 0]},
            ),
        },
    ),
    *rule(
        "6.5 show_category and show_item absent are true for a discrete `hit`, and false for `multihit`.",
        "seen",
        {
            "a hit shows both keys by itself": (
                {**MATCH, **HASH},
                {"m": NESTED, "c": ("string", ["k1"]), "x": ("string", ["a"])},
                {"values": hashed("f_k1_a_1"), "lengths": [1]},
            ),
            "multihit shows none by itself": (
                {**MATCH, **HASH, "matchType": "multihit"},
                {"m": NESTED, "c": ("string", ["k1"]), "x": ("string", ["a"])},
                {"values": hashed("f_1"), "lengths": [1]},
            ),
        },
    ),
    *rule(
        "6.5 num_buckets parses the bare value, without the prefix.",
        "test",
        {
            "num_buckets": (
                {**MATCH, "num_buckets": 10},
                {"m": NESTED, "c": ("string", ["k2"]), "x": ("string", ["a"])},
                {"values": [3], "lengths": [1]},
            ),
            "num_buckets out of range": ({**MATCH, "num_buckets": 3}, {"m": NESTED, **KEYS}),
        },
    ),
    *rule(
        "4.1 The default of a match has no prefix.",
        "test",
        {
            "the default of a match is bare": (
                {**MATCH, **HASH, "default_value": "0"},
                {"m": NESTED, "c": ("string", ["k2"]), "x": ("string", ["zz"])},
                {"values": hashed("0"), "lengths": [1]},
            ),
        },
    ),
    *rule(
        "6.5 A missing map or key, and a key that is not there, are missing.",
        "test",
        {
            "no match": (
                {**MATCH, **HASH},
                {"m": NESTED, "c": ("string", ["k1"]), "x": ("string", [None, "z"])},
                {"values": [], "lengths": [0, 0]},
            ),
            "a missing map": (
                {**MATCH, **HASH},
                {"m": ("string", ["", None]), "c": ("string", ["k1"]), "x": ("string", ["a"])},
                {"values": [], "lengths": [0, 0]},
            ),
        },
    ),
    *rule(
        "6.5 ALL stands for every key under `multihit`; under `hit` it is the key ALL.",
        "doc",
        {
            "any category": (
                {**MATCH, **NUMERIC, "category": "ALL", "matchType": "multihit", "boundaries": [2]},
                {"m": NESTED, "x": ("string", ["a", "b"])},
                {"values": [0, 1, 1], "lengths": [2, 1]},
            ),
            "any item": (
                {**MATCH, **HASH, "item": "ALL", "match_type": "multihit"},
                {"m": NESTED, "c": ("string", ["k1", "k2", "z"])},
                {"values": hashed("f_1", "f_2", "f_3"), "lengths": [2, 1, 0]},
            ),
            "any of both": (
                {**MATCH, **HASH, "category": "ALL", "item": "ALL", "matchType": "multihit"},
                {"m": ("string", ["k1^a:1,b:2|k2^a:3", ""])},
                {"values": hashed("f_1", "f_2", "f_3"), "lengths": [3, 0]},
            ),
            "the key ALL": (
                {**MATCH, **NUMERIC, "item": "ALL"},
                {"m": ("string", ["k1^ALL:4,a:5"]), "c": ("string", ["k1", "k2"])},
                {"values": [[4.0], [0.0]]},
            ),
        },
    ),
    *rule(
        "6.5 A native map is outer key to inner text.",
        "doc",
        {
            "a native map": (
                {**MATCH, **NUMERIC},
                {
                    "m": ("map<string,string>", [(("k1", "a:1,b:2"), ("k2", "a:3"))]),
                    "c": ("string", ["k2", "z"]),
                }
                | {"x": ("string", ["a"])},
                {"values": [[3.0], [0.0]]},
            ),
            "integer outer keys": (
                {**MATCH, **NUMERIC},
                {"m": ("map<int64,string>", [((7, "a:1"),)]), "c": ("int32", [7, 8]), "x": ("string", ["a"])},
                {"values": [[1.0], [0.0]]},
            ),
        },
    ),
    *rule(
        "6.5 Several key tokens are combined in order; a dense result is the first hit; a vocabulary is "
        "asked for the full token, then for the bare value.",
        "ours",
        {
            "all combinations in order": ({**MATCH, **HASH}, {"m": NESTED, **KEYS}),
            "numeric": (
                {**MATCH, **NUMERIC},
                {"m": NESTED, **KEYS},
                {"values": [[1.0], [3.0], [1.0], [0.0], [0.0]]},
            ),
            "numeric with default": ({**MATCH, **NUMERIC, "default_value": "-1"}, {"m": NESTED, **KEYS}),
            "numeric boundaries": ({**MATCH, **NUMERIC, "boundaries": [2, 3]}, {"m": NESTED, **KEYS}),
            "a vocabulary of full tokens": (
                {**MATCH, "vocab_dict": {"f_k1_a_1": 5, "3": 6}, "default_bucketize_value": 9},
                {"m": NESTED, **KEYS},
                {"values": [5, 9, 6, 5, 9, 6], "lengths": [2, 1, 3, 0, 0]},
            ),
            "value_dim": ({**MATCH, **HASH, "value_dim": 1}, {"m": NESTED, **KEYS}),
        },
    ),
]
