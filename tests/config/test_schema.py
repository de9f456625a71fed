"""The JSON Schema of the service file: the samples fit, and what it refuses is refused at start."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from tests.config.test_contradictions import FINE
from tests.config.test_contradictions import WARNINGS as ALLOWED
from tests.config.test_service import (
    ITEMS,
    PROCESSOR_PAGE_BYPASS,
    PROCESSOR_PAGE_NORMAL,
    REQUEST_LOG,
    TORCHEASYREC_DOCS,
    WARM_UP,
)

from recserve.config import hosted_keys
from recserve.config.schema import schema
from recserve.config.sections import SECTIONS
from recserve.config.service import load
from recserve.config.settings import settings
from recserve.errors import ConfigError

SCHEMA = schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


FITTING: list[dict[str, Any]] = [
    TORCHEASYREC_DOCS,
    PROCESSOR_PAGE_NORMAL,
    PROCESSOR_PAGE_BYPASS,
    {"model_config": REQUEST_LOG},
    {"model_config": {**ITEMS, **WARM_UP}},
    {"model_config": {**ITEMS, "tables": ITEMS["tables"][0]}},
    {"model_config": json.dumps(ITEMS)},
    {"metadata": {"rpc": {"keepalive": "300", "rate_limit": "2.5", "batching": "1"}}},
    {"metadata.rpc.keepalive": 300, "metadata": None, "model_config": None, "processor_envs": None},
    {"metadata": {"rpc": {"keepalive": "${BUDGET}", "batching": "file:batching"}}},
    {"token": ["${A}", "b"], "admin_token": "c", "metadata": {"rpc": {"admin_port": 0}}},
    {"model_config": {"fg_mode": "${MODE}", "outputs": ["a"], "pass_through_data": {"version": 7}}},
    {"processor_envs": {"name": "INPUT_TILE", "value": 0}},
    *FINE,
    *(values for values, _ in ALLOWED.values()),
]


@pytest.mark.parametrize("values", FITTING, ids=str)
def test_what_starts_fits(values: dict[str, Any]) -> None:
    VALIDATOR.validate(values)


WRONG: list[dict[str, Any]] = [
    {"metadata": {"rpc": {"keepalive": 0}}},
    {"metadata": {"rpc": {"keepalive": "soon"}}},
    {"metadata": {"rpc": {"keepalive": 1.5}}},
    {"metadata": {"rpc": {"keepalive": True}}},
    {"metadata": {"rpc": {"rate_limit": -1}}},
    {"metadata": {"rpc": {"admin_port": 65536}}},
    {"metadata": {"rpc": {"batching": "perhaps"}}},
    {"metadata": {"rpc": {"decompressor": "brotli"}}},
    {"metadata": {"rpc": []}},
    {"metadata": "rank"},
    {"name": 1},
    {"token": [1]},
    {"model_config": {"fg_mode": "tf"}},
    {"model_config": {"outputs": [1]}},
    {"model_config": {"pass_through_data": ["a"]}},
    {"model_config": {"pass_through_data": {"a": None}}},
    {"model_config": {"debug_separators": {"pairs": "|"}}},
    {"model_config": {"remote_type": "file", "tables": [{"name": "items.parquet"}]}},
    {"model_config": {"remote_type": "file", "tables": "items.parquet"}},
    {"model_config": {"faiss_nprobe": 0}},
    {"processor_envs": ["INPUT_TILE=2"]},
    {"processor_envs": [{"name": "INPUT_TILE", "value": 5}]},
    {"processor_envs": [{"name": "INPUT_TILE"}]},
    {"containers": []},
    {"confidential": {}},
]


@pytest.mark.parametrize("values", WRONG, ids=str)
def test_what_does_not_fit_is_refused_at_start(values: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(values)
    with pytest.raises(ConfigError):
        load(values, {})


def test_it_knows_every_key_and_what_it_means() -> None:
    text = json.dumps(SCHEMA, ensure_ascii=False)
    for section in SECTIONS:
        for key, (known, _) in settings(section.record).items():
            assert json.dumps(key) in text, key
            assert json.dumps(known.sentence, ensure_ascii=False).strip('"') in text, key
    for keys in (*hosted_keys.ACCEPTED.values(), *hosted_keys.REFUSED.values()):
        assert all(json.dumps(key) in text for key in keys)
