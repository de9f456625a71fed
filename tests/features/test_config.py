from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve.columns import batch_from_arrow
from recserve.errors import ConfigError
from recserve.features import config
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.features.conftest import Generate

ID = {"feature_type": "id_feature", "feature_name": "f", "expression": "item:x", "hash_bucket_size": 10}
LOOKUP = {"feature_type": "lookup_feature", "feature_name": "f", "map": "user:m", "key": "item:k"}
MATCH = {
    "feature_type": "match_feature",
    "feature_name": "f",
    "user": "user:m",
    "category": "item:c",
    "item": "ALL",
}
EXPR = {"feature_type": "expr_feature", "feature_name": "f", "expression": "x + 1", "variables": ["item:x"]}
OVERLAP = {
    "feature_type": "overlap_feature",
    "feature_name": "f",
    "query": "user:q",
    "title": "item:t",
    "method": "is_equal",
}
RAW = {"feature_type": "raw_feature", "feature_name": "f", "expression": "item:x"}


def group(*members: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"sequence_name": "s", "features": list(members), **keys}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [{"feature_type": "overlapping_feature", "feature_name": "m"}],
            "feature 'm': unknown feature_type 'overlapping_feature'; known: id_feature, ",
        ),
        (
            [{"feature_type": "bm25_feature", "feature_name": "m"}],
            "feature 'm': feature_type 'bm25_feature' is not supported: what it computes is not public; ",
        ),
        (
            [{"feature_type": "sequence_str_replace", "feature_name": "m"}],
            "'sequence_str_replace' is not supported: what it computes is not public; take regex_replace_",
        ),
        ([{"feature_type": "id_feature"}], "a feature of type 'id_feature' has no feature_name"),
        ([{"feature_name": "f"}], "feature 'f': missing keys ['feature_type']"),
        (
            [{"feature_type": "lookup_feature", "feature_name": "f"}],
            "'f' (lookup_feature): missing keys ['map', 'key']",
        ),
        ([{**ID, "num_buckets": 3}], "has the bucketizers ['hash_bucket_size', 'num_buckets']"),
        ([{**ID, "hash_bucket_size": 0}], "hash_bucket_size 0 is not between 1 and 2^63-1"),
        ([{**ID, "hash_bucket_size": "10"}], "hash_bucket_size is '10'; an integer is wanted"),
        ([{**ID, "separator": "||"}], "separator '||' is not exactly one byte"),
        ([{**ID, "separator": "，"}], "separator '，' is not exactly one byte"),
        ([{**ID, "value_type": "blob"}], "unknown value_type 'blob'; known: bigint, double,"),
        ([{**ID, "value_dim": "x"}], "value_dim is 'x'; an integer is wanted"),
        ([{**ID, "expression": "x"}], "input 'x' is not side:name; known sides: user, item,"),
        ([{**ID, "expression": "feature:g"}], "reads the feature 'g', which fg.json does not have"),
        ([ID, ID], "feature names ['f'] are there twice"),
        ([group(), group()], "sequence group names ['s'] are there twice"),
        ([{**ID, "hash_bucket_size": None}], "its results are texts, and a model takes ids"),
        (
            [{**ID, "vocab_file": "nowhere.txt", "hash_bucket_size": None}],
            "vocab_file 'nowhere.txt': there is no such file in",
        ),
        (
            [{**ID, "hash_bucket_size": None, "num_buckets": 5, "default_value": "1|2"}],
            "feature 'f' (id_feature): default_value '1|2' is not a number, which its bucketizer needs",
        ),
        ([{**RAW, "default_value": "x"}], "default_value 'x' is not a number"),
        ([{**RAW, "boundaries": [2, 1]}], "boundaries must increase"),
        ([{**RAW, "value_type": "string"}], "value_type 'string' on a numeric feature"),
        ([{**RAW, "normalizer": "method=magic"}], "'f' (raw_feature):"),
        ([{**LOOKUP, "combiner": "median"}], "combiner 'median' is not known; known: sum, mean,"),
        ([{**MATCH, "matchType": "some"}], "unknown matchType 'some'; known: hit, multihit"),
        (
            [{**MATCH, "needDiscrete": True, "value_type": "float"}],
            "needDiscrete is true and value_type is numeric",
        ),
        ([{**EXPR, "expression": "x + y"}], "'f' (expr_feature):"),
        ([{**EXPR, "variables": ["item:x", "user:x"]}], "variables ['x'] are there twice"),
        ([{**ID, "feature_type": "combo_feature", "expression": ["user:x"]}], "expression has 1 inputs"),
        (
            [
                {
                    "feature_type": "combo_feature",
                    "feature_name": "f",
                    "expression": ["user:x", "item:y"],
                    "num_buckets": 3,
                }
            ],
            "num_buckets cannot be used here",
        ),
        ([group(ID)], "feature 's__f' (id_feature): a sequence needs a default_value"),
        ([group({**ID, "default_value": "0", "weighted": True})], "weighted ids have no place in a sequence"),
        ([group({**ID, "feature_type": "sequence_id_feature"})], "(in a group without the prefix sequence_)"),
        (
            [group({**OVERLAP, "title": "user:t"})],
            "'s__f' (overlap_feature): none of its inputs is a sequence; name them in sequence_fields",
        ),
        ([{**OVERLAP, "method": "same"}], "method 'same' is not known; known: query_common_ratio, title_"),
        ([group(sequence_pk="item:x")], "sequence group 's': sequence_pk 'item:x' is not on side user"),
        ([group(sequence_length=-1)], "sequence_length -1 is not a number of elements"),
        ([group(sequence_delim="")], "sequence_delim '' is not text"),
        (
            [group({**ID, "default_value": "0", "sequence_fields": ["y"]})],
            "sequence_fields ['y'] are not among its inputs",
        ),
        (
            [group({**LOOKUP, "key": "user:k", "default_value": "0"})],
            "feature 's__f' (lookup_feature): none of its inputs is a sequence; name them in sequence_fields",
        ),
        (
            [{**ID, "expression": "feature:g"}, {**ID, "feature_name": "g", "expression": "feature:f"}],
            "features read one another in a circle: f -> g -> f",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_name(entries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Generator(config.load({"features": entries}))

    assert message in str(error.value)


def test_other_spellings_of_a_key_are_read() -> None:
    feature = {
        **LOOKUP,
        "need_discrete": "true",
        "value_dimension": 2,
        "hash_bucket_size": 5,
        "unknown_key": 1,
    }

    record = config.load({"features": [feature], "reserves": ["label"], "more": {}}).features[0].type

    assert record.discrete
    assert record.value_dim == 2


def test_a_numeric_default_is_its_text(generate: Generate) -> None:
    assert generate({**RAW, "default_value": 0.5}, {"x": pa.array([None], pa.string())}) == {"values": [0.5]}


def test_files_are_read_beside_fg_json(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("zero\none\n\nthree 7\nbig apple\nnew york 9\r\n", encoding="utf-8")
    feature = {**ID, "hash_bucket_size": None, "vocab_file": "words.txt", "default_bucketize_value": 3}
    (tmp_path / "fg.json").write_text(json.dumps({"features": [feature]}), encoding="utf-8")

    buckets = config.load(tmp_path / "fg.json").features[0].type.buckets

    assert dict(zip(buckets.words, buckets.indices, strict=True)) == {
        "zero": 0,
        "one": 1,
        "three": 7,
        "big apple": 4,
        "new york": 9,
    }
    assert buckets.unknown == 3


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"vocab_list": ["a", "b", "a"]}, [2, 1, 0]),
        ({"vocab_list": ["a", "b"], "default_bucketize_value": 1}, [0, 1, 1]),
        ({"vocab_dict": {"a": 4, "b": 4}, "default_bucketize_value": 5}, [4, 4, 5]),
    ],
)
def test_words_have_their_last_index(generate: Generate, keys: dict[str, Any], expected: list[int]) -> None:
    feature = {**ID, "hash_bucket_size": None, **keys}

    assert generate(feature, {"x": ["a", "b", "z"]})["values"] == expected


def test_farm_hash_is_an_argument() -> None:
    farm = Generator(config.load({"features": [{**ID, "hash_bucket_size": 100}]}, farm_hash=True))
    murmur = Generator(config.load({"features": [{**ID, "hash_bucket_size": 100}]}))

    batch = batch_from_arrow({"x": pa.array(["abc"])})
    assert (farm.generate_joined(batch).ints[0], murmur.generate_joined(batch).ints[0]) == (85, 33)


def test_features_share_the_vocabulary_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("zero\none\n", encoding="utf-8")
    features = [
        {
            **ID,
            "feature_name": name,
            "hash_bucket_size": None,
            "vocab_file": "words.txt",
            "default_bucketize_value": k,
        }
        for k, name in enumerate("ab")
    ]

    first, second = config.load({"features": features}, folder=tmp_path).features

    assert first.type.buckets.vocabulary is second.type.buckets.vocabulary
