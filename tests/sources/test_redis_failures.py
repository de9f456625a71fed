"""Values in Redis that are no rows, and servers that fail: each a clear error, without the secret."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.sources.redis_place import ITEMS, keys_of

from recserve.errors import ConfigError, DataError, SourceError
from recserve.source import TableSpec
from recserve.sources import open_source
from recserve.sources.redis import RedisSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.redis import RedisServer


@pytest.fixture
def items(redis_server: RedisServer) -> RedisSource:
    source = RedisSource(redis_server.url, "items", "id")
    source.write(ITEMS)
    return source


# --- hostile values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [b"", b"F", b"F1\x00\x01", b"F1\x01\x00\xff\xff\xff\xff", b"\xff" * 100])
def test_a_value_that_is_no_row_is_named(items: RedisSource, redis_server: RedisServer, bad: bytes) -> None:
    cursor = items.cursor()
    with redis_server.client() as client:
        client.hset("items", "bad one", bad)
        client.xadd("items:changes", {"key": "bad one", "op": "upsert"})

    for read in (
        lambda: items.get(pa.array(["bad one"])),
        lambda: list(items.snapshot()),
        lambda: items.changes(cursor),
        lambda: items.write(pa.table({"id": ["bad one"], "price": [1.0]}), mode="merge"),
    ):
        with pytest.raises(DataError, match=r"Redis table 'items' at .*, key 'bad one': "):
            read()
    assert items.get(pa.array(["a"])).num_rows == 1
    items.write(pa.table({"id": ["bad one"], "price": [1.0]}))
    assert keys_of(items.snapshot()) == ["a", "b", "bad one"]


def test_a_key_of_another_type_than_the_schema_says_is_named(redis_server: RedisServer) -> None:
    source = RedisSource(redis_server.url, "items", "id")
    source.write(pa.table({"id": [1], "n": [1]}))
    with redis_server.client() as client:
        client.hset("items", "one", b"F1")

    with pytest.raises(DataError, match="key b'one' is not an integer in plain decimals"):
        list(source.snapshot())


def test_a_schema_document_that_is_none_is_named(items: RedisSource, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set("items:schema", "{}")

    with pytest.raises(DataError, match=r"Redis table 'items' at .*: the schema document is not"):
        items.schema()


@pytest.mark.parametrize("name", ["items", "items:schema", "items:changes"])
def test_a_key_that_holds_something_else_is_named(
    items: RedisSource, redis_server: RedisServer, name: str
) -> None:
    with redis_server.client() as client:
        client.delete(name)
        client.rpush(name, "x")

    with pytest.raises(DataError, match="a key holds something else; of a table, 'items' is a hash"):
        items.write(ITEMS)
    with redis_server.client() as client:
        assert name == "items" or client.hlen("items") == 2
        assert name == "items:changes" or client.xlen("items:changes") == 2


# --- a server that fails ------------------------------------------------------------------------------------


def failures(source: RedisSource) -> Iterator[str]:
    """What everything that a source can do answers."""
    for ask in (
        source.schema,
        source.rows,
        source.cursor,
        lambda: list(source.snapshot()),
        lambda: source.changes("1-1", wait_seconds=0.05),
        lambda: source.get(pa.array(["a"])),
        lambda: source.write(ITEMS),
        lambda: source.delete(pa.array(["a"])),
    ):
        with pytest.raises(SourceError) as raised:
            ask()
        yield str(raised.value)


def test_a_wrong_password_is_told_without_it(redis_server: RedisServer) -> None:
    url = redis_server.url.replace(redis_server.password, "a-wrong-secret")
    for text in failures(RedisSource(url, "items", "id")):
        assert f"Redis table 'items' at redis://127.0.0.1:{redis_server.port}/0: it does not take" in text
        assert "secret" not in text


def test_a_missing_password_is_told(redis_server: RedisServer) -> None:
    for text in failures(RedisSource(f"redis://127.0.0.1:{redis_server.port}", "items", "id")):
        assert "it does not take the user or the password of the url" in text


def test_a_database_that_is_not_there_is_told(redis_server: RedisServer) -> None:
    for text in failures(RedisSource(redis_server.url.removesuffix("0") + "999", "items", "id")):
        assert "/999: it has no such database" in text
        assert redis_server.password not in text


def test_a_server_that_is_not_there_is_told(own_redis: RedisServer) -> None:
    own_redis.stop()
    for text in failures(RedisSource(own_redis.url, "items", "id")):
        assert f"at redis://127.0.0.1:{own_redis.port}/0: it cannot be reached" in text
        assert own_redis.password not in text


def test_a_server_that_hangs_is_told_and_comes_back(own_redis: RedisServer) -> None:
    source = RedisSource(own_redis.url + "?socket_timeout=0.1", "items", "id")
    source.write(ITEMS)
    own_redis.pause()
    for text in failures(source):
        assert "it does not answer" in text
    own_redis.resume()

    assert keys_of(source.snapshot()) == ["a", "b"]


def test_a_server_that_dies_during_a_snapshot_is_told(own_redis: RedisServer) -> None:
    source = RedisSource(own_redis.url, "items", "id")
    source.write(pa.table({"id": list(range(40_000)), "n": [1] * 40_000}))
    batches = source.snapshot()
    next(batches)
    own_redis.kill()

    with pytest.raises(SourceError, match="it cannot be reached"):
        list(batches)


def test_a_server_that_dies_while_a_reader_waits_is_told(own_redis: RedisServer) -> None:
    source = RedisSource(own_redis.url, "items", "id")
    source.write(ITEMS)
    with ThreadPoolExecutor(1) as pool, own_redis.client() as client:
        waiting = pool.submit(source.changes, source.cursor(), wait_seconds=60.0)
        while client.info("clients")["blocked_clients"] == 0:
            pass
        own_redis.kill()
        with pytest.raises(SourceError, match="it cannot be reached"):
            waiting.result()


def test_a_closed_connection_is_opened_again(items: RedisSource, redis_server: RedisServer) -> None:
    items.rows()
    with redis_server.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)

    assert items.rows() == 2


def test_a_full_server_writes_nothing_of_a_part(own_redis: RedisServer) -> None:
    source = RedisSource(own_redis.url, "items", "id")
    source.write(ITEMS)
    with own_redis.client() as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(SourceError, match="it is full, and nothing of this part was written"):
            source.write(pa.table({"id": ["a", "c"], "price": [9.0, 9.0]}))
        assert (client.hlen("items"), client.xlen("items:changes")) == (2, 2)
        assert source.get(pa.array(["a"]), ["price"]).column("price").to_pylist() == [1.5]
        client.config_set("maxmemory", "0")
        assert source.write(pa.table({"id": ["a", "c"], "price": [9.0, 9.0]})) == 2


def test_a_user_who_may_not_write_is_told(redis_server: RedisServer) -> None:
    RedisSource(redis_server.url, "items", "id").write(ITEMS)
    with redis_server.client() as client:
        client.acl_setuser(
            "reader", enabled=True, passwords=["+pass"], categories=["+@read", "+@connection"], keys=["*"]
        )
    source = RedisSource(f"redis://reader:pass@127.0.0.1:{redis_server.port}/0", "items", "id")

    assert keys_of(source.snapshot()) == ["a", "b"]
    with pytest.raises(SourceError, match="it does not let the user of the url do this"):
        source.write(ITEMS)


@pytest.mark.parametrize("url", ["", "postgresql://u:secret@h/d", "redis://:secret@host:port/0", "host:6379"])
def test_a_url_that_is_none_of_redis_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="its url is none of Redis; write redis://") as raised:
        RedisSource(url, "items", "id")
    assert "secret" not in "".join(traceback.format_exception(raised.value))


def test_a_condition_is_refused(redis_server: RedisServer) -> None:
    with pytest.raises(ConfigError, match="a condition is SQL, which Redis has not"):
        open_source("redis", TableSpec(name="items", key="id", url=redis_server.url, condition="price > 1"))


def test_a_service_file_opens_it_by_its_kind(items: RedisSource, redis_server: RedisServer) -> None:
    source = open_source("redis", TableSpec(name="items", key="id", url=redis_server.url))

    assert keys_of(source.snapshot()) == ["a", "b"]
