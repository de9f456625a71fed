"""Tables in a real Redis: the contract, the layout, and a server that fails."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.sources.contract import SourceContract
from tests.sources.redis_place import ITEMS, RedisPlace, keys_of

from recserve.errors import DataError, SourceError
from recserve.sources.redis import RedisSource

if TYPE_CHECKING:
    from tests.servers.redis import RedisServer
    from tests.sources.place import Place


class TestRedis(SourceContract):
    can = frozenset({"changes", "get", "write", "row count", "deletes", "once", "waits", "pages"})
    lacks_types = frozenset({"binary", "timestamp"})  # there are no bytes; times have milliseconds
    reads_as = {"float32[3]": pa.list_(pa.float32())}  # noqa: RUF012
    many_rows = 50_000
    page_rows = 10_000

    @pytest.fixture
    def place(self, redis_server: RedisServer) -> Place:
        return RedisPlace(redis_server.url)


@pytest.fixture
def items(redis_server: RedisServer) -> RedisSource:
    source = RedisSource(redis_server.url, "items", "id")
    source.write(ITEMS)
    return source


# --- the layout, as docs/reference/redis.md tells it to other programs --------------------------------------


def test_a_table_is_a_hash_a_schema_and_a_stream(items: RedisSource, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        rows = client.hgetall("items")
        document = client.get("items:schema")
        entries = [fields for _, fields in client.xrange("items:changes")]

    assert rows == {
        b"a": b"F1"
        + b"\0"
        + bytes.fromhex("0000c03f")
        + b"\0"
        + bytes.fromhex("02000000 000000000100000002000000")
        + b"xy",
        b"b": b"F1" + b"\1" + b"\0" + bytes.fromhex("00000000"),
    }
    assert json.loads(document) == {
        "version": 1,
        "key": {"name": "id", "type": "string"},
        "fields": [{"name": "price", "type": "float"}, {"name": "tags", "type": "array<string>"}],
    }
    assert entries == [{b"key": b"a", b"op": b"upsert"}, {b"key": b"b", b"op": b"upsert"}]


def test_another_program_writes_with_plain_commands(redis_server: RedisServer) -> None:
    fields = [{"name": "clicks", "type": "int32"}]
    document = {"version": 1, "key": {"name": "id", "type": "int64"}, "fields": fields}
    source = RedisSource(redis_server.url, "items", "id")
    with redis_server.client() as client:
        client.set("items:schema", json.dumps(document))
        client.hset("items", "7", b"F1\0\x05\0\0\0")
        client.xadd("items:changes", {"key": "7", "op": "upsert"})
        cursor = source.cursor()
        with client.pipeline(transaction=True) as writes:
            writes.hset("items", "8", b"F1\0\x06\0\0\0")
            writes.xadd("items:changes", {"key": "8", "op": "upsert"}, maxlen=1000, approximate=True)
            writes.hdel("items", "7")
            writes.xadd("items:changes", {"key": "7", "op": "delete"}, maxlen=1000, approximate=True)
            writes.execute()

    [batch] = source.snapshot()
    assert batch.to_pylist() == [{"id": 8, "clicks": 6}]
    changes = source.changes(cursor)
    assert [batch.to_pylist() for batch in changes.upserts] == [[{"id": 8, "clicks": 6}]]
    assert changes.deleted is not None
    assert changes.deleted.equals(pa.array([7]))


def test_a_table_that_no_stream_tells_of_can_be_read(redis_server: RedisServer) -> None:
    source = RedisSource(redis_server.url, "items", "id")
    source.write(ITEMS)
    with redis_server.client() as client:
        client.delete("items:changes")

    assert keys_of(source.snapshot()) == ["a", "b"]
    assert source.changes(source.cursor()).upserts == []


def test_columns_can_be_appended_and_old_rows_have_no_value_in_them(items: RedisSource) -> None:
    items.declare(pa.schema([("id", pa.string()), ("clicks", pa.int64())]))
    items.write(pa.table({"id": ["c"], "clicks": [3]}))

    assert items.schema().names == ["id", "price", "tags", "clicks"]
    assert items.get(pa.array(["a", "c"]), ["clicks"]).column("clicks").to_pylist() == [None, 3]


def test_a_reader_learns_of_columns_that_were_appended_since(
    items: RedisSource, redis_server: RedisServer
) -> None:
    reader = RedisSource(redis_server.url, "items", "id")
    cursor = reader.cursor()
    items.declare(pa.schema([("id", pa.string()), ("clicks", pa.int64())]))
    items.write(pa.table({"id": ["a"], "clicks": [3]}), mode="merge")
    [batch] = reader.changes(cursor).upserts

    assert batch.to_pylist() == [{"id": "a", "price": 1.5, "tags": ["x", "y"], "clicks": 3}]


def test_columns_appended_during_a_snapshot_are_not_in_it(items: RedisSource) -> None:
    items.write(pa.table({"id": [f"k{n}" for n in range(40_000)], "price": [1.0] * 40_000}))
    batches = items.snapshot()
    first = next(batches)
    items.declare(pa.schema([("id", pa.string()), ("clicks", pa.int64())]))

    assert {tuple(batch.schema.names) for batch in [first, *batches]} == {("id", "price", "tags")}


def test_declaring_is_harmless_again_and_never_retypes(items: RedisSource) -> None:
    items.declare(ITEMS.schema)

    assert items.schema() == ITEMS.schema
    with pytest.raises(DataError, match="'price' is int64, the table has float"):
        items.declare(pa.schema([("id", pa.string()), ("price", pa.int64())]))


def test_timestamps_are_kept_to_the_millisecond_and_never_cut(redis_server: RedisServer) -> None:
    source = RedisSource(redis_server.url, "items", "id")
    source.write(pa.table({"id": [1], "at": pa.array([1_700_000_000_123_000], pa.timestamp("us", "UTC"))}))

    assert source.get(pa.array([1])).column("at").cast(pa.int64()).to_pylist() == [1_700_000_000_123]
    with pytest.raises(DataError, match=r"'at'.*would lose data"):
        source.write(
            pa.table({"id": [1], "at": pa.array([1_700_000_000_123_456], pa.timestamp("us", "UTC"))})
        )


# --- changes ------------------------------------------------------------------------------------------------


def test_a_cursor_whose_changes_were_trimmed_is_refused(redis_server: RedisServer) -> None:
    source = RedisSource(redis_server.url, "items", "id", kept_changes=100)
    source.write(pa.table({"id": [0], "n": [0]}))
    old = source.cursor()
    source.write(pa.table({"id": list(range(1000)), "n": [1] * 1000}))
    new = source.cursor()

    with pytest.raises(DataError, match="is no longer known: changes behind it were trimmed"):
        source.changes(old)
    assert source.changes(new).cursor == new
    source.write(pa.table({"id": [5], "n": [2]}))
    assert [batch.to_pylist() for batch in source.changes(new).upserts] == [[{"id": 5, "n": 2}]]


def test_a_server_that_lost_its_data_is_found_out(own_redis: RedisServer) -> None:
    source = RedisSource(own_redis.url, "items", "id")
    source.write(ITEMS)
    cursor = source.cursor()
    own_redis.restart()

    with pytest.raises(DataError, match="or the server lost its data"):
        source.changes(cursor)
    with pytest.raises(DataError, match="is not there: no key 'items:schema'"):
        list(source.snapshot())
    source.write(ITEMS)
    with pytest.raises(DataError, match="or the server lost its data"):
        source.changes(cursor)


def test_a_table_emptied_during_a_snapshot_is_an_error_and_no_smaller_table(
    items: RedisSource, redis_server: RedisServer
) -> None:
    items.write(pa.table({"id": [f"k{n}" for n in range(40_000)], "price": [1.0] * 40_000}))
    batches = items.snapshot()
    next(batches)
    with redis_server.client() as client:
        document = client.get("items:schema")
        client.flushall()
        client.set("items:schema", document)

    with pytest.raises(SourceError, match="was emptied while it was read"):
        list(batches)


def test_the_watermark_is_the_time_of_the_newest_change(items: RedisSource) -> None:
    cursor = items.cursor()
    items.write(ITEMS)
    answer = items.changes(cursor)

    assert answer.watermark == int(answer.cursor.split("-")[0]) / 1000
    assert items.changes(answer.cursor).watermark is None


def test_an_entry_without_a_key_is_named(items: RedisSource, redis_server: RedisServer) -> None:
    cursor = items.cursor()
    with redis_server.client() as client:
        client.xadd("items:changes", {"id": "a"}, id="9999999999999-5")

    with pytest.raises(DataError, match="entry 9999999999999-5 of 'items:changes' has no field 'key'"):
        items.changes(cursor)


def test_writers_of_one_row_lose_no_column(items: RedisSource, redis_server: RedisServer) -> None:
    """Each merges a column of its own, many times, at once."""
    names = ["w0", "w1", "w2", "w3"]
    items.declare(pa.schema([("id", pa.string()), *((name, pa.int64()) for name in names)]))

    def count(name: str) -> None:
        mine = RedisSource(redis_server.url, "items", "id")
        for n in range(1, 26):
            mine.write(pa.table({"id": ["a", "b"], name: [n, n]}), mode="merge")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, names))

    [row] = items.get(pa.array(["a"])).to_pylist()
    assert row == {"id": "a", "price": 1.5, "tags": ["x", "y"], **dict.fromkeys(names, 25)}


def test_columns_declared_by_many_at_once_are_all_there(redis_server: RedisServer) -> None:
    def declare(n: int) -> None:
        schema = pa.schema([("id", pa.string()), (f"c{n}", pa.int64())])
        RedisSource(redis_server.url, "items", "id").declare(schema)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(declare, range(12)))

    names = RedisSource(redis_server.url, "items", "id").schema().names
    assert sorted(names) == sorted(["id", *(f"c{n}" for n in range(12))])


def test_a_snapshot_and_its_changes_are_the_table_while_others_write(redis_server: RedisServer) -> None:
    numbers = list(range(30_000))
    source = RedisSource(redis_server.url, "items", "id")
    source.write(pa.table({"id": numbers, "n": [0] * len(numbers)}))
    stop = threading.Event()

    def write() -> int:
        writer, n = RedisSource(redis_server.url, "items", "id"), 0
        while not stop.is_set():
            n += 1
            writer.write(pa.table({"id": [(n * 7919 + i) % 35_000 for i in range(50)], "n": [n] * 50}))
            writer.delete(pa.array([(n * 104_729) % 35_000]))
        return n

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        with source.moment() as moment:
            rows = {row["id"]: row["n"] for batch in source.snapshot(at=moment) for row in batch.to_pylist()}
            cursor = source.cursor(at=moment)
        stop.set()
        assert writing.result() > 0
    more = True
    while more:
        changes = source.changes(cursor)
        cursor, more = changes.cursor, changes.more
        rows |= {row["id"]: row["n"] for batch in changes.upserts for row in batch.to_pylist()}
        for key in changes.deleted.to_pylist() if changes.deleted is not None else []:
            rows.pop(key, None)

    assert rows == {row["id"]: row["n"] for batch in source.snapshot() for row in batch.to_pylist()}
