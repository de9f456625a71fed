"""Newer rows of PostgreSQL: nothing is lost, nothing is told for ever, whatever the timekey is."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest
from tests.sources.postgres_place import rows_of, told

from recserve.errors import DataError
from recserve.sources.postgres_changes import Place, Told

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresServer
    from tests.sources.postgres_place import Execute, Open

    from recserve.sources.postgres import PostgresSource

NEW = '{"timekey": null}'
START = "timestamptz '2026-01-01 00:00:00+00'"


def ids(source: PostgresSource, cursor: str) -> tuple[list[int], str]:
    """Keys that are told, in their order, and the cursor behind them."""
    keys: list[int] = []
    more = True
    while more:
        answer = source.changes(cursor)
        keys += [row["id"] for row in told(answer)]
        cursor, more = answer.cursor, answer.more
    return keys, cursor


@pytest.fixture(params=["items", "shown"])
def table(request: pytest.FixtureRequest, execute: Execute) -> str:
    """A table that knows who wrote its rows, and a view, which does not."""
    execute("CREATE TABLE items (id int PRIMARY KEY, t timestamptz, n int DEFAULT 0)")
    execute("CREATE INDEX ON items (t)")
    execute("CREATE VIEW shown AS SELECT * FROM items")
    name: str = request.param
    return name


@pytest.mark.parametrize(
    ("declared", "values", "watermark"),
    [
        ("timestamptz", ["2026-01-01 00:00:00+00", "2026-01-01 00:00:00.000001+00"], 1767225600.000001),
        ("timestamp", ["2026-01-01 00:00:00", "2026-01-01 12:00:00"], 1767268800.0),
        ("date", ["2026-01-01", "2026-01-02"], 1767312000.0),
        ("bigint", ["1767225600000", "1767225600001"], None),
        ("integer", ["-5", "3"], None),
        ("smallint", ["1", "2"], None),
    ],
)
def test_a_timekey_may_be_a_time_or_an_integer(
    execute: Execute, opened: Open, declared: str, values: list[str], watermark: float | None
) -> None:
    execute(f"CREATE TABLE items (id int PRIMARY KEY, t {declared})")
    source = opened(timekey="t")
    empty = source.cursor()
    assert json.loads(empty).keys() == {"transaction"}
    assert ids(source, empty) == ([], empty)
    execute(f"INSERT INTO items VALUES (1, '{values[0]}')")
    keys, first = ids(source, empty)
    execute(f"INSERT INTO items VALUES (2, '{values[1]}')")
    answer = source.changes(first)

    assert (keys, [row["id"] for row in told(answer)]) == ([1], [2])
    assert answer.watermark == watermark
    assert json.loads(answer.cursor)["timekey"] == json.loads(source.cursor())["timekey"] == values[1]


@pytest.mark.parametrize("declared", ["text", "real", "numeric", "timestamptz[]", "interval"])
def test_a_timekey_of_another_type_is_named(execute: Execute, opened: Open, declared: str) -> None:
    execute(f"CREATE TABLE items (id int, t {declared})")
    with pytest.raises(DataError, match=r"timekey 't' is of type .*; it may be timestamp, .* integer"):
        opened(timekey="t").schema()


def test_a_timekey_that_is_not_there_is_named(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int)")
    with pytest.raises(DataError, match="table 'items' has no timekey column 't'; columns: id"):
        opened(timekey="t").schema()


def test_rows_of_equal_timekeys_are_all_told(execute: Execute, opened: Open, table: str) -> None:
    source = opened(table, timekey="t")
    execute(f"INSERT INTO items SELECT n, {START} FROM generate_series(1, 5) n")
    keys, cursor = ids(source, NEW)
    execute(f"INSERT INTO items SELECT n, {START} FROM generate_series(6, 9) n")
    later, end = ids(source, cursor)

    assert (keys, later) == ([1, 2, 3, 4, 5], [6, 7, 8, 9])
    assert ids(source, end) == ([], end)


def test_long_answers_are_cut_inside_of_equal_timekeys(execute: Execute, opened: Open, table: str) -> None:
    execute(f"INSERT INTO items SELECT n, {START} + (n / 40) * interval '1 s' FROM generate_series(1, 99) n")
    source = opened(table, timekey="t", page_rows=7)
    answer = source.changes(NEW)
    keys, cursor = ids(source, NEW)

    assert (len(told(answer)), answer.more, answer.watermark) == (7, True, None)
    assert keys == list(range(1, 100))
    assert ids(source, cursor) == ([], cursor)


def test_rows_written_while_a_long_answer_is_read_are_told(
    execute: Execute, opened: Open, table: str
) -> None:
    execute(f"INSERT INTO items SELECT n, {START} FROM generate_series(10, 30) n")
    source = opened(table, timekey="t", page_rows=7)
    answer = source.changes(NEW)
    execute(f"INSERT INTO items VALUES (1, {START}), (40, {START} + interval '1 s')")
    rest, cursor = ids(source, answer.cursor)
    late, _ = ids(source, cursor)

    assert {row["id"] for row in told(answer)} | {*rest, *late} == {1, *range(10, 31), 40}


@pytest.mark.parametrize("savepoint", [False, True])
def test_what_is_committed_late_is_told(
    database: str, execute: Execute, opened: Open, table: str, savepoint: bool
) -> None:
    """Its timekey is behind one that was told before; behind a savepoint rows have a number of their own."""
    execute(f"INSERT INTO items VALUES (1, {START})")
    source = opened(table, timekey="t")
    cursor = source.cursor()
    with psycopg.connect(database) as late:
        late.execute("SELECT txid_current()")
        if savepoint:
            late.execute("SAVEPOINT s")
        late.execute(f"INSERT INTO items VALUES (2, {START} + interval '1 s')")
        execute(f"INSERT INTO items VALUES (3, {START} + interval '2 s')")
        first, cursor = ids(source, cursor)
        again, cursor = ids(source, cursor)
        late.commit()
    second, cursor = ids(source, cursor)

    assert set(first) - {1} == {3}  # where rows do not know who wrote them, the overlap is told once
    assert set(again) <= {3}
    assert set(second) - {3} == {2}
    assert ids(source, cursor)[0] == []


def test_clocks_may_differ_by_the_overlap(execute: Execute, opened: Open, table: str) -> None:
    execute(f"INSERT INTO items VALUES (1, {START})")
    source = opened(table, timekey="t", overlap_seconds=60)
    cursor = source.cursor()
    execute(f"INSERT INTO items VALUES (2, {START} - interval '59 s'), (3, {START} - interval '61 s')")
    keys, end = ids(source, cursor)

    assert 2 in keys
    assert 3 not in keys
    assert json.loads(end)["timekey"] == json.loads(cursor)["timekey"]


def test_the_overlap_of_integers_is_one_and_of_dates_a_day(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, t bigint, d date)")
    execute("INSERT INTO items VALUES (1, 10, '2026-01-10')")
    by_number, by_day = opened(timekey="t"), opened(timekey="d")
    cursors = by_number.cursor(), by_day.cursor()
    execute("INSERT INTO items VALUES (2, 9, '2026-01-09'), (3, 8, '2026-01-08')")

    assert ids(by_number, cursors[0])[0] == [2]
    assert ids(by_day, cursors[1])[0] == [2]


def test_an_update_that_keeps_its_timekey_is_told(execute: Execute, opened: Open) -> None:
    """More than a timekey promises, where rows know who wrote them."""
    execute("CREATE TABLE items (id int PRIMARY KEY, t int, n int)")
    execute("INSERT INTO items VALUES (1, 1, 1), (2, 1, 1)")
    source = opened(timekey="t")
    cursor = source.cursor()
    execute("UPDATE items SET n = 2 WHERE id = 2")

    assert told(source.changes(cursor)) == [{"id": 2, "t": 1, "n": 2}]


def test_null_and_infinite_timekeys_are_never_newer(execute: Execute, opened: Open, table: str) -> None:
    execute(f"INSERT INTO items VALUES (1, {START}), (2, NULL), (3, 'infinity'), (4, '-infinity')")
    source = opened(table, timekey="t")
    keys, cursor = ids(source, NEW)
    execute(f"INSERT INTO items VALUES (5, NULL), (6, {START} + interval '1 s'), (7, 'infinity')")

    assert keys == [1]
    assert "infinity" not in cursor + source.cursor()
    assert ids(source, cursor)[0] == [6]
    assert {row["id"] for row in rows_of(source, ["n"])} == {1, 2, 3, 4, 5, 6, 7}


def test_an_idle_poll_is_one_statement_that_finds_its_rows_by_index(
    postgres: PostgresServer, database: str, execute: Execute, opened: Open
) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, t timestamptz, n int)")
    execute(f"INSERT INTO items SELECT n, {START} + n * interval '1 s' FROM generate_series(1, 20000) n")
    execute("CREATE INDEX ON items (t)")
    execute("ANALYZE items")
    source = opened(timekey="t")
    cursor = source.cursor()
    assert ids(source, cursor) == ([], cursor)
    before = len(postgres.statements(database))
    assert ids(source, cursor) == ([], cursor)
    [statement] = postgres.statements(database)[before:]
    greatest, seconds, transaction = json.loads(cursor)["timekey"], 60.0, json.loads(cursor)["transaction"]
    with psycopg.connect(database, cursor_factory=psycopg.RawCursor) as connection:
        plan = connection.execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode(), (greatest, seconds, transaction)
        ).fetchall()[0][0]

    assert "Index Scan" in json.dumps(plan)
    assert "Seq Scan" not in json.dumps(plan)


def test_a_followed_table_equals_its_source_under_many_writers(
    database: str, execute: Execute, opened: Open, table: str
) -> None:
    """Transactions of several writers overlap; some take their timekey long before they commit."""
    execute("INSERT INTO items SELECT n, clock_timestamp() FROM generate_series(1, 50) n")
    source = opened(table, timekey="t", page_rows=20)
    with source.moment() as moment:
        cursor = source.cursor(at=moment)
        kept = {row["id"]: row for row in rows_of(source, at=moment)}

    def write(writer: int) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            for round_number in range(15):
                with connection.transaction():
                    [(now,)] = connection.execute("SELECT clock_timestamp() FROM pg_sleep(0.002)").fetchall()
                    connection.execute(
                        "INSERT INTO items SELECT k, %s, %s FROM generate_series(%s::int, %s::int, 3) k "
                        "ON CONFLICT (id) DO UPDATE SET t = EXCLUDED.t, n = EXCLUDED.n",
                        (now, writer * 100 + round_number, 1 + writer % 3, 90 + writer),
                    )

    writers = [threading.Thread(target=write, args=(number,)) for number in (1, 4, 7)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        cursor = _apply(kept, source, cursor)
    source._told = Told()  # it may have found rereading to take long, and leave it for later
    _apply(kept, source, cursor)
    assert kept == {row["id"]: row for row in rows_of(source)}


def _apply(kept: dict[int, dict[str, Any]], source: PostgresSource, cursor: str) -> str:
    more = True
    while more:
        answer = source.changes(cursor)
        kept |= {row["id"]: row for row in told(answer)}
        cursor, more = answer.cursor, answer.more
    return cursor


def test_a_cursor_goes_on_after_a_restart(execute: Execute, opened: Open, table: str) -> None:
    execute(f"INSERT INTO items VALUES (1, {START})")
    _, cursor = ids(opened(table, timekey="t"), NEW)
    execute(f"INSERT INTO items VALUES (2, {START} - interval '1 s'), (3, {START} + interval '1 s')")
    keys, _ = ids(opened(table, timekey="t"), cursor)

    assert set(keys) - {1} == {2, 3}


@pytest.mark.parametrize("difference", [-(1 << 31), 1000])
def test_a_cursor_from_another_age_tells_the_overlap_again(
    execute: Execute, opened: Open, difference: int
) -> None:
    """Numbers of transactions are compared on a circle: one from half a circle ago says nothing.

    Nor does one that is yet to come, of a database that was restored since.
    """
    execute("CREATE TABLE items (id int PRIMARY KEY, t int)")
    execute("INSERT INTO items VALUES (1, 1)")
    source = opened(timekey="t")
    place = json.loads(source.cursor())
    old = json.dumps({**place, "transaction": place["transaction"] + difference})
    keys, renewed = ids(source, old)

    assert keys == [1]
    assert json.loads(renewed) == place
    assert ids(source, renewed)[0] == []


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "1", "null", "[]", "{", '{"timekey": 5}', '{"time": "1"}', '{"timekey": "then"}'),
        *('{"timekey": "1", "at": ["1"]}', '{"timekey": null, "at": 5}'),
        '{"timekey": "1", "transaction": "x"}',
    ],
)
def test_what_is_no_cursor_is_refused(execute: Execute, opened: Open, cursor: str) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, t int)")
    with pytest.raises(DataError, match=r"table 'items': (cursor .* is not one of this table|invalid input)"):
        opened(timekey="t").changes(cursor)


def test_a_cursor_of_a_table_whose_timekey_changed_is_refused(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, t timestamptz)")
    with pytest.raises(DataError, match="table 'items': invalid input syntax"):
        opened(timekey="t").changes('{"timekey": "17"}')


def test_a_column_that_vanishes_is_named_and_one_that_is_added_waits_to_be_asked_for(
    execute: Execute, opened: Open
) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, t int, n int)")
    source = opened(timekey="t")
    cursor = source.cursor()
    source.changes(cursor)
    execute("ALTER TABLE items ADD added int DEFAULT 7")
    execute("INSERT INTO items VALUES (1, 1, 1)")
    assert told(source.changes(cursor, ["n"])) == [{"id": 1, "n": 1}]
    execute("ALTER TABLE items DROP n")
    with pytest.raises(DataError, match="table 'items': column \"n\" does not exist"):
        source.changes(cursor, ["n"])

    assert source.schema().names == ["id", "t", "added"]
    assert told(source.changes(cursor, ["n", "added"])) == [{"id": 1, "added": 7}]


def test_a_retyped_column_is_read_as_it_is_then(execute: Execute, opened: Open) -> None:
    execute("CREATE TABLE items (id int PRIMARY KEY, t int, n int)")
    source = opened(timekey="t")
    cursor = source.cursor()
    source.changes(cursor)
    execute("ALTER TABLE items ALTER n TYPE text")
    execute("INSERT INTO items VALUES (1, 1, 'one')")
    with pytest.raises(DataError, match=r"column 'n' \(integer\) has a value that is no int32"):
        source.changes(cursor)

    assert told(source.changes(cursor)) == [{"id": 1, "t": 1, "n": "one"}]


def test_rereading_takes_a_small_share_of_the_time() -> None:
    told = Told()
    assert told.may_reread()
    told.reread_took(0.1)
    assert told.may_reread()
    told.reread_took(1000.0)
    assert not told.may_reread()


def test_while_rereading_waits_only_what_is_newer_is_told_and_the_rest_later(
    execute: Execute, opened: Open, table: str
) -> None:
    execute(f"INSERT INTO items VALUES (1, {START})")
    source = opened(table, timekey="t")
    _, cursor = ids(source, NEW)
    source._told.reread_took(1000.0)
    execute(f"INSERT INTO items VALUES (2, {START} - interval '1 s'), (3, {START} + interval '1 s')")
    first, cursor = ids(source, cursor)
    source._told.reread_took(0.0)
    second, cursor = ids(source, cursor)

    assert first == [3]
    assert set(second) - {3} == {2}
    assert ids(source, cursor) == ([], cursor)


def test_a_cursor_is_json_that_people_can_read() -> None:
    place = Place("2026-01-01 00:00:00+00", 750, ("2026-01-01", "k"), 760)

    assert Place.parse(place.text(), "") == place
    assert Place("5").text() == '{"timekey": "5"}'
    assert (Place("5").seconds, Place("2026-01-01 00:00:00+00").seconds) == (None, 1767225600.0)
    assert Place("294276-12-31 23:59:59+00").seconds is None


def test_no_keys_are_lost_where_keys_are_texts_of_any_language(execute: Execute, opened: Open) -> None:
    """Parts are cut by an order of keys that does not depend on the server's language."""
    execute("CREATE TABLE items (id text PRIMARY KEY, t int)")
    names = ["ä", "a", "B", "b", "_", "Ä", "z", "1", "ß", "'", '"', "\\", "é", "e"]
    for name in names:
        execute("INSERT INTO items VALUES (%s, 1)", name)
    source = opened(timekey="t", page_rows=3)
    keys, _ = ids(source, NEW)

    assert sorted(map(str, keys)) == sorted(names)
    assert pa.array(keys).type == pa.string()
