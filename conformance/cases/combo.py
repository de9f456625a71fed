"""combo_feature: the product of the inputs' tokens."""

from conformance.cases.case import COMBO, HASH, Case, Columns, rule
from tests.features.referee.hashing import hashed

LISTS: Columns = {"u": ("string", ["ua\x1dub"]), "x": ("list<string>", [["ia", "ib"], ["", None], []])}

CASES: list[Case] = [
    *rule(
        "6.3 Every combination of tokens joined by _, the first input varying slowest.",
        "test",
        {
            "the first input varies slowest": (
                {**COMBO, **HASH},
                {"u": ("string", ["ua\x1dub"]), "x": ("string", ["ia\x1dib"])},
                {"values": hashed("ua_ia", "ua_ib", "ub_ia", "ub_ib"), "lengths": [4]},
            ),
            "text and arrays": ({**COMBO, **HASH}, LISTS),
            "three inputs": (
                {**COMBO, **HASH, "expression": ["user:u", "item:x", "context:c"]},
                {**LISTS, "c": ("int64", [1, 2, None])},
                {"values": hashed("ua_ia_1", "ua_ib_1", "ub_ia_1", "ub_ib_1"), "lengths": [4, 0, 0]},
            ),
            "of numbers": (
                {**COMBO, **HASH},
                {"u": ("int32", [5]), "x": ("list<int64>", [[1, 2], []])},
                {"values": hashed("5_1", "5_2"), "lengths": [2, 0]},
            ),
            "cut at a separator": (
                {**COMBO, **HASH, "separator": ","},
                {"u": ("string", ["a,b"]), "x": ("string", ["c", "d\x1de"])},
            ),
            "a constant": (
                {**COMBO, **HASH, "expression": ["const:ua", "item:x"]},
                {"x": ("string", ["ia", "ib"])},
                {"values": hashed("ua_ia", "ua_ib"), "lengths": [1, 1]},
            ),
            "an input twice": (
                {**COMBO, **HASH, "expression": ["item:x", "item:x"]},
                {"x": ("string", ["a\x1db"])},
                {"values": hashed("a_a", "a_b", "b_a", "b_b"), "lengths": [4]},
            ),
        },
    ),
    *rule(
        "6.3 Where an input is missing there is no combination, and no `ua_`.",
        "test",
        {
            "a missing input makes the product missing": (
                {**COMBO, **HASH},
                {"u": ("string", ["ua"]), "x": ("string", ["", "ia", None])},
                {"values": hashed("ua_ia"), "lengths": [0, 1, 0]},
            ),
            "the default instead": (
                {**COMBO, **HASH, "default_value": "none"},
                {"u": ("string", [None]), "x": ("string", ["a", ""])},
                {"values": hashed("none", "none"), "lengths": [1, 1]},
            ),
        },
    ),
    *rule(
        "6.3 value_dim cuts the product, need_prefix stands before every token.",
        "test",
        {
            "the first of the product": (
                {**COMBO, **HASH, "value_dim": 1},
                LISTS,
                {"values": hashed("ua_ia"), "lengths": [1, 0, 0]},
            ),
            "three of four": ({**COMBO, **HASH, "value_dim": 3}, LISTS),
            "a prefix": (
                {**COMBO, **HASH, "need_prefix": True},
                {"u": ("string", ["ua"]), "x": ("string", ["ia"])},
                {"values": hashed("f_ua_ia"), "lengths": [1]},
            ),
            "in a vocabulary": ({**COMBO, "vocab_dict": {"ua_ia": 3, "ub_ib": 4}}, LISTS),
        },
    ),
]
