"""slice_feature: a part of the tokens. All of it is our own."""

from conformance.cases.case import HASH, SLICE, Case, Columns, rule
from tests.features.referee.hashing import hashed

LIST: Columns = {"x": ("string", ["a\x1db\x1dc\x1dd", "a", ""])}

CASES: list[Case] = [
    *rule(
        "6.14 The tokens from `start` (0) to before `end` (absent: to the last), every `step`th (1); "
        "negative places count from the end.",
        "ours",
        {
            "all": (
                {**SLICE, **HASH},
                LIST,
                {"values": hashed("a", "b", "c", "d", "a"), "lengths": [4, 1, 0]},
            ),
            "from the second": (
                {**SLICE, **HASH, "start": 1},
                LIST,
                {"values": hashed("b", "c", "d"), "lengths": [3, 0, 0]},
            ),
            "the first two": (
                {**SLICE, **HASH, "end": 2},
                LIST,
                {"values": hashed("a", "b", "a"), "lengths": [2, 1, 0]},
            ),
            "all but the last": (
                {**SLICE, **HASH, "end": -1},
                LIST,
                {"values": hashed("a", "b", "c"), "lengths": [3, 0, 0]},
            ),
            "the last two": (
                {**SLICE, **HASH, "start": -2},
                LIST,
                {"values": hashed("c", "d", "a"), "lengths": [2, 1, 0]},
            ),
            "every second": (
                {**SLICE, **HASH, "step": 2},
                LIST,
                {"values": hashed("a", "c", "a"), "lengths": [2, 1, 0]},
            ),
            "start, end and step": (
                {**SLICE, **HASH, "start": 1, "end": 4, "step": 2},
                LIST,
                {"values": hashed("b", "d"), "lengths": [2, 0, 0]},
            ),
            "beyond the end": ({**SLICE, **HASH, "start": 9}, LIST, {"values": [], "lengths": [0, 0, 0]}),
            "nothing left takes the default": (
                {**SLICE, **HASH, "start": 1, "default_value": "none"},
                LIST,
                {"values": hashed("b", "c", "d", "none", "none"), "lengths": [3, 1, 1]},
            ),
            "of an array": (
                {**SLICE, **HASH, "start": 1},
                {"x": ("list<string>", [["a", "b"], []])},
                {"values": hashed("b"), "lengths": [1, 0]},
            ),
            "of integers": (
                {**SLICE, "num_buckets": 10, "start": -1},
                {"x": ("list<int64>", [[3, 4], [5]])},
                {"values": [4, 5], "lengths": [1, 1]},
            ),
            "value_dim comes behind": (
                {**SLICE, **HASH, "start": 1, "value_dim": 1},
                LIST,
                {"values": hashed("b"), "lengths": [1, 0, 0]},
            ),
            "a prefix": (
                {**SLICE, **HASH, "start": 3, "need_prefix": True},
                LIST,
                {"values": hashed("f_d"), "lengths": [1, 0, 0]},
            ),
        },
    ),
]
