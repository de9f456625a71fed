"""regex_replace_feature: tokens, defaults, sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from tests.features.conftest import Generate

WORDS = ["red", "tan", "blue", "7"]
FEATURE = {
    "feature_type": "regex_replace_feature",
    "expression": "item:x",
    "regex_pattern": "-.*",
    "replacement": "",
    "vocab_list": WORDS,
    "default_bucketize_value": 9,
}


@pytest.mark.parametrize(
    ("keys", "cell", "expected"),
    [
        ({}, pa.array(["red-1\x1dtan-2"]), [0, 1]),
        ({"separator": "|"}, pa.array(["red-1|tan-2"]), [0, 1]),
        ({}, pa.array([["red-1", "blue"]]), [0, 2]),
        ({"value_dim": 1}, pa.array(["red-1\x1dtan-2"]), [0]),
        ({}, pa.array([7]), [3]),
        ({"regex_pattern": ["r", "d"]}, pa.array(["rtand"]), [1]),
        ({"regex_pattern": "^R", "replacement": "r", "icase": True}, pa.array(["Red"]), [0]),
        ({"regex_pattern": "x", "replace_all": False}, pa.array(["xred", "xxred"]), [0, 9]),
        ({}, pa.array(["-x\x1dred"]), [0]),  # a token that becomes empty is none
        ({"default_value": "tan"}, pa.array(["-x"]), [1]),
        ({"default_value": "tan"}, pa.array([None], pa.string()), [1]),
        ({"default_value": "tan-1"}, pa.array([""]), [9]),  # the default is not rewritten
    ],
)
def test_each_token_is_rewritten(
    generate: Generate, keys: dict[str, Any], cell: pa.Array, expected: list[int]
) -> None:
    assert generate({**FEATURE, **keys}, {"x": cell})["values"] == expected


def test_a_group_rewrites_each_element(generate: Generate) -> None:
    feature = {**FEATURE, "default_value": "blue", "value_dim": 1, "group": {}}

    result = generate(feature, {"s__x": ["red-1;;tan-2\x1dred", None]})

    assert result == {"values": [0, 2, 1, 2], "lengths": [3, 1]}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"regex_pattern": "a("},
            r"feature 'f' \(regex_replace_feature\): regex_pattern 'a\(' is",
        ),
        ({"regex_pattern": []}, "regex_pattern is empty"),
        ({"regex_pattern": {}}, "regex_pattern is {}; text or a list of texts is wanted"),
        ({"replacement": r"\1"}, "replacement"),
    ],
)
def test_what_is_refused_at_load(generate: Generate, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generate({**FEATURE, **keys}, {"x": ["a"]})
