"""Whole tables of PostgreSQL: types, conditions, names, moments, and big tables in parts."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.servers.postgres import PASSWORD, PostgresServer
from tests.sources.postgres_place import rows_of as rows

from recserve.errors import ConfigError, DataError
from recserve.source import TableSpec
from recserve.sources import open_source
from recserve.sources.postgres_session import Sessions
from recserve.sources.postgres_table import described, parts
from recserve.sources.postgres_url import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sources.postgres_place import Execute, Open


#: Declared type → Arrow type, a literal, the value.
TYPES: dict[str, tuple[pa.DataType, str, Any]] = {
    "smallint": (pa.int16(), "-3", -3),
    "integer": (pa.int32(), "-3", -3),
    "bigint": (pa.int64(), "9223372036854775807", 2**63 - 1),
    "oid": (pa.int64(), "4294967295", 2**32 - 1),
    "real": (pa.float32(), "0.5", 0.5),
    "double precision": (pa.float64(), "0.1", 0.1),
    "numeric": (pa.float64(), "0.1", 0.1),
    "numeric(10,2)": (pa.float64(), "12.34", 12.34),
    "boolean": (pa.bool_(), "true", True),
    "text": (pa.string(), "'ä'", "ä"),
    "varchar(5)": (pa.string(), "'ab '", "ab "),
    "char(5)": (pa.string(), "'ab'", "ab"),
    '"char"': (pa.string(), "'a'", "a"),
    "name": (pa.string(), "'a'", "a"),
    "uuid": (
        pa.string(),
        "'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    "json": (pa.string(), """'{"a":  1}'""", '{"a":  1}'),
    "jsonb": (pa.string(), """'{"a":  1}'""", '{"a": 1}'),
    "bytea": (pa.binary(), r"'\xff00'", b"\xff\0"),
    "timestamptz": (
        pa.timestamp("us", "UTC"),
        "'2026-01-02 03:04:05.678901+01'",
        datetime(2026, 1, 2, 2, 4, 5, 678901, UTC),
    ),
    "timestamp": (pa.timestamp("us"), "'2026-01-02 03:04:05'", datetime(2026, 1, 2, 3, 4, 5)),
    "date": (pa.date32(), "'2026-01-02'", date(2026, 1, 2)),
    "mood": (pa.string(), "'glad'", "glad"),
    "price": (pa.float64(), "2.5", 2.5),
    "smallint[]": (pa.list_(pa.int16()), "'{1,NULL,3}'", [1, None, 3]),
    "integer[]": (pa.list_(pa.int32()), "'{}'", []),
    "bigint[]": (pa.list_(pa.int64()), "'{1}'", [1]),
    "real[]": (pa.list_(pa.float32()), "'{0.5}'", [0.5]),
    "double precision[]": (pa.list_(pa.float64()), "'{0.1}'", [0.1]),
    "numeric[]": (pa.list_(pa.float64()), "'{0.1}'", [0.1]),
    "boolean[]": (pa.list_(pa.bool_()), "'{t,f}'", [True, False]),
    "text[]": (pa.list_(pa.string()), "ARRAY['a,\"',NULL,'']", ['a,"', None, ""]),
    "varchar(3)[]": (pa.list_(pa.string()), "'{abc}'", ["abc"]),
    "mood[]": (pa.list_(pa.string()), "'{glad,sad}'", ["glad", "sad"]),
    "vector": (pa.list_(pa.float32()), "'{1,2}'", [1.0, 2.0]),
    "integer[][]": (pa.list_(pa.list_(pa.int32())), "'{{1,2},{3,NULL}}'", [[1, 2], [3, None]]),
    "text[][]": (pa.list_(pa.list_(pa.string())), "'{{a},{b}}'", [["a"], ["b"]]),
    "real[][] ": (pa.list_(pa.list_(pa.float32())), "'{}'", []),
    "integer[][] ": (pa.list_(pa.list_(pa.int32())), "'{1,2}'", [[1, 2]]),  # of one dimension all the same
}


def test_every_type_is_read_as_it_is_said(execute: Execute, opened: Open) -> None:
    """By a snapshot, by a look-up and as a change; all values, and null."""
    execute("CREATE TYPE mood AS ENUM ('glad', 'sad')")
    execute("CREATE DOMAIN price AS numeric(10,2)")
    execute("CREATE DOMAIN vector AS real[]")
    columns = ", ".join(f"c{n} {declared}" for n, declared in enumerate(TYPES))
    execute(f"CREATE TABLE items (id int, changed int, {columns})")
    execute(f"INSERT INTO items VALUES (1, 1, {', '.join(literal for _, literal, _ in TYPES.values())})")
    execute("INSERT INTO items (id, changed) VALUES (2, 2)")
    source = opened(timekey="changed")
    expected = [
        {"id": 1, "changed": 1, **{f"c{n}": value for n, (_, _, value) in enumerate(TYPES.values())}},
        {"id": 2, "changed": 2, **{f"c{n}": None for n in range(len(TYPES))}},
    ]

    assert {f"c{n}": arrow for n, (arrow, _, _) in enumerate(TYPES.values())}.items() <= {
        field.name: field.type for field in source.schema()
    }.items()
    assert rows(source) == expected
    assert source.get(pa.array([1, 2], pa.int32())).to_pylist() == expected
    [changed] = source.changes('{"timekey": null}').upserts
    assert changed.to_pylist() == expected


def test_floats_that_are_no_numbers_are_read(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int, a real, b float8, c numeric)")
    execute("INSERT INTO items VALUES (1, 'NaN', '-Infinity', 'NaN'), (2, '-0', '-0', '-0.00')")
    nan, zero = rows(opened())

    assert math.isnan(nan["a"])
    assert nan["b"] == -math.inf
    assert math.isnan(nan["c"])
    assert [math.copysign(1, zero[name]) for name in "ab"] == [-1, -1]


@pytest.mark.parametrize(
    "declared", ["interval", "point", "int4range", "money", "date[]", "integer[][][]", "pair"]
)
def test_a_type_that_nobody_reads_is_an_error_only_where_it_is_needed(
    execute: Execute, opened: Open, declared: str
) -> None:
    execute("CREATE TYPE pair AS (a int, b int)")
    execute(f"CREATE TABLE items (id int, odd {declared}, price real)")
    execute("INSERT INTO items VALUES (1, NULL, 2)")
    source = opened()
    shown = declared.replace("[][][]", "[]")

    assert source.schema().names == ["id", "odd", "price"]
    assert rows(source, ["price"]) == rows(source) == [{"id": 1, "price": 2.0}]
    assert source.profile(["odd"]).nulls == {"odd": 1}
    with pytest.raises(DataError, match="table 'items': column 'odd' is of type") as error:
        rows(source, ["odd"])
    assert shown in str(error.value)


@pytest.mark.parametrize(
    "declared", ["real", "numeric", "boolean", "timestamptz", "integer[]", "jsonb", "bytea"]
)
def test_a_key_that_is_no_key_is_named(execute: Execute, opened: Open, declared: str) -> None:
    execute(f"CREATE TABLE items (id {declared})")
    with pytest.raises(DataError, match=r"key column 'id' is of type .*keys are texts or integers"):
        opened().schema()


@pytest.mark.parametrize(
    ("declared", "stored", "asked"),
    [
        ("char(4)", ["a", "b"], ["b", "c", "a"]),
        ("mood", ["glad", "sad"], ["sad", "angry", "glad"]),
        ("name", ["a", "b"], ["b", "c", "a"]),
        ("uuid", [f"{n:032x}" for n in (1, 2)], [f"{n:032x}" for n in (2, 3, 1)]),
        ("smallint", [1, 2], [2, 3, 1]),
    ],
)
def test_keys_of_any_type_are_found(
    execute: Execute, opened: Open, declared: str, stored: list[Any], asked: list[Any]
) -> None:
    execute("CREATE TYPE mood AS ENUM ('glad', 'sad')")
    execute(f"CREATE TABLE items (id {declared}, n int)")
    for n, key in enumerate(stored):
        execute(f"INSERT INTO items VALUES ('{key}', {n})")
    if declared == "uuid":
        asked = [f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" for text in asked]
    source = opened()

    assert source.get(pa.array(asked)).column("n").to_pylist() == [1, None, 0]


def test_texts_are_looked_up_among_integer_keys_as_they_are_written(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items AS SELECT n AS id, n * 10 AS n FROM generate_series(-1, 9) n")
    asked = ["7", "007", "+7", " 7", "-1", "7.0", "ab", "", None, "99999999999999999999", "3000000000"]

    result = opened().get(pa.array(asked))
    assert result.column("n").to_pylist() == [70, None, None, None, -10, *[None] * 6]


def test_a_text_that_is_no_uuid_is_not_found(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id uuid, n int)")

    assert opened().get(pa.array(["no uuid"])).column("n").to_pylist() == [None]


def test_only_the_columns_asked_for_are_selected(
    postgres: PostgresServer, database: str, execute: Execute, opened: Open
) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, a int, b int, secret_cost int, t int)")
    execute("INSERT INTO items VALUES (1, 2, 3, 4, 5)")
    source = opened(timekey="t")

    assert rows(source, ["b", "a", "absent"]) == [{"id": 1, "a": 2, "b": 3}]
    source.changes('{"timekey": null}', ["a"])
    source.get(pa.array([1]), ["b"])
    source.profile(["a"])
    later = [text for text in postgres.statements(database) if '"items"' in text]
    assert len(later) >= 4
    assert not any("secret_cost" in text or "*" in text.replace("count(*)", "") for text in later)


# --- conditions and names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("price > 1", [2, 3]),
        ("price > 1 OR price < 1 -- all but one", [0, 2, 3]),
        ("title LIKE 'a%' /* % and ; */", [0]),
        ("id IN (SELECT id FROM items WHERE price = 3)", [3]),
        ("price > 1e9", []),
    ],
)
def test_a_condition_says_which_rows(
    execute: Execute, opened: Open, condition: str, expected: list[int]
) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, title text, price int, t int)")
    execute("INSERT INTO items VALUES (0,'ab',0,0), (1,'b',1,1), (2,'c',2,2), (3,'d',3,3)")
    source = opened(condition=condition, timekey="t")

    assert [row["id"] for row in rows(source)] == expected
    assert [
        row["id"] for b in source.changes('{"timekey": null}').upserts for row in b.to_pylist()
    ] == expected
    found = source.get(pa.array([0, 1, 2, 3]), ["price"]).column("price").to_pylist()
    assert [price for price in found if price is not None] == expected
    assert source.profile(["title"]).rows == source.rows() == len(expected)
    assert f'"timekey": "{expected[-1]}"' in source.cursor() if expected else "timekey" not in source.cursor()


def test_a_condition_cannot_write(execute: Execute, opened: Open) -> None:
    """The parentheses are one guard; that the transaction is read-only is the other."""
    execute("CREATE TABLE items (id int PRIMARY KEY, t int)")
    execute("INSERT INTO items VALUES (1, 1)")
    execute("CREATE TABLE victim (a int)")
    execute("INSERT INTO victim VALUES (1)")
    execute(
        "CREATE FUNCTION sweep() RETURNS boolean LANGUAGE sql VOLATILE AS 'DELETE FROM victim; SELECT true'"
    )
    source = opened(condition="sweep()", timekey="t")
    asks: list[Callable[[], object]] = [
        lambda: rows(source),
        lambda: source.changes('{"timekey": null}'),
        lambda: source.get(pa.array([1])),
        lambda: source.profile(["t"]),
        source.cursor,
        source.rows,
    ]
    for ask in asks:
        with pytest.raises(DataError, match=r"table 'items': .*read-only transaction"):
            ask()
    assert execute("SELECT count(*) FROM victim") == [(1,)]


def test_a_condition_that_leaves_its_parentheses_is_refused_before_anything_is_asked(opened: Open) -> None:
    with pytest.raises(ConfigError, match="table 'items': condition"):
        opened(condition="1=1) OR true; DROP TABLE items; --")


def test_a_condition_that_is_no_sql_is_named(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int)")
    with pytest.raises(DataError, match="table 'items': column \"prise\" does not exist"):
        rows(opened(condition="prise > 3"))
    with pytest.raises(DataError, match="table 'items': syntax error at or near"):
        rows(opened(condition="id > > 3"))


@pytest.mark.parametrize(
    ("name", "created"),
    [
        ("items", "items"),
        ("public.items", "items"),
        ("Items", "items"),
        ("Items", '"Items"'),
        ("PUBLIC.ITEMS", "items"),
        ("shop.items", "shop.items"),
        ('shop."items.v2"', 'shop."items.v2"'),
        ('"My Shop"."a ""b"""', '"My Shop"."a ""b"""'),
        ("items; DROP TABLE items; --", '"items; DROP TABLE items; --"'),
        ("größe", "größe"),
    ],
)
def test_tables_are_found_by_the_names_that_people_write(
    execute: Execute, opened: Open, name: str, created: str
) -> None:
    execute("CREATE SCHEMA shop")
    execute('CREATE SCHEMA "My Shop"')
    execute(f"CREATE TABLE {created} AS SELECT 7 AS id")

    assert rows(opened(name)) == [{"id": 7}]


def test_the_exact_name_goes_before_the_folded_one(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items AS SELECT 1 AS id")
    execute('CREATE TABLE "Items" AS SELECT 2 AS id')

    assert (rows(opened("Items")), rows(opened("items"))) == ([{"id": 2}], [{"id": 1}])


def test_the_search_path_of_the_url_is_followed(execute: Execute, opened: Open, database: str) -> None:
    execute("CREATE SCHEMA shop")
    execute("CREATE TABLE shop.items AS SELECT 1 AS id")

    assert rows(opened(url=f"{database}?options=-csearch_path%3Dshop")) == [{"id": 1}]


def test_sql_in_the_name_of_a_column_is_a_name(execute: Execute, opened: Open) -> None:
    evil = 'id"; DROP TABLE items; --'
    quoted = '"' + evil.replace('"', '""') + '"'
    execute(f'CREATE TABLE items ({quoted} int PRIMARY KEY, "t\' OR 1=1" int, "a%s $1" int)')
    execute("INSERT INTO items VALUES (1, 2, 3)")
    source = opened(key=evil, timekey="t' OR 1=1")
    expected = [{evil: 1, "t' OR 1=1": 2, "a%s $1": 3}]

    assert rows(source) == expected
    assert source.changes('{"timekey": null}').upserts[0].to_pylist() == expected
    assert source.get(pa.array([1])).to_pylist() == expected
    assert source.write(pa.table({evil: [1], "t' OR 1=1": [4], "a%s $1": [5]})) == 1
    assert rows(source) == [{evil: 1, "t' OR 1=1": 4, "a%s $1": 5}]
    with pytest.raises(DataError, match="has no key column"):
        opened(key='id"; DROP TABLE items; --x').schema()


@pytest.mark.parametrize("kind", ["postgresql", "hologres"])
def test_it_is_opened_by_its_names_in_service_files(execute: Execute, database: str, kind: str) -> None:
    """With a blank behind the slashes, as the hosted processor's example has it."""
    execute("CREATE TABLE items AS SELECT 7 AS id")
    spec = TableSpec(name="public.items", key="id", url=database.replace("://", ":// "))
    source = open_source(kind, spec)

    assert next(source.snapshot()).to_pylist() == [{"id": 7}]
    assert PASSWORD not in f"{source!r} {spec!r} {source.origin}"
    source.close()


# --- order, moments and big tables -------------------------------------------------------------------------


def test_of_equal_keys_the_greatest_timekey_comes_last(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int, t timestamptz, n int)")
    execute("INSERT INTO items VALUES (1, '2026-01-03', 1), (1, '2026-01-01', 2), (1, NULL, 3)")
    source = opened(timekey="t")

    assert [row["n"] for row in rows(source, ["n"])] == [3, 2, 1]
    assert source.get(pa.array([1])).column("n").to_pylist() == [1]


def test_two_tables_are_read_as_of_one_moment(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items AS SELECT n AS id, 1 AS amount FROM generate_series(1, 10) n")
    execute("CREATE TABLE others AS SELECT n AS id, 0 AS amount FROM generate_series(1, 10) n")
    first, second = opened("items"), opened("others")
    with first.moment() as moment:
        before = rows(first, at=moment)
        execute("WITH gone AS (UPDATE items SET amount = 0) UPDATE others SET amount = 1")
        after = rows(second, at=moment)

    assert sum(row["amount"] for row in before + after) == 10
    assert sum(row["amount"] for row in rows(first) + rows(second)) == 10


def test_a_moment_of_another_database_is_refused(
    postgres: PostgresServer, execute: Execute, opened: Open
) -> None:
    execute("CREATE TABLE items AS SELECT 1 AS id")
    with (
        opened(url=postgres.url).moment() as moment,
        pytest.raises(DataError, match=r"a moment of .*/postgres"),
    ):
        rows(opened(), at=moment)


@pytest.fixture
def big(execute: Execute) -> int:
    """A table of several parts, with rows updated and deleted, so that pages have holes."""
    execute(
        "CREATE TABLE items AS SELECT n AS id, n % 97 AS m, repeat(md5(n::text), 6) AS text "
        "FROM generate_series(1, 200000) n"
    )
    execute("UPDATE items SET m = -1 WHERE id % 1000 = 0")
    execute("DELETE FROM items WHERE id % 1000 = 1")
    execute("ALTER TABLE items ADD PRIMARY KEY (id)")
    execute("ANALYZE items")
    return 199_800


def test_a_big_table_is_read_in_parts_and_in_its_order(
    postgres: PostgresServer, database: str, execute: Execute, opened: Open, big: int
) -> None:
    source = opened(url=f"{database}?connections=3", condition="m <> 5")
    expected = execute("SELECT id, m FROM items WHERE m <> 5 ORDER BY ctid")
    batches = list(source.snapshot(["m"]))
    result = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]

    assert result == expected
    assert max(batch.num_rows for batch in batches) <= 65_536
    copies = [text for text in postgres.statements(database) if text.startswith("COPY") and "ctid" in text]
    assert len(copies) >= 3
    assert abs(opened().rows() - big) < big / 10


def test_a_big_table_is_read_as_of_one_state(execute: Execute, opened: Open, big: int) -> None:
    source = opened()
    batches = source.snapshot(["m"])
    first = next(batches)
    execute("UPDATE items SET m = 1000")
    execute("DELETE FROM items WHERE id > 100000")
    execute("INSERT INTO items SELECT n, 1000 FROM generate_series(300000, 400000) n")
    rest = list(batches)

    assert first.num_rows + sum(batch.num_rows for batch in rest) == big
    assert all(1000 not in batch.column("m").to_pylist() for batch in rest)


@pytest.mark.usefixtures("big")
def test_a_null_key_in_a_big_table_is_found(execute: Execute, opened: Open) -> None:
    execute("ALTER TABLE items DROP CONSTRAINT items_pkey")
    execute("ALTER TABLE items ALTER id DROP NOT NULL")
    execute("UPDATE items SET id = NULL WHERE id = 150000")
    with pytest.raises(DataError, match="key column 'id' is null in 1 of"):
        rows(opened(), ["m"])


@pytest.mark.usefixtures("big")
def test_a_snapshot_of_a_big_table_may_be_left(
    postgres: PostgresServer, execute: Execute, opened: Open
) -> None:
    """Its connections end, and nothing waits for them."""
    source = opened()
    batches = source.snapshot()
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    source.close()

    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    postgres.wait(lambda: execute(others) == [(0,)])


def test_partitions_are_read_in_parts_of_pages(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int, part int, text text) PARTITION BY LIST (part)")
    for part in range(3):
        execute(f"CREATE TABLE items_{part} PARTITION OF items FOR VALUES IN ({part})")
    execute(
        "INSERT INTO items SELECT n, CASE WHEN n % 10 = 0 THEN 1 ELSE 0 END, repeat(md5(n::text), 6) "
        "FROM generate_series(1, 200000) n"
    )
    result = sorted(row["id"] for row in rows(opened(), ["part"]))

    assert result == list(range(1, 200_001))


@pytest.mark.parametrize("key", ["id", "code"])
def test_what_has_no_pages_is_cut_by_its_key(
    database: str, execute: Execute, opened: Open, big: int, key: str
) -> None:
    """As tables of databases are that only talk like PostgreSQL, and number themselves as an old one."""
    execute("ALTER TABLE items ADD code text")
    execute("UPDATE items SET code = id::text WHERE id > 10")
    sessions = Sessions(Address.parse(database), "table 'items'")
    table = described(sessions.query, "items", "", "", key=key, timekey="")
    foreign = replace(table, is_heap=False, estimate=1e6)
    conditions = parts(sessions.query, foreign, table.column(key), 110003)
    sessions.close()

    assert len(conditions) == 8
    counts = [execute(f"SELECT count(*) FROM items WHERE {condition}")[0][0] for condition in conditions]
    assert sum(counts) == big
    assert min(counts) > big / 10


@pytest.mark.usefixtures("big")
def test_where_snapshots_cannot_be_exported_tables_are_read_all_the_same(
    postgres: PostgresServer, database: str, execute: Execute, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    [(big,)] = execute("SELECT count(*) FROM items")
    execute("REVOKE EXECUTE ON FUNCTION pg_export_snapshot() FROM PUBLIC")
    execute("DROP ROLE IF EXISTS reader")
    execute("CREATE ROLE reader LOGIN PASSWORD 'r3ader'")
    execute("GRANT SELECT ON items TO reader")
    url = postgres.url_of(database.rsplit("/", 1)[-1], user="reader", password="r3ader")
    source = opened(url=url)
    with caplog.at_level(logging.WARNING, "recserve.postgres"), source.moment() as moment:
        assert len(rows(source, ["m"], at=moment)) == big
        assert source.profile(["m"], at=moment).rows == big
        assert len(rows(source, ["m"])) == big
    source.close()
    execute("DROP OWNED BY reader")
    execute("DROP ROLE reader")

    warnings = [record.message for record in caplog.records if "exports no snapshots" in record.message]
    assert len(warnings) == 1
