"""Every type in every form of its input, with everything that is missing, without a default and with one."""

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
    MATCH,
    OVERLAP,
    RAW,
    REGEX,
    SLICE,
    Case,
    Column,
    Columns,
    Spec,
    rule,
)

# Type → a value or two of it, then everything that is missing.
WORDS: dict[str, Column] = {
    "string": ("string", ["b\x1da", "7", "", None]),
    "list<string>": ("list<string>", [["b", "a"], ["7"], [], [""], None]),
    "int32": ("int32", [7, -1, None]),
    "int64": ("int64", [7, 2**40, None]),
    "float32": ("float32", [7.0, 0.5, None]),
    "float64": ("float64", [7.0, 0.1, None]),
    "list<int64>": ("list<int64>", [[7, 8], [1], [], None]),
    "list<float32>": ("list<float32>", [[7.0, 0.5], [], None]),
}
NUMBERS: dict[str, Column] = {
    **{kind: column for kind, column in WORDS.items() if "string" not in kind},
    "string": ("string", ["1.5\x1d2", "x", "7", "", None]),
    "list<string>": ("list<string>", [["1.5", "2"], ["x"], ["7"], [], None]),
    "list<int32>": ("list<int32>", [[7], [], None]),
    "list<float64>": ("list<float64>", [[0.1, 2.0], [], None]),
}
MAPS: dict[str, Column] = {
    "string": ("string", ["a:1\x1db:2\x1d7:3", "", None]),
    "list<string>": ("list<string>", [["a:1", "b:2", "7:3"], [], None]),
    "map<string,string>": ("map<string,string>", [(("a", "1"), ("7", "3")), (), None]),
    "map<string,float32>": ("map<string,float32>", [(("a", 1.0), ("7", 3.5)), (), None]),
    "map<int32,float64>": ("map<int32,float64>", [((7, 3.5), (8, 1.0)), (), None]),
    "map<int64,int64>": ("map<int64,int64>", [((7, 3), (8, 1)), (), None]),
}
MASKS: dict[str, Column] = {
    "string": ("string", ["0\x1d1", "false", "", None]),
    "list<string>": ("list<string>", [["0", "TRUE"], ["false"], [], None]),
    "int32": ("int32", [1, 0, None]),
    "list<int64>": ("list<int64>", [[0, 1], [1], [], None]),
    "list<float64>": ("list<float64>", [[0.0, 1.0], [], None]),
}
U: Columns = {"u": ("string", ["a\x1d7"])}

# Type → its keys, the column that varies, its forms, the other columns, and a default.
TYPES: list[tuple[str, Spec, str, dict[str, Column], Columns, str]] = [
    ("id", {**ID, **HASH}, "x", WORDS, {}, "none"),
    ("raw", RAW, "x", NUMBERS, {}, "1.5"),
    ("raw with boundaries", {**RAW, "boundaries": [0, 5]}, "x", NUMBERS, {}, "1.5"),
    ("vector", {**RAW, "value_dim": 2}, "x", NUMBERS, {}, "1.5"),
    ("combo", {**COMBO, **HASH}, "x", WORDS, U, "none"),
    ("lookup by key", LOOKUP, "x", WORDS, {"m": (*MAPS["list<string>"][0:1], [["a:1", "7:3"]])}, "9"),
    ("lookup in a map", LOOKUP, "m", MAPS, {"x": ("string", ["7\x1da"])}, "9"),
    (
        "discrete lookup",
        {**LOOKUP, **HASH, "needDiscrete": True},
        "m",
        MAPS,
        {"x": ("string", ["7\x1da"])},
        "none",
    ),
    (
        "match by item",
        {**MATCH, "needDiscrete": False},
        "x",
        WORDS,
        {"m": ("string", ["k^a:1,7:3"]), "c": ("string", ["k"])},
        "9",
    ),
    (
        "expr",
        {**EXPR, "variables": ["user:u", "item:x"], "expression": "u + x"},
        "x",
        NUMBERS,
        {"u": ("float64", [0.5])},
        "9",
    ),
    ("overlap", {**OVERLAP, "method": "query_common_ratio"}, "x", WORDS, U, "0.75"),
    ("kv_dot_product", KV, "x", {**WORDS, **MAPS}, {"u": ("string", ["a:2\x1d7:0.5"])}, "9"),
    ("bool_mask of values", {**MASK, **HASH}, "x", WORDS, {"m": ("string", ["1\x1d1"])}, "none"),
    ("bool_mask by mask", {**MASK, **HASH}, "m", MASKS, {"x": ("string", ["a\x1db"])}, "none"),
    ("combine", {**COMBINE, "combiner": "mean"}, "x", NUMBERS, {}, "9"),
    ("combine by value_map", {**COMBINE, "value_map": {"a": 1, "7": 2.5}}, "x", WORDS, {}, "9"),
    ("slice", {**SLICE, **HASH, "end": 1}, "x", WORDS, {}, "none"),
    ("regex_replace", {**REGEX, **HASH, "regex_pattern": "[a7]", "replacement": "z"}, "x", WORDS, {}, "none"),
    (
        "edit distance",
        {**DISTANCE, "encoding": "utf-8"},
        "x",
        {k: WORDS[k] for k in ("string", "int64", "float64")},
        {"u": ("string", ["7a"])},
        "9",
    ),
]

CASES: list[Case] = [
    case
    for kind, spec, varying, forms, others, default in TYPES
    for label, keys in (("", {}), (", with a default", {"default_value": default}))
    for case in rule(
        "2, 4 Every form of a cell, and what is missing in it: "
        + ("null and empty take the default." if keys else "null and empty have no result."),
        "ours",
        {
            f"{kind}: {form}{label}": ({**spec, **keys}, {**others, varying: column})
            for form, column in forms.items()
        },
    )
]
