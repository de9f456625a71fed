"""`recserve items load` reads tables without serving; `recserve inspect --items` shows the same columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Folder


def test_figures_of_a_load_are_printed(call: Callable[..., Any]) -> None:
    result = call("items", "load", "bundle", "--config", "service.json")
    figures = json.loads(call("items", "load", "bundle", "--config", "service.json", "--json").stdout)

    assert result.exit_code == 0, result.stderr
    assert "Memory by column" in result.stdout
    assert figures["items"] == 3
    assert figures["items_per_second"] > 0
    assert figures["bytes"]["all"] == sum(size for kind, size in figures["bytes"].items() if kind != "all")
    assert {column["name"] for column in figures["columns"]} >= {"category", "price", "=category", "=price"}


def test_a_table_that_is_not_there_is_one_line(call: Callable[..., Any], folder: Folder) -> None:
    (folder.path / "items.parquet").unlink()

    result = call("items", "load", "bundle", "--config", "service.json")

    assert result.exit_code == 1
    assert "items.parquet" in result.stderr
    assert "does not exist" in result.stderr


def test_inspect_shows_the_memory_of_columns(call: Callable[..., Any]) -> None:
    shown = call("inspect", "bundle", "--config", "service.json", "--items")
    content = json.loads(call("inspect", "bundle", "--config", "service.json", "--items", "--json").stdout)

    assert "Memory by column" in shown.stdout
    assert {column["kind"] for column in content["items"]} >= {"raw", "finished"}
    assert "items" not in json.loads(call("inspect", "bundle", "--json").stdout)
