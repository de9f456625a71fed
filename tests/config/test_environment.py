"""Environment variables: the service file's win, and the process's own are left alone."""

from __future__ import annotations

import os

import pytest

from recserve.config.environment import environment, export, process_environ
from recserve.config.service import load
from recserve.errors import ConfigError

NORMAL = {"model_config": {"fg_mode": "normal"}}


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("1", True), ("True", True), ("0", False), ("", False)]
)
def test_switches_are_spelled_in_many_ways(value: str, expected: bool) -> None:
    assert environment({"USE_FARM_HASH_TO_BUCKETIZE": value}, {}).farm_hash is expected


def test_the_service_file_wins_over_the_process_and_does_not_write_it() -> None:
    before = process_environ()
    spec = load({**NORMAL, "processor_envs": [{"name": "INPUT_TILE", "value": 3}]}, {"INPUT_TILE": "2"})
    assert spec.environment.input_tile == 3
    assert process_environ() == before


def test_the_process_counts_without_a_service_file() -> None:
    assert load(None, {"INPUT_TILE": "2"}).environment.input_tile == 2


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r"environment\.USE_FARM_HASH_TO_BUCKETIZE: 'maybe' is not true"):
        environment({"USE_FARM_HASH_TO_BUCKETIZE": "maybe"}, {})


def test_only_variables_of_native_libraries_are_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTORCH_TENSOREXPR_FALLBACK", "0")
    monkeypatch.delenv("INPUT_TILE", raising=False)
    export({"PYTORCH_TENSOREXPR_FALLBACK": "2", "INPUT_TILE": "2"})
    assert os.environ["PYTORCH_TENSOREXPR_FALLBACK"] == "2"
    assert "INPUT_TILE" not in os.environ
