"""Every setting with its value and origin; secrets are nowhere."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from recserve.config.sections import SECTIONS
from recserve.config.service import load
from recserve.config.settings import settings
from recserve.config.shown import Value, values_of

if TYPE_CHECKING:
    from pathlib import Path

FILE: dict[str, Any] = {
    "token": ["hidden-1", "${TOKEN}"],
    "metadata": {"name": "rank", "rpc": {"max_queue_size": "7"}},
    "metadata.rpc.keepalive": 300,
    "model_config": {
        "fg_mode": "normal",
        "remote_type": "postgresql",
        "url": "postgresql://me:hidden-3@db/shop",
        "tables": [
            {"name": "items", "key": "id"},
            {"name": "https://u:hidden-4@host/prices", "key": "id", "condition": "a = '${TOKEN}'"},
        ],
        "pass_through_data": {"model_version": "7", "key": "${TOKEN}"},
    },
    "processor_envs": [{"name": "INPUT_TILE", "value": "2"}],
}
VARIABLES = {"TOKEN": "hidden-2", "OMP_NUM_THREADS": "2", "INPUT_TILE": "3", "HOME": "/root"}


@pytest.fixture
def shown(tmp_path: Path) -> dict[str, Value]:
    path = tmp_path / "service.json"
    path.write_text(json.dumps(FILE))
    return {value.key: value for value in values_of(load(path, VARIABLES))}


@pytest.mark.parametrize(
    ("key", "value", "origin"),
    [
        ("name", "rank", "service.json, metadata.name"),
        ("token", "***", "service.json, token, from ${TOKEN}"),
        ("admin_token", [], "default"),
        ("metadata.rpc.max_queue_size", 7, "service.json, metadata.rpc.max_queue_size"),
        ("metadata.rpc.keepalive", 300, "service.json, metadata.rpc.keepalive"),
        ("metadata.rpc.worker_threads", 5, "default"),
        ("model_config.fg_mode", "normal", "service.json, model_config.fg_mode"),
        ("model_config.url", "postgresql://me:***@db/shop", "service.json, model_config.url"),
        (
            "model_config.pass_through_data",
            {"model_version": "7", "key": "***"},
            "service.json, model_config.pass_through_data, from ${TOKEN}",
        ),
        (
            "model_config.tables[0].name",
            "items",
            "service.json, model_config.tables[0].name",
        ),
        ("model_config.tables[0].condition", "", "default"),
        (
            "model_config.tables[1].name",
            "https://u:***@host/prices",
            "service.json, model_config.tables[1].name",
        ),
        (
            "model_config.tables[1].condition",
            "a = '***'",
            "service.json, model_config.tables[1].condition, from ${TOKEN}",
        ),
        ("processor_envs.INPUT_TILE", 2, "service.json, processor_envs, INPUT_TILE"),
        ("processor_envs.OMP_NUM_THREADS", 2, "environment variable OMP_NUM_THREADS"),
        ("processor_envs.NO_GRAD_GUARD", True, "default"),
    ],
)
def test_a_value_is_shown_with_where_it_came_from(
    shown: dict[str, Value], key: str, value: object, origin: str
) -> None:
    assert (shown[key].value, shown[key].origin) == (value, origin)


def test_units_stand_beside(shown: dict[str, Value]) -> None:
    assert shown["metadata.rpc.keepalive"].unit == "ms"
    assert shown["metadata.rpc.worker_threads"].unit == ""


def test_no_secret_is_shown(shown: dict[str, Value]) -> None:
    assert "hidden" not in json.dumps([asdict(value) for value in shown.values()])


def test_every_setting_is_shown(tmp_path: Path) -> None:
    store = {"fg_mode": "normal", "fs_project": "p", "fs_model": "m", "access_key_secret": "hidden-5"}
    shown = {value.key: value.value for value in values_of(load({"model_config": store}, {}))}

    assert shown["model_config.access_key_secret"] == "***"
    for section in SECTIONS:
        if section.where != "model_config.tables":  # there is none
            assert {section.path(key) for key in settings(section.record)} <= shown.keys()


def test_without_a_file_all_is_default_or_of_the_environment() -> None:
    values = list(values_of(load(None, {"INPUT_TILE": "3"})))

    origins = {value.origin for value in values}
    assert origins == {"default", "environment variable INPUT_TILE"}
