"""`diff` names every row in which the store is not as its tables are, and no other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.items.scripted import Scripted, eventually, keeper_of, kept, rows_of

from recserve.errors import SourceError
from recserve.items.compare import Difference
from recserve.items.store import ItemStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.items.keeper import Keeper

NAN = math.nan


@pytest.fixture
def source() -> Scripted:
    table = rows_of("a", "b", "c", price=[1, 2, 3], size=[0.0, NAN, None])
    return Scripted(table, abilities=frozenset({"profile"}))


@pytest.fixture
def keeper(source: Scripted) -> Iterator[Keeper]:
    keeper = keeper_of(kept(source, "price", "size"))
    keeper.load()
    yield keeper
    keeper.close()


def test_a_store_that_is_equal_has_no_differences(keeper: Keeper) -> None:
    assert list(keeper.diff()) == []


def test_missing_extra_and_differing_rows_are_named(keeper: Keeper, source: Scripted) -> None:
    source.replace_table(rows_of("a", "b", "d", price=[10, 2, 4], size=[-0.0, NAN, 1.0]))

    found = sorted(keeper.diff(), key=lambda difference: str(difference.key))

    assert found == [
        Difference("items", "a", "differs", {"price": (1, 10), "size": (0.0, -0.0)}),
        Difference("items", "c", "extra", {}),
        Difference("items", "d", "missing", {}),
    ]


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 9])
def test_no_more_are_told_than_asked_for(limit: int, keeper: Keeper, source: Scripted) -> None:
    source.replace_table(rows_of("a", "x", price=[7, 7], size=[1.0, 1.0]))

    assert len(list(keeper.diff(limit))) == min(limit, 4)


def test_looking_changes_nothing(keeper: Keeper, source: Scripted) -> None:
    source.replace_table(rows_of("a", "x", price=[7, 7], size=[1.0, 1.0]))

    assert len(list(keeper.diff())) == len(list(keeper.diff())) == 4
    report = keeper.refresh_now().tables[0]
    assert (report.written, report.deleted) == (2, 2)


def test_the_last_row_of_a_repeated_key_is_the_one_that_counts(keeper: Keeper, source: Scripted) -> None:
    source.replace_table(
        rows_of("a", "b", "c", "a", "b", "b", price=[9, 2, 3, 1, 9, 9], size=[0.0, NAN, None, 0.0, NAN, NAN])
    )

    assert [(found.key, found.columns) for found in keeper.diff()] == [("b", {"price": (2, 9)})]


def test_the_newest_row_of_a_repeated_key_is_the_one_that_counts() -> None:
    source = Scripted(rows_of("a", "b", price=[1, 1], at=[5, 5]))
    keeper = keeper_of(kept(source, "price", order="at"))
    keeper.load()
    source.replace_table(rows_of("a", "a", "b", "b", price=[9, 1, 9, 1], at=[4, 5, 6, 5]))

    assert [(found.key, found.columns) for found in keeper.diff()] == [("b", {"price": (1, 9)})]
    keeper.close()


def test_rows_that_are_written_meanwhile_are_left_out() -> None:
    source = Scripted(rows_of("a", "b", price=[1, 2]))
    keeper = keeper_of(kept(source, "price"))
    keeper.load()
    source.before["end"] = lambda: keeper.upsert(pa.table({"id": ["a", "n"], "price": [10, 5]}))  # type: ignore[assignment]

    assert list(keeper.diff()) == []
    assert {found.key for found in keeper.diff()} == {"a", "n"}
    keeper.close()


def test_every_table_is_compared_with_its_own_part_of_a_row() -> None:
    first = Scripted(rows_of("a", "b", p=[1, 2], q=[1, 2]), name="first")
    second = Scripted(rows_of("a", q=[5]), name="second")
    keeper = keeper_of(kept(first, "p", "q"), kept(second, "q"))
    keeper.load()
    first.write(rows_of("a", p=[1], q=[7]))

    # The cell that counts is the second table's; the first one's differs all the same.
    assert list(keeper.diff()) == [Difference("first", "a", "differs", {"q": (1, 7)})]
    keeper.start()
    eventually(keeper, lambda: not list(keeper.diff()))
    keeper.close()


def test_cells_that_are_not_kept_differ_without_being_named(source: Scripted) -> None:
    keeper = keeper_of(kept(source, "price"))
    keeper._make_store = lambda key, raw: ItemStore(key, {"#0": "int64"}, dropped={"price": raw["price"]})
    keeper.load()
    source.replace_table(rows_of("a", "b", "c", price=[1, 2, 4]))

    assert list(keeper.diff()) == [Difference("items", "c", "differs", {})]
    keeper.close()


def test_a_source_that_is_away_is_an_error(keeper: Keeper, source: Scripted) -> None:
    source.failing = {"batch": SourceError("gone")}

    with pytest.raises(SourceError, match="gone"):
        list(keeper.diff())
