"""Rows that somebody brings are written beside the tables, until the tables say otherwise."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.items.scripted import Scripted, contents, eventually, keeper_of, kept, rows_of

from recserve.errors import DataError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.items.keeper import Keeper


@pytest.fixture
def source() -> Scripted:
    vectors = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))
    return Scripted(rows_of("a", "b", price=[1, 2], name=["x", "y"], vector=vectors))


@pytest.fixture
def keeper(source: Scripted) -> Iterator[Keeper]:
    keeper = keeper_of(kept(source, "price", "name", "vector"))
    keeper.load()
    yield keeper
    source.hang()
    keeper.close()


def test_a_row_that_brings_some_columns_keeps_the_others(keeper: Keeper) -> None:
    applied = keeper.upsert(pa.table({"id": ["a", "n"], "price": [10, 30]}))

    assert applied.written == 2
    assert keeper.get(pa.array(["a", "n", "unknown"])) == [
        {"name": "x", "price": 10, "vector": [1.0, 2.0]},
        {"name": None, "price": 30, "vector": None},
        None,
    ]


def test_rows_from_json_are_taken_as_the_types_of_the_table(keeper: Keeper) -> None:
    keeper.upsert(
        pa.Table.from_pylist([{"id": "a", "price": 7, "vector": [5, 6]}, {"id": "b", "price": None}])
    )

    rows = keeper.get(pa.array(["a", "b"]))
    assert rows[0] == {"name": "x", "price": 7, "vector": [5.0, 6.0]}
    assert rows[1] == {"name": "y", "price": None, "vector": None}


def test_of_equal_keys_the_last_row_counts(keeper: Keeper) -> None:
    assert keeper.upsert(pa.table({"id": ["a", "a"], "price": [10, 11]})).written == 1
    assert contents(keeper)["a"]["price"] == 11


def test_equal_rows_are_not_written(keeper: Keeper) -> None:
    applied = keeper.upsert(pa.table({"id": ["a", "b"], "price": [1, 3]}))

    assert (applied.written, applied.unchanged) == (1, 1)


def test_deleted_items_are_gone_until_their_table_is_read_again(keeper: Keeper) -> None:
    assert keeper.delete(pa.array(["a", "unknown", "a"])) == 1
    assert contents(keeper).keys() == {"b"}

    keeper.refresh_now()
    assert contents(keeper).keys() == {"a", "b"}


def test_what_somebody_brings_lasts_until_the_next_refresh_or_change_of_the_row(
    keeper: Keeper, source: Scripted
) -> None:
    keeper.start()
    keeper.upsert(pa.table({"id": ["a", "b", "n"], "price": [10, 20, 30]}))

    source.write(pa.table({"id": ["b"], "price": [3], "name": ["y"], "vector": [None]}).cast(source.schema()))
    eventually(keeper, lambda: contents(keeper)["b"]["price"] == 3)
    before = contents(keeper)
    keeper.refresh_now()

    assert (before["a"]["price"], before["n"]["price"]) == (10, 30)
    assert {key: row["price"] for key, row in contents(keeper).items()} == {"a": 1, "b": 3}


@pytest.mark.parametrize("mode", ["diff", "swap"])
def test_what_somebody_brings_while_a_table_is_read_survives_that(mode: str, source: Scripted) -> None:
    keeper = keeper_of(kept(source, "price"), refresh_mode=mode)
    keeper.load()
    source.hang("batch")
    refresh = threading.Thread(target=keeper.refresh_now)
    refresh.start()
    assert source.hangs_in("batch")

    keeper.upsert(pa.table({"id": ["a", "n"], "price": [10, 30]}))
    keeper.delete(pa.array(["b"]))
    source.hang()
    refresh.join(20)

    assert contents(keeper) == {"a": {"price": 10}, "n": {"price": 30}}
    keeper.refresh_now()
    assert contents(keeper) == {"a": {"price": 1}, "b": {"price": 2}}
    keeper.close()


def test_a_column_goes_to_the_last_table_that_has_it() -> None:
    first = Scripted(rows_of("a", "b", p=[1, 2], q=[1, 2]), name="first")
    second = Scripted(rows_of("a", q=[5]), name="second")
    keeper = keeper_of(kept(first, "p", "q"), kept(second, "q"))
    keeper.load()

    keeper.upsert(pa.table({"id": ["b"], "p": [9], "q": [9]}))
    keeper.delete(pa.array(["a"]))
    second.delete(pa.array(["b"]))
    written = contents(keeper)
    keeper._followers[1].catch_up()  # the second table takes its cell away, the first one's comes back

    assert written == {"b": {"p": 9, "q": 9}}
    assert contents(keeper) == {"b": {"p": 9, "q": 2}}
    assert [table.rows for table in keeper.status().tables] == [1, 0]
    keeper.close()


def test_integer_keys_may_come_as_texts() -> None:
    keeper = keeper_of(kept(Scripted(rows_of(1, 2, price=[1, 2])), "price"))
    keeper.load()

    keeper.upsert(pa.table({"id": ["2", "3"], "price": [20, 30]}))
    keeper.delete(pa.array(["1"]))

    assert contents(keeper) == {2: {"price": 20}, 3: {"price": 30}}
    with pytest.raises(DataError, match="keys are int64: Failed to parse string: 'shoe'"):
        keeper.delete(pa.array(["shoe"]))
    keeper.close()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"sku": ["a"], "price": [1]}, "the rows have no key column 'id'; columns: sku, price"),
        ({"id": [None, "a"], "price": [1, 2]}, "1 of 2 keys are null"),
        ({"id": [""], "price": [1]}, "item row 0 has no key: null, empty or no integer"),
        ({"id": ["a"], "prize": [1]}, "items have no column 'prize'; they have name, price, vector"),
        ({"id": ["a"], "price": ["dear"]}, "column 'price' is int64: Failed to parse string: 'dear'"),
        ({"id": ["a"], "price": [1.5]}, "column 'price' is int64: Float value 1.50* was truncated"),
        ({"id": ["a"], "vector": [[1.0]]}, r"column 'vector' is float32\[2\]: .*"),
        ({"id": [1.5], "price": [1]}, "key column 'key' is double; keys are texts or integers"),
    ],
)
def test_rows_that_do_not_fit_the_tables_are_refused_and_nothing_is_written(
    rows: dict[str, list[Any]], message: str, keeper: Keeper
) -> None:
    before = contents(keeper)

    with pytest.raises(DataError, match=message):
        keeper.upsert(pa.table(rows))

    assert contents(keeper) == before


def test_without_tables_there_is_nothing_to_write() -> None:
    keeper = keeper_of()

    with pytest.raises(UnavailableError, match="not loaded yet"):
        keeper.upsert(rows_of("a"))
    keeper.load()
    with pytest.raises(DataError, match="there are no item tables"):
        keeper.upsert(rows_of("a"))
    keeper.close()
