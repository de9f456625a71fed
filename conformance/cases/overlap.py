"""overlap_feature: what a query and a title have in common."""

from conformance.cases.case import OVERLAP, Case, Columns, rule

ABCD: Columns = {"u": ("string", ["b\x1dc"]), "x": ("string", ["a\x1db\x1dc\x1dd"])}
TITLES: Columns = {
    "u": ("string", ["a\x1db"]),
    "x": ("list<string>", [["a", "b"], ["b", "a"], ["a", "x", "b"], ["x"], ["c", "a", "b", "a"], ["b", "b"]]),
}
METHODS = (
    *("query_common_ratio", "title_common_ratio", "is_contain", "is_equal", "index_of"),
    *("proximity_min_cover", "proximity_min_dist", "proximity_max_dist", "proximity_avg_dist"),
)


def of(method: str, **keys: object) -> dict[str, object]:
    """An overlap by `method`."""
    return {**OVERLAP, "method": method, **keys}


CASES: list[Case] = [
    *rule(
        "6.7 query_common_ratio: the share of the query's tokens that are in the title. title_common_ratio: "
        "the common tokens in proportion to the title.",
        "test",
        {
            "query_common_ratio": (
                of("query_common_ratio"),
                TITLES,
                {"values": [[1.0], [1.0], [1.0], [0.0], [1.0], [0.5]]},
            ),
            "title_common_ratio": (
                of("title_common_ratio"),
                {"u": ("string", ["a\x1db"]), "x": ("string", ["a\x1db", "a\x1dx\x1dy\x1db", "x"])},
                {"values": [[1.0], [0.5], [0.0]]},
            ),
        },
    ),
    *rule(
        "6.7 is_equal: the lists are the same. is_contain: the query stands in the title without a gap. "
        "index_of: where it starts, from 0, or -1.",
        "inferred",
        {
            "is_equal": (of("is_equal"), TITLES, {"values": [[1.0], [0.0], [0.0], [0.0], [0.0], [0.0]]}),
            "is_contain": (of("is_contain"), TITLES, {"values": [[1.0], [0.0], [0.0], [0.0], [1.0], [0.0]]}),
            "index_of": (of("index_of"), TITLES, {"values": [[0.0], [-1.0], [-1.0], [-1.0], [1.0], [-1.0]]}),
            "index_of in the middle": (of("index_of"), ABCD, {"values": [[1.0]]}),
            "a query longer than its title": (
                of("index_of"),
                {"u": ("string", ["a\x1db\x1dc"]), "x": ("string", ["a\x1db"])},
                {"values": [[-1.0]]},
            ),
        },
    ),
    *rule(
        "6.7 proximity_min_cover: the shortest window of the title that has all tokens of the query.",
        "test",
        {"min_cover of neighbours": (of("proximity_min_cover"), ABCD, {"values": [[2.0]]})},
        recorded=True,
    ),
    *rule(
        "6.7 proximity_min_cover is 0 where a token of the query is not in the title.",
        "test",
        {
            "min_cover": (
                of("proximity_min_cover"),
                TITLES,
                {"values": [[2.0], [2.0], [3.0], [0.0], [2.0], [0.0]]},
            ),
        },
    ),
    *rule(
        "6.7 proximity_*_dist: the least distance of each pair of query tokens, then min, max or mean.",
        "test",
        {
            f"{method} of neighbours": (of(method), ABCD, {"values": [[1.0]]})
            for method in ("proximity_min_dist", "proximity_max_dist", "proximity_avg_dist")
        },
        recorded=True,
    ),
    *rule(
        "6.7 Distances of more than one pair; where fewer than two tokens occur the distance is the title's "
        "length + 1, but 0 for a query of one distinct token that occurs.",
        "ours",
        {
            "min of three pairs": (
                of("proximity_min_dist"),
                {"u": ("string", ["a\x1db\x1dc"]), "x": ("string", ["a\x1dx\x1dx\x1db\x1dc"])},
                {"values": [[1.0]]},
            ),
            "max of three pairs": (
                of("proximity_max_dist"),
                {"u": ("string", ["a\x1db\x1dc"]), "x": ("string", ["a\x1dx\x1dx\x1db\x1dc"])},
                {"values": [[4.0]]},
            ),
            "mean of three pairs": (
                of("proximity_avg_dist"),
                {"u": ("string", ["a\x1db\x1dc"]), "x": ("string", ["a\x1dx\x1dx\x1db\x1dc", "c\x1db\x1da"])},
                {"values": [[float.fromhex("0x1.555556p+1")], [float.fromhex("0x1.555556p+0")]]},
            ),
            "one of two tokens occurs": (
                of("proximity_min_dist"),
                {"u": ("string", ["a\x1db"]), "x": ("string", ["a\x1dx\x1dy", "x"])},
                {"values": [[4.0], [2.0]]},
            ),
            "a query of one token": (
                of("proximity_max_dist"),
                {"u": ("string", ["a\x1da"]), "x": ("string", ["x\x1da\x1da"])},
                {"values": [[0.0]]},
            ),
        },
    ),
    *rule(
        "6.7 Duplicates: query_common_ratio counts each occurrence in the query, title_common_ratio distinct "
        "common tokens over all of the title.",
        "ours",
        {
            "duplicates in the query": (
                of("query_common_ratio"),
                {"u": ("string", ["a\x1da\x1db\x1dc"]), "x": ("string", ["a", "b\x1da"])},
                {"values": [[0.5], [0.75]]},
            ),
            "duplicates in the title": (
                of("title_common_ratio"),
                {"u": ("string", ["a\x1db"]), "x": ("string", ["a\x1da\x1da\x1dx", "a\x1db\x1da\x1db"])},
                {"values": [[0.25], [0.5]]},
            ),
        },
    ),
    *rule(
        "4.2, 6.7 Where a side is missing the result is default_value, or 0.0, which is bucketized.",
        "test",
        {
            "a side is missing": (
                of("is_equal"),
                {"u": ("string", [""]), "x": ("string", ["a", ""])},
                {"values": [[0.0], [0.0]]},
            ),
            "a side is missing, with default": (
                of("query_common_ratio", default_value="0.25"),
                {"u": ("string", ["a"]), "x": ("list<string>", [[], None, ["a"]])},
                {"values": [[0.25], [0.25], [1.0]]},
            ),
            "a missing side has a bucket": (
                of("index_of", boundaries=[-0.5, 0.5]),
                {"u": ("string", ["a"]), "x": ("string", ["", "a", "b\x1da", "b", None])},
                {"values": [1, 1, 2, 0, 1], "lengths": [1] * 5},
            ),
        },
    ),
    *rule(
        "2.2 Both sides are cut at \\x1d and at `separator`; numbers are their text.",
        "ours",
        {
            "another separator": (
                of("query_common_ratio", separator=","),
                {"u": ("string", ["a,b\x1dc"]), "x": ("string", ["c,b"])},
                {"values": [[float.fromhex("0x1.555556p-1")]]},
            ),
            "numbers and text": (
                of("is_equal"),
                {"u": ("list<int64>", [[1, 2]]), "x": ("string", ["1\x1d2", "2\x1d1"])},
                {"values": [[1.0], [0.0]]},
            ),
            **{
                f"{method} of one token": (
                    of(method),
                    {"u": ("int32", [7]), "x": ("list<int64>", [[7], [8]])},
                )
                for method in METHODS
            },
        },
    ),
]
