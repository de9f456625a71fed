"""bool_mask_feature: the values whose mask is true."""

from conformance.cases.case import HASH, MASK, Case, rule
from tests.features.referee.hashing import hashed

SEQUENCE = {
    **MASK,
    **HASH,
    "feature_type": "sequence_bool_mask_feature",
    "default_value": "0",
    "value_dim": 1,
}

CASES: list[Case] = [
    *rule(
        "6.10 The values at whose places the mask is true: true or 1, in any case, or a number but 0.",
        "test",
        {
            "words": (
                {**MASK, **HASH},
                {
                    "x": ("string", ["a\x1db\x1dc", "a\x1db"]),
                    "m": ("string", ["true\x1dfalse\x1dTRUE", "1\x1d0"]),
                },
                {"values": hashed("a", "c", "a"), "lengths": [2, 1]},
            ),
            "integers": (
                {**MASK, **HASH},
                {"x": ("list<string>", [["a", "b"], ["c"]]), "m": ("list<int64>", [[0, 1], [1]])},
                {"values": hashed("b", "c"), "lengths": [1, 1]},
            ),
            "floats": (
                {**MASK, **HASH},
                {"x": ("list<int64>", [[7, 8, 9]]), "m": ("list<float32>", [[0.0, 1.0, 1.0]])},
                {"values": hashed("8", "9"), "lengths": [2]},
            ),
            "text in an array": (
                {**MASK, **HASH},
                {"x": ("list<string>", [["a", "b"]]), "m": ("list<string>", [["False", "True"]])},
                {"values": hashed("b"), "lengths": [1]},
            ),
            "num_buckets": (
                {**MASK, "num_buckets": 10},
                {"x": ("list<int64>", [[7, 8, 90]]), "m": ("string", ["1\x1d0\x1d1"])},
                {"values": [7, 0], "lengths": [2]},
            ),
        },
    ),
    *rule(
        "6.10 What is longer, values or mask, loses its surplus. Neither, or nothing kept, is missing.",
        "ours",
        {
            "values beyond the mask": (
                {**MASK, **HASH},
                {"x": ("string", ["a\x1db\x1dc"]), "m": ("string", ["1\x1d1", "1\x1d1\x1d1\x1d1"])},
                {"values": hashed("a", "b", "a", "b", "c"), "lengths": [2, 3]},
            ),
            "nothing kept": (
                {**MASK, **HASH, "default_value": "none"},
                {"x": ("string", ["a", "a", "", "a"]), "m": ("string", ["0", "", "1", "1"])},
                {"values": hashed("none", "none", "none", "a"), "lengths": [1] * 4},
            ),
            "nothing kept without default": (
                {**MASK, **HASH},
                {"x": ("list<string>", [["a"], [], None]), "m": ("list<int64>", [[0], [1], [1]])},
                {"values": [], "lengths": [0, 0, 0]},
            ),
            "a mask that is no truth": (
                {**MASK, **HASH},
                {"x": ("string", ["a\x1db"]), "m": ("string", ["1\x1dmaybe", "1\x1d0"])},
                {"values": hashed("a"), "lengths": [0, 1]},
            ),
            "value_dim comes behind the mask": (
                {**MASK, **HASH, "value_dim": 1},
                {"x": ("string", ["a\x1db\x1dc"]), "m": ("string", ["0\x1d1\x1d1"])},
                {"values": hashed("b"), "lengths": [1]},
            ),
            "a prefix": (
                {**MASK, **HASH, "need_prefix": True},
                {"x": ("string", ["a\x1db"]), "m": ("string", ["0\x1d1"])},
                {"values": hashed("f_b"), "lengths": [1]},
            ),
        },
    ),
    *rule(
        "6.10 A sequence shrinks to the elements whose mask is true.",
        "test",
        {
            "a sequence shrinks": (
                SEQUENCE,
                {"x": ("string", ["a;b;c", "a"]), "m": ("string", ["1;0;1", "1"])},
                {"values": hashed("a", "c", "a"), "lengths": [2, 1]},
            ),
            "arrays": (
                SEQUENCE,
                {"x": ("list<string>", [["a", "b"]]), "m": ("list<int64>", [[0, 1]])},
                {"values": hashed("b"), "lengths": [1]},
            ),
        },
    ),
    *rule(
        "6.10 A sequence of which nothing is kept is one default element; a missing element that is kept is "
        "the default, an element without mask is left out, more mask than elements is ignored.",
        "ours",
        {
            "nothing kept of a sequence": (
                SEQUENCE,
                {"x": ("string", ["a;b", "", "a"]), "m": ("string", ["0;0", "1", ""])},
                {"values": hashed("0", "0", "0"), "lengths": [1, 1, 1]},
            ),
            "missing elements and masks": (
                SEQUENCE,
                {"x": ("string", ["a;;c;d", "a"]), "m": ("string", ["1;1;;1", "0;1;1"])},
                {"values": hashed("a", "0", "d", "0"), "lengths": [3, 1]},
            ),
            "the limit comes before the mask": (
                {**SEQUENCE, "sequence_length": 2},
                {"x": ("string", ["a;b;c"]), "m": ("string", ["0;1;1"])},
                {"values": hashed("b"), "lengths": [1]},
            ),
            "elements of several values": (
                {**SEQUENCE, "value_dim": 0},
                {"x": ("string", ["a\x1db;c"]), "m": ("list<int32>", [[1, 0], [1, 1]])},
                {"values": hashed("a", "b", "a", "b", "c"), "lengths": [1, 2], "key_lengths": [2, 2, 1]},
            ),
        },
    ),
    *rule(
        "7.4 Older files write a plain bool_mask_feature with a sequence_delim.",
        "json",
        {
            "the older form": (
                {**SEQUENCE, "feature_type": "bool_mask_feature", "sequence_delim": "|"},
                {"x": ("string", ["a|b"]), "m": ("string", ["0|1"])},
                {"values": hashed("b"), "lengths": [1]},
            ),
        },
    ),
    *rule(
        "6.10 The mask is usually a formula over another sequence.",
        "json",
        {
            "a mask that is made": (
                [
                    {"feature_name": "long", "feature_type": "sequence_expr_feature", "stub_type": True}
                    | {
                        "variables": ["item:stay"],
                        "expression": "stay > 10",
                        "value_type": "int64",
                        "default_value": "0",
                    },
                    {**SEQUENCE, "feature_name": "f", "expression": ["item:x", "feature:long"]},
                ],
                {"x": ("string", ["a;b;c"]), "stay": ("string", ["5;20;30"])},
                {"values": hashed("b", "c"), "lengths": [2]},
            ),
        },
    ),
]
