"""Rows written to PostgreSQL: tables are made, keys replaced, types kept, nothing is written by halves."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.sources.place import TYPES
from tests.sources.postgres_place import rows_of, told

from recserve.errors import DataError

if TYPE_CHECKING:
    from tests.sources.postgres_place import Execute, Open


def test_a_table_that_is_not_there_is_made(execute: Execute, opened: Open) -> None:
    execute("CREATE SCHEMA shop")
    rows = pa.table({"id": ["a", "b"], "price": pa.array([1.5, None], pa.float32()), "tags": [["x"], []]})
    source = opened("shop.items", timekey="changed")

    assert source.write(rows) == 2
    assert source.schema().field("changed").type == pa.timestamp("us", "UTC")
    assert rows_of(source, ["price", "tags"]) == rows.to_pylist()
    indexed = execute(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
        "WHERE indrelid = 'shop.items'::regclass ORDER BY 1"
    )
    assert indexed == [("changed",), ("id",)]


@pytest.mark.parametrize("name", [name for name in TYPES if not name.startswith("map")])
def test_every_type_is_written_and_read(opened: Open, name: str) -> None:
    values = TYPES[name]
    source = opened()
    source.write(pa.table({"id": [1, 2, 3, 4], "value": values}))

    assert [repr(row["value"]) for row in rows_of(source)] == [repr(value) for value in values.to_pylist()]


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (pa.array([1], pa.int8()), 1),
        (pa.array([2**32 - 1], pa.uint32()), 2**32 - 1),
        (pa.array([2**63 - 1], pa.uint64()), 2**63 - 1),
        (pa.array([np.float16(0.5)], pa.float16()), 0.5),
        (pa.array(["x"], pa.large_string()), "x"),
        (pa.array(["x"]).dictionary_encode(), "x"),
        (pa.array([date(2026, 1, 2)]), date(2026, 1, 2)),
        (pa.array([["x"]], pa.large_list(pa.string())), ["x"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_types_that_have_no_equal_get_a_wider_one(opened: Open, values: pa.Array, read: Any) -> None:
    source = opened()
    source.write(pa.table({"id": [1], "value": values}))
    source.write(pa.table({"id": [1], "value": values}))

    assert rows_of(source) == [{"id": 1, "value": read}]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([{"a": 1}]),
        pa.array([[("k", 1.0)]], pa.map_(pa.string(), pa.float64())),
        pa.array([[[["x"]]]]),
        pa.array([1], pa.duration("s")),
    ],
    ids=lambda values: str(values.type),
)
def test_a_type_that_postgresql_lacks_is_named(execute: Execute, opened: Open, values: pa.Array) -> None:
    with pytest.raises(
        DataError, match=r"table 'items': column 'value' is .*, which PostgreSQL has no type for"
    ):
        opened().write(pa.table({"id": [1], "value": values}))
    assert execute("SELECT to_regclass('items')") == [(None,)]


def test_what_is_written_is_cast_to_what_the_table_has(execute: Execute, opened: Open) -> None:
    execute("CREATE TYPE mood AS ENUM ('glad', 'sad')")
    execute(
        "CREATE TABLE items (id uuid PRIMARY KEY, n numeric(10,2), c char(3), j jsonb, m mood, v varchar(4), "
        "g int GENERATED ALWAYS AS (length(v)) STORED, s smallint)"
    )
    key = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    row = {"id": key, "n": 1.25, "c": "ab", "j": '{"a": 1}', "m": "sad", "v": "four", "s": 7}
    source = opened()
    source.write(pa.Table.from_pylist([row]))

    assert rows_of(source) == [{**row, "g": 4}]
    for column, value, match in [
        ("m", "angry", 'invalid input value for enum mood: "angry"'),
        ("j", "{", "invalid input syntax for type json"),
        ("s", 40_000, "column 's'"),
        ("g", 5, "no column 'g'"),
    ]:
        with pytest.raises(DataError, match=f"table 'items'.*{match}"):
            source.write(pa.Table.from_pylist([{"id": key, column: value}]), mode="merge")
    assert rows_of(source) == [{**row, "g": 4}]


def test_columns_of_types_that_nobody_reads_are_left_alone_or_emptied(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, span interval, n int)")
    execute("INSERT INTO items VALUES (1, '1 day', 1), (2, '1 day', 1)")
    source = opened()
    source.write(pa.table({"id": [1], "n": [2]}), mode="merge")
    source.write(pa.table({"id": [2], "n": [2]}))

    assert execute("SELECT id, span IS NULL, n FROM items ORDER BY id") == [(1, False, 2), (2, True, 2)]
    with pytest.raises(DataError, match="column 'span' is of type interval"):
        source.write(pa.table({"id": [1], "span": ["1 day"]}))


def test_a_text_with_a_nul_is_refused_and_nothing_is_written(opened: Open) -> None:
    source = opened()
    source.write(pa.table({"id": ["a"], "n": ["1"]}))
    with pytest.raises(DataError, match=r"table 'items': .*NUL"):
        source.write(pa.table({"id": ["b", "a"], "n": ["2", "x\0y"]}))

    assert rows_of(source) == [{"id": "a", "n": "1"}]


def test_a_table_without_a_unique_index_on_the_key_is_named(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int, n int)")
    with pytest.raises(DataError, match=r'no unique index is on .* CREATE UNIQUE INDEX ON "public"'):
        opened().write(pa.table({"id": [1], "n": [1]}))


def test_the_databases_clock_fills_a_timekey_that_is_not_sent(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, n int, t timestamptz, d date, v bigint)")
    source = opened(timekey="t")
    cursor = source.cursor()
    source.write(pa.table({"id": [1], "n": [1]}))
    source.write(pa.table({"id": [1], "n": [2]}), mode="merge")

    assert [(row["id"], row["n"]) for row in told(source.changes(cursor))] == [(1, 2)]
    assert execute("SELECT t > now() - interval '1 hour' FROM items") == [(True,)]
    opened(timekey="d").write(pa.table({"id": [1], "n": [3]}))
    with pytest.raises(DataError, match="lacks the timekey 'v'; only its writer knows which bigint"):
        opened(timekey="v").write(pa.table({"id": [1], "n": [4]}))
    assert execute("SELECT n FROM items") == [(3,)]


def test_many_rows_are_written(opened: Open) -> None:
    keys = list(range(30_000))
    source = opened()
    assert source.write(pa.table({"id": keys, "n": keys})) == 30_000
    assert source.write(pa.table({"id": keys[::2], "n": [0] * 15_000})) == 15_000

    assert sum(row["n"] for row in rows_of(source)) == sum(keys[1::2])


def test_a_missing_schema_is_named(opened: Open) -> None:
    with pytest.raises(DataError, match=r"table 'shop\.items': schema \"shop\" does not exist"):
        opened("shop.items").write(pa.table({"id": [1]}))
