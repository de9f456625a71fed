"""What PostgreSQL and the way to it do to a reader: each failure is a line that names it, and no secret."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.servers.postgres import PASSWORD, PostgresServer
from tests.servers.without_copy import without_copy
from tests.sources.postgres_place import rows_of

from recserve.errors import DataError, LoadError, SourceError
from recserve.sources.postgres import PostgresSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sources.postgres_place import Execute, Open

SECRET = "hunter2%5fword"


def asks(source: PostgresSource) -> list[Callable[[], object]]:
    """Every way to ask."""
    return [
        source.schema,
        source.rows,
        lambda: list(source.snapshot(["n"])),
        lambda: source.profile(["n"]),
        lambda: source.get(pa.array([1])),
        source.cursor,
        lambda: source.changes('{"timekey": "1"}'),
        lambda: source.moment().__enter__(),
        lambda: source.write(pa.table({"id": [1], "n": [1], "t": [1]})),
    ]


@pytest.mark.parametrize(
    ("mend", "error", "words"),
    [
        (("@127.0.0.1", "@no-such-host.invalid"), SourceError, ["no-such-host.invalid"]),
        (("PORT", "1"), SourceError, ["port 1 failed: Connection refused"]),
        (("/DATABASE", "/shopp"), DataError, ['database "shopp" does not exist']),
        (("owner", "ownr"), DataError, ['failed for user "ownr"']),
        (("", ""), DataError, ["authentication failed"]),
        (("/DATABASE", "/DATABASE?sslmode=require"), DataError, ["SSL"]),
        (("/DATABASE", "/DATABASE?ssl=maybe"), DataError, ["ssl"]),
    ],
    ids=["host", "port", "database", "user", "password", "encryption", "option"],
)
def test_what_is_wrong_in_the_url_is_named(
    postgres: PostgresServer, opened: Open, mend: tuple[str, str], error: type[LoadError], words: list[str]
) -> None:
    url = f"postgresql://owner:{SECRET}@127.0.0.1:PORT/DATABASE".replace(*mend) if mend[0] else ""
    url = url or f"postgresql://owner:{SECRET}@127.0.0.1:PORT/DATABASE"
    url = url.replace("PORT", str(postgres.port)).replace("DATABASE", "postgres")
    if mend[0] not in {"", "owner", "@127.0.0.1", "PORT"}:
        url = url.replace(SECRET, postgres.url.split(":", 2)[2].split("@")[0])
    for ask in asks(opened(url=url, timekey="t")):
        with pytest.raises(error) as raised:
            ask()
        text = str(raised.value)
        assert all(word in text for word in words), text
        assert "\n" not in text
        assert not any(part in text for part in ("hunter2", PASSWORD, SECRET)), text


def test_what_is_wrong_in_the_table_is_named(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, n int, t int)")
    execute("CREATE SCHEMA shop")
    execute("CREATE TABLE shop.articles (id int)")
    for name, key, timekey, match in [
        (
            "itens",
            "id",
            "",
            r"table 'itens': postgresql://127.0.0.1:\d+/d\d+ has no table 'itens'; did you mean",
        ),
        ("shop.article", "id", "", r"has no table 'shop\.article'; did you mean 'shop\.articles'\?"),
        ("nowhere.items", "id", "", r"has no table 'nowhere\.items'"),
        ("items", "item_id", "", "table 'items' has no key column 'item_id'; columns: id, n, t"),
        ("items", "id", "changed", "table 'items' has no timekey column 'changed'; columns: id, n, t"),
    ]:
        for ask in asks(opened(name, key, timekey=timekey))[:4]:
            with pytest.raises(DataError, match=match):
                ask()


def test_a_table_that_may_not_be_read_is_named(
    postgres: PostgresServer, database: str, execute: Execute, opened: Open
) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, n int, t int)")
    execute("DROP ROLE IF EXISTS stranger")
    execute("CREATE ROLE stranger LOGIN PASSWORD 'str4nger'")
    url = postgres.url_of(database.rsplit("/", 1)[-1], user="stranger", password="str4nger")
    source = opened(url=url, timekey="t")
    for ask in asks(source)[1:7]:
        with pytest.raises(DataError, match="table 'items': permission denied for"):
            ask()
    source.close()
    execute("DROP ROLE stranger")


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may treat badly, with a table in it."""
    with PostgresServer.start_new() as server:
        server.execute("CREATE TABLE items (id int PRIMARY KEY, n text, t int)")
        server.execute(
            "INSERT INTO items SELECT n, repeat(md5(n::text), 10), n FROM generate_series(1, 200000) n"
        )
        yield server


def test_a_server_that_hangs_is_given_up(own_server: PostgresServer) -> None:
    source = PostgresSource(
        f"{own_server.url}?answer_timeout=1&connect_timeout=2", "items", "id", timekey="t"
    )
    cursor = source.cursor()
    source.changes(cursor)
    with own_server.paused():
        for ask in (asks(source)[number] for number in (6, 2, 8)):
            with pytest.raises(SourceError, match=r"gave no answer|timeout expired|timed out") as raised:
                ask()
            assert PASSWORD not in str(raised.value)

    assert source.changes(cursor).cursor == cursor
    source.close()


def test_a_server_that_hangs_while_it_sends_is_given_up(own_server: PostgresServer) -> None:
    source = PostgresSource(f"{own_server.url}?answer_timeout=1&connect_timeout=2", "items", "id")
    batches = source.snapshot()
    next(batches)
    with own_server.paused(), pytest.raises(SourceError, match="table 'items'"):
        list(batches)

    assert sum(batch.num_rows for batch in source.snapshot()) == 200_000
    source.close()


def test_a_server_that_dies_while_it_sends_is_an_error_and_no_short_table(own_server: PostgresServer) -> None:
    source = PostgresSource(own_server.url, "items", "id", timekey="t")
    for connections in (1, 4):
        other = PostgresSource(f"{own_server.url}?connections={connections}", "items", "id")
        batches = other.snapshot()
        next(batches)
        own_server.kill()
        with pytest.raises(SourceError, match="table 'items'"):
            list(batches)
        with pytest.raises(SourceError, match="Connection refused"):
            source.rows()
        own_server.start()

        assert sum(batch.num_rows for batch in source.snapshot()) == 200_000
        other.close()
    source.close()


def test_a_session_that_is_ended_while_it_sends_is_an_error(own_server: PostgresServer) -> None:
    source = PostgresSource(f"{own_server.url}?connections=1", "items", "id")
    batches = source.snapshot()
    next(batches)
    own_server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'")
    with pytest.raises(SourceError, match="table 'items'"):
        list(batches)
    source.close()


def test_a_restarted_server_is_asked_again_without_an_error(own_server: PostgresServer) -> None:
    """A connection that broke while nobody used it is nobody's failure."""
    source = PostgresSource(own_server.url, "items", "id", timekey="t")
    cursor = source.cursor()
    source.changes(cursor)
    own_server.restart()
    own_server.execute("UPDATE items SET n = 'new', t = 300000 WHERE id = 7")

    [batch] = source.changes(cursor).upserts
    assert batch.to_pylist() == [{"id": 7, "n": "new", "t": 300000}]
    source.close()


def test_a_moment_that_is_lost_is_an_error(own_server: PostgresServer) -> None:
    source = PostgresSource(own_server.url, "items", "id", timekey="t")
    with source.moment() as moment:
        own_server.restart()
        with pytest.raises(SourceError):
            source.cursor(at=moment)
        with pytest.raises(SourceError, match="table 'items'"):
            list(source.snapshot(at=moment))
    with pytest.raises(SourceError, match="is over"):
        source.profile(["n"], at=moment)
    source.close()


def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    execute: Execute, opened: Open, database: str
) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, n int, t int)")
    execute("INSERT INTO items VALUES (1, 1, 1)")
    slow = "pg_sleep(60) IS NOT NULL"
    url = f"{database}?answer_timeout=0.3&load_timeout=0.3"
    source = opened(url=url, condition=slow, timekey="t")
    for ask in (asks(source)[number] for number in (2, 3, 4, 6)):
        with pytest.raises(SourceError, match=r"'items': .*statement timeout \(answer_timeout is 0\.3 s"):
            ask()


def test_a_slow_statement_of_a_server_that_answers_is_waited_for(
    execute: Execute, opened: Open, database: str
) -> None:
    """The first row of a sort comes late; silence alone is no reason to give up."""
    execute("CREATE TABLE items (id int PRIMARY KEY)")
    execute("INSERT INTO items VALUES (1)")
    source = opened(url=f"{database}?answer_timeout=0.2", condition="pg_sleep(1) IS NOT NULL")

    assert rows_of(source) == [{"id": 1}]


def test_a_value_that_fails_in_the_middle_is_an_error(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items AS SELECT n AS id, n % 150000 AS m FROM generate_series(1, 200000) n")
    with pytest.raises(DataError, match="table 'items': division by zero"):
        rows_of(opened(condition="100 / m >= 0"))
    execute("CREATE TABLE wide AS SELECT 1 AS id, 1e400::numeric AS n")
    with pytest.raises(DataError, match=r"table 'wide': .*out of range for type double precision"):
        rows_of(opened("wide"))


# --- COPY --------------------------------------------------------------------------------------------------


def test_where_copy_is_refused_tables_are_read_without_it(
    postgres: PostgresServer,
    database: str,
    execute: Execute,
    opened: Open,
    caplog: pytest.LogCaptureFixture,
) -> None:
    execute(
        "CREATE TABLE items AS SELECT n AS id, repeat(md5(n::text), 6) AS text, ARRAY[n, n + 1] AS list "
        "FROM generate_series(1, 150000) n"
    )
    execute("ALTER TABLE items ADD nested int[][]")
    execute("UPDATE items SET nested = ARRAY[[id, 1], [2, 3]] WHERE id % 2 = 0")
    expected = rows_of(opened())
    with without_copy(postgres.port) as way, caplog.at_level(logging.WARNING, "recserve.postgres"):
        url = re.sub(r":\d+/", f":{way.port}/", database) + "?sslmode=disable&gssencmode=disable"
        source = opened(url=url)
        assert rows_of(source) == expected
        source.close()

    assert way.refused > 0
    [warning] = [record.message for record in caplog.records if "COPY is refused" in record.message]
    assert "table 'items'" in warning


@pytest.mark.parametrize("library", ["psycopg", "adbc_driver_postgresql"])
def test_a_driver_that_is_not_installed_names_its_extra(library: str) -> None:
    code = f"""
import sys
sys.modules[{library!r}] = None
from recserve.source import TableSpec
from recserve.sources import open_source
from recserve.errors import ConfigError
try:
    open_source("postgresql", TableSpec(name="t", key="id", url="postgresql://u:s3cret@h/d"))
except ConfigError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert "pip install 'recserve[postgres]'" in result.stdout
