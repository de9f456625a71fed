"""A keeper loads, follows, refreshes, outlives what happens to its sources, and ends."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import asdict
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.items.manual_clock import ManualClock
from tests.items.scripted import Scripted, contents, eventually, keeper_of, kept, rows_of

from recserve.columns import column_from_arrow, to_arrow
from recserve.errors import DataError, LoadError, SourceError, UnavailableError
from recserve.items.store import ItemStore
from recserve.source import Changes
from recserve.sources.memory import MemoryOrigin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recserve.items.keeper import Keeper
    from recserve.items.status import TableStatus
    from recserve.items.tables import KeptTable


@pytest.fixture
def keep() -> Iterator[Callable[..., Keeper]]:
    """Make keepers that are closed at the end, whatever a test left hanging."""
    keepers: list[tuple[Keeper, list[Any]]] = []

    def make(*tables: KeptTable, **options: Any) -> Keeper:
        keeper = keeper_of(*tables, **options)
        keepers.append((keeper, [table.source for table in tables]))
        return keeper

    yield make
    for keeper, sources in keepers:
        for source in sources:
            source.hang()
        keeper.close()


def items(**columns: list[Any]) -> Scripted:
    return Scripted(pa.table({"id": ["a", "b", "c"], **(columns or {"price": [1, 2, 3]})}))


def table_of(keeper: Keeper, number: int = 0) -> TableStatus:
    return keeper.status().tables[number]


def price_of(keeper: Keeper, key: str) -> Any:
    row = keeper.get(pa.array([key]))[0]
    return None if row is None else row["price"]


def has_price(keeper: Keeper, price: int) -> bool:
    return bool(price_of(keeper, "a") == price)


# --- loading ----------------------------------------------------------------------------------------------


def test_a_keeper_loads_its_tables_and_says_how_far_it_is(keep: Callable[..., Keeper]) -> None:
    keeper = keep(kept(items(), "price"))
    told: list[tuple[str, int, int]] = []

    keeper.load(lambda *step: told.append(step))

    assert contents(keeper) == {"a": {"price": 1}, "b": {"price": 2}, "c": {"price": 3}}
    assert told == [("loading items", done, 3) for done in (0, 2, 3)]
    assert keeper.status().state == "ready"
    assert table_of(keeper).rows == 3


def test_only_the_columns_asked_for_are_kept_and_ones_that_a_table_lacks_left_out(
    keep: Callable[..., Keeper],
) -> None:
    keeper = keep(kept(items(price=[1, 2, 3], size=[4, 5, 6]), "price", "nothing"))

    keeper.load()

    assert contents(keeper)["a"] == {"price": 1}


def test_before_it_is_loaded_a_keeper_has_nothing(keep: Callable[..., Keeper]) -> None:
    keeper = keep(kept(items(), "price"))

    with pytest.raises(UnavailableError, match="the items are not loaded yet"):
        keeper.pin()
    assert keeper.gauges() == {}


def test_without_tables_the_store_is_empty(keep: Callable[..., Keeper]) -> None:
    keeper = keep()

    keeper.load()
    keeper.start()

    assert keeper.figures().rows == 0
    assert keeper.refresh_now().tables == ()


def test_loading_asks_again_while_the_source_cannot_be_reached(keep: Callable[..., Keeper]) -> None:
    source, clock = items(), ManualClock()
    source.failing = {"snapshot": SourceError("no route to postgresql://user:***@db")}
    keeper = keep(kept(source, "price"), clock=clock, load_timeout_seconds=1e12)
    loading = threading.Thread(target=keeper.load)

    loading.start()
    while source.asked["snapshot"] < 3:
        clock.advance(1.0)
    source.failing = {}
    while loading.is_alive():
        clock.advance(1.0)
        loading.join(0.01)

    assert len(contents(keeper)) == 3


def test_a_load_that_takes_too_long_fails_and_says_why(keep: Callable[..., Keeper]) -> None:
    source = items()
    source.failing = {"snapshot": SourceError("no route to host 'db'")}
    keeper = keep(kept(source, "price"), load_timeout_seconds=0.3)

    with pytest.raises(SourceError, match=r"longer than load_timeout \(0\.3 s\): no route to host 'db'"):
        keeper.load()


def test_a_source_that_hangs_cannot_hang_the_load(keep: Callable[..., Keeper]) -> None:
    source = items()
    source.hang("batch")
    keeper = keep(kept(source, "price"), load_timeout_seconds=0.3, close_seconds=0.5)

    with pytest.raises(SourceError, match="longer than load_timeout"):
        keeper.load()


@pytest.mark.parametrize("step", ["schema", "moment", "snapshot", "batch", "end"])
def test_a_table_that_is_wrong_ends_the_load_at_once(step: str, keep: Callable[..., Keeper]) -> None:
    source = items()
    source.failing = {step: DataError("there is no table 'itemz'")}
    keeper = keep(kept(source, "price"))

    with pytest.raises(DataError, match="there is no table 'itemz'"):
        keeper.load()


def test_closing_ends_a_load(keep: Callable[..., Keeper]) -> None:
    source = items()
    source.hang("batch")
    keeper = keep(kept(source, "price"), close_seconds=0.2)
    errors: list[BaseException] = []

    def load() -> None:
        try:
            keeper.load()
        except LoadError as error:
            errors.append(error)

    loading = threading.Thread(target=load)
    loading.start()
    assert source.hangs_in("batch")
    keeper.close()
    loading.join(20)

    assert [str(error) for error in errors] == ["the item store was closed while it was loaded"]


def test_repeated_keys_are_counted_and_the_last_row_counts(
    keep: Callable[..., Keeper], caplog: pytest.LogCaptureFixture
) -> None:
    keeper = keep(kept(Scripted(rows_of("a", "b", "a", "a", price=[1, 2, 3, 4])), "price"))

    with caplog.at_level(logging.WARNING):
        keeper.load()

    assert price_of(keeper, "a") == 4
    report = table_of(keeper).last_refresh
    assert report is not None
    assert report.repeated == 2
    assert [record.getMessage() for record in caplog.records] == [
        "item table 'items' repeats keys: 2 rows are replaced by another one of their key, the last one"
    ]


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.int32(), pa.timestamp("us"), pa.timestamp("s", "UTC"), pa.date32()]
)
def test_of_repeated_keys_the_newest_by_timekey_counts(
    kind: pa.DataType, keep: Callable[..., Keeper]
) -> None:
    times = pa.array([5, 9, 7, None], pa.int32()).cast(pa.int32() if kind == pa.date32() else pa.int64())
    table = rows_of("a", "a", "a", "a", price=[1, 2, 3, 4], updated=times.cast(kind))
    keeper = keep(kept(Scripted(table), "price", order="updated"))

    keeper.load()

    assert price_of(keeper, "a") == 2


def test_a_timekey_that_has_no_order_is_refused(keep: Callable[..., Keeper]) -> None:
    keeper = keep(kept(Scripted(rows_of("a", price=[1], at=["now"])), "price", order="at"))

    with pytest.raises(DataError, match="timekey 'at' is string; it has to be a timestamp or an integer"):
        keeper.load()


def test_tables_of_one_origin_are_read_as_of_one_moment(keep: Callable[..., Keeper]) -> None:
    origin = MemoryOrigin("db")
    first = Scripted(rows_of("a", price=[1]), name="first", origin=origin)
    second = Scripted(rows_of("a", size=[1]), name="second", origin=origin)
    # Between the first table's snapshot and the second's, somebody writes both.
    first.before["end"] = lambda: (first.write(rows_of("a", price=[2])), second.write(rows_of("a", size=[2])))  # type: ignore[assignment]
    keeper = keep(kept(first, "price"), kept(second, "size"))

    keeper.load()

    assert contents(keeper) == {"a": {"price": 1, "size": 1}}
    assert (first.asked["moment"], second.asked["moment"]) == (1, 0)

    keeper.start()
    eventually(keeper, lambda: contents(keeper) == {"a": {"price": 2, "size": 2}})


# --- following --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [False, True], ids=["polled", "told"])
def test_changes_are_followed(waits: bool, keep: Callable[..., Keeper]) -> None:
    source = Scripted(rows_of("a", "b", "c", price=[1, 2, 3]), waits=waits)
    keeper = keep(kept(source, "price"))
    keeper.load()
    keeper.start()

    source.write(rows_of("b", "d", price=[20, 40]))
    source.delete(pa.array(["a"]))

    eventually(
        keeper, lambda: contents(keeper) == {"b": {"price": 20}, "c": {"price": 3}, "d": {"price": 40}}
    )
    eventually(keeper, lambda: table_of(keeper).changes == 2 and table_of(keeper).deleted == 1)
    status = table_of(keeper)
    assert (status.state, status.followed, status.rows) == ("following", True, 3)
    assert status.watermark is not None
    assert status.lag_seconds is not None


def test_what_changed_while_it_was_loaded_is_followed(keep: Callable[..., Keeper]) -> None:
    source = items()
    source.before["batch"] = lambda: source.write(rows_of("a", price=[10]))  # type: ignore[assignment]
    keeper = keep(kept(source, "price"))

    keeper.load()
    loaded = contents(keeper)
    keeper.start()

    assert loaded["a"] == {"price": 1}
    eventually(keeper, lambda: contents(keeper)["a"] == {"price": 10})


def test_a_reader_keeps_the_rows_that_it_has_pinned(keep: Callable[..., Keeper]) -> None:
    source = items()
    keeper = keep(kept(source, "price"))
    keeper.load()
    keeper.start()

    with keeper.pin() as rows:
        source.write(rows_of("a", price=[10]))
        eventually(keeper, lambda: price_of(keeper, "a") == 10)
        found = rows.look_up(column_from_arrow(pa.array(["a"])), ["price"])

    assert to_arrow(found.raw["price"]).to_pylist() == [1]


def test_the_cursor_moves_only_when_its_changes_are_applied(keep: Callable[..., Keeper]) -> None:
    source = items()
    keeper = keep(kept(source, "price"))
    keeper.load()
    before = table_of(keeper).cursor
    keeper.start()
    eventually(keeper, lambda: table_of(keeper).state == "following")

    source.write(pa.table({"id": ["a"], "price": [10]}))
    eventually(keeper, lambda: price_of(keeper, "a") == 10)
    eventually(keeper, lambda: table_of(keeper).cursor != before)

    # A change that cannot be written is asked for again and again, under an alarm.
    source.failing = {"changes told": SourceError("connection lost")}
    after = table_of(keeper).cursor
    source.write(pa.table({"id": ["a"], "price": [11]}))
    eventually(keeper, lambda: table_of(keeper).retries > 0)
    assert table_of(keeper).cursor == after
    source.failing = {}
    eventually(keeper, lambda: price_of(keeper, "a") == 11)


def test_a_polled_table_is_asked_no_more_often_than_its_interval(keep: Callable[..., Keeper]) -> None:
    source, clock = items(), ManualClock()
    keeper = keep(kept(source, "price"), clock=clock, poll_seconds=5.0)
    keeper.load()
    keeper.start()
    eventually(keeper, lambda: table_of(keeper).state == "following")

    for price in range(10, 14):
        source.write(rows_of("a", price=[price]))
        asked = source.asked["changes"]
        clock.advance(5.0)
        eventually(keeper, partial(has_price, keeper, price))
        assert source.asked["changes"] == asked + 1


def test_of_equal_keys_in_one_answer_the_last_counts(keep: Callable[..., Keeper]) -> None:
    source = items()
    keeper = keep(kept(source, "price"))
    keeper.load()
    changes = Changes(rows_of("a", "a", "b", "a", price=[7, 8, 2, 1]).to_batches(), None, "c")
    keeper._followers[0]._feed = SimpleNamespace(changes=lambda *_, **__: changes)

    keeper._followers[0].step()

    assert contents(keeper) == {"a": {"price": 1}, "b": {"price": 2}, "c": {"price": 3}}
    assert (table_of(keeper).changes, table_of(keeper).unchanged) == (0, 2)


def test_a_lost_source_is_retried_and_others_go_on(keep: Callable[..., Keeper]) -> None:
    lost = Scripted(rows_of("a", price=[1]), name="lost")
    other = Scripted(rows_of("a", size=[1]), name="other")
    keeper = keep(kept(lost, "price"), kept(other, "size"))
    keeper.load()
    keeper.start()

    lost.failing = {"changes": SourceError("cannot reach postgresql://me:hunter2@db/shop")}
    eventually(keeper, lambda: table_of(keeper).state == "retrying")
    other.write(rows_of("a", size=[2]))
    lost.write(rows_of("a", price=[2]))

    eventually(keeper, lambda: contents(keeper) == {"a": {"price": 1, "size": 2}})
    status = keeper.status()
    assert [(alarm.table, alarm.kind) for alarm in status.alarms] == [("lost", "source")]
    assert status.tables[0].last_error == "cannot reach postgresql://me:***@db/shop"
    assert status.tables[1].state == "following"

    lost.failing = {}
    eventually(keeper, lambda: contents(keeper) == {"a": {"price": 2, "size": 2}})
    eventually(keeper, lambda: not keeper.status().alarms)


def test_a_hanging_source_blocks_neither_others_nor_the_end(keep: Callable[..., Keeper]) -> None:
    hangs = Scripted(rows_of("a", price=[1]), name="hangs")
    other = Scripted(rows_of("a", size=[1]), name="other")
    keeper = keep(kept(hangs, "price"), kept(other, "size"), close_seconds=0.2)
    keeper.load()
    keeper.start()

    hangs.hang("changes", "close")
    assert hangs.hangs_in("changes")
    other.write(rows_of("a", size=[2]))

    eventually(keeper, lambda: contents(keeper) == {"a": {"price": 1, "size": 2}})
    keeper.close()
    assert contents(keeper) == {"a": {"price": 1, "size": 2}}


def test_the_unexpected_is_logged_with_its_trace_and_without_its_secrets(
    keep: Callable[..., Keeper], caplog: pytest.LogCaptureFixture
) -> None:
    source = items()
    source.failing = {"changes": RuntimeError("driver bug at redis://:hunter2@cache")}
    keeper = keep(kept(source, "price"))
    keeper.load()

    with caplog.at_level(logging.ERROR):
        keeper.start()
        eventually(keeper, lambda: bool(keeper.status().alarms))
        source.failing = {}
        source.write(rows_of("a", price=[10]))
        eventually(keeper, lambda: price_of(keeper, "a") == 10)

    text = caplog.records[0].getMessage()
    assert "Traceback" in text
    assert "redis://:***@cache" in text
    assert table_of(keeper).last_error == "RuntimeError; the log has its trace"


def test_a_cursor_that_is_not_known_any_more_means_a_full_refresh(keep: Callable[..., Keeper]) -> None:
    source = items()
    keeper = keep(kept(source, "price"))
    keeper.load()

    source.write(rows_of("a", price=[10]))
    source.delete(pa.array(["b"]))
    source.forget_changes()
    keeper.start()

    eventually(keeper, lambda: contents(keeper) == {"a": {"price": 10}, "c": {"price": 3}})
    source.write(rows_of("c", price=[30]))
    eventually(keeper, lambda: price_of(keeper, "c") == 30)
    eventually(keeper, lambda: not keeper.status().alarms)


# --- full refreshes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["diff", "swap"])
def test_a_refresh_takes_what_following_cannot_see(mode: str, keep: Callable[..., Keeper]) -> None:
    source = Scripted(rows_of("a", "b", "c", price=[1, 2, 3]), abilities=frozenset({"profile"}))
    keeper = keep(kept(source, "price"), refresh_mode=mode)
    keeper.load()
    keeper.start()

    source.replace_table(rows_of("b", "c", "d", price=[2, 30, 4]))
    report = keeper.refresh_now()

    assert contents(keeper) == {"b": {"price": 2}, "c": {"price": 30}, "d": {"price": 4}}
    assert report.complete
    if mode == "diff":
        (table,) = report.tables
        assert (table.rows, table.unchanged, table.written, table.deleted) == (3, 1, 2, 1)


@pytest.mark.parametrize("mode", ["diff", "swap"])
def test_tables_are_refreshed_by_period_but_static_ones_never(mode: str, keep: Callable[..., Keeper]) -> None:
    clock = ManualClock()
    source = Scripted(rows_of("a", price=[1]), name="items", abilities=frozenset())
    static = Scripted(rows_of("a", size=[1]), name="static")
    keeper = keep(
        kept(source, "price"),
        kept(static, "size", static=True),
        clock=clock,
        period_seconds=60.0,
        refresh_mode=mode,
    )
    keeper.load()
    keeper.start()
    source.replace_table(rows_of("a", price=[2]))
    static.replace_table(rows_of("a", size=[2]))

    clock.advance(59.0)
    assert table_of(keeper).next_refresh_in_seconds == 1.0
    assert contents(keeper) == {"a": {"price": 1, "size": 1}}
    clock.advance(1.0)
    eventually(keeper, lambda: contents(keeper) == {"a": {"price": 2, "size": 1}})
    source.replace_table(rows_of("a", price=[3]))
    eventually(keeper, lambda: (table_of(keeper).next_refresh_in_seconds or 0) > 0)
    clock.advance(60.0)
    eventually(keeper, lambda: contents(keeper) == {"a": {"price": 3, "size": 1}})

    assert (static.asked["snapshot"], static.asked["changes"]) == (1, 0)
    assert keeper.status().tables[1].static


@pytest.mark.parametrize("mode", ["diff", "swap"])
@pytest.mark.parametrize("step", ["moment", "snapshot", "batch", "end", "profile", "schema"])
def test_a_refresh_that_is_cut_off_loses_nothing_and_is_tried_again(
    step: str, mode: str, keep: Callable[..., Keeper]
) -> None:
    clock = ManualClock()
    source = Scripted(rows_of("a", "b", "c", price=[1, 2, 3]), abilities=frozenset({"profile"}))
    keeper = keep(kept(source, "price"), clock=clock, period_seconds=600.0, refresh_mode=mode)
    keeper.load()
    keeper.start()

    source.replace_table(rows_of("c", "d", price=[30, 40]))
    source.failing = {step: SourceError("server closed the connection")}
    clock.advance(600.0)
    eventually(keeper, lambda: bool(keeper.status().alarms))
    assert contents(keeper).keys() >= {"a", "b", "c"}, "nothing is deleted before all rows were read"
    source.failing = {}
    clock.advance(1.0)

    eventually(keeper, lambda: contents(keeper) == {"c": {"price": 30}, "d": {"price": 40}})
    eventually(keeper, lambda: not keeper.status().alarms)
    assert table_of(keeper).retries == 1


@pytest.mark.parametrize("mode", ["diff", "swap"])
def test_a_lost_origin_does_not_stop_the_refresh_of_another(mode: str, keep: Callable[..., Keeper]) -> None:
    lost = Scripted(rows_of("a", price=[1]), name="lost", abilities=frozenset())
    other = Scripted(rows_of("a", size=[1]), name="other", abilities=frozenset())
    keeper = keep(kept(lost, "price"), kept(other, "size"), refresh_mode=mode)
    keeper.load()
    lost.replace_table(rows_of("a", price=[2]))
    other.replace_table(rows_of("a", size=[2]))
    lost.failing = {"moment": SourceError("gone")}

    report = keeper.refresh_now()

    assert contents(keeper) == {"a": {"price": 1, "size": 2}}
    assert [(table.table, table.outcome) for table in report.tables] == [
        ("lost", "failed"),
        ("other", "refreshed"),
    ]


# --- a refresh and following at the same time -------------------------------------------------------------


@pytest.mark.parametrize("mode", ["diff", "swap"])
def test_an_older_snapshot_neither_overwrites_nor_resurrects_what_was_followed(
    mode: str, keep: Callable[..., Keeper]
) -> None:
    source = items()
    keeper = keep(kept(source, "price"), refresh_mode=mode)
    keeper.load()
    keeper.start()

    source.hang("batch")  # the snapshot's moment is taken, none of its rows are read
    refresh = threading.Thread(target=keeper.refresh_now)
    refresh.start()
    assert source.hangs_in("batch")
    source.write(rows_of("a", "n", price=[10, 5]))
    source.delete(pa.array(["b"]))
    eventually(keeper, lambda: contents(keeper).keys() == {"a", "c", "n"})
    source.hang()
    refresh.join(20)

    assert contents(keeper) == {"a": {"price": 10}, "c": {"price": 3}, "n": {"price": 5}}
    report = table_of(keeper).last_refresh
    assert report is not None
    assert (report.outcome, report.protected) == ("refreshed", 2)
    assert list(keeper.diff()) == []


@pytest.mark.parametrize("mode", ["diff", "swap"])
def test_an_answer_that_is_older_than_the_moment_is_asked_for_again(
    mode: str, keep: Callable[..., Keeper]
) -> None:
    source = items()
    keeper = keep(kept(source, "price"), refresh_mode=mode)
    keeper.load()
    source.hang("changes told")
    source.write(rows_of("a", "n", price=[10, 5]))
    keeper.start()
    assert source.hangs_in("changes told")  # it has read n, and hands it out later

    source.delete(pa.array(["n"]))
    source.forget_changes()  # of the deletion nothing will ever be told again but by the snapshot
    keeper.refresh_now()
    source.hang()

    eventually(keeper, lambda: table_of(keeper).state == "following")
    assert contents(keeper) == {"a": {"price": 10}, "b": {"price": 2}, "c": {"price": 3}}


def test_refreshes_and_changes_of_several_tables_at_once_lose_nothing(keep: Callable[..., Keeper]) -> None:
    ids = [f"i{number}" for number in range(200)]
    zeros = [0] * len(ids)
    sources = [Scripted(pa.table({"id": ids, name: zeros, "shared": zeros}), name=name) for name in "pq"]
    keeper = keep(*(kept(source, source.name, "shared") for source in sources))
    keeper.load()
    keeper.start()
    ended = threading.Event()

    def refresh() -> None:
        while not ended.is_set():
            keeper.refresh_now()

    refreshing = threading.Thread(target=refresh)
    refreshing.start()
    for number in range(1, 30):
        for source in sources:
            some = ids[number::7]
            numbers = [number] * len(some)
            source.write(pa.table({"id": some, source.name: numbers, "shared": numbers}))
            source.delete(pa.array(ids[number::31]))
    ended.set()
    refreshing.join(60)
    expected: dict[str, dict[str, Any]] = {}
    for source in sources:
        for row in pa.Table.from_batches(source.snapshot()).to_pylist():
            expected.setdefault(row.pop("id"), {"p": None, "q": None}).update(row)

    eventually(keeper, lambda: contents(keeper) == expected)
    assert list(keeper.diff()) == []


# --- the end, and what is told ----------------------------------------------------------------------------


def test_closing_ends_every_thread_and_lets_go_of_the_sources(keep: Callable[..., Keeper]) -> None:
    source = items()
    keeper = keep(kept(source, "price"))
    keeper.load()
    keeper.start()
    eventually(keeper, lambda: table_of(keeper).state == "following")

    keeper.close()
    keeper.close()

    assert source.closed
    assert keeper.status().state == "closed"
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("follow-items", "refresh-items"))]


def test_the_status_is_json_and_the_gauges_are_numbers(keep: Callable[..., Keeper]) -> None:
    keeper = keep(kept(items(), "price"))
    keeper.load()

    status = json.loads(json.dumps(asdict(keeper.status())))
    gauges = keeper.gauges()

    assert status["tables"][0]["last_refresh"]["outcome"] == "refreshed"
    assert gauges["recserve_item_table_rows"][1] == {(("table", "items"),): 3.0}
    assert gauges["recserve_item_alarm"][1] == {
        (("table", ""), ("kind", "image")): 0.0,
        **{(("table", "items"), ("kind", kind)): 0.0 for kind in ("refused", "source", "data", "unexpected")},
    }


def test_rows_are_finished_anew_while_the_old_ones_serve(keep: Callable[..., Keeper]) -> None:
    source = items()
    keeper = keep(kept(source, "price"))
    keeper.load()
    keeper.start()
    old = keeper.store
    asked = source.asked["snapshot"]

    source.write(rows_of("a", price=[10]))
    keeper.refinish(lambda key, raw: type(old)(key, raw, always_raw=frozenset({"price"})))

    assert keeper.store is not old
    eventually(keeper, lambda: contents(keeper) == {"a": {"price": 10}, "b": {"price": 2}, "c": {"price": 3}})
    assert source.asked["snapshot"] == asked
    assert keeper.refresh_now().tables[0].written == 0, "row hashes were kept"


def test_rows_whose_raw_columns_are_not_kept_cannot_be_finished_anew(keep: Callable[..., Keeper]) -> None:
    keeper = keep(kept(items(), "price"))
    keeper._make_store = store_without_price
    keeper.load()

    with pytest.raises(DataError, match="raw columns are not kept: price; keep_raw_items is false"):
        keeper.refinish(keeper._make_store)


def store_without_price(key: Any, raw: Any) -> Any:
    dropped = {"price": raw["price"]}
    return ItemStore(key, {n: t for n, t in raw.items() if n not in dropped}, dropped=dropped)
