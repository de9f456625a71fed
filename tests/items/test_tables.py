"""Several tables are one row per id: later cells win, and what a table loses the earlier ones give back."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.items.scripted import Scripted, kept, plain_store, rows_of
from tests.items.test_referee import COLUMNS, Cells

from recserve.columns import arrow_type, column_from_arrow, to_arrow
from recserve.errors import DataError
from recserve.items.part_rows import part_rows
from recserve.items.tables import lay_out
from recserve.items.writer import StoreWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.items.tables import KeptTable, Layout

Row = dict[str, Any]


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def layout_of(*tables: pa.Table, null_overwrites: bool = True) -> Layout:
    kepts = [kept_all(Scripted(table, name=f"t{number}")) for number, table in enumerate(tables)]
    return lay_out(kepts, [table.schema for table in tables], null_overwrites=null_overwrites)


def kept_all(source: Scripted) -> KeptTable:
    return kept(source, *(name for name in source.schema().names if name != "id"))


def writer_of(layout: Layout, pool: ThreadPoolExecutor) -> StoreWriter:
    return StoreWriter(plain_store(layout.key, layout.raw), layout, threading.RLock(), pool, 2)


def apply(writer: StoreWriter, number: int, table: pa.Table) -> None:
    writer.apply({number: part_rows(table, writer.layout.parts[number]).last_of_each()})


def refresh(writer: StoreWriter, number: int, table: pa.Table) -> None:
    part = writer.layout.parts[number]
    opened = writer.begin(part)
    writer.refresh(part, (part_rows(batch, part) for batch in table.to_batches(max_chunksize=3)), opened)
    writer.sweep(part, opened)
    writer.end(part, opened)


def look_up(writer: StoreWriter, *ids: str) -> dict[str, list[Any]]:
    columns = sorted(writer.layout.columns)
    with writer.store.pin() as rows:
        found = rows.look_up(column_from_arrow(pa.array(ids)), columns)
    return {name: to_arrow(found.raw[name]).to_pylist() for name in columns}


def test_the_later_table_wins_cell_by_cell(pool: ThreadPoolExecutor) -> None:
    first = rows_of("a", "b", price=[1, 2], brand=["x", "y"])
    second = rows_of("b", "c", brand=["B", "C"], color=[7, 8])
    third = rows_of("c", price=[30])
    writer = writer_of(layout_of(first, second, third), pool)

    for number, table in enumerate((first, second, third)):
        refresh(writer, number, table)

    assert look_up(writer, "a", "b", "c", "d") == {
        "price": [1, 2, 30, None],
        "brand": ["x", "B", "C", None],
        "color": [None, 7, 8, None],
    }


@pytest.mark.parametrize(("null_overwrites", "expected"), [(True, [None, "y"]), (False, ["x", "y"])])
def test_a_null_of_a_later_table_hides_an_earlier_value_unless_told_otherwise(
    null_overwrites: bool, expected: list[str | None], pool: ThreadPoolExecutor
) -> None:
    first = rows_of("a", "b", brand=["x", "y"])
    second = rows_of("a", brand=pa.array([None], pa.string()))
    writer = writer_of(layout_of(first, second, null_overwrites=null_overwrites), pool)

    refresh(writer, 0, first)
    refresh(writer, 1, second)

    assert look_up(writer, "a", "b")["brand"] == expected


def test_what_a_later_table_loses_an_earlier_one_gives_back(pool: ThreadPoolExecutor) -> None:
    first, second = rows_of("a", brand=["x"]), rows_of("a", "b", brand=["A", "B"])
    writer = writer_of(layout_of(first, second), pool)
    apply(writer, 1, second)
    apply(writer, 0, first)
    before = look_up(writer, "a", "b")["brand"]

    writer.delete(pa.array(["a", "b", "nothing"]), [writer.layout.parts[1]])

    assert before == ["A", "B"]
    assert look_up(writer, "a", "b")["brand"] == ["x", None]
    assert len(writer.store) == 1, "a row that no table has goes"
    assert [writer.rows(part) for part in writer.layout.parts] == [1, 0]


def test_a_single_table_has_no_copies_and_is_not_read_before_it_is_written(pool: ThreadPoolExecutor) -> None:
    table = rows_of("a", "b", price=[1, 2])
    layout = layout_of(table)
    writer = writer_of(layout, pool)

    refresh(writer, 0, table)

    assert layout.raw == {"price": "int64", "#0": "int64"}
    assert writer.store.figures().lookups == 0


def test_columns_that_tables_share_are_kept_for_each_of_them() -> None:
    layout = layout_of(rows_of("a", price=[1], brand=["x"]), rows_of("a", brand=["y"]))

    assert layout.raw == {
        "price": "int64",
        "brand": "string",
        "brand#0": "string",
        "brand#1": "string",
        "#0": "int64",
        "#1": "int64",
    }


def test_every_type_of_column_survives_being_merged(pool: ThreadPoolExecutor) -> None:
    cells = Cells(random.Random(5))
    rows = [cells.row() for _ in range(40)]
    ids = [f"i{number}" for number in range(40)]
    wide = pa.table({"id": ids, **{n: pa.array([row[n] for row in rows], k) for n, k in COLUMNS.items()}})
    other = rows_of(*ids, other=list(range(40)))
    writer = writer_of(layout_of(wide, wide.slice(0, 20), other), pool)

    refresh(writer, 0, wide)
    refresh(writer, 1, wide.slice(0, 20))
    refresh(writer, 2, other)  # reads all of a row and writes it again
    refresh(writer, 1, wide.slice(0, 10))

    found = look_up(writer, *ids)
    assert {name: found[name] for name in COLUMNS} == {name: wide[name].to_pylist() for name in COLUMNS}
    assert found["other"] == list(range(40))


@pytest.mark.parametrize("null_overwrites", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_any_writes_of_three_tables_give_what_dicts_give(
    seed: int, null_overwrites: bool, pool: ThreadPoolExecutor
) -> None:
    rng = random.Random(seed)
    columns = (("p", "q"), ("q", "r"), ("p", "r", "s"))
    empty = [pa.table({"id": pa.array([], pa.string()), **{c: pa.array([], pa.int64()) for c in names}})
             for names in columns]  # fmt: skip
    writer = writer_of(layout_of(*empty, null_overwrites=null_overwrites), pool)
    tables: list[dict[str, Row]] = [{}, {}, {}]
    ids = [f"i{number}" for number in range(12)]

    for _ in range(60):
        number = rng.randrange(3)
        some = rng.sample(ids, rng.randrange(len(ids)))
        new = {key: {c: rng.choice([None, 1, 2, 3]) for c in columns[number]} for key in some}
        table = pa.Table.from_pylist([{"id": k, **v} for k, v in new.items()], empty[number].schema)
        match rng.randrange(3):
            case 0:
                apply(writer, number, table)
                tables[number].update(new)
            case 1:
                writer.delete(pa.array(some, pa.string()), [writer.layout.parts[number]])
                for key in some:
                    tables[number].pop(key, None)
            case _:
                refresh(writer, number, table)
                tables[number] = new
        expected = merged(tables, null_overwrites)
        found = look_up(writer, *ids)
        assert found == {c: [expected.get(key, {}).get(c) for key in ids] for c in "pqrs"}
        assert len(writer.store) == len(expected)
        assert [writer.rows(part) for part in writer.layout.parts] == [len(table) for table in tables]
    writer_rows = [writer.rows(part) for part in writer.layout.parts]
    writer.recount()
    assert [writer.rows(part) for part in writer.layout.parts] == writer_rows


def merged(tables: list[dict[str, Row]], null_overwrites: bool) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for table in tables:
        for key, row in table.items():
            present = {c: v for c, v in row.items() if null_overwrites or v is not None}
            rows.setdefault(key, {}).update(present)
    return rows


def test_equal_rows_are_left_alone(pool: ThreadPoolExecutor) -> None:
    table = rows_of("a", "b", price=[1, 2])
    writer = writer_of(layout_of(table, rows_of("a", size=[1])), pool)
    apply(writer, 0, table)

    part = part_rows(rows_of("a", "b", price=[1, 3]), writer.layout.parts[0])
    applied = writer.apply({0: part})

    assert (applied.written, applied.unchanged) == (1, 1)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            [rows_of("a", p=[1]), rows_of(1, p=[1])],
            "tables have keys of two kinds: 't0' texts, 't1' integers; cast one of the key columns",
        ),
        (
            [rows_of("a", p=[1]), rows_of("a", p=["x"])],
            "column 'p' is int64 in table 't0' and string in 't1'; cast one of them",
        ),
        ([pa.table({"id": ["a"], "p#1": [1]})], "table 't0': column 'p#1': '#' is kept for our own columns"),
        ([rows_of(1.5, p=[1])], "key column 'id' is double; keys are texts or integers"),
    ],
)
def test_tables_that_do_not_fit_one_another_are_refused(tables: list[pa.Table], message: str) -> None:
    with pytest.raises(DataError, match=message):
        layout_of(*tables)


def test_tables_of_one_name_are_told_apart() -> None:
    table = rows_of("a", p=[1])
    tables = [kept_all(Scripted(table, name="items")) for _ in range(3)]

    layout = lay_out(tables, [table.schema] * 3)

    assert [part.name for part in layout.parts] == ["items (1)", "items (2)", "items (3)"]


@pytest.mark.parametrize("kind", COLUMNS.values(), ids=COLUMNS.keys())
def test_arrow_types_are_read_back_from_their_names(kind: pa.DataType) -> None:
    layout = layout_of(pa.table({"id": ["a"], "c": pa.array([None], kind)}))

    assert arrow_type(layout.columns["c"]) == kind
