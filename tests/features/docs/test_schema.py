"""The schema and the loader agree: what loads validates, and what does not validate does not load."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.cli.conftest import FEATURES
from tests.features.test_contract import EXAMPLES
from tests.markdown import ROOT

from recserve.errors import ConfigError
from recserve.features import config
from recserve.features.docs import key_meanings
from recserve.features.docs.schema import schema
from recserve.features.generator import Generator
from recserve.features.types import FEATURE_TYPES

SCHEMA = schema()
VALIDATOR = Draft202012Validator(SCHEMA)
ID = {"feature_type": "id_feature", "feature_name": "f", "expression": "item:x", "hash_bucket_size": 10}
RAW = {"feature_type": "raw_feature", "feature_name": "f", "expression": "item:x"}
MATCH = {
    "feature_type": "match_feature",
    "feature_name": "f",
    "user": "user:m",
    "category": "ALL",
    "item": "item:i",
    "hash_bucket_size": 9,
}


def member(feature: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"sequence_name": "s", "features": [{**feature, "default_value": "0"}], **keys}


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA


def fg_files() -> dict[str, dict[str, Any]]:
    """Every fg.json of the repository, those inside of other JSON included."""
    found = {"tests/cli": {"features": FEATURES}}
    for path in ROOT.glob("examples/*/fg.json"):
        found[str(path.relative_to(ROOT))] = json.loads(path.read_text())
    for path in (ROOT / "conformance").rglob("*.json"):
        content = json.loads(path.read_text())
        for case in content.get("cases", []) if isinstance(content, dict) else []:
            if "fg_config" in case:
                found[f"{path.name} {case.get('name', len(found))}"] = case["fg_config"]
    return found


@pytest.mark.parametrize(
    ("name", "content"), fg_files().items(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_the_files_of_the_repository_validate(name: str, content: dict[str, Any]) -> None:
    config.load(content, folder=ROOT) if name.startswith(("tests", "examples")) else None

    assert [error.message for error in VALIDATOR.iter_errors(content)] == []


@pytest.mark.parametrize("feature_type", sorted(EXAMPLES))
def test_an_example_of_every_type_validates_alone_and_in_a_group(feature_type: str) -> None:
    entry = {"feature_type": feature_type, "feature_name": "f", **EXAMPLES[feature_type][0]}
    for content in ({"features": [entry]}, {"features": [member(entry)]}):
        assert [error.message for error in VALIDATOR.iter_errors(content)] == []


@pytest.mark.parametrize(
    "entry",
    [
        {**ID, "value_dimension": 3, "default_value": 0},
        {**ID, "need_prefix": "True", "stub_type": 0},
        {**ID, "num_buckets": None, "vocab_list": None},
        {**ID, "hash_bucket_size": 2**63 - 1},
        {**ID, "value_type": "BIGINT"},
        {**ID, "value_type": ""},
        {**ID, "embedding_dim": 16, "anything": {"else": []}},
        {**ID, "hash_bucket_size": None, "vocab_list": ["a", 1, 2.5]},
        {**ID, "feature_type": "sequence_id_feature", "default_value": "0", "sequence_length": 5},
        {**RAW, "boundaries": [1, 2.5], "value_type": "Double", "default_value": 0.5},
        {**RAW, "expression": "const:a:b"},
        MATCH,
        {**MATCH, "matchType": "multihit", "needDiscrete": True, "show_item": "false"},
        member(RAW, sequence_pk="user:clicks", sequence_length=None),
    ],
    ids=json.dumps,
)
def test_what_loads_validates(entry: dict[str, Any]) -> None:
    Generator(config.load({"features": [entry]}))

    assert [error.message for error in VALIDATOR.iter_errors({"features": [entry]})] == []


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"features": {}},
        {"features": ["f"]},
        {"features": [{"feature_name": "f"}]},
        {"features": [{"feature_type": "id_feature"}]},
        *(
            {"features": [entry]}
            for entry in (
                {**ID, "feature_type": "ide_feature"},
                {**ID, "feature_name": ""},
                {**ID, "feature_name": 7},
                {**ID, "feature_name": "a" * 600},
                {**ID, "expression": "x"},
                {**ID, "expression": "itm:x"},
                {**ID, "expression": ["item:x"]},
                {**ID, "num_buckets": 5},
                {**ID, "hash_bucket_size": "10"},
                {**ID, "hash_bucket_size": 0},
                {**ID, "value_dim": -1},
                {**ID, "value_dim": 2**40},
                {**ID, "value_dim": "1"},
                {**ID, "value_type": "blob"},
                {**ID, "weighted": "maybe"},
                {**ID, "separator": "||"},
                {**ID, "hash_bucket_size": None, "vocab_list": "a,b"},
                {**ID, "hash_bucket_size": None, "vocab_dict": {"a": "1"}},
                {**ID, "hash_bucket_size": None, "vocab_list": ["a"], "default_bucketize_value": "x"},
                {**RAW, "boundaries": []},
                {**RAW, "boundaries": ["1"]},
                {**RAW, "normalizer": {}},
                {**RAW, "default_value": []},
                {**MATCH, "matchType": "some"},
                {**MATCH, "user": "ALL"},
                {"feature_type": "lookup_feature", "feature_name": "f", "map": "user:m"},
                {"feature_type": "combo_feature", "feature_name": "f", "expression": ["user:a", "b"]},
                {"feature_type": "combo_feature", "feature_name": "f", "expression": "user:a"},
                {
                    "feature_type": "expr_feature",
                    "feature_name": "f",
                    "expression": "a",
                    "variables": "user:a",
                },
                {"sequence_name": "s"},
                {"sequence_name": "", "features": []},
                {"sequence_name": "s", "features": ["f"]},
                member(RAW, sequence_pk="item:s"),
                member(RAW, sequence_length=-1),
                member({**RAW, "feature_type": "sequence_raw_feature"}),
                member({**RAW, "expression": "x"}),
            )
        ),
    ],
    ids=lambda content: json.dumps(content)[:80],
)
def test_what_does_not_validate_does_not_load(content: dict[str, Any]) -> None:
    assert list(VALIDATOR.iter_errors(content))

    with pytest.raises(ConfigError):
        Generator(config.load(content))


@pytest.mark.parametrize("feature_type", FEATURE_TYPES)
def test_every_key_has_a_sentence(feature_type: str) -> None:
    for key, known in key_meanings.keys_of(FEATURE_TYPES[feature_type]).items():
        assert known.sentence.endswith("."), key
    assert SCHEMA["$defs"][feature_type]["description"]


@pytest.mark.parametrize(
    ("entry", "key", "choices"),
    [
        (
            {"feature_type": "lookup_feature", "feature_name": "f", "map": "user:m", "key": "item:k"},
            "combiner",
            key_meanings.FIELDS["combiner"].choices,
        ),
        (MATCH, "matchType", key_meanings.FIELDS["match_type"].choices),
        (RAW, "value_type", set(key_meanings.FIELDS["value_type"].choices) - {"string"}),
    ],
)
def test_choices_are_those_of_the_loader(entry: dict[str, Any], key: str, choices: Any) -> None:
    for choice in choices:
        Generator(config.load({"features": [{**entry, key: choice}]}))
    with pytest.raises(ConfigError, match="known: "):
        Generator(config.load({"features": [{**entry, key: "nothing like it"}]}))
