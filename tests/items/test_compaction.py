"""Compaction gives memory back and changes no row, whatever was written, deleted, saved, restored before."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve.columns import batch_from_arrow, column_from_arrow, to_arrow
from recserve.items.compaction import CompactedColumn, Compaction
from recserve.items.store import ItemStore

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.items.store import KeyType

TYPES = {
    "price": pa.int64(),
    "title": pa.string(),
    "brand": pa.string(),
    "numbers": pa.list_(pa.int64()),
    "tags": pa.list_(pa.string()),
    "shares": pa.map_(pa.string(), pa.float64()),
    "counts": pa.map_(pa.int64(), pa.int32()),
    "paths": pa.list_(pa.list_(pa.string())),
    "routes": pa.list_(pa.list_(pa.int64())),
}
RAW = {
    "price": "int64",
    "title": "string",
    "brand": "string",
    "numbers": "list<int64>",
    "tags": "list<string>",
    "shares": "map<string,float64>",
    "counts": "map<int64,int32>",
    "paths": "list<list<string>>",
    "routes": "list<list<int64>>",
}

Row = dict[str, Any]


def drawn_row(draw: random.Random) -> Row:
    number = draw.randrange(10**6)

    def some(least: int = 0) -> range:
        return range(draw.randrange(least, 4))

    row: Row = {
        "price": number,
        "title": f"title {number} " * draw.randrange(30),
        "brand": f"brand {number % 50}",
        "numbers": [number + i for i in some()],
        "tags": [f"tag {number % 97} {i}" for i in some()],
        "shares": [(f"k{number}{i}", i / 3) for i in some()],
        "counts": [(number + i, i) for i in some()],
        "paths": [[f"p{number % 31}"] * draw.randrange(3) for _ in some()],
        "routes": [[number] * draw.randrange(3) for _ in some()],
    }
    return {name: None if draw.random() < 0.1 else value for name, value in row.items()}


def empty_store(key: KeyType) -> ItemStore:
    return ItemStore(key, RAW, always_raw=frozenset(RAW), limits={"counts": 8})


def keys_column(keys: list[Any], key: KeyType) -> Any:
    return column_from_arrow(pa.array(keys, pa.int64() if key == "int64" else pa.string()))


def upsert(store: ItemStore, rows: dict[Any, Row]) -> None:
    columns = {n: pa.array([row[n] for row in rows.values()], TYPES[n]) for n in TYPES}
    store.upsert(batch_from_arrow(columns), keys_column(list(rows), store.key))


def contents(store: ItemStore, keys: list[Any]) -> dict[Any, Row]:
    with store.pin() as pinned:
        gathered = pinned.gather(keys_column(keys, store.key), rows=len(keys))
    columns = {name: to_arrow(gathered.raw[name]).to_pylist() for name in RAW}
    return {key: {name: columns[name][i] for name in RAW} for i, key in enumerate(keys) if gathered.known[i]}


@pytest.mark.parametrize("key", ["string", "int64"])
@pytest.mark.parametrize("seed", range(3))
def test_a_store_equals_a_dict_through_compactions(tmp_path: Path, key: KeyType, seed: int) -> None:
    draw = random.Random(seed)
    names = [i if key == "int64" else f"item {i} " + "x" * (i % 40) for i in range(3000)]
    store = empty_store(key)
    expected: dict[Any, Row] = {}
    moved = 0
    for _ in range(40):
        some = draw.sample(names, draw.randrange(1, 1500))
        action = draw.randrange(10)
        if action < 5:
            rows = {name: drawn_row(draw) for name in some}
            upsert(store, rows)
            expected |= rows
        elif action < 7:
            store.delete(keys_column(some, key))
            for name in some:
                expected.pop(name, None)
        elif action < 9:
            moved += store.compact(draw.choice([0.0, 0.1, 0.3])).rows_moved
        else:
            store.save(tmp_path / "image", {})
            image = ItemStore.open_image(tmp_path / "image")
            store = ItemStore.restore(image, key, RAW, always_raw=frozenset(RAW), limits={"counts": 8})
    moved += store.compact(0.0).rows_moved

    assert contents(store, names) == expected
    assert moved > 0


def test_figures_tell_what_was_garbage_and_what_was_given_back() -> None:
    store = ItemStore("int64", {"title": "string", "price": "int64"})
    keys = column_from_arrow(pa.array(range(10_000)))
    for version in range(4):
        titles = pa.array([f"title {version} of item {i}, unlike any other" for i in range(10_000)])
        store.upsert(batch_from_arrow({"title": titles}), keys)

    counted = store.compact(1)
    assert [column.name for column in counted.columns] == ["title"]
    assert counted.rows_moved == 0
    assert counted.after_bytes == counted.before_bytes
    assert store.figures().garbage_bytes == counted.garbage_bytes
    assert counted.garbage_bytes == pytest.approx(counted.before_bytes * 3 / 4, rel=0.01)

    result = store.compact()
    assert result.rows_moved == 10_000
    assert result.before_bytes == counted.before_bytes
    assert result.after_bytes == pytest.approx(result.before_bytes / 4, rel=0.01)
    assert store.figures().garbage_bytes == result.garbage_bytes == 0

    store.upsert(batch_from_arrow({"title": pa.array(["new"])}), column_from_arrow(pa.array([1])))
    held = store.figures()
    assert held.arena_bytes + held.dictionary_bytes < counted.before_bytes / 2


def test_garbage_below_the_threshold_stays() -> None:
    store = ItemStore("int64", {"title": "string"})
    for first in (0, 5000):
        keys = list(range(first, first + 10_000))
        titles = [f"the title of item {i}, as of {first}" for i in keys]
        store.upsert(batch_from_arrow({"title": pa.array(titles)}), column_from_arrow(pa.array(keys)))

    assert store.compact(0.5).rows_moved == 0
    assert store.compact(0.2).rows_moved > 0


def test_sums_are_those_of_the_columns() -> None:
    result = Compaction((CompactedColumn("a", 10, 4, 6), CompactedColumn("b", 5, 5, 4)), rows_moved=1)

    assert (result.before_bytes, result.after_bytes, result.garbage_bytes) == (15, 10, 2)


def test_a_refresh_deletes_what_its_table_does_not_have_after_a_compaction() -> None:
    store = ItemStore("int64", {"title": "string", "#0": "int64"})
    everything = list(range(10_000))

    def write(keys: list[int], version: int) -> None:
        titles = [f"title {version} of item {i}, unlike any other" for i in keys]
        hashes = pa.array([version] * len(keys), pa.int64())
        store.upsert(
            batch_from_arrow({"title": pa.array(titles), "#0": hashes}), column_from_arrow(pa.array(keys))
        )

    for version in range(4):
        write(everything, version)
    refresh = store.refresh("#0")
    kept = everything[::2]
    hashes = column_from_arrow(pa.array([3] * len(kept), pa.int64()))
    changed = refresh.changed(column_from_arrow(pa.array(kept)), hashes)
    assert not changed.any()
    assert store.compact(0.1).rows_moved == len(everything)
    for keys in refresh.unseen(1000):
        store.delete(keys)

    assert len(store) == len(kept)


def test_readers_and_writers_of_python_go_on_during_a_compaction() -> None:
    store = ItemStore(
        "string", {"title": "string", "again": "string"}, always_raw=frozenset({"title", "again"})
    )
    names = [f"an item with a long name, number {i}" for i in range(2000)]
    keys = column_from_arrow(pa.array(names))
    stop = threading.Event()
    wrong: list[Any] = []

    def write() -> None:
        version = 0
        while not stop.is_set():
            version += 1
            titles = pa.array([f"version {version} of {name}" for name in names])
            store.upsert(batch_from_arrow({"title": titles, "again": titles}), keys)

    def read() -> None:
        while not stop.is_set():
            with store.pin() as pinned:
                rows = pinned.gather(keys, rows=len(names))
            titles, again = (to_arrow(rows.raw[name]).to_pylist() for name in ("title", "again"))
            if rows.known.all() and (titles != again or len({t.split()[1] for t in titles}) != 1):
                wrong.append(titles[:3])

    write_once = pa.array([f"version 0 of {name}" for name in names])
    store.upsert(batch_from_arrow({"title": write_once, "again": write_once}), keys)
    threads = [threading.Thread(target=target) for target in (write, read)]
    for thread in threads:
        thread.start()
    moved = 0
    for _ in range(1000):
        moved += store.compact(0.2).rows_moved
        if moved > 10_000:
            break
    stop.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert moved > 10_000
