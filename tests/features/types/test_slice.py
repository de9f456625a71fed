from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from tests.features.conftest import Generate

WORDS = list("abcde")
SLICE: dict[str, Any] = {
    "feature_type": "slice_feature",
    "expression": "user:x",
    "vocab_list": [*WORDS, "none", "f_b"],
}
PLACES = [0, 1, 2, 4, 5, 6, 99, -1, -2, -5, -6, 2**63 - 1, -(2**63)]


@pytest.mark.parametrize("step", [1, 2, 5, 2**63 - 1])
@pytest.mark.parametrize("start", PLACES)
def test_places_are_counted_as_python_does(generate: Generate, start: int, step: int) -> None:
    for end in (None, *PLACES):
        feature = {**SLICE, "start": start, "end": end, "step": step}

        result = generate(feature, {"x": ["\x1d".join(WORDS)]})

        expected = [WORDS.index(word) for word in WORDS[start:end:step]]
        assert result == {"values": expected, "lengths": [len(expected)]}


@pytest.mark.parametrize(
    ("keys", "cell", "tokens"),
    [
        ({}, ["a", "b"], ["a", "b"]),
        ({"start": 1, "default_value": "none"}, "a", ["none"]),
        ({"start": 1, "default_value": "none"}, "", ["none"]),
        ({"start": 1}, "a", []),
        ({"start": 1, "end": 3, "need_prefix": True}, "a\x1db", ["f_b"]),
        ({"start": 1, "value_dim": 2}, "a\x1db\x1dc\x1dd", ["b", "c"]),
        ({"start": 1, "separator": ","}, "a,b", ["b"]),
    ],
)
def test_it_is_an_id_feature_otherwise(
    generate: Generate, keys: dict[str, Any], cell: Any, tokens: list[str]
) -> None:
    result = generate({**SLICE, **keys}, {"x": [cell]})

    assert result["values"] == [SLICE["vocab_list"].index(token) for token in tokens]


def test_integers_stay_integers(generate: Generate) -> None:
    feature = {**SLICE, "vocab_list": None, "num_buckets": 100, "start": -2}

    assert generate(feature, {"x": [[7, 8, 9]]})["values"] == [8, 9]


def test_every_element_of_a_sequence_is_a_list_of_its_own(generate: Generate) -> None:
    feature = {**SLICE, "start": 1, "default_value": "none", "group": {}}

    result = generate(feature, {"s__x": pa.array([["a\x1db\x1dc", "a", "d\x1de"]])})

    assert result == {"values": [1, 2, 5, 4], "key_lengths": [2, 1, 1], "lengths": [3]}


@pytest.mark.parametrize("step", [0, -1])
def test_a_step_goes_forward(generate: Generate, step: int) -> None:
    with pytest.raises(ConfigError, match=f"step {step} is not at least 1"):
        generate({**SLICE, "step": step}, {"x": ["a"]})
