"""One keeper of `soak_items.py`, in a process that `KeeperProcess` starts and talks to by lines."""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve.allocator import tune_allocator
from recserve.columns import column_from_arrow, to_arrow
from recserve.items.keeper import Keeper
from recserve.items.store import ItemStore
from recserve.items.tables import KeptTable
from recserve.items.upkeep import KeeperOptions
from recserve.source import TableSpec
from recserve.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.items.store import KeyType

COLUMNS = ["brand", "price", "shared", "stock", "tags", "title", "version"]
OPTIONS = KeeperOptions(period_seconds=20.0, poll_seconds=0.2, load_timeout_seconds=120.0)


class KeeperProcess:
    """A keeper that can be killed. The process it is in says one line of JSON for each line that it hears."""

    def __init__(self, url: str, image: Path) -> None:
        self._url = url
        self._image = image
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start it, from its image if it has one; the seconds until it is loaded."""
        began = time.monotonic()
        command = [sys.executable, "-m", "benchmarks.soak_items_keeper", str(self._image)]
        with self._image.with_suffix(".log").open("a") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._say(self._url)
        assert self._hear()["loaded"]
        return time.monotonic() - began

    def ask(self, word: str) -> dict[str, Any]:
        """Let it do something."""
        self._say(word)
        return self._hear()

    def kill(self) -> None:
        """End it as the kernel does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _say(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the keeper ended; its log is {self._image.with_suffix('.log')}"
        heard: dict[str, Any] = json.loads(line)
        return heard


def title_of(version: int, number: int) -> str:
    """A text that only this version of this item has."""
    return f"version {version} of item {number} " + "x" * (version % 40)


class Child:
    """What runs in the process."""

    def __init__(self, url: str, image: Path) -> None:
        tables = [
            self.table(url, "items", "id", {"version", "price", "title", "tags", "shared"}, "updated"),
            self.table(url, "stock", "sku", {"stock", "shared"}, "updated"),
            self.table(url, "brands", "id", {"brand"}, ""),
        ]
        self.keeper = Keeper(
            tables,
            self.make_store,
            OPTIONS,
            image_path=image,
            fingerprint="1",
            restore_store=ItemStore.restore,
        )
        self.reads = self.torn = 0
        self.done = threading.Event()

    @staticmethod
    def make_store(key: KeyType, raw: Mapping[str, str]) -> ItemStore:
        return ItemStore(key, raw)

    @staticmethod
    def table(url: str, name: str, key: str, columns: set[str], timekey: str) -> KeptTable:
        spec = TableSpec(name=name, key=key, url=url, timekey=timekey, overlap_seconds=15.0)
        source = open_source("postgresql", spec)
        return KeptTable(source, frozenset(columns), static=not timekey, order=timekey)

    def run(self) -> None:
        self.keeper.load()
        self.keeper.start()
        for seed in range(2):
            threading.Thread(target=self.read, args=(seed,), daemon=True).start()
        answer({"loaded": True})
        for line in sys.stdin:
            answer(getattr(self, line.strip())())

    def read(self, seed: int) -> None:
        """Check rows all the time: each of them is all of one version."""
        rng = random.Random(seed)
        while not self.done.wait(0.002):
            numbers = [rng.randrange(len(self.keeper.store) + 1) for _ in range(200)]
            with self.keeper.pin() as rows:
                found = rows.look_up(column_from_arrow(pa.array([f"i{n}" for n in numbers])), COLUMNS)
            cells = [to_arrow(found.raw[name]).to_pylist() for name in ("version", "price", "title", "tags")]
            for number, version, price, title, tags in zip(numbers, *cells, strict=True):
                expected = (None,) * 3 if version is None else (
                    version * 0.5, title_of(version, number), [version, version + 1])  # fmt: skip
                self.torn += (price, title, tags) != expected
            self.reads += len(numbers)

    def bring(self) -> dict[str, Any]:
        """Rows that the tables do not have: the next refreshes take them away."""
        self.keeper.upsert(pa.table({"id": ["i1", "brought", "gone"], "stock": [-1, -1, -1]}))
        self.keeper.delete(pa.array(["gone"]))
        return {}

    def refinish(self) -> dict[str, Any]:
        self.keeper.refinish(self.make_store, fingerprint="1")
        return {}

    def end(self) -> dict[str, Any]:
        """The tables stand still: refresh, and compare row by row."""
        report = self.keeper.refresh_now()
        while not report.complete:  # the database has just come back
            time.sleep(1.0)
            report = self.keeper.refresh_now()
        differences = [str(difference)[:300] for difference in self.keeper.diff(20)]
        outcomes = self.keeper.gauges()["recserve_item_refreshes_total"][1]
        assert not isinstance(outcomes, float)
        self.done.set()
        self.keeper.close()
        return {
            "reads": self.reads,
            "torn": self.torn,
            "refreshes": int(sum(outcomes.values())),
            "differences": differences,
            "report": str(report),
        }


def answer(said: dict[str, Any]) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    tune_allocator()  # as the server does
    Child(sys.stdin.readline().strip(), Path(sys.argv[1])).run()
