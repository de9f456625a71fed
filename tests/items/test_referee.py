"""Any sequence of writes and reads gives what a plain dict gives."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve.columns import Batch, Column, batch_from_arrow, column_from_arrow, to_arrow
from recserve.items.store import ItemStore, column_types

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.items.store import KeyType

COLUMNS: dict[str, pa.DataType] = {
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "text": pa.string(),
    "small_id": pa.int64(),
    "vector": pa.list_(pa.float32(), 3),
    "int_list": pa.list_(pa.int64()),
    "small_list": pa.list_(pa.int32()),
    "float_list": pa.list_(pa.float32()),
    "text_list": pa.list_(pa.string()),
    "weights": pa.map_(pa.string(), pa.float32()),
    "counts": pa.map_(pa.int64(), pa.int64()),
    "nested_ints": pa.list_(pa.list_(pa.int64())),
    "nested_texts": pa.list_(pa.list_(pa.string())),
}
LIMITS = {"small_id": 256, "small_list": 65536}
Row = dict[str, Any]


class Referee:
    """What the store means, in plain Python: a dict from key to row."""

    def __init__(self, key: KeyType) -> None:
        self.key = key
        self.rows: dict[str | int, Row] = {}

    def key_of(self, item_id: str | int | None) -> str | int | None:
        """None: an id that nothing has."""
        if item_id is None or item_id == "":
            return None
        if self.key == "string":
            return str(item_id)
        text = str(item_id).strip(" \t\n\r\v\f")
        if not re.fullmatch(r"[+-]?[0-9]+", text) or not -(2**63) <= int(text) < 2**63:
            return None
        return int(text)

    def upsert(self, keys: list[Any], rows: list[Row]) -> None:
        for key, row in zip(keys, rows, strict=True):
            canonical = self.key_of(key)
            assert canonical is not None
            self.rows[canonical] = row

    def delete(self, keys: list[Any]) -> int:
        found = [key for item_id in keys if (key := self.key_of(item_id)) in self.rows]
        for key in found:
            self.rows.pop(key)
        return len(found)

    def gather(self, ids: list[Any]) -> tuple[dict[str, list[Any]], list[bool]]:
        found = [self.rows.get(key) if (key := self.key_of(i)) is not None else None for i in ids]
        columns = {name: [row[name] if row else None for row in found] for name in COLUMNS}
        return columns, [row is not None for row in found]


class Cells:
    """Random values for each column."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.make: dict[str, Callable[[], Any]] = {
            "int32": lambda: rng.randrange(-(2**31), 2**31),
            "int64": self.number,
            "float32": lambda: rng.choice([0.5, -2.25, 0.0]),
            "float64": lambda: rng.choice([0.0, -1.5, 3.25, 1e20]),
            "text": self.text,
            "small_id": lambda: rng.randrange(256),
            "vector": lambda: [float(rng.randrange(100)) for _ in range(3)],
            "int_list": lambda: self.many(self.number),
            "small_list": lambda: self.many(lambda: rng.randrange(65536)),
            "float_list": lambda: self.many(lambda: 0.5),
            "text_list": lambda: self.many(self.text),
            "weights": lambda: [(f"k{i}", 0.25 * i) for i in range(rng.randrange(4))],
            "counts": lambda: [(i - 1, self.number()) for i in range(rng.randrange(4))],
            "nested_ints": lambda: self.many(lambda: self.many(self.number)[:3])[:4],
            "nested_texts": lambda: self.many(lambda: self.many(self.text)[:3])[:4],
        }

    def row(self) -> Row:
        """Every column, now and then null or empty."""
        return {name: None if self.rng.random() < 0.15 else make() for name, make in self.make.items()}

    def number(self) -> int:
        return self.rng.choice([0, -1, 7, 2**40, -(2**63), 2**63 - 1])

    def text(self) -> str:
        return self.rng.choice(["", "a", "shoes", "中文", "x" * self.rng.choice([5, 200, 2000])])

    def many(self, make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(self.rng.choice([0, 1, 1, 1, 2, 5, 150]))]


def arrow(rows: list[Row]) -> dict[str, pa.Array]:
    return {name: pa.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()}


def some_key(rng: random.Random, key: KeyType) -> str | int:
    number = rng.randrange(400)
    if key == "int64":
        return number - 200
    return f"item {number} with a key of more than fifteen bytes" if number % 3 == 0 else f"i{number}"


def some_id(rng: random.Random, key: KeyType) -> str | None:
    """What a request may ask for: mostly keys, also oddly written ones and nonsense."""
    if rng.random() < 0.1:
        return rng.choice([None, "", "nobody", "007", "+7", " 7 ", "7.0", "9" * 30])
    return str(some_key(rng, key))


def column(values: list[Any], kind: pa.DataType) -> Column:
    return column_from_arrow(pa.array(values, kind))


def as_lists(batch: Batch) -> dict[str, list[Any]]:
    return {name: to_arrow(batch[name]).to_pylist() for name in batch.names}


@pytest.mark.parametrize("key", ["string", "int64"])
@pytest.mark.parametrize("seed", range(4))
def test_random_writes_and_reads_equal_a_dict(seed: int, key: KeyType) -> None:
    rng = random.Random(f"{seed} {key}")
    cells = Cells(rng)
    referee = Referee(key)
    store = ItemStore(
        key,
        column_types(pa.schema(list(COLUMNS.items())), COLUMNS),
        always_raw=frozenset(COLUMNS),
        limits=LIMITS,
    )
    kind = pa.string() if key == "string" else pa.int64()
    for _ in range(40):
        keys = [some_key(rng, key) for _ in range(rng.randrange(1, 40))]
        if rng.random() < 0.25:
            different = list(dict.fromkeys(keys))
            assert store.delete(column(different, kind)) == referee.delete(different)
        else:
            rows = [cells.row() for _ in keys]
            store.upsert(batch_from_arrow(arrow(rows)), column(keys, kind))
            referee.upsert(keys, rows)
        ids = [some_id(rng, key) for _ in range(rng.randrange(1, 50))]

        with store.pin() as pinned:
            result = pinned.gather(column(ids, pa.string()), rows=len(ids))

        expected, known = referee.gather(ids)
        assert as_lists(result.raw) == expected
        assert result.known.tolist() == known
        assert len(store) == len(referee.rows)
