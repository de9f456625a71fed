"""`recserve items status|get|diff|refresh|snapshot` on a running service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.cli.conftest import ITEMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Folder


def test_the_status_shows_tables_and_no_alarm(ask: Callable[..., Any]) -> None:
    result = ask("status")
    told = json.loads(ask("status", "--json").stdout)

    assert result.exit_code == 0, result.stderr
    assert "items.parquet" in result.stdout
    assert "ready" in result.stdout
    assert (told["rows"], told["tables"][0]["name"]) == (3, "items.parquet")


def test_a_refresh_that_is_refused_is_exit_code_1_and_an_alarm_from_then_on(
    ask: Callable[..., Any], folder: Folder
) -> None:
    pq.write_table(pa.table(ITEMS).slice(0, 0), folder.path / "items.parquet")

    refused, alarmed = ask("refresh"), ask("status")

    assert (refused.exit_code, alarmed.exit_code) == (1, 1)
    assert "refused" in refused.stdout
    assert "✗ items.parquet:" in alarmed.stdout


def test_a_refresh_tells_what_it_wrote(ask: Callable[..., Any], folder: Folder) -> None:
    pq.write_table(pa.table({**ITEMS, "price": [1.0, 9.0, 3.5]}), folder.path / "items.parquet")

    report = json.loads(ask("refresh", "--json").stdout)

    (table,) = report["tables"]
    assert (report["complete"], table["written"], table["unchanged"]) == (True, 1, 2)
    assert ask("refresh").exit_code == 0


def test_an_item_is_shown_with_raw_and_finished_columns(ask: Callable[..., Any]) -> None:
    item = json.loads(ask("get", "i2", "--json").stdout)
    lines = [line.split() for line in ask("get", "i2").stdout.splitlines()]

    assert item["raw"] == {"category": "b", "price": 2.0}
    assert set(item["finished"]) == {"=category", "=price"}
    assert ["price", "raw", "2"] in lines


def test_an_item_that_is_not_there_is_exit_code_1(ask: Callable[..., Any]) -> None:
    result = ask("get", "nobody")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "no such item: 'nobody'" in result.stderr


def test_items_that_are_as_their_tables_are_no_difference(ask: Callable[..., Any]) -> None:
    result = ask("diff")

    assert (result.exit_code, result.stdout) == (0, "the items are as their tables\n")


def test_differences_are_named_by_row_and_column(ask: Callable[..., Any], folder: Folder) -> None:
    changed = {"item_id": ["i1", "i2", "i4"], "category": ["a", "b", "c"], "price": [1.0, 7.5, 4.0]}
    pq.write_table(pa.table(changed), folder.path / "items.parquet")

    result = ask("diff")
    found = json.loads(ask("diff", "--json").stdout)
    one = ask("diff", "--limit", "1")

    assert result.exit_code == 1
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["items.parquet", "i2", "price", "2", "7.5"] in lines
    assert {d["key"]: d["kind"] for d in found["differences"]} == {
        "i2": "differs",
        "i3": "extra",
        "i4": "missing",
    }
    assert "at least 1 rows differ" in one.stderr


def test_a_snapshot_is_written_and_can_be_looked_at(
    ask: Callable[..., Any], call: Callable[..., Any], folder: Folder
) -> None:
    result = ask("snapshot")
    shown = json.loads(call("inspect", "items.snapshot", "--json").stdout)

    assert result.exit_code == 0, result.stderr
    assert str(folder.path / "items.snapshot") in result.stdout
    assert (shown["items"], shown["keys"]) == (3, "string")
    assert {"name": "price", "type": "float64", "kind": "raw"} in shown["columns"]
    assert "Item snapshot" in call("inspect", "items.snapshot").stdout
