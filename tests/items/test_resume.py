"""A start from the image of an earlier run: what has to fit, and what is done when it does not."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.items.manual_clock import ManualClock
from tests.items.scripted import Scripted, contents, eventually, keeper_of, kept, rows_of

from recserve.errors import DataError, SourceError
from recserve.items.store import ItemStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recserve.items.keeper import Keeper
    from recserve.source import Ability

COUNTED: frozenset[Ability] = frozenset({"profile"})


class Run:
    """One service after the other over the same tables and image."""

    def __init__(self, image: Path) -> None:
        self.image = image
        self.first = Scripted(rows_of("a", "b", "c", price=[1, 2, 3], brand=["x", "y", "z"]), name="first")
        self.second = Scripted(rows_of("b", "d", brand=["B", "D"], size=[1, 2]), name="second")
        self.keepers: list[Keeper] = []

    def start(self, *columns: str, follow: bool = True, **options: Any) -> Keeper:
        self.first.asked.clear()
        self.second.asked.clear()
        first, second = (kept(s, *(columns or ("price", "brand", "size"))) for s in (self.first, self.second))
        keeper = keeper_of(first, second, image=self.image, **{"features": "v1", **options})
        self.keepers.append(keeper)
        keeper.load()
        if follow:
            keeper.start()
        return keeper


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path / "items.image")
    yield run
    for keeper in run.keepers:
        keeper.close()


ROWS: dict[Any, Any] = {
    "a": {"brand": "x", "price": 1, "size": None},
    "b": {"brand": "B", "price": 2, "size": 1},
    "c": {"brand": "z", "price": 3, "size": None},
    "d": {"brand": "D", "price": None, "size": 2},
}


def test_a_start_from_the_image_reads_no_table_and_goes_on_where_it_was(run: Run) -> None:
    run.start().close()
    run.first.write(rows_of("a", price=[10], brand=["new"]))
    run.second.delete(pa.array(["b"]))

    keeper = run.start(follow=False)

    assert contents(keeper) == {
        **ROWS,
        "a": {"brand": "new", "price": 10, "size": None},
        "b": {"brand": "y", "price": 2, "size": None},
    }
    assert run.first.asked["snapshot"] == run.second.asked["snapshot"] == 0
    status = keeper.status()
    assert [table.rows for table in status.tables] == [3, 1]
    assert status.image is not None
    assert status.image.loaded
    assert list(keeper.diff()) == []


def written(image: Path) -> tuple[int, int]:
    """Which writing of the file this is; the number of a file that was replaced is given to another one."""
    found = image.stat()
    return found.st_ino, found.st_mtime_ns


def test_the_image_is_written_after_the_load_after_refreshes_and_at_the_end(run: Run) -> None:
    keeper = run.start()
    eventually_there(keeper, run.image)
    first = written(run.image)

    keeper.refresh_now()
    second = written(run.image)
    run.first.write(rows_of("a", price=[10], brand=["x"]))
    eventually(keeper, lambda: contents(keeper)["a"]["price"] == 10)
    keeper.close()
    third = written(run.image)

    assert len({first, second, third}) == 3
    run.start().close()
    assert written(run.image) == third, "nothing was written since"


def eventually_there(keeper: Keeper, path: Path) -> None:
    while not path.exists():
        keeper.wait_for(path.exists, 0.01)


def test_other_features_finish_the_rows_of_the_image_anew(run: Run) -> None:
    run.start(features="v1").close()

    keeper = run.start(features="v2")

    assert contents(keeper) == ROWS
    assert run.first.asked["snapshot"] == 0
    keeper.refresh_now()
    assert [table.unchanged for table in keeper.refresh_now().tables] == [3, 2], "row hashes are right"


def test_fewer_columns_are_taken_from_the_image_too(run: Run) -> None:
    run.start().close()

    keeper = run.start("brand")

    assert contents(keeper) == {key: {"brand": row["brand"]} for key, row in ROWS.items()}
    assert run.first.asked["snapshot"] == 0
    assert [table.unchanged for table in keeper.refresh_now().tables] == [3, 2]


def test_columns_that_the_image_lacks_mean_the_tables(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.start("brand").close()

    with caplog.at_level(logging.WARNING):
        keeper = run.start()

    assert contents(keeper) == ROWS
    assert [record.getMessage() for record in caplog.records] == [
        f"the item image '{run.image}' is not used, items are loaded from their tables: "
        "it has no column 'price' of type int64"
    ]


def test_a_null_rule_that_changed_merges_the_rows_anew(run: Run) -> None:
    run.second.write(rows_of("a", brand=pa.array([None], pa.string()), size=[9]))
    run.start().close()

    keeper = run.start(null_overwrites=False)

    assert contents(keeper)["a"] == {"brand": "x", "price": 1, "size": 9}


@pytest.mark.parametrize("what", ["condition", "order", "static", "name"])
def test_other_tables_or_other_rows_of_them_mean_the_tables(
    what: str, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    keeper_of(kept(run.first, "price"), image=run.image).close()
    one = keeper_of(kept(run.first, "price"), image=run.image)
    one.load()
    one.save_image()
    one.close()
    changed: dict[str, Any] = {
        "condition": {"condition": "price > 0"},
        "order": {"order": "price"},
        "static": {"static": True},
    }
    source = Scripted(rows_of("a", price=[7]), name="other") if what == "name" else run.first
    table = replace(kept(source, "price"), **changed.get(what, {}))

    keeper = keeper_of(table, image=run.image)
    with caplog.at_level(logging.WARNING):
        keeper.load()
    keeper.close()

    assert len(caplog.records) == 1
    assert "it holds other tables, or other rows of them" in caplog.records[0].getMessage()
    assert "price > 0" not in run.image.read_bytes().decode("latin-1"), "a condition may hold secrets"


@pytest.mark.parametrize("damage", ["cut off", "a byte changed", "no image", "empty", "a folder"])
def test_a_damaged_image_is_one_warning_and_the_tables_are_loaded(
    damage: str, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.start().close()
    content = bytearray(run.image.read_bytes())
    content[len(content) // 2] ^= 0xFF
    if damage == "a folder":
        run.image.unlink()
        run.image.mkdir()
    else:
        cases = {"cut off": content[: len(content) // 2], "a byte changed": content, "empty": b""}
        run.image.write_bytes(bytes(cases.get(damage, b"x" * 9999)))

    with caplog.at_level(logging.WARNING):
        keeper = run.start(follow=False)

    assert contents(keeper) == ROWS
    assert run.first.asked["snapshot"] == 1
    assert len(caplog.records) == 1
    assert f"the item image '{run.image}' is not used" in caplog.records[0].getMessage()
    if damage == "a folder":
        shutil.rmtree(run.image)


def test_with_an_image_a_lost_source_does_not_hold_up_the_start(run: Run) -> None:
    run.start().close()
    lost = SourceError("cannot reach the database")
    run.first.failing = {"schema": lost, "changes": lost}

    keeper = run.start()

    assert contents(keeper) == ROWS
    assert [(alarm.table, alarm.kind) for alarm in keeper.status().alarms] == [("first", "source")]
    run.first.failing = {}
    run.first.write(rows_of("a", price=[10], brand=["x"]))
    eventually(keeper, lambda: contents(keeper)["a"]["price"] == 10)


def test_a_cursor_that_is_forgotten_means_a_full_refresh_in_the_background(run: Run) -> None:
    run.start().close()
    run.first.write(rows_of("a", price=[10], brand=["x"]))
    run.first.forget_changes()

    keeper = run.start(follow=False)
    before = contents(keeper)
    keeper.start()

    assert before == ROWS
    eventually(keeper, lambda: contents(keeper)["a"]["price"] == 10)
    eventually(keeper, lambda: keeper.status().tables[0].state == "following")


def test_tables_that_tell_no_changes_are_read_in_the_background(run: Run) -> None:
    run.first.abilities = COUNTED
    run.start().close()
    run.first.replace_table(rows_of("a", "b", price=[10, 20], brand=["x", "y"]))

    keeper = run.start(follow=False)
    before = contents(keeper)
    keeper.start()

    assert before == ROWS
    eventually(keeper, lambda: contents(keeper).keys() == {"a", "b", "d"})


def test_a_static_table_is_not_read_again_even_after_a_restart(run: Run) -> None:
    table = replace(kept(run.first, "price"), static=True)
    for _ in range(2):
        run.first.asked.clear()
        keeper = keeper_of(table, image=run.image)
        keeper.load()
        keeper.start()
        keeper.refresh_now()
        keeper.close()

    assert (run.first.asked["snapshot"], run.first.asked["changes"]) == (0, 0)
    assert len(contents(keeper)) == 3


def test_the_period_goes_on_over_a_restart(run: Run) -> None:
    clock = ManualClock()
    run.start(clock=clock, period_seconds=100.0, follow=False).close()
    clock.advance(70.0)

    keeper = run.start(clock=clock, period_seconds=100.0, follow=False)

    assert [table.next_refresh_in_seconds for table in keeper.status().tables] == [30.0, 30.0]


def test_an_image_that_cannot_be_written_is_an_alarm_and_nothing_else(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run.image = tmp_path / "nowhere" / "items.image"
    keeper = run.start(follow=False)

    with caplog.at_level(logging.ERROR):
        size = keeper.save_image()
        keeper.save_image()

    assert size == 0
    assert [(alarm.table, alarm.kind) for alarm in keeper.status().alarms] == [("", "image")]
    assert len(caplog.records) == 1
    assert keeper.gauges()["recserve_item_alarm"][1][("table", ""), ("kind", "image")] == 1.0  # type: ignore[index]
    run.image.parent.mkdir()
    assert keeper.save_image() > 0
    assert keeper.status().alarms == ()


def test_rows_that_are_not_kept_raw_are_mapped_but_not_finished_anew(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    def split(raw: Any) -> tuple[dict[str, str], dict[str, str]]:
        return {n: t for n, t in raw.items() if n != "price"}, {"price": raw["price"]}

    def start(features: str) -> Keeper:
        run.first.asked.clear()
        keeper = keeper_of(kept(run.first, "price", "brand"), image=run.image, features=features)
        keeper._make_store = lambda key, raw: ItemStore(key, split(raw)[0], dropped=split(raw)[1])
        assert keeper._plan is not None
        object.__setattr__(
            keeper._plan,
            "restore",
            lambda image, key, raw: ItemStore.restore(image, key, split(raw)[0], dropped=split(raw)[1]),
        )
        keeper.load()
        keeper.save_image()
        keeper.close()
        return keeper

    start("v1")
    same = start("v1")
    assert run.first.asked["snapshot"] == 0
    assert len(contents(same)) == 3
    with caplog.at_level(logging.WARNING):
        other = start("v2")
    assert run.first.asked["snapshot"] == 1
    assert len(contents(other)) == 3
    assert "it has no column 'price'" in caplog.records[0].getMessage()


def test_a_table_that_is_gone_at_the_start_does_not_hide_the_image(run: Run) -> None:
    run.start().close()
    run.first.failing = {"schema": DataError("there is no table 'first'")}

    keeper = run.start(follow=False)

    assert contents(keeper) == ROWS


def test_a_table_that_never_stands_still_does_not_hold_up_the_start(run: Run) -> None:
    run.start().close()
    prices = iter(range(1000))

    def somebody_writes() -> None:
        run.first.before["changes"] = somebody_writes
        run.first.write(rows_of("a", price=[next(prices)], brand=["x"]))

    run.first.before["changes"] = somebody_writes

    keeper = run.start(follow=False)

    assert contents(keeper)["a"]["price"] == 0
    assert run.first.asked["changes"] == 1
