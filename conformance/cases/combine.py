"""combine_feature: one number of many."""

from conformance.cases.case import COMBINE, HASH, Case, Columns, rule

NUMBERS: Columns = {"x": ("list<float64>", [[1.0, 2.0, 6.0], [], None, [-1.5]])}
WORDS: Columns = {"x": ("string", ["a\x1db", "c\x1da", "c", ""])}
MAP = {"value_map": {"a": 1, "b": 2.5}}
COMBINERS = ("sum", "mean", "avg", "min", "max", "count", "gap_min", "gap_max")

CASES: list[Case] = [
    *rule(
        "6.11 Tokens are parsed, or looked up in value_map; then the combiner makes one number of them.",
        "test",
        {
            "the sum of numbers": (COMBINE, NUMBERS, {"values": [[9.0], [0.0], [0.0], [-1.5]]}),
            "the sum of texts": (
                COMBINE,
                {"x": ("string", ["1\x1d2.5", "3", ""])},
                {"values": [[3.5], [3.0], [0.0]]},
            ),
            "the mean of mapped words": (
                {**COMBINE, **MAP, "combiner": "mean"},
                {"x": ("string", ["a\x1db", "b"])},
                {"values": [[1.75], [2.5]]},
            ),
            "mapped integers": (
                {**COMBINE, "value_map": {"1": 10, "2": 20}},
                {"x": ("list<int64>", [[1, 2], [2]])},
                {"values": [[30.0], [20.0]]},
            ),
            "num_buckets truncates a mean": (
                {**COMBINE, **MAP, "combiner": "mean", "num_buckets": 10},
                {"x": ("string", ["a\x1db", "b"])},
                {"values": [1, 2], "lengths": [1, 1]},
            ),
        },
    ),
    *rule(
        "6.11 Words that the map lacks are skipped; with none left the result is missing.",
        "ours",
        {
            "unknown words": ({**COMBINE, **MAP}, WORDS, {"values": [[3.5], [1.0], [0.0], [0.0]]}),
            "unknown words with default": (
                {**COMBINE, **MAP, "default_value": "7"},
                WORDS,
                {"values": [[3.5], [1.0], [7.0], [7.0]]},
            ),
            "unknown words with boundaries": (
                {**COMBINE, **MAP, "boundaries": [1, 2]},
                WORDS,
                {"values": [2, 1], "lengths": [1, 1, 0, 0]},
            ),
            "text that is no number": (
                {**COMBINE, "default_value": "7"},
                {"x": ("string", ["1\x1db", "2"])},
                {"values": [[7.0], [2.0]]},
            ),
            "cut at a separator": (
                {**COMBINE, **MAP, "separator": ","},
                {"x": ("string", ["a,b\x1da"])},
                {"values": [[4.5]]},
            ),
        },
    ),
    *rule(
        "6.4, 6.11 The combiners are those of lookup_feature.",
        "ours",
        {
            **{
                f"{combiner} of numbers": ({**COMBINE, "combiner": combiner}, NUMBERS)
                for combiner in COMBINERS
            },
            **{
                f"{combiner} of words": ({**COMBINE, **MAP, "combiner": combiner}, WORDS)
                for combiner in COMBINERS
            },
        },
    ),
    *rule(
        "5 Normalizer, then bucketizer.",
        "ours",
        {
            "normalized": ({**COMBINE, "normalizer": "method=minmax,min=0,max=9"}, NUMBERS),
            "normalized and bucketized": (
                {**COMBINE, "normalizer": "method=log10", "boundaries": [0.5]},
                NUMBERS,
            ),
            "an integer": (
                {**COMBINE, "value_type": "int64", "combiner": "mean", "default_value": "2"},
                NUMBERS,
            ),
            "hash of the number": (
                {**COMBINE, **HASH},
                {"x": ("list<int32>", [[4, 6], [0], []])},
                {"values": [39, 0], "lengths": [1, 1, 0]},
            ),
        },
    ),
]
