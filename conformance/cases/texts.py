"""regex_replace_feature and text_normalizer: texts from texts."""

from conformance.cases.case import HASH, NORMALIZE, REGEX, Case, rule
from tests.features.referee.hashing import hashed

WORD = ("string", ["a|b#c(d)"])


def replace(pattern: object, replacement: str, **keys: object) -> dict[str, object]:
    """A regex_replace_feature."""
    return {**REGEX, "regex_pattern": pattern, "replacement": replacement, **keys}


def steps(parameter: int, **keys: object) -> dict[str, object]:
    """A text_normalizer."""
    return {**NORMALIZE, "parameter": parameter, **keys}


REGEX_CASES: list[Case] = [
    *rule(
        "6.12 Several patterns are alternatives in one pass; without replace_all the first match only.",
        "test",
        {
            "three patterns": (
                replace([r"\|", "#", r"\(.*\)"], ""),
                {"x": WORD},
                {"tokens": [["abc"]]},
            ),
            "the first match": (
                replace(r"[|#]", "_", replace_all=False),
                {"x": WORD},
                {"tokens": [["a_b#c(d)"]]},
            ),
            "every match": (replace(r"[|#]", "_"), {"x": WORD}, {"tokens": [["a_b_c(d)"]]}),
            "bucketized behind": (
                replace(r"\d+", "N", **HASH),
                {"x": ("string", ["a12b3", "c", ""])},
                {"values": hashed("aNbN", "c"), "lengths": [1, 1, 0]},
            ),
            "the dot is a character": (
                replace("中.", "X"),
                {"x": ("string", ["中文a", "中é"])},
                {"tokens": [["Xa"], ["X"]]},
            ),
            "(?s) lets the dot match a line end": (
                replace("(?s)a.b", "X"),
                {"x": ("string", ["a\nb"])},
                {"tokens": [["X"]]},
            ),
            "without (?s) it does not": (
                replace("a.b", "X"),
                {"x": ("string", ["a\nb", "a-b"])},
                {"tokens": [["a\nb"], ["X"]]},
            ),
        },
    ),
    *rule(
        r"6.12 \1 is a group, \0 the match; icase folds case.",
        "doc",
        {
            "a group": (
                replace(r"(\w)-(\w)", r"\2-\1"),
                {"x": ("string", ["a-b", "ab"])},
                {"tokens": [["b-a"], ["ab"]]},
            ),
            "the whole match": (
                replace(r"\d+", r"<\0>"),
                {"x": ("string", ["a12"])},
                {"tokens": [["a<12>"]]},
            ),
            "icase": (replace("ab", "x", icase=True), {"x": ("string", ["ABabAb"])}, {"tokens": [["xxx"]]}),
            "case counts": (replace("ab", "x"), {"x": ("string", ["ABabAb"])}, {"tokens": [["ABxAb"]]}),
            "an anchor": (replace("^a", "x"), {"x": ("string", ["aab"])}, {"tokens": [["xab"]]}),
        },
    ),
    *rule(
        "6.12 Each token is replaced by itself; a default is not.",
        "test",
        {
            "each token": (
                replace("a", "x"),
                {"x": ("string", ["ab\x1dba", "c"])},
                {"tokens": [["xb", "bx"], ["c"]]},
            ),
            "an array": (
                replace("a", "x"),
                {"x": ("list<string>", [["ab", "c"], []])},
                {"tokens": [["xb", "c"], []]},
            ),
            "integers": (replace("1", "x"), {"x": ("int64", [121, None])}, {"tokens": [["x2x"], []]}),
            "a default": (
                replace("a", "x", default_value="a"),
                {"x": ("string", ["", "a"])},
                {"tokens": [["a"], ["x"]]},
            ),
        },
    ),
    *rule(
        "6.12 A token of which nothing is left is dropped.",
        "ours",
        {
            "nothing left of a token": (
                replace("a", "", default_value="none"),
                {"x": ("string", ["a\x1dba", "aa", ""])},
                {"tokens": [["b"], ["none"], ["none"]]},
            ),
        },
    ),
    *rule(
        "5 value_dim and prefix come behind the replacement.",
        "ours",
        {
            "value_dim": (
                replace("a", "x", value_dim=1),
                {"x": ("string", ["ab\x1dba"])},
                {"tokens": [["xb"]]},
            ),
            "a prefix": (
                replace("f", "x", need_prefix=True),
                {"x": ("string", ["fg"])},
                {"tokens": [["f_xg"]]},
            ),
            "a vocabulary": (
                replace(r"\s", "", vocab_list=["ab", "c"], default_bucketize_value=9),
                {"x": ("string", ["a b", "c ", "d"])},
                {"values": [0, 1, 9], "lengths": [1, 1, 1]},
            ),
        },
    ),
    *rule(
        "7.4 As a sequence it is written with is_sequence.",
        "seen",
        {
            "a sequence": (
                replace("a", "x", is_sequence=True, default_value="0", value_dim=1, **HASH),
                {"x": ("string", ["ab;;ba", ""])},
                {"values": hashed("xb", "0", "bx", "0"), "lengths": [3, 1]},
            ),
        },
    ),
]

NORMALIZER_CASES: list[Case] = [
    *rule(
        "6.8 The bits: 2 to upper case, 4 to lower case, 8 full width to half width, 16 traditional to "
        "simplified, 32 drop special characters, 512 a space beside Chinese characters.",
        "json",
        {
            "upper case": (steps(2), {"x": ("string", ["aBc1", "é"])}, {"tokens": [["ABC1"], ["É"]]}),
            "lower case": (steps(4), {"x": ("string", ["aBc1", "É"])}, {"tokens": [["abc1"], ["é"]]}),
            "half width": (
                steps(8),
                {"x": ("string", ["ＡＢＣ１２３，ｘ", "　"])},
                {"tokens": [["ABC123,x"], [" "]]},
            ),
            "simplified": (
                steps(16),
                {"x": ("string", ["國漢abc", "学"])},
                {"tokens": [["国汉abc"], ["学"]]},
            ),
            "nothing": (steps(0), {"x": ("string", ["aB，國!"])}, {"tokens": [["aB，國!"]]}),
            "upper case and half width": (steps(10), {"x": ("string", ["ａｂｃ"])}, {"tokens": [["ABC"]]}),
        },
    ),
    *rule(
        "6.8 Without parameter it is 2 + 8 + 16 + 32.",
        "doc",
        {"the usual steps": (NORMALIZE, {"x": ("string", ["ａb-國!", ""])}, {"tokens": [["AB国"], []]})},
    ),
    *rule(
        "6.8 A text of more than max_length is not touched.",
        "seen",
        {
            "max_length": (
                steps(2, max_length=3),
                {"x": ("string", ["abc", "abcd", "中文a"])},
                {"tokens": [["ABC"], ["abcd"], ["中文A"]]},
            ),
        },
    ),
    *rule(
        "6.8 Special characters are Unicode's punctuation and symbols. Steps in order: width, case, "
        "traditional, filter, spaces, split. A text of which nothing is left is missing.",
        "ours",
        {
            "filter": (
                steps(32),
                {"x": ("string", ["a-b_c, d!", "中，文。", "1+1=2€"])},
                {"tokens": [["abc d"], ["中文"], ["112"]]},
            ),
            "nothing left": (
                steps(32, default_value="none"),
                {"x": ("string", ["...", "a"])},
                {"tokens": [["none"], ["a"]]},
            ),
            "full width is filtered behind width": (
                steps(40),
                {"x": ("string", ["ａ，ｂ"])},
                {"tokens": [["ab"]]},
            ),
            "without spaces": (
                steps(0, remove_space=True),
                {"x": ("string", ["a b  c"])},
                {"tokens": [["abc"]]},
            ),
            "split": (
                steps(512),
                {"x": ("string", ["中文abc", "a中", "abc d"])},
                {"tokens": [["中 文 abc"], ["a 中"], ["abc d"]]},
            ),
            "spaces go before the split": (
                steps(512, remove_space=True),
                {"x": ("string", ["中 文a b"])},
                {"tokens": [["中 文 ab"]]},
            ),
            "bucketized behind": (
                steps(2, **HASH),
                {"x": ("string", ["a", "A"])},
                {"values": hashed("A", "A"), "lengths": [1, 1]},
            ),
            "a default is not normalized": (
                steps(2, default_value="a"),
                {"x": ("string", [None])},
                {"tokens": [["a"]]},
            ),
        },
    ),
]
