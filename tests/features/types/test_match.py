from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve._core import murmur64a

if TYPE_CHECKING:
    from tests.features.conftest import Generate

MATCH = {"feature_type": "match_feature", "user": "user:m", "category": "item:c", "item": "item:i"}
TEXT = "k1^a:1,b:2|k2^a:3|bad|k3^x,y:7"


MAPS = [
    pa.array([TEXT]),
    pa.array([TEXT.split("|")]),
    pa.array([[("k1", "a:1,b:2"), ("k2", "a:3"), ("k3", "x,y:7")]], pa.map_(pa.string(), pa.string())),
]


@pytest.mark.parametrize(
    ("keys", "category", "item", "expected"),
    [
        ({}, "k1", "b", 2.0),
        ({}, "k2", "a", 3.0),
        ({}, "k3", "y", 7.0),
        ({}, "k3", "x", 9.0),
        ({}, "k2", "b", 9.0),
        ({}, "k9", "a", 9.0),
        ({}, "", "a", 9.0),
        ({}, "k1\x1dk2", "z\x1da", 1.0),
        ({"value_dim": 2}, "k1\x1dk2", "z\x1da", [1.0, 3.0]),
        ({"category": "ALL", "matchType": "multihit", "value_dim": 2}, "", "a", [1.0, 3.0]),
        ({"item": "ALL", "matchType": "multihit", "value_dim": 3}, "k1", "", [1.0, 2.0, 0.0]),
        ({"category": "ALL"}, "k1", "a", 9.0),
        ({"normalizer": "method=minmax,min=0,max=4"}, "k1", "b", 0.5),
    ],
)
def test_numbers_at_an_outer_and_an_inner_key(
    generate: Generate, keys: dict[str, Any], category: str, item: str, expected: float | list[float]
) -> None:
    feature = {**MATCH, "needDiscrete": False, "default_value": "9", **keys}

    for map_cell in MAPS:
        result = generate(feature, {"m": map_cell, "c": [category], "i": [item]})

        assert result == {"values": [expected]}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"category": "ALL"}, [5.0, 0.0, 0.0]),
        ({"item": "ALL"}, [0.0, 0.0, 0.0]),
        ({"category": "ALL", "item": "ALL"}, [6.0, 0.0, 0.0]),
        ({"category": "ALL", "matchType": "multihit"}, [2.0, 5.0, 0.0]),
        ({"item": "ALL", "matchType": "multihit"}, [1.0, 2.0, 0.0]),
        ({"category": "ALL", "item": "ALL", "matchType": "multihit"}, [1.0, 2.0, 3.0]),
    ],
)
def test_all_is_a_key_to_hit_and_every_key_to_multihit(
    generate: Generate, keys: dict[str, Any], expected: list[float]
) -> None:
    feature = {**MATCH, "needDiscrete": False, "value_dim": 3, **keys}

    result = generate(feature, {"m": [f"{TEXT}|ALL^b:5,ALL:6"], "c": ["k1"], "i": ["b"]})

    assert result == {"values": [expected]}


def test_a_value_is_text_so_its_normalizer_is_double(generate: Generate) -> None:
    feature = {**MATCH, "needDiscrete": False, "normalizer": "method=minmax,min=0.1,max=7.3"}

    result = generate(feature, {"m": ["k^a:0.5"], "c": ["k"], "i": ["a"]})

    assert result == {"values": [0.0555555522441864]}


HIDDEN = {"show_category": False, "show_item": False}


@pytest.mark.parametrize(
    ("keys", "category", "item", "tokens"),
    [
        (HIDDEN, "k1", "b", ["f_2"]),
        ({**HIDDEN, "need_prefix": False}, "k1", "b", ["2"]),
        ({"show_category": True, "show_item": True}, "k1", "b", ["f_k1_b_2"]),
        ({}, "k1", "b", ["f_k1_b_2"]),
        ({"matchType": "multihit"}, "k1", "b", ["f_2"]),
        ({"matchType": "multihit", "category": "ALL", "show_category": True}, "", "a", ["f_k1_1", "f_k2_3"]),
        ({**HIDDEN, "value_dim": 1}, "k1", "a\x1db", ["f_1"]),
        ({"default_value": "none"}, "k1", "z", ["none"]),
        ({}, "k1", "z", []),
    ],
)
def test_tokens_put_together_from_what_is_shown(
    generate: Generate, keys: dict[str, Any], category: str, item: str, tokens: list[str]
) -> None:
    feature = {**MATCH, "hash_bucket_size": 1000, **keys}

    result = generate(feature, {"m": [TEXT], "c": [category], "i": [item]})

    assert result == {"values": [murmur64a(token) % 1000 for token in tokens], "lengths": [len(tokens)]}


def test_the_default_prefix_is_hashed_along(generate: Generate) -> None:
    feature = {**MATCH, **HIDDEN, "feature_name": "match_feat", "hash_bucket_size": 100}

    result = generate(feature, {"m": ["k1^a:1"], "c": ["k1"], "i": ["a"]})

    assert result == {"match_feat.values": [71], "match_feat.lengths": [1]}


def test_num_buckets_reads_the_bare_value(generate: Generate) -> None:
    result = generate({**MATCH, "num_buckets": 10}, {"m": [TEXT], "c": ["k1"], "i": ["b"]})

    assert result == {"values": [2], "lengths": [1]}


@pytest.mark.parametrize(("words", "expected"), [(["2", "f_2"], 1), (["2"], 0), (["x"], 7)])
def test_a_vocabulary_knows_the_full_token_or_the_bare_value(
    generate: Generate, words: list[str], expected: int
) -> None:
    feature = {**MATCH, **HIDDEN, "vocab_list": words, "default_bucketize_value": 7}

    result = generate(feature, {"m": [TEXT], "c": ["k1"], "i": ["b"]})

    assert result["values"] == [expected]
