from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from tests.features.conftest import Generate

OVERLAP = {"feature_type": "overlap_feature", "query": "user:q", "title": "item:t"}


def overlap(generate: Generate, method: str, query: str, title: str) -> float:
    """Of two lists of one-letter tokens."""
    cells = {"q": [list(query)], "t": [list(title)]}
    return float(generate({**OVERLAP, "method": method}, cells)["values"][0])


@pytest.mark.parametrize(
    ("method", "query", "title", "expected"),
    [
        (
            "query_common_ratio",
            ["abc\x1defg", "abc\x1defg", "", None],
            ["abc\x1dqwe\x1drty\x1duio", "abc\x1defg\x1drty", "", None],
            [0.5, 1.0, 0.0, 0.0],
        ),
        (
            "query_common_ratio",
            [["abc", "defg"], ["abc", "efg"], [], None],
            [["abc", "qwe", "rty", "uio"], ["abc", "efg", "rty"], [], None],
            [0.5, 1.0, 0.0, 0.0],
        ),
        (
            "title_common_ratio",
            ["abc\x1defg", "abc\x1defg", "", None],
            ["abc\x1dqwe\x1drty\x1duio", "abc", "", None],
            [0.25, 1.0, 0.0, 0.0],
        ),
        (
            "is_contain",
            ["abc\x1defg", "abc\x1defg", "", None],
            ["abc\x1dqwe\x1drty\x1duio", "abc\x1defg\x1drty", "", None],
            [0.0, 1.0, 0.0, 0.0],
        ),
        (
            "is_equal",
            ["abc\x1defg", "abc\x1defg", "", None],
            ["abc\x1defg\x1drty", "abc\x1defg", "", None],
            [0.0, 1.0, 0.0, 0.0],
        ),
    ],
)
def test_the_cases_of_the_training_side(
    generate: Generate, method: str, query: list[Any], title: list[Any], expected: list[float]
) -> None:
    assert generate({**OVERLAP, "method": method}, {"q": query, "t": title}) == {"values": expected}


@pytest.mark.parametrize(
    ("method", "query", "title", "expected"),
    [
        ("query_common_ratio", "aab", "ac", 2 / 3),  # as often as it stands in the query
        ("query_common_ratio", "ab", "aaaa", 0.5),
        ("query_common_ratio", "ab", "xyz", 0.0),
        ("title_common_ratio", "aab", "aabb", 0.5),  # distinct
        ("title_common_ratio", "ab", "xyz", 0.0),
        ("is_contain", "ac", "abc", 0.0),  # without a gap
        ("is_contain", "ba", "abc", 0.0),  # in order
        ("is_contain", "aab", "aaab", 1.0),
        ("is_contain", "ax", "aba", 0.0),
        ("is_contain", "abc", "ab", 0.0),
        ("is_equal", "ab", "ba", 0.0),
        ("is_equal", "aa", "aa", 1.0),
        ("is_equal", "x", "y", 0.0),
        ("index_of", "bc", "abcbc", 1.0),
        ("index_of", "abab", "abaabab", 3.0),
        ("index_of", "a", "a", 0.0),
        ("index_of", "ac", "abc", -1.0),
        ("proximity_min_cover", "bc", "abcd", 2.0),
        ("proximity_min_cover", "ac", "abcd", 3.0),
        ("proximity_min_cover", "aca", "axcxxca", 2.0),  # duplicates in the query count once
        ("proximity_min_cover", "ax", "abcd", 0.0),
        ("proximity_min_cover", "b", "abcd", 1.0),
        ("proximity_min_dist", "bc", "abcd", 1.0),
        ("proximity_max_dist", "bc", "abcd", 1.0),
        ("proximity_avg_dist", "bc", "abcd", 1.0),
        ("proximity_min_dist", "adz", "abcd", 3.0),  # z does not occur
        ("proximity_min_dist", "abd", "axbxxxd", 2.0),
        ("proximity_max_dist", "abd", "axbxxxd", 6.0),
        ("proximity_avg_dist", "abd", "axbxxxd", 4.0),
        ("proximity_max_dist", "ab", "bxxxabxxa", 1.0),  # the smallest of a pair's distances
        ("proximity_min_dist", "xy", "abcd", 5.0),  # none occurs
        ("proximity_min_dist", "ay", "abcd", 5.0),  # one of two
        ("proximity_min_dist", "x", "abcd", 5.0),
        ("proximity_min_dist", "a", "abcd", 0.0),  # one token, which is there
        ("proximity_avg_dist", "aa", "abcda", 0.0),
    ],
)
def test_a_method_on_one_row(
    generate: Generate, method: str, query: str, title: str, expected: float
) -> None:
    assert overlap(generate, method, query, title) == pytest.approx(expected, rel=1e-7)


METHODS = [
    "query_common_ratio",
    "title_common_ratio",
    "is_contain",
    "is_equal",
    "index_of",
    "proximity_min_cover",
    "proximity_min_dist",
    "proximity_max_dist",
    "proximity_avg_dist",
]


@pytest.mark.parametrize("method", METHODS)
def test_whichever_side_stands_for_all_rows_the_result_is_the_same(generate: Generate, method: str) -> None:
    lists = ["ab", "ba", "aab", "xay", "b", "bxa", "zz", "abab", "xy", ""]
    for one in lists:
        cells = [list(text) for text in lists]
        for constant, other in (("q", "t"), ("t", "q")):
            repeated = {constant: [list(one)] * len(lists), other: cells}
            once = {**repeated, constant: [list(one)]}

            expected = generate({**OVERLAP, "method": method}, repeated)

            assert generate({**OVERLAP, "method": method}, once) == expected


def test_numbers_compare_as_text_and_text_is_cut_at_the_separator(generate: Generate) -> None:
    feature = {**OVERLAP, "method": "query_common_ratio", "separator": ","}

    assert generate(feature, {"q": ["1,2\x1d3"], "t": [[3, 2]]}) == {"values": [pytest.approx(2 / 3)]}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"boundaries": [0.25, 0.75]}, {"values": [1, 2, 0, 0], "lengths": [1, 1, 1, 1]}),
        ({"boundaries": [0.25, 0.75], "default_value": "0.5"}, {"values": [1, 2, 1, 1], "lengths": [1] * 4}),
        ({"default_value": "0.5"}, {"values": [0.5, 1.0, 0.5, 0.5]}),
        (
            {"normalizer": "method=minmax,min=0,max=2", "default_value": "9"},
            {"values": [0.25, 0.5, 9.0, 9.0]},
        ),
        (
            {"value_dim": 2, "default_value": "9"},
            {"values": [[0.5, 0.0], [1.0, 0.0], [9.0, 9.0], [9.0, 9.0]]},
        ),
    ],
)
def test_a_row_always_has_a_number(
    generate: Generate, keys: dict[str, Any], expected: dict[str, Any]
) -> None:
    feature = {**OVERLAP, "method": "query_common_ratio", **keys}
    cells = {
        "q": ["abc\x1defg", "abc\x1defg", "", None],
        "t": ["abc\x1dqwe\x1drty\x1duio", "abc\x1defg\x1drty", "a", None],
    }

    assert generate(feature, cells) == expected


def test_a_sequence_needs_no_default(generate: Generate) -> None:
    cells = {"q": ["a\x1db", "a"], "t": ["a;;b\x1da;c", ""]}
    feature = {**OVERLAP, "method": "query_common_ratio", "feature_type": "sequence_overlap_feature"}

    assert generate(feature, cells) == {"values": [0.5, 0.0, 1.0, 0.0, 0.0], "lengths": [4, 1]}
    buckets = generate({**feature, "boundaries": [0.25, 0.75]}, cells)
    assert buckets == {"values": [1, 0, 2, 0, 0], "lengths": [4, 1]}


def test_a_member_of_a_group_meets_the_query_with_every_element(generate: Generate) -> None:
    feature = {**OVERLAP, "method": "index_of", "group": {"sequence_delim": "|"}}

    result = generate(feature, {"q": ["b"], "s__t": pa.array([["a\x1db", "b", "c"]])})

    assert result == {"values": [1.0, 0.0, -1.0], "lengths": [3]}


def test_an_unknown_method_is_refused(generate: Generate) -> None:
    with pytest.raises(
        ConfigError, match=r"'f' \(overlap_feature\): method 'bm25' is not known; known: query_"
    ):
        generate({**OVERLAP, "method": "bm25"}, {"q": ["a"], "t": ["a"]})
