"""kv_dot_product: two sides of keys and values."""

from conformance.cases.case import KV, Case, Columns, rule

TEXT: Columns = {
    "u": ("string", ["a:0.5\x1db:0.5"]),
    "x": ("string", ["d:0.5\x1db:0.5", "a:2\x1db:4", "z:1"]),
}

CASES: list[Case] = [
    *rule(
        "6.9 The sum of the products over the common keys; a bare key has the value 1.",
        "test",
        {
            "texts": (KV, TEXT, {"values": [[0.25], [3.0], [0.0]]}),
            "bare keys": (
                KV,
                {"u": ("string", ["a\x1db\x1dc"]), "x": ("string", ["b\x1dc\x1dd", "b:0.5", "z"])},
                {"values": [[2.0], [0.5], [0.0]]},
            ),
            "an array of pairs": (
                KV,
                {"u": ("list<string>", [["a:0.5", "b"]]), "x": ("list<string>", [["b:3", "a:2"], ["c"]])},
                {"values": [[4.0], [0.0]]},
            ),
            "native maps": (
                KV,
                {
                    "u": ("map<string,float32>", [(("a", 0.5), ("b", 2.0))]),
                    "x": ("map<string,float64>", [(("b", 4.0),), (("z", 1.0),)]),
                },
                {"values": [[8.0], [0.0]]},
            ),
            "forms that differ": (
                KV,
                {
                    "u": ("map<string,float32>", [(("a", 0.5), ("b", 2.0))]),
                    "x": ("string", ["b:3\x1da", "a"]),
                },
                {"values": [[6.5], [0.5]]},
            ),
            "another kv_delimiter": (
                {**KV, "kv_delimiter": "="},
                {"u": ("string", ["a=2"]), "x": ("string", ["a=3", "a:3"])},
                {"values": [[6.0], [0.0]]},
            ),
            "another separator": (
                {**KV, "separator": ","},
                {"u": ("string", ["a:2,b:3"]), "x": ("string", ["b:1\x1da:1", "b"])},
                {"values": [[5.0], [3.0]]},
            ),
            "numbers as keys": (
                KV,
                {
                    "u": ("list<int64>", [[1, 2, 3]]),
                    "x": ("map<int64,float32>", [((2, 0.5), (3, 0.25)), ((9, 1.0),)]),
                },
                {"values": [[0.75], [0.0]]},
            ),
        },
    ),
    *rule(
        "6.9 Without a common key the result is 0.0, whatever the default is.",
        "ours",
        {
            "no common key": (
                {**KV, "default_value": "7"},
                {"u": ("string", ["a:1"]), "x": ("string", ["b:1", ""])},
                {"values": [[0.0], [7.0]]},
            )
        },
    ),
    *rule(
        "6.9 A pair is cut at the first kv_delimiter, of a repeated key the last counts, and a value that is "
        "no number makes its side missing.",
        "ours",
        {
            "a repeated key": (
                KV,
                {"u": ("string", ["a:1\x1da:3"]), "x": ("string", ["a:2", "a\x1da:5"])},
                {"values": [[6.0], [15.0]]},
            ),
            "no number": (
                {**KV, "default_value": "9"},
                {"u": ("string", ["a:1"]), "x": ("string", ["a:x", "a:1:2", "a:2", "b:x\x1da:2"])},
                {"values": [[9.0], [9.0], [2.0], [9.0]]},
            ),
        },
    ),
    *rule(
        "4.2, 6.9 Where a side is missing the result is default_value, or 0.0, which is bucketized.",
        "test",
        {
            "a side is missing": (
                KV,
                {"u": ("string", ["a:1"]), "x": ("list<string>", [[], None, ["a"]])},
                {"values": [[0.0], [0.0], [1.0]]},
            ),
            "the other side is missing": (
                {**KV, "default_value": "0.5"},
                {"u": ("map<string,float32>", [()]), "x": ("string", ["a", ""])},
                {"values": [[0.5], [0.5]]},
            ),
            "a missing side has a bucket": (
                {**KV, "boundaries": [0, 1]},
                {"u": ("string", ["a:2"]), "x": ("string", ["", "a", "a:0.25", "a:-1", None])},
                {"values": [1, 2, 1, 0, 1], "lengths": [1] * 5},
            ),
            "a default with boundaries": (
                {**KV, "boundaries": [0, 1], "default_value": "5"},
                {"u": ("string", ["a:2"]), "x": ("string", ["", "a"])},
                {"values": [2, 2], "lengths": [1, 1]},
            ),
        },
    ),
    *rule(
        "5 The normalizer comes before the bucketizer, and not on defaults.",
        "ours",
        {
            "normalized": (
                {**KV, "normalizer": "method=minmax,min=0,max=10", "default_value": "9"},
                {"u": ("string", ["a:2"]), "x": ("string", ["a:5", ""])},
                {"values": [[1.0], [9.0]]},
            ),
        },
    ),
]
