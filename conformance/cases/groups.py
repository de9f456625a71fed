"""Sequence groups, and features that read one another."""

from conformance.cases.case import (
    COMBINE,
    COMBO,
    DISTANCE,
    EXPR,
    HASH,
    ID,
    KV,
    LOOKUP,
    MASK,
    OVERLAP,
    RAW,
    SEQ_EXPR,
    SEQUENCE,
    SLICE,
    Case,
    Columns,
    Spec,
    rule,
)
from tests.features.referee.hashing import hashed

GROUP: Spec = {"sequence_name": "click", "sequence_length": 3, "sequence_pk": "user:clicked"}
CATE: Spec = {"feature_name": "cate", **ID, **HASH, "expression": "item:cate", **SEQUENCE}
PRICE: Spec = {"feature_name": "price", **RAW, "expression": "item:price", "default_value": "0"}
JOINED: Columns = {
    "click__cate": ("list<string>", [["a", None, "b\x1dc", "d"], []]),
    "click__price": ("list<float32>", [[0.5, 1.0, 7.0, 9.0], None]),
    "click__time": ("string", ["3;2;1", ""]),
    "u": ("string", ["ua"]),
    "x": ("string", ["a", "b"]),
    "m": ("string", ["a:10\x1d1:20\x1d2:30"]),
    "p": ("float32", [0.5, 1.5]),
}
STUB: Spec = {"feature_name": "words", **ID, "expression": "user:u", "stub_type": True}
BUCKET: Spec = {"feature_name": "bucket", **RAW, "expression": "item:p", "boundaries": [0, 1]}


def group(*members: Spec, **keys: object) -> Spec:
    """The group `click` with these members."""
    return {**GROUP, **keys, "features": list(members)}


MEMBERS: dict[str, Spec] = {
    "id": {**ID, **HASH, "expression": "item:cate"},
    "raw with boundaries": {**RAW, "expression": "item:price", "boundaries": [1, 5]},
    "normalized raw": {**RAW, "expression": "item:price", "normalizer": "method=log10"},
    "combo": {**COMBO, **HASH, "expression": ["user:u", "item:cate"]},
    "lookup": {**LOOKUP, "key": "item:cate"},
    "expr": {
        **EXPR,
        "variables": ["item:price", "item:p"],
        "expression": "price * p",
        "sequence_fields": ["price"],
    },
    "overlap": {**OVERLAP, "title": "item:cate", "method": "is_contain"},
    "kv_dot_product": {**KV, "query": "user:u", "document": "item:cate"},
    "bool_mask": {**MASK, **HASH, "expression": ["item:cate", "item:price"]},
    "combine": {**COMBINE, "expression": "item:price", "combiner": "mean"},
    "slice": {**SLICE, **HASH, "expression": "item:cate", "start": 1},
    "edit distance": {**DISTANCE, "expression": ["user:u", "item:cate"], "encoding": "utf-8"},
    "SeqExpr": {**SEQ_EXPR, "expression": ["item:price", "user:time"], "formula": "price + time"}
    | {"sequence_fields": ["price", "time"]},
}
# An element of `cate` that has two values is no one text.
ONE_TEXT: Columns = {**JOINED, "click__cate": ("list<string>", [["a", None, "bc", "d"], []])}

CASES: list[Case] = [
    *rule(
        "7.3 A member is called S__NAME, and so are its sequence columns, user or item.",
        "test",
        {
            "a group": (
                [
                    group(
                        CATE,
                        {**PRICE, "boundaries": [1, 5]},
                        {**RAW, "feature_name": "time", "expression": "user:time", "default_value": "-1"},
                    )
                ],
                JOINED,
            ),
            "the usual delimiter and length": (
                [{"sequence_name": "click", "features": [CATE]}],
                {"click__cate": ("string", ["a;b;c;d", ""])},
            ),
            "another delimiter": (
                [group(CATE, sequence_delim="#")],
                {"click__cate": ("string", ["a#b;c", ""])},
            ),
            "a context sequence": (
                [group({**CATE, "expression": "context:cate"})],
                {"click__cate": ("string", ["a;b", ""])},
            ),
        },
    ),
    *rule(
        "7.3 A feature that sequence_fields names is the sibling of that name; an input that is no sequence "
        "keeps its name.",
        "test",
        {
            "a sibling": (
                [
                    group(
                        CATE,
                        {
                            "feature_name": "cross",
                            **COMBO,
                            **HASH,
                            **SEQUENCE,
                            "expression": ["feature:cate", "user:u"],
                            "sequence_fields": ["cate"],
                        },
                    )
                ],
                JOINED,
            ),
            "a sibling by its full name": (
                [
                    group(
                        CATE,
                        {
                            "feature_name": "cross",
                            **COMBO,
                            **HASH,
                            **SEQUENCE,
                            "expression": ["feature:click__cate", "user:u"],
                        },
                    )
                ],
                JOINED,
            ),
        },
    ),
    *rule(
        "7 Members of every type.",
        "ours",
        {
            f"a member: {kind}": (
                [group({"feature_name": "f", **spec, **SEQUENCE})],
                ONE_TEXT if kind == "edit distance" else JOINED,
            )
            for kind, spec in MEMBERS.items()
        },
    ),
    *rule(
        "1.3 A plain feature reads a sequence as one cell of all its values.",
        "test",
        {
            "a sequence read by a plain feature": (
                [
                    group(CATE),
                    {"feature_name": "f", **COMBO, **HASH, "expression": ["feature:click__cate", "item:x"]},
                ],
                JOINED,
            ),
            "a sequence of numbers, combined": (
                [
                    group(PRICE),
                    {"feature_name": "f", **COMBINE, "expression": "feature:click__price", "combiner": "max"},
                ],
                JOINED,
            ),
        },
    ),
    *rule(
        "1.3 A feature without bucketizer gives its texts and numbers; one that is a stub is no output.",
        "test",
        {
            "a stub": (
                [{"feature_name": "f", **COMBO, **HASH, "expression": ["feature:words", "item:x"]}, STUB],
                JOINED,
                {"values": hashed("ua_a", "ua_b"), "lengths": [1, 1]},
            ),
            "a number as text": (
                [
                    {"feature_name": "price", **RAW, "expression": "item:p", "stub_type": True},
                    {"feature_name": "f", **ID, **HASH, "expression": "feature:price"},
                ],
                JOINED,
                {"values": hashed("0.5", "1.5"), "lengths": [1, 1]},
            ),
            "a number read as a number": (
                [
                    {"feature_name": "price", **RAW, "expression": "item:p"},
                    {"feature_name": "f", **EXPR, "variables": ["feature:price"], "expression": "price * 2"},
                ],
                JOINED,
                {"values": [[1.0], [3.0]]},
            ),
            "a chain of three": (
                [
                    {"feature_name": "f", **ID, **HASH, "expression": "feature:b"},
                    {"feature_name": "b", **ID, "expression": "feature:a", "value_dim": 1, "stub_type": True},
                    {"feature_name": "a", **ID, "expression": "item:x", "stub_type": True},
                ],
                {"x": ("string", ["c\x1dd", ""])},
                {"values": hashed("c"), "lengths": [1, 0]},
            ),
            "a default is read like a value": (
                [
                    {
                        "feature_name": "a",
                        **ID,
                        "expression": "item:x",
                        "stub_type": True,
                        "default_value": "none",
                    },
                    {"feature_name": "f", **ID, **HASH, "expression": "feature:a"},
                ],
                {"x": ("string", ["", "b"])},
                {"values": hashed("none", "b"), "lengths": [1, 1]},
            ),
        },
    ),
    *rule(
        "1.3 A feature with a bucketizer gives its ids.",
        "doc",
        {
            "a bucket as a key": (
                [BUCKET, {"feature_name": "f", **LOOKUP, "key": "feature:bucket"}],
                JOINED,
                {"values": [[20.0], [30.0]]},
            ),
            "an id as a token": (
                [
                    {"feature_name": "a", **ID, **HASH, "expression": "item:x"},
                    {"feature_name": "f", **ID, "num_buckets": 100, "expression": "feature:a"},
                ],
                {"x": ("string", ["abc", ""])},
                {"values": [33], "lengths": [1, 0]},
            ),
            "a bucket in a formula": (
                [
                    BUCKET,
                    {
                        "feature_name": "f",
                        **EXPR,
                        "variables": ["feature:bucket"],
                        "expression": "bucket * 10",
                    },
                ],
                JOINED,
                {"values": [[10.0], [20.0]]},
            ),
        },
    ),
    *rule(
        "7.4 A sequence feature that reads a sequence feature reads its elements.",
        "seen",
        {
            "a sequence of a sequence": (
                [
                    {
                        **RAW,
                        "feature_type": "sequence_raw_feature",
                        "feature_name": "a",
                        "default_value": "0",
                    },
                    {
                        **EXPR,
                        "feature_type": "sequence_expr_feature",
                        "feature_name": "f",
                        "variables": ["feature:a"],
                    }
                    | {"expression": "a * 10", "default_value": "-1"},
                ],
                {"x": ("string", ["1;;3", ""])},
                {"values": [[10.0], [0.0], [30.0], [0.0]], "lengths": [3, 1]},
            ),
        },
    ),
    *rule(
        "1 `reserves` are columns that an offline run hands through; they change no feature.",
        "doc",
        {
            "two features of one column": (
                [{"feature_name": "f", **ID, **HASH}, {"feature_name": "g", **ID, **HASH, "value_dim": 1}],
                {"x": ("string", ["a\x1db"])},
            )
        },
    ),
]
