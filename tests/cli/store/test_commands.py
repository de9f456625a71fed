from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recserve.feature_store.schema import schema as registry_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def synced(store: Callable[..., Any]) -> Callable[..., Any]:
    store("apply")
    store("sync", "--all")
    return store


def test_init_writes_what_apply_takes(
    store: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = store("init", "other").stdout

    assert "next: recserve store apply --registry other/feature_store.yaml" in said
    store("apply", "--registry", "other/feature_store.yaml")
    monkeypatch.chdir("other")
    store("apply", "--check")


def test_init_replaces_nothing(store: Callable[..., Any]) -> None:
    assert "is there already; choose another folder" in store("init", exit_code=1).stderr


def test_without_a_registry_the_way_to_one_is_told(
    store: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert "`recserve store init` writes an example" in store("ls", exit_code=1).stderr


def test_ls_prints_tables_or_json(store: Callable[..., Any]) -> None:
    assert "behaviours" in store("ls", "views").stdout
    found = json.loads(store("ls", "-o", "json").stdout)

    assert list(found) == ["project", "entities", "views", "fields", "labels", "models"]
    assert {"entity": "item", "join_id": "item_id"} in found["entities"]
    assert {"view": "item_base", "field": "iid", "type": "string", "role": "key"} in found["fields"]
    assert found["models"][1] == {
        "model": "rank_v1",
        "feature": "item_price",
        "of": "item_base.price",
        "entity": "item",
    }


def test_schema_is_printed_as_it_is(store: Callable[..., Any]) -> None:
    assert json.loads(store("schema").stdout) == registry_schema()


def test_get_shows_a_view_or_what_a_model_takes(synced: Callable[..., Any]) -> None:
    view = json.loads(synced("get", "i1", "nothing", "--view", "item_base", "-o", "json").stdout)
    model = json.loads(synced("get", "i1", "--model", "rank_v1", "--entity", "item", "-o", "json").stdout)

    assert view == [
        {"item_id": "i1", "category": "music", "price": 2.5, "updated_at": 1748736000000},
        {"item_id": "nothing", "category": None, "price": None, "updated_at": None},
    ]
    assert model == [{"item_id": "i1", "category": "music", "item_price": 2.5, "clicks_1d": None}], (
        "clicks are older than their ttl"
    )
    assert "click_seq__category" in synced("get", "u1", "--model", "rank_v1", "--entity", "user").stdout


def test_get_can_ask_the_offline_store(store: Callable[..., Any]) -> None:
    (row,) = json.loads(store("get", "u3", "--view", "user_base", "--offline", "-o", "json").stdout)

    assert row["city"] == "oslo"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["i1"], "give one of the two"),
        (["i1", "--view", "item_bse"], "there is no view 'item_bse'; did you mean 'item_base'?"),
        (["i1", "--model", "rank_v1"], "has features of item, user: say whose ids these are (--entity)"),
        (["u1", "--view", "behaviours", "--offline"], "offline it has behaviours, no sequences"),
    ],
)
def test_get_says_what_is_wrong(synced: Callable[..., Any], arguments: list[str], said: str) -> None:
    result = synced("get", *arguments, exit_code=2 if "two" in said else 1)

    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_write_adds_behaviours_to_those_of_the_user(synced: Callable[..., Any], shop: Path) -> None:
    (before,) = json.loads(synced("get", "u1", "--view", "behaviours", "-o", "json").stdout)
    fresh = pa.table(
        {
            "user_id": ["u1"],
            "item_id": ["i42"],
            "event": ["click"],
            "at": pa.array([1_749_300_000_000], pa.timestamp("ms", "UTC")),
            "category": ["games"],
        }
    )
    pq.write_table(fresh, shop / "fresh.parquet")

    synced("write", "behaviours", "fresh.parquet", "--mode", "merge")

    (after,) = json.loads(synced("get", "u1", "--view", "behaviours", "-o", "json").stdout)
    assert after["click_seq"] == "i42;" + before["click_seq"]
    assert after["buy_seq"] == before["buy_seq"]


def test_write_names_what_does_not_fit(synced: Callable[..., Any], shop: Path) -> None:
    pq.write_table(pa.table({"user_id": ["u1"], "town": ["oslo"]}), shop / "wrong.parquet")

    assert (
        "view 'user_base' has no field 'town'"
        in synced("write", "user_base", "wrong.parquet", exit_code=1).stderr
    )


def test_sync_writes_what_is_new(synced: Callable[..., Any]) -> None:
    again = [line.split() for line in synced("sync", "--all").stdout.splitlines()]

    assert [line[:2] for line in again[1:]] == [
        ["item_base", "0"],
        ["item_clicks", "0"],
        ["user_base", "0"],
        ["behaviours", "0"],
    ]
    full = synced("sync", "item_base", "--full").stdout.splitlines()[1]
    assert full.split()[:2] == ["item_base", "50"]


def test_sync_wants_views_or_all(store: Callable[..., Any]) -> None:
    assert "name views, or say --all" in " ".join(store("sync", exit_code=2).stderr.split())
    assert "cannot be read" not in store("sync", "--all", exit_code=1).stderr


def test_a_training_set_has_a_row_for_each_label(store: Callable[..., Any], shop: Path) -> None:
    said = store("training-set", "rank_v1").stdout

    made = pq.read_table(shop / "rank_v1.parquet")
    assert "600 rows, 20 columns → rank_v1.parquet" in said
    assert made.num_rows == 600
    assert made.schema.names[:4] == ["user_id", "item_id", "at", "clicked"]
    assert "is there already; --force replaces it" in store("training-set", "rank_v1", exit_code=1).stderr
    store("training-set", "rank_v1", "--force")


def test_labels_may_come_from_a_file(store: Callable[..., Any], shop: Path) -> None:
    labels = pa.table(
        {
            "user_id": ["u1"],
            "item_id": ["i1"],
            "when": pa.array([1_748_800_000], pa.int64()),
            "bought": [1],
        }
    )
    pq.write_table(labels, shop / "mine.parquet")
    arguments = ("--labels", "mine.parquet", "--event-time", "when", "--output", "out.parquet")

    store("training-set", "rank_v1", *arguments)

    (row,) = pq.read_table(shop / "out.parquet").to_pylist()
    assert (row["bought"], row["category"], row["city"]) == (1, "music", "rome")


@pytest.mark.parametrize("command", ["init", "apply", "ls", "get", "write", "sync", "training-set", "schema"])
def test_help_shows_an_example(store: Callable[..., Any], command: str) -> None:
    assert f"Example: recserve store {command}" in " ".join(store(command, "--help").stdout.split())
