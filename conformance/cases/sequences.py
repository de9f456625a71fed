"""Sequences that stand alone: how a cell is cut, and every type element by element."""

from conformance.cases.case import (
    COMBINE,
    COMBO,
    EXPR,
    HASH,
    ID,
    KV,
    LOOKUP,
    MATCH,
    NORMALIZE,
    OVERLAP,
    RAW,
    REGEX,
    SLICE,
    Case,
    Columns,
    Spec,
    rule,
    sequence,
)
from tests.features.referee.hashing import hashed

CLICKS: dict[str, Columns] = {
    "text": {"x": ("string", ["a;b;;c", "", "b\x1da", ";", None])},
    "an array": {"x": ("list<string>", [["a", "b\x1da", "", "c"], [], None])},
    "arrays": {"x": ("list<list<string>>", [[["a", "b"], [], ["c"]], [], None])},
}
NUMBERS: dict[str, Columns] = {
    "text": {"x": ("string", ["1;2.5;;x", "", "7\x1d8", ";", None])},
    "an array": {"x": ("list<float64>", [[0.1, 3.0], [], None])},
    "integers": {"x": ("list<int64>", [[1, -3], [], None])},
    "arrays": {"x": ("list<list<float32>>", [[[1.0, 2.0], [], [3.0]], [], None])},
}
WORD_TYPES: dict[str, tuple[Spec, Columns]] = {
    "ids": ({**ID, **HASH}, {}),
    "ids of a vocabulary": ({**ID, "vocab_list": ["0", "<OOV>", "a", "b"], "default_bucketize_value": 1}, {}),
    "combos": ({**COMBO, **HASH}, {"u": ("string", ["ua\x1dub"])}),
    "lookups": (LOOKUP, {"m": ("string", ["a:1.5\x1db:-2"])}),
    "discrete lookups": (
        {**LOOKUP, **HASH, "needDiscrete": True},
        {"m": ("map<string,string>", [(("a", "v"), ("b", "w"))])},
    ),
    "matches": (
        {**MATCH, "category": "user:c", "needDiscrete": False},
        {"m": ("string", ["k^a:1,b:2"]), "c": ("string", ["k"])},
    ),
    "overlaps": ({**OVERLAP, "method": "query_common_ratio"}, {"u": ("string", ["a\x1db"])}),
    "dot products": (KV, {"u": ("string", ["a:2\x1db:0.5"])}),
    "slices": ({**SLICE, **HASH, "start": 1}, {}),
    "replaced texts": ({**REGEX, **HASH, "regex_pattern": "a", "replacement": "z"}, {}),
    "combined words": ({**COMBINE, "value_map": {"a": 1, "b": 2}}, {}),
}
NUMBER_TYPES: dict[str, tuple[Spec, Columns]] = {
    "numbers": (RAW, {}),
    "buckets": ({**RAW, "boundaries": [1, 2]}, {}),
    "normalized numbers": ({**RAW, "normalizer": "method=minmax,min=0,max=10"}, {}),
    "formulas": (
        {**EXPR, "variables": ["user:u", "item:x"], "expression": "x * u"},
        {"u": ("float32", [0.5])},
    ),
    "combined numbers": ({**COMBINE, "combiner": "max"}, {}),
}

CASES: list[Case] = [
    *rule(
        "7.1 Text is cut at sequence_delim, and empty pieces are missing elements, which take the default.",
        "test",
        {
            "empty pieces are default elements": (
                sequence({**ID, **HASH}, sequence_delim="|"),
                {"x": ("string", ["c||a|b|b|"])},
                {"values": hashed("c", "0", "a", "b", "b", "0"), "lengths": [6]},
            ),
        },
        recorded=True,
    ),
    *rule(
        "7.1 No element at all is exactly one default element.",
        "test",
        {
            "no elements are one default element": (
                sequence(RAW, default_value="0.5"),
                {"x": ("list<float32>", [[], None, [1.0, 2.0]])},
                {"values": [[0.5], [0.5], [1.0], [2.0]], "lengths": [1, 1, 2]},
            ),
            "an empty text": (
                sequence({**ID, **HASH}),
                {"x": ("string", ["", None, ";"])},
                {"values": hashed("0", "0", "0", "0"), "lengths": [1, 1, 2]},
            ),
        },
    ),
    *rule(
        "7.1 A single default number is repeated for every component of a vector.",
        "test",
        {
            "a default is repeated in a sequence of vectors": (
                sequence(RAW, value_dim=2, separator=","),
                {"x": ("string", ["1,2;;3,4", ""])},
                {"values": [[1.0, 2.0], [0.0, 0.0], [3.0, 4.0], [0.0, 0.0]], "lengths": [3, 1]},
            ),
        },
    ),
    *rule(
        "7.1 Texts in a sequence array are cut into values; value_dim 0 keeps all of an element and gives "
        "key_lengths, 1 keeps the first.",
        "test",
        {
            "texts in a sequence array are split again": (
                sequence({**ID, **HASH}, value_dim=0),
                {"x": ("list<string>", [["4\x1d5", "6"]])},
                {"values": hashed("4", "5", "6"), "lengths": [2], "key_lengths": [2, 1]},
            ),
            "value_dim 1 takes the first of each element": (
                sequence({**ID, **HASH}),
                {"x": ("list<list<int64>>", [[[4, 5], [], [6]], None])},
                {"values": hashed("4", "0", "6", "0"), "lengths": [3, 1]},
            ),
            "value_dim 2": (
                sequence({**ID, **HASH}, value_dim=2),
                {"x": ("string", ["a\x1db\x1dc;d"])},
                {"values": hashed("a", "b", "d"), "lengths": [2], "key_lengths": [2, 1]},
            ),
        },
    ),
    *rule(
        "7.1 sequence_length keeps the first elements; 0 keeps all.",
        "inferred",
        {
            "a sequence is cut at its tail": (
                sequence({**ID, **HASH}, sequence_length=2),
                {"x": ("string", ["a;b;c", "a"])},
                {"values": hashed("a", "b", "a"), "lengths": [2, 1]},
            ),
            "a length of 0": (sequence({**ID, **HASH}, sequence_length=0), CLICKS["text"]),
            "a length for every input": (
                sequence({**COMBO, **HASH}, sequence_fields=["u", "x"], sequence_length=2),
                {"u": ("string", ["1;2;3"]), "x": ("string", ["a;b;c;d"])},
                {"values": hashed("1_a", "2_b"), "lengths": [2]},
            ),
        },
    ),
    *rule(
        "7.1 An input that is no sequence is whole for every element.",
        "test",
        {
            "a plain input of a sequence feature": (
                sequence({**COMBO, **HASH}),
                {"u": ("string", ["ua\x1dub"]), "x": ("string", ["a;;b"])},
                {"values": hashed("ua_a", "0", "ua_b"), "lengths": [3]},
            ),
            "a map for every element": (
                sequence(LOOKUP, default_value="-1"),
                {"m": ("string", ["a:1\x1db:2"]), "x": ("string", ["a;z;b\x1da"])},
                {"values": [[1.0], [-1.0], [3.0]], "lengths": [3]},
            ),
        },
    ),
    *rule(
        "7.1 Of inputs of other lengths the shorter goes on as missing.",
        "ours",
        {
            "the longest counts": (
                sequence(
                    {**EXPR, "variables": ["user:u", "item:x"], "expression": "x - u"},
                    sequence_fields=["u", "x"],
                    default_value="-1",
                ),
                {"u": ("string", ["1;5;3"]), "x": ("string", ["2;2", ""])},
                {"values": [[1.0], [-3.0], [-1.0], [-1.0], [-1.0], [-1.0]], "lengths": [3, 3]},
            ),
        },
    ),
    *rule(
        "7.2 sequence_fields names the sequences; else it is the one input of a type that has one, and the "
        "item inputs of the others.",
        "seen",
        {
            "a user input by name": (
                sequence({**COMBO, **HASH}, sequence_fields=["u"]),
                {"u": ("string", ["1;2"]), "x": ("string", ["a;b"])},
                {"values": hashed("1_a;b", "2_a;b"), "lengths": [2]},
            ),
            "a user input of a type that has one": (
                sequence({**ID, **HASH, "expression": "user:u"}),
                {"u": ("string", ["1;2"])},
                {"values": hashed("1", "2"), "lengths": [2]},
            ),
        },
    ),
    *rule(
        "2.2, 7.1 The delimiter is cut first, the separator within an element.",
        "test",
        {
            "delimiter and separator": (
                sequence({**ID, **HASH}, sequence_delim="#", separator=";", value_dim=0),
                {"x": ("string", ["a;b#c##", "#"])},
                {
                    "values": hashed("a", "b", "c", "0", "0", "0", "0"),
                    "lengths": [4, 2],
                    "key_lengths": [2, 1, 1, 1, 1, 1],
                },
            ),
            "a delimiter of two characters": (
                sequence({**ID, **HASH}, sequence_delim="<>"),
                {"x": ("string", ["a<>b<c"])},
                {"values": hashed("a", "b<c"), "lengths": [2]},
            ),
        },
    ),
    *rule(
        "7 Every type that reads words, in every form of a sequence.",
        "ours",
        {
            f"{kind} of {form}": (sequence(spec), {**columns, **clicks})
            for kind, (spec, columns) in WORD_TYPES.items()
            for form, clicks in CLICKS.items()
        },
    ),
    *rule(
        "7 Every type that reads numbers, in every form of a sequence.",
        "ours",
        {
            f"{kind} of {form}": (sequence(spec), {**columns, **clicks})
            for kind, (spec, columns) in NUMBER_TYPES.items()
            for form, clicks in NUMBERS.items()
        },
    ),
    *rule(
        "7 Texts that are normalized, element by element.",
        "ours",
        {
            "normalized texts": (
                sequence({**NORMALIZE, **HASH, "parameter": 2}),
                {"x": ("string", ["a;;B", ""])},
                {"values": hashed("A", "0", "B", "0"), "lengths": [3, 1]},
            )
        },
    ),
]
