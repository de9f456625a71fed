"""A full refresh that would spoil the store is refused: the old rows are served, and one line says why."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.items.manual_clock import ManualClock
from tests.items.scripted import Scripted, contents, eventually, keeper_of, kept, rows_of

from recserve.items.gate import Limits
from recserve.items.store import ItemStore
from recserve.sources.memory import MemoryOrigin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.items.keeper import Keeper
    from recserve.source import Ability

IDS = [f"i{number}" for number in range(10)]
FULL = rows_of(*IDS, price=list(range(10)), brand=["x"] * 10)
COUNTS: dict[str, frozenset[Ability]] = {
    "counted before": frozenset({"profile"}),
    "counted as read": frozenset(),
}


def nulls(count: int) -> pa.Table:
    """The full table, `count` of its brands null and the prices others."""
    brands = pa.array([None] * count + ["x"] * (10 - count), pa.string())
    return rows_of(*IDS, price=list(range(10, 20)), brand=brands)


@pytest.fixture(params=list(COUNTS))
def source(request: pytest.FixtureRequest) -> Scripted:
    return Scripted(FULL, name="shop.items", abilities=COUNTS[request.param])


@pytest.fixture(params=["diff", "swap"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def keeper(source: Scripted, mode: str) -> Iterator[Keeper]:
    keeper = keeper_of(kept(source, "price", "brand"), refresh_mode=mode, limits=Limits(50.0, 30.0))
    keeper.load()
    yield keeper
    keeper.close()


GONE = "the full refresh of table 'shop.items' is refused and the old rows are served: "
REFUSED: dict[str, tuple[pa.Table, str]] = {
    "no rows": (
        FULL.slice(0, 0),
        "it has 0 rows, the store has 10 of it; min_rows_percent is 50, and an empty table is never taken",
    ),
    "too few rows": (
        FULL.slice(0, 4),
        "it has 4 rows, the store has 10 of it; min_rows_percent is 50, and an empty table is never taken",
    ),
    "a column vanished": (FULL.drop_columns(["brand"]), "its column 'brand', which features read, is gone"),
    "a column changed its type": (
        FULL.set_column(1, "price", pa.array([0.5] * 10)),
        "its column 'price' was int64 and became float64",
    ),
    "a column became what is no type of ours": (
        FULL.set_column(1, "price", pa.array([0] * 10, pa.timestamp("s"))),
        "column 'price': Arrow type timestamp",
    ),
    "the key vanished": (FULL.rename_columns(["sku", "price", "brand"]), "its key column 'id' is gone"),
    "keys of another kind": (
        FULL.set_column(0, "id", pa.array(range(10))),
        "table 'shop.items': key column 'id' became int64, the store has string",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_spoilt_table_is_refused(
    case: str, source: Scripted, keeper: Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    table, reason = REFUSED[case]
    before = contents(keeper)
    source.replace_table(table)

    with caplog.at_level(logging.ERROR):
        report = keeper.refresh_now()

    assert contents(keeper) == before
    assert [(t.outcome, t.error.startswith(GONE + reason)) for t in report.tables] == [("refused", True)], (
        report
    )
    assert [record.getMessage() for record in caplog.records] == [report.tables[0].error]
    (alarm,) = keeper.status().alarms
    assert (alarm.kind, alarm.during, alarm.message) == ("refused", "refreshing", report.tables[0].error)
    assert keeper.gauges()["recserve_item_alarm"][1][("table", "shop.items"), ("kind", "refused")] == 1.0  # type: ignore[index]


def test_nulls_that_rise_too_much_are_refused(source: Scripted, keeper: Keeper) -> None:
    before = contents(keeper)
    source.replace_table(nulls(4))

    report = keeper.refresh_now()

    assert contents(keeper) == before
    assert report.tables[0].outcome == "refused"
    assert "column 'brand' is null in " in report.tables[0].error
    assert "before in 0.0 %; max_null_increase_percent is 30" in report.tables[0].error


def test_the_next_good_refresh_passes_and_turns_the_alarm_off(source: Scripted, keeper: Keeper) -> None:
    source.replace_table(nulls(10))
    keeper.refresh_now()

    source.replace_table(FULL.set_column(1, "price", pa.array(range(1, 11))))
    report = keeper.refresh_now()

    assert report.complete
    assert contents(keeper)["i0"]["price"] == 1
    assert keeper.status().alarms == ()


def test_half_of_the_rows_and_some_nulls_pass(source: Scripted, keeper: Keeper) -> None:
    brands = pa.array(["x"] * 4 + [None], pa.string())
    source.replace_table(rows_of(*IDS[:5], price=list(range(5)), brand=brands))

    report = keeper.refresh_now()

    assert report.complete
    assert contents(keeper).keys() == set(IDS[:5])


def test_new_columns_do_not_matter(source: Scripted, keeper: Keeper) -> None:
    source.replace_table(FULL.append_column("new", pa.array([1] * 10)))

    assert keeper.refresh_now().complete


def test_nulls_that_were_there_before_are_no_rise(mode: str) -> None:
    # The first half of the table is null in every reading: a prefix alone would look like a rise.
    for abilities in COUNTS.values():
        source = Scripted(nulls(5), abilities=abilities)
        keeper = keeper_of(kept(source, "price", "brand"), refresh_mode=mode, limits=Limits(50.0, 30.0))
        keeper.load()
        source.replace_table(nulls(5).set_column(1, "price", pa.array(range(50, 60))))

        assert keeper.refresh_now().complete
        assert contents(keeper)["i9"]["price"] == 59
        keeper.close()


def test_one_table_is_refused_and_the_others_are_refreshed(mode: str) -> None:
    origin, counts = MemoryOrigin("db"), COUNTS["counted before"]
    first = Scripted(FULL, name="first", origin=origin, abilities=counts)
    second = Scripted(rows_of(*IDS, size=[1] * 10), name="second", origin=origin, abilities=counts)
    keeper = keeper_of(kept(first, "price"), kept(second, "size"), refresh_mode=mode)
    keeper.load()
    first.replace_table(FULL.slice(0, 1))
    second.replace_table(rows_of(*IDS, size=[2] * 10))

    report = keeper.refresh_now()

    assert [table.outcome for table in report.tables] == ["refused", "refreshed"]
    assert contents(keeper) == {key: {"price": n, "size": 2} for n, key in enumerate(IDS)}
    keeper.close()


def test_columns_that_are_not_kept_are_compared_with_the_last_snapshot(mode: str) -> None:
    source = Scripted(FULL, abilities=frozenset({"profile"}))

    def without_brand(key: Any, raw: Any) -> ItemStore:
        kept_raw = {name: kind for name, kind in raw.items() if name != "brand"}
        return ItemStore(key, kept_raw, dropped={"brand": raw["brand"]})

    keeper = keeper_of(kept(source, "price", "brand"), refresh_mode=mode, limits=Limits(50.0, 30.0))
    keeper._make_store = without_brand
    keeper.load()

    source.replace_table(nulls(4))
    report = keeper.refresh_now()

    assert report.tables[0].outcome == "refused"
    assert "column 'brand' is null in 40.0 % of the rows, before in 0.0 %" in report.tables[0].error
    keeper.close()


def test_a_refused_refresh_waits_for_the_next_period() -> None:
    clock = ManualClock()
    source = Scripted(FULL, abilities=frozenset({"profile"}))
    keeper = keeper_of(kept(source, "price"), clock=clock, period_seconds=100.0)
    keeper.load()
    keeper.start()
    source.replace_table(FULL.slice(0, 0))

    clock.advance(100.0)
    eventually(keeper, lambda: len(keeper.status().alarms) == 1)

    assert keeper.status().tables[0].next_refresh_in_seconds == 100.0
    source.replace_table(FULL.slice(0, 9))
    clock.advance(100.0)
    eventually(keeper, lambda: not keeper.status().alarms)
    assert len(contents(keeper)) == 9
    keeper.close()


def test_a_refused_table_that_is_not_followed_any_more_is_tried_again_soon() -> None:
    clock = ManualClock()
    source = Scripted(FULL)
    keeper = keeper_of(kept(source, "price"), clock=clock)
    keeper.load()
    source.replace_table(FULL.slice(0, 0))  # the old cursor is not known to it

    keeper.start()
    eventually(keeper, lambda: any(alarm.kind == "refused" for alarm in keeper.status().alarms))
    assert len(contents(keeper)) == 10
    source.replace_table(FULL.slice(0, 9))
    clock.advance(61.0)

    eventually(keeper, lambda: len(contents(keeper)) == 9)
    while not keeper.wait_for(lambda: keeper.status().tables[0].state == "following", 0.05):
        clock.advance(1.0)  # the follower may have begun its pause just now
    keeper.close()
