"""`recserve config`: show, check, schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from recserve.cli.app import app
from recserve.config.schema import schema

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

SERVICE = {
    "token": "${TOKEN}",
    "metadata": {"name": "rank", "rpc": {"keepalive": 300}},
    "model_config": {"fg_mode": "normal"},
    "processor_envs": [{"name": "INPUT_TILE", "value": "2"}],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", "hidden-1")
    write(tmp_path, SERVICE)
    return tmp_path


def write(folder: Path, service: dict[str, Any]) -> None:
    (folder / "service.json").write_text(json.dumps(service))


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["config", *arguments])


def values(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(call(*arguments).stdout)
    return found


def row(result: Result, key: str) -> list[str]:
    [found] = [
        line.rstrip().split(maxsplit=3) for line in result.stdout.splitlines() if line.startswith(f"{key} ")
    ]
    return found


@pytest.mark.usefixtures("folder")
def test_show_prints_values_and_where_they_came_from() -> None:
    result = call("show", "service.json", "--origin")

    assert result.exit_code == 0
    assert row(result, "metadata.rpc.keepalive") == [
        "metadata.rpc.keepalive",
        "300",
        "ms",
        "service.json, metadata.rpc.keepalive",
    ]
    assert row(result, "token")[1:3] == ["***", "service.json,"]
    assert row(result, "metadata.rpc.worker_threads")[1:] == ["5", "default"]
    assert "hidden" not in result.output


@pytest.mark.usefixtures("folder")
def test_show_can_leave_out_origins_and_defaults() -> None:
    result = call("show", "service.json", "--changed")

    keys = [line.split()[0] for line in result.stdout.splitlines()]
    assert "default" not in result.stdout
    assert "service.json" not in result.stdout
    assert {"key", "name", "token", "metadata.rpc.keepalive", "processor_envs.INPUT_TILE"} <= set(keys)
    assert "metadata.rpc.worker_threads" not in keys


@pytest.mark.usefixtures("folder")
def test_show_prints_json() -> None:
    found = {value["key"]: value for value in values("show", "service.json", "--json")}
    full = {value["key"]: value for value in values("show", "service.json", "--json", "--origin")}

    assert found["metadata.rpc.keepalive"] == {"key": "metadata.rpc.keepalive", "value": 300, "unit": "ms"}
    assert full["processor_envs.INPUT_TILE"]["origin"] == "service.json, processor_envs, INPUT_TILE"


def test_what_the_exported_model_says_wins(folder: Path) -> None:
    bundle = folder / "export"
    bundle.mkdir()
    (bundle / "scripted_model.pt").write_bytes(b"")
    (bundle / "model_acc.json").write_text('{"INPUT_TILE": "3"}')

    result = call("show", "service.json", "--origin", "--bundle", "export")

    assert row(result, "processor_envs.INPUT_TILE")[1:] == ["3", "export/model_acc.json,", "INPUT_TILE"]


def test_show_needs_no_file(folder: Path) -> None:
    result = call("show", "--origin")

    assert row(result, "model_config.fg_mode")[1:] == ["auto", "default"]


@pytest.mark.usefixtures("folder")
def test_check_says_that_a_file_would_do() -> None:
    result = call("check", "service.json")

    assert (result.exit_code, result.stdout) == (0, "✓ service file: 'rank', fg_mode normal\n")


def test_check_tells_warnings_and_strictly_fails_for_them(folder: Path) -> None:
    write(folder, {**SERVICE, "modle_config": {}})

    mild, strict = call("check", "service.json"), call("check", "service.json", "--strict")

    assert mild.exit_code == 0
    assert "! service file: unknown key 'modle_config': did you mean 'model_config'?" in mild.stdout
    assert strict.exit_code == 1
    assert "✗ service file: unknown key" in strict.stdout


def test_check_tells_what_is_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN")

    result = call("check", "service.json", "--json")

    assert result.exit_code == 1
    [finding] = json.loads(result.stdout)["findings"]
    assert "token: the environment variable TOKEN is not set" in finding["detail"]


def test_schema_prints_the_schema() -> None:
    result = call("schema")

    assert json.loads(result.stdout) == schema()


@pytest.mark.parametrize("command", ["show", "check", "schema"])
def test_every_command_shows_an_example(command: str) -> None:
    assert f"Example: recserve config {command}" in call(command, "--help").stdout
