"""Does an item store stay equal to its tables, whatever happens to the database and to the process?

    python -m benchmarks.soak_items [--minutes 30] [--rows 20000] [--folder build/soak-items]

A real PostgreSQL with two tables that change all the time (followed by timekey) and a static one. Two keepers
follow them, each a process of its own (`soak_items_keeper.py`) with a full refresh every 20 seconds, readers
that check every row they get, and an image. The database is stopped, killed and paused; one of the keepers
is killed (kill -9) and starts again from its image, the memory of the other is watched.

Passes (exit code 0) when no reader saw a torn row, both stores are equal to their tables at the end, row by
row, and the memory of the keeper that lives stays within 5 % of what it was after the warm-up. The last line
is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
from benchmarks.soak_items_keeper import KeeperProcess, title_of
from rich.console import Console
from rich.progress import Progress, TextColumn
from tests.servers.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable

GROWTH = 0.05
WARM_UP = 0.25  # of the time
DISTURB_SECONDS = 20.0
TABLES = """
    CREATE TABLE items (id text PRIMARY KEY, version bigint NOT NULL, price float8, title text, tags int8[],
                        shared int8, updated timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE TABLE stock (sku text PRIMARY KEY, stock bigint, shared int8,
                        updated timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE TABLE brands (id text PRIMARY KEY, brand text);
    CREATE INDEX ON items (updated); CREATE INDEX ON stock (updated);
"""


class Database:
    """The tables, and somebody who changes them all the time."""

    def __init__(self, server: PostgresServer, rows: int) -> None:
        self.server = server
        self.url = server.new_database()
        self.rows = rows
        self.done = threading.Event()
        self.counts: Counter[str] = Counter()
        self._version = 0
        self._rng = random.Random(7)
        for statement in TABLES.split(";"):
            if statement.strip():
                server.execute(statement, url=self.url)
        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            self._upsert(cursor, range(rows))
            cursor.executemany(
                "INSERT INTO brands VALUES (%s, %s)", [(f"i{i}", f"brand {i % 50}") for i in range(rows)]
            )

    def change(self) -> None:
        """Write until told to stop; while the server is away, try again."""
        while not self.done.is_set():
            try:
                with psycopg.connect(self.url, connect_timeout=2) as connection:
                    while not self.done.wait(0.1):
                        with connection.cursor() as cursor:
                            cursor.execute("SET statement_timeout = 10000")
                            self._change_some(cursor)
                        connection.commit()
            except psycopg.Error:
                self.counts["failed writes"] += 1
                self.done.wait(0.3)

    def _change_some(self, cursor: psycopg.Cursor[tuple[object, ...]]) -> None:
        self._upsert(cursor, self._some(200))
        stock = [(f"i{i}", self._version, self._version) for i in self._some(50)]
        cursor.executemany(
            "INSERT INTO stock VALUES (%s, %s, %s) ON CONFLICT (sku) DO UPDATE "
            "SET stock = excluded.stock, shared = excluded.shared, updated = clock_timestamp()",
            stock,
        )
        gone = [f"i{i}" for i in self._some(5)]
        cursor.execute("DELETE FROM items WHERE id = ANY(%s)", [gone])
        cursor.execute("DELETE FROM stock WHERE sku = ANY(%s)", [gone[:2]])
        self.counts["deletes"] += len(gone)
        self.counts["upserts"] += 250

    def _upsert(self, cursor: psycopg.Cursor[tuple[object, ...]], ids: range | list[int]) -> None:
        self._version += 1
        v = self._version
        cursor.executemany(
            "INSERT INTO items (id, version, price, title, tags, shared) VALUES (%s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (id) DO UPDATE SET version = excluded.version, price = excluded.price, "
            "title = excluded.title, tags = excluded.tags, shared = excluded.shared, "
            "updated = clock_timestamp()",
            [(f"i{i}", v, v * 0.5, title_of(v, i), [v, v + 1], v) for i in ids],
        )

    def _some(self, count: int) -> list[int]:
        return [self._rng.randrange(self.rows) for _ in range(count)]


class Disturbances:
    """One trouble after the other, in turn."""

    def __init__(self, database: Database, killed: KeeperProcess, lives: KeeperProcess) -> None:
        self._database = database
        self._killed = killed
        self._lives = lives
        self.counts: Counter[str] = Counter()
        self.restart_seconds: list[float] = []
        self._turn = 0

    def next(self) -> str:
        troubles: list[Callable[[], None]] = [
            self.kill_the_keeper,
            self.stop_the_database,
            self.bring_rows,
            self.kill_the_keeper,
            self.pause_the_database,
            self.kill_the_database,
            self.finish_anew,
        ]
        trouble = troubles[self._turn % len(troubles)]
        self._turn += 1
        trouble()
        self.counts[trouble.__name__] += 1
        return trouble.__name__.replace("_", " ")

    def kill_the_keeper(self) -> None:
        self._killed.kill()
        self.restart_seconds.append(self._killed.start())

    def stop_the_database(self) -> None:
        self._database.server.stop()
        time.sleep(3.0)
        self._database.server.start()

    def kill_the_database(self) -> None:
        self._database.server.kill()
        self._kill_the_keeper_while_it_is_away()
        self._database.server.start()

    def pause_the_database(self) -> None:
        with self._database.server.paused():
            time.sleep(4.0)

    def _kill_the_keeper_while_it_is_away(self) -> None:
        """The image alone has to do."""
        self._killed.kill()
        self.restart_seconds.append(self._killed.start())

    def bring_rows(self) -> None:
        for keeper in (self._killed, self._lives):
            keeper.ask("bring")

    def finish_anew(self) -> None:
        for keeper in (self._killed, self._lives):
            keeper.ask("refinish")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--minutes", type=float, default=30.0)
    arguments.add_argument("--rows", type=int, default=20_000)
    arguments.add_argument("--folder", type=Path, default=Path("build/soak-items"), help="images and logs")
    options = arguments.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    with PostgresServer.start_new() as server:
        database = Database(server, options.rows)
        killed, lives = (KeeperProcess(database.url, options.folder / name) for name in ("killed", "lives"))
        try:
            killed.start()
            lives.start()
            changing = threading.Thread(target=database.change)
            changing.start()
            disturbances = Disturbances(database, killed, lives)
            try:
                memory = soak(options.minutes * 60, disturbances, lives)
            finally:
                database.done.set()
                changing.join()
            ends = {name: keeper.ask("end") for name, keeper in (("killed", killed), ("lives", lives))}
        finally:
            killed.kill()
            lives.kill()
    some = len(memory) // 8 + 1
    growth = statistics.median(memory[-some:]) / statistics.median(memory[:some]) - 1
    result = {
        "minutes": options.minutes,
        "rows": options.rows,
        **database.counts,
        **disturbances.counts,
        "restart_seconds": round(statistics.median(disturbances.restart_seconds or [0.0]), 2),
        "reads": sum(end["reads"] for end in ends.values()),
        "torn": sum(end["torn"] for end in ends.values()),
        "refreshes": sum(end["refreshes"] for end in ends.values()),
        "differences": {name: end["differences"] for name, end in ends.items()},
        "rss_mb": round(memory[-1] / 1e6, 1),
        "rss_growth_percent": round(100 * growth, 2),
    }
    passed = not result["torn"] and not any(result["differences"].values()) and growth <= GROWTH
    print(json.dumps({**result, "passed": passed}))
    return 0 if passed else 1


def soak(seconds: float, disturbances: Disturbances, lives: KeeperProcess) -> list[int]:
    """Let time pass and trouble happen; gives the memory of the keeper that lives, after the warm-up."""
    memory: list[int] = []
    began, disturbed = time.monotonic(), time.monotonic()
    shown = Progress(
        *Progress.get_default_columns(), TextColumn("{task.fields[what]}"), console=Console(stderr=True)
    )
    with shown as progress:
        bar = progress.add_task("soaking", total=seconds, what="")
        while (now := time.monotonic() - began) < seconds:
            if now >= seconds * WARM_UP:
                memory.append(psutil.Process(lives.pid).memory_info().rss)
            if time.monotonic() - disturbed >= DISTURB_SECONDS:
                progress.update(bar, what=disturbances.next())
                disturbed = time.monotonic()
            progress.update(bar, completed=now)
            time.sleep(1.0)
    return memory or [psutil.Process(lives.pid).memory_info().rss]


if __name__ == "__main__":
    sys.exit(main())
