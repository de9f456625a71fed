"""The same shop in real stores: what look-ups, item tables and training sets see is the same in each."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.servers.redis import redis_server

from recserve.columns import to_arrow
from recserve.config.items import feature_store_settings
from recserve.feature_store.apply import check_tables
from recserve.feature_store.open import open_tables
from recserve.feature_store.places import Tables
from recserve.feature_store.reading_rows import read_rows
from recserve.feature_store.registry import load
from recserve.feature_store.sample import write_sample
from recserve.feature_store.sync import sync
from recserve.feature_store.training_set import LabelRows, write_training_set
from recserve.feature_store.types import TYPES
from recserve.feature_store.users import open_users
from recserve.feature_store.writing import write_table
from recserve.source import change_feed, sink
from recserve.sources import make_table, open_source

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.redis import RedisServer

__all__ = ["redis_server"]

KEYS = {"fs_project": "shop", "fs_model": "rank_v1", "fs_entity": "item", "fs_user_timeout_ms": 60_000}
STORES = ["file", "postgresql", "redis"]


@pytest.fixture
def place(request: pytest.FixtureRequest, kind: str) -> str:
    """What the registry says of the store, as YAML."""
    if kind == "file":
        return "{kind: file, path: other}"
    url = request.getfixturevalue("database") if kind == "postgresql" else _redis(request)
    return json.dumps({"kind": kind, "url": url})


def _redis(request: pytest.FixtureRequest) -> str:
    server: RedisServer = request.getfixturevalue("redis_server")
    server.client().flushall()
    return server.url


@pytest.fixture
def shop(tmp_path: Path, place: str) -> Tables:
    """The sample, its online store as `kind` says, synced."""
    path = write_sample(tmp_path / "shop")
    path.write_text(path.read_text().replace("online: {kind: file, path: online}", f"online: {place}"))
    tables = Tables(load(path), open_source)
    checks = list(check_tables(tables, make_table))
    assert [check for check in checks if not check.is_fine] == []
    for view in tables.registry.views.values():
        sync(tables, view)
    return tables


@pytest.mark.parametrize("kind", STORES)
def test_each_store_gives_what_the_offline_tables_say(shop: Tables) -> None:
    (item,) = read_rows(shop, ["i1"], view="item_base")
    (user,) = read_rows(shop, ["u1"], model="rank_v1", entity="user")

    assert item == {"item_id": "i1", "category": "music", "price": 2.5, "updated_at": 1_748_736_000_000}
    assert (user["city"], user["age"]) == ("rome", 23)
    assert user["click_seq"] == "i17;i27;i37;i47;i7"
    assert user["click_seq__category"] == "music;tools;music;tools;tools"


@pytest.mark.parametrize("kind", STORES)
def test_a_second_check_finds_all_tables_as_they_should_be(shop: Tables) -> None:
    assert {check.state for check in check_tables(shop)} == {"ok"}


@pytest.mark.parametrize("kind", STORES)
def test_a_server_reads_items_and_follows_streams(shop: Tables) -> None:
    settings = feature_store_settings(KEYS)
    assert settings is not None

    base, clicks = open_tables(settings, shop.registry.path.parent, open_source)

    rows = pa.Table.from_batches(base.source.snapshot(), base.source.schema())
    assert rows.num_rows == 50
    assert base.columns == {"category", "item_price"}
    feed = change_feed(clicks.source)
    assert feed is not None
    cursor = feed.cursor()
    fresh = {"item_id": ["i5"], "clicks_1d": [77], "seen_at": [_now()]}
    view = shop.registry.views["item_clicks"]
    target = sink(shop.online(view))
    assert target is not None
    write_table(view, target, pa.table(fresh))
    target.close()
    changes = feed.changes(cursor, {"clicks_1d"}, wait_seconds=10)
    found = [row for batch in changes.upserts for row in batch.to_pylist()]
    assert {"item_id": "i5", "clicks_1d": 77} in found
    base.source.close()
    clicks.source.close()


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


@pytest.mark.parametrize("kind", STORES)
def test_users_are_looked_up(shop: Tables) -> None:
    settings = feature_store_settings({**KEYS, "fs_user_entity": "user"})
    assert settings is not None
    users = open_users(settings, shop.registry.path.parent, open_source)
    assert users is not None

    async def look_up() -> list[Any]:
        return await asyncio.gather(*(users.look_up(f"u{n}") for n in range(25)))

    found = asyncio.run(look_up())

    assert [to_arrow(row["city"])[0].as_py() for row in found[:4]] == ["oslo", "rome", "bonn", "oslo"]
    assert (users.figures.found, users.figures.unknown) == (20, 5)
    users.close()


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_training_set_comes_from_a_database_as_from_files(tmp_path: Path, place: str) -> None:
    path = write_sample(tmp_path / "shop")
    files = Tables(load(path), open_source)
    text = path.read_text().replace("offline: {kind: file, path: offline}", f"offline: {place}")
    (tmp_path / "shop" / "database.yaml").write_text(text.replace(".parquet\n", "\n"))
    database = Tables(load(tmp_path / "shop" / "database.yaml"), open_source)
    for name in ("items", "item_clicks", "users", "behaviours", "impressions"):
        _copy(tmp_path / "shop" / "offline" / f"{name}.parquet", name, place)

    made = [_training_set(tables, tmp_path / f"{n}.parquet") for n, tables in enumerate((files, database))]

    assert made[0].drop_columns("at").equals(made[1].drop_columns("at"))
    assert made[0].num_rows == 600


def _training_set(tables: Tables, target: Path) -> pa.Table:
    labels = tables.registry.labels["impressions"]
    rows = LabelRows(tables.labels(labels), labels.event_time)
    write_training_set(tables, tables.registry.models["rank_v1"], rows, target)
    rows.source.close()
    order = [(name, "ascending") for name in ("at", "user_id", "item_id")]
    return pq.read_table(target).sort_by(order)


def _copy(file: Path, name: str, place: str) -> None:
    """A table with history: its rows are not unique under its key."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(json.loads(place)["url"]) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(name, pq.read_table(file), mode="create")
        connection.commit()


ALL_TYPES = {name: name.translate(str.maketrans("<>,", "___")) for name in TYPES}


def value_of(name: str) -> Any:
    if name.startswith("array<array"):
        return [[1.5, 2.5], [3.0, 4.0]]  # PostgreSQL has no ragged ones
    if name.startswith("array"):
        return [value_of(name[6:-1])] * 2
    if name.startswith("map"):
        key, value = name[4:-1].split(",")
        return [(value_of(key), value_of(value))]
    return {"string": "é;\x1d", "boolean": True, "timestamp": 1_748_736_000_123}.get(name, 7)


@pytest.mark.parametrize("kind", STORES)
def test_every_type_comes_back_as_it_was_written(tmp_path: Path, place: str, kind: str) -> None:
    """PostgreSQL has no maps: there a view with one is refused with the name of the column."""
    kinds = [name for name in ALL_TYPES if kind != "postgresql" or not name.startswith("map")]
    fields = {"id": "string", **{ALL_TYPES[name]: name for name in kinds}}
    registry = {
        "project": {"name": "p", "online": json.loads(place) if kind != "file" else {"path": "x"}},
        "entities": {"e": {"join_id": "id"}},
        "views": {"all": {"entity": "e", "fields": fields}},
    }
    (tmp_path / "store.json").write_text(json.dumps(registry))
    tables = Tables(load(tmp_path / "store.json"), open_source)
    view = tables.registry.views["all"]
    list(check_tables(tables, make_table))
    columns = {ALL_TYPES[name]: pa.array([value_of(name), None], TYPES[name]) for name in kinds}
    target = sink(tables.online(view))
    assert target is not None

    write_table(view, target, pa.table({"id": ["a", "b"], **columns}))

    target.close()
    full, empty = read_rows(tables, ["a", "b"], view="all")
    assert full == {"id": "a", **{ALL_TYPES[name]: value_of(name) for name in kinds}}
    assert set(empty.values()) == {"b", None}
