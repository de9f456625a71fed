"""Whatever happens to tables, the streamed diff and the swapped store end equal, and equal to plain dicts."""

from __future__ import annotations

import gc
import random
import weakref
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.items.manual_clock import ManualClock
from tests.items.scripted import Scripted, contents, keeper_of, kept, plain_store

from recserve.columns import column_from_arrow, to_arrow
from recserve.errors import SourceError
from recserve.items.following import CursorLostError
from recserve.items.gate import Limits
from recserve.sources.memory import MemoryOrigin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recserve.items.keeper import Keeper
    from recserve.items.refreshing import OriginRefresher
    from recserve.source import Ability

Row = dict[str, Any]
Table = dict[str, Row]

IDS = [f"i{number}" for number in range(10)]
FEED: frozenset[Ability] = frozenset({"changes", "profile"})
COUNTED: frozenset[Ability] = frozenset({"profile"})
#: columns, origin, abilities, static
TABLES: list[tuple[str, str, frozenset[Ability], bool]] = [
    ("pq", "A", FEED, False),
    ("qr", "A", FEED, False),
    ("prs", "B", COUNTED, False),
    ("su", "B", FEED, True),
]
LIMITS = Limits(min_rows_percent=50.0, max_null_increase_percent=40.0)
NONE: Row = {}


class Referee:
    """What tables, changes and refreshes mean, in plain Python: a dict per table, merged when it is read."""

    def __init__(self, null_overwrites: bool) -> None:
        self.null_overwrites = null_overwrites
        self.sources: list[Table] = [{} for _ in TABLES]
        self.stored: list[Table] = [{} for _ in TABLES]
        self.pending: list[set[str]] = [set() for _ in TABLES]  # keys changed since they were followed
        self.protected: list[set[str]] = [set() for _ in TABLES]  # written since a refresh began
        self.known = [True] * len(TABLES)  # the source still knows the cursor
        self.following = [True] * len(TABLES)  # there is a cursor

    def contents(self) -> Table:
        rows: Table = {}
        empty = dict.fromkeys("pqrsu")
        for table in self.stored:
            for key, row in table.items():
                cells = {c: v for c, v in row.items() if self.null_overwrites or v is not None}
                rows.setdefault(key, dict(empty)).update(cells)
        return rows

    def write(self, number: int, rows: Table) -> None:
        self.sources[number].update(rows)
        self.pending[number] |= rows.keys()

    def delete(self, number: int, keys: list[str]) -> None:
        for key in keys:
            self.sources[number].pop(key, None)
        self.pending[number] |= set(keys)

    def replace(self, number: int, rows: Table) -> None:
        self.sources[number] = dict(rows)
        self.known[number] = False

    def follow(self, number: int) -> None:
        for key in self.pending[number]:
            self.put(number, key, self.sources[number].get(key))
        self.pending[number] = set()

    def put(self, number: int, key: str, row: Row | None) -> None:
        self.protected[number].add(key)
        if row is None:
            self.stored[number].pop(key, None)
        else:
            self.stored[number][key] = row

    def refresh(self, numbers: list[int], meanwhile: Callable[[int], None]) -> None:
        moment = [dict(table) for table in self.sources]
        known = [self.following[n] or n in numbers for n in range(len(TABLES))]
        for number in numbers:
            self.protected[number] = set()
            if not self.following[number]:
                self.pending[number] = set()
                self.known[number] = True  # a cursor of this moment, if the refresh passes
        for number in numbers:
            if self.passes(number, moment[number]):
                meanwhile(number)
                self.land(number, moment[number])
                self.following[number] = known[number]

    def land(self, number: int, snapshot: Table) -> None:
        fresher = self.protected[number]
        old = {key: row for key, row in self.stored[number].items() if key in fresher}
        self.stored[number] = {**{k: row for k, row in snapshot.items() if k not in fresher}, **old}

    def passes(self, number: int, snapshot: Table) -> bool:
        present = self.stored[number]
        if len(snapshot) < len(present) * LIMITS.min_rows_percent / 100 or (present and not snapshot):
            return False
        if not snapshot or not present:
            return True
        return all(
            100.0 * nulls_in(snapshot, c) / len(snapshot) - 100.0 * nulls_in(present, c) / len(present)
            <= LIMITS.max_null_increase_percent
            for c in TABLES[number][0]
        )

    def admin(self, rows: Table, columns: str) -> None:
        owners = {c: max(n for n, table in enumerate(TABLES) if c in table[0]) for c in columns}
        for number in set(owners.values()):
            for key, row in rows.items():
                old = self.stored[number].get(key) or dict.fromkeys(TABLES[number][0])
                self.put(number, key, {**old, **{c: row[c] for c in columns if owners[c] == number}})

    def admin_delete(self, keys: list[str]) -> None:
        for number in range(len(TABLES)):
            for key in keys:
                self.put(number, key, None)


def nulls_in(table: Table, column: str) -> int:
    return sum(row[column] is None for row in table.values())


class World:
    """A keeper and its sources, moved by hand: no thread of its own does anything."""

    def __init__(self, mode: str, null_overwrites: bool) -> None:
        origins = {name: MemoryOrigin(name) for name in "AB"}
        self.sources = [
            Scripted(arrow(number, {}), name=f"t{number}", origin=origins[origin], abilities=abilities)
            for number, (_, origin, abilities, _) in enumerate(TABLES)
        ]
        tables = [kept(s, *t[0], static=t[3]) for s, t in zip(self.sources, TABLES, strict=True)]
        self.keeper: Keeper = keeper_of(
            *tables, clock=ManualClock(), refresh_mode=mode, null_overwrites=null_overwrites, limits=LIMITS
        )

    def follow(self, number: int) -> bool:
        """Tells whether the cursor was lost."""
        tracker = self.keeper._up.trackers[number]
        follower = next(f for f in self.keeper._followers if f.part.number == number)
        if tracker.cursor is None:
            return False
        try:
            follower.catch_up()
        except CursorLostError:
            tracker.cursor = None
            return True
        return False

    def refresher(self, numbers: list[int]) -> OriginRefresher:
        return next(r for r in self.keeper._refreshers if numbers[0] in {part.number for part in r.parts})

    def refresh(self, numbers: list[int]) -> None:
        refresher = self.refresher(numbers)
        refresher.refresh([part for part in refresher.parts if part.number in numbers])


def arrow(number: int, rows: Table) -> pa.Table:
    columns = TABLES[number][0]
    schema = pa.schema([("id", pa.string()), *((c, pa.int64()) for c in columns)])
    return pa.Table.from_pylist([{"id": key, **row} for key, row in rows.items()], schema)


class Script:
    """A random play on three stages: a keeper that diffs, one that swaps, and the referee."""

    def __init__(self, seed: int, null_overwrites: bool) -> None:
        self.rng = random.Random(seed)
        self.referee = Referee(null_overwrites)
        self.worlds = [World(mode, null_overwrites) for mode in ("diff", "swap")]
        for number in range(len(TABLES)):
            rows = self.some_rows(number)
            self.referee.sources[number] = self.referee.stored[number] = dict(rows)
            self.referee.stored[number] = dict(rows)
            for world in self.worlds:
                world.sources[number].replace_table(arrow(number, rows))
        for world in self.worlds:
            world.keeper.load()

    def some_ids(self) -> list[str]:
        return self.rng.sample(IDS, self.rng.randrange(1, len(IDS)))

    def some_rows(self, number: int) -> Table:
        cell = [None, 1, 2, 3] if self.rng.random() < 0.7 else [None, None, 1]
        return {key: {c: self.rng.choice(cell) for c in TABLES[number][0]} for key in self.some_ids()}

    def a_feed(self) -> int:
        return self.rng.choice([0, 1])

    def step(self) -> str:
        steps = [self.write, self.delete, self.follow, self.refresh, self.refresh_while_it_changes,
                 self.replace, self.lose, self.admin, self.admin_delete, self.refinish]  # fmt: skip
        step = self.rng.choices(steps, [4, 2, 6, 3, 3, 2, 1, 3, 1, 1])[0]
        step()
        return step.__name__

    def write(self) -> None:
        number = self.a_feed()
        rows = self.some_rows(number)
        self.referee.write(number, rows)
        for world in self.worlds:
            world.sources[number].write(arrow(number, rows))

    def delete(self) -> None:
        number, keys = self.a_feed(), self.some_ids()
        self.referee.delete(number, keys)
        for world in self.worlds:
            world.sources[number].delete(pa.array(keys, pa.string()))

    def replace(self) -> None:
        number = self.rng.choice([0, 1, 2, 2, 3])
        rows = {} if self.rng.random() < 0.2 else self.some_rows(number)
        self.referee.replace(number, rows)
        for world in self.worlds:
            world.sources[number].replace_table(arrow(number, rows))

    def follow(self) -> None:
        number = self.a_feed()
        if not self.referee.following[number]:
            return
        lost = [world.follow(number) for world in self.worlds]
        if self.referee.known[number]:
            assert lost == [False, False]
            self.referee.follow(number)
            return
        assert lost == [True, True]
        self.referee.following[number] = False
        self.refresh_tables([number], lambda _: None)

    def refresh(self) -> None:
        self.refresh_tables(self.rng.choice([[0, 1], [2]]), lambda _: None)

    def refresh_while_it_changes(self) -> None:
        """In the middle of a table's snapshot something is written and followed."""
        numbers, changed = self.rng.choice([[0, 1], [2]]), self.a_feed()
        at = self.rng.choice(numbers)
        rows, gone = self.some_rows(changed), self.rng.sample(IDS, 2)
        follows = self.referee.following[changed] and self.referee.known[changed]
        brought = {key: dict.fromkeys("pqrsu", 9) for key in self.some_ids()}
        brings = self.rng.random() < 0.3
        moment = self.rng.choice(["batch", "end"])
        for world in self.worlds:
            # Some snapshots have no batch; then the table is asked for its end alone.
            empty = not self.referee.sources[at]
            world.sources[at].before["end" if empty else moment] = self.meddle(
                world, changed, rows=rows, gone=gone, follows=follows, brought=brought if brings else {}
            )

        def meanwhile(number: int) -> None:
            if number != at:
                return
            self.referee.write(changed, rows)
            self.referee.delete(changed, gone)
            if follows:
                self.referee.follow(changed)
            if brings:
                self.referee.admin(brought, "pqrsu")

        self.refresh_tables(numbers, meanwhile)
        for world in self.worlds:
            world.sources[at].before.clear()  # the gate refused the table before it was read

    def meddle(
        self, world: World, changed: int, *, rows: Table, gone: list[str], follows: bool, brought: Table
    ) -> Callable[[], None]:
        def meddle() -> None:
            source = world.sources[changed]
            source.write(arrow(changed, rows))
            source.delete(pa.array(gone))
            if follows:
                assert not world.follow(changed)
            if brought:
                world.keeper.upsert(pa.Table.from_pylist([{"id": k, **row} for k, row in brought.items()]))

        return meddle

    def refresh_tables(self, numbers: list[int], meanwhile: Callable[[int], None]) -> None:
        self.referee.refresh(numbers, meanwhile)
        for world in self.worlds:
            world.refresh(numbers)

    def lose(self) -> None:
        """An origin is away while it is read and followed."""
        numbers = self.rng.choice([[0, 1], [2]])
        step = self.rng.choice(["moment", "schema", "profile", "snapshot"])
        for world in self.worlds:
            for number in numbers:
                world.sources[number].failing = {step: SourceError("gone"), "changes": SourceError("gone")}
            world.refresh(numbers)
            for number in numbers:
                tracker = world.keeper._up.trackers[number]
                if tracker.cursor is not None:
                    with pytest.raises(SourceError):
                        world.follow(number)
                world.sources[number].failing = {}

    def admin(self) -> None:
        columns = "".join(self.rng.sample("pqrsu", self.rng.randrange(1, 6)))
        rows = {key: {c: self.rng.choice([None, 7, 8]) for c in columns} for key in self.some_ids()}
        self.referee.admin(rows, columns)
        schema = pa.schema([("id", pa.string()), *((c, pa.int64()) for c in columns)])
        table = pa.Table.from_pylist([{"id": key, **row} for key, row in rows.items()], schema)
        for world in self.worlds:
            world.keeper.upsert(table)

    def admin_delete(self) -> None:
        keys = self.rng.sample(IDS, 2)
        self.referee.admin_delete(keys)
        for world in self.worlds:
            world.keeper.delete(pa.array(keys))

    def refinish(self) -> None:
        for world in self.worlds:
            world.keeper.refinish(plain_store)


@pytest.fixture(params=[True, False], ids=["a null hides", "a null does not hide"])
def null_overwrites(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def script(request: pytest.FixtureRequest, null_overwrites: bool) -> Iterator[Script]:
    script = Script(request.param, null_overwrites)
    yield script
    for world in script.worlds:
        world.keeper.close()


@pytest.mark.parametrize("script", range(12), indirect=True)
def test_diff_and_swap_and_dicts_are_equal_after_every_step(script: Script) -> None:
    steps: list[str] = []
    for _ in range(60):
        steps.append(script.step())
        expected = script.referee.contents()
        for world in script.worlds:
            assert contents(world.keeper) == expected, (world.keeper._options.refresh_mode, steps)
            rows = [world.keeper._up.live.rows(part) for part in world.keeper._up.layout.parts]
            assert rows == [len(table) for table in script.referee.stored], steps


def test_the_old_store_serves_those_who_have_it_pinned_and_then_goes() -> None:
    source = Scripted(pa.table({"id": ["a"], "p": [1]}))
    keeper = keeper_of(kept(source, "p"), refresh_mode="swap")
    keeper.load()
    source.replace_table(pa.table({"id": ["a"], "p": [2]}))

    with keeper.pin() as rows:
        keeper.refresh_now()
        found = rows.look_up(column_from_arrow(pa.array(["a"])), ["p"])
    old = weakref.ref(rows._store)
    del rows

    assert to_arrow(found.raw["p"]).to_pylist() == [1]
    assert contents(keeper) == {"a": {"p": 2}}
    gc.collect()
    assert old() is None, "its memory is given back"
    keeper.close()
