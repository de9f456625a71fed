"""Where tables of Redis lie in tests, and one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.sources.redis import RedisSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recserve.source import Source

ITEMS = pa.table({"id": ["a", "b"], "price": pa.array([1.5, None], pa.float32()), "tags": [["x", "y"], []]})


def keys_of(batches: Iterable[pa.RecordBatch]) -> list[str]:
    return sorted(key for batch in batches for key in batch.column("id").to_pylist())


class RedisPlace:
    def __init__(self, url: str) -> None:
        self._url = url

    def make(self, table: pa.Table, key: str, name: str = "items") -> Source:
        written_as = key if key in table.schema.names else "id"
        RedisSource(self._url, name, written_as).write(table)
        return RedisSource(self._url, name, key)

    def absent(self, key: str) -> Source:
        return RedisSource(self._url, "no_such_table", key)

    def upsert(self, source: Source, rows: pa.Table) -> None:
        RedisSource(self._url, source.name, source.key).write(rows)

    def delete(self, source: Source, keys: pa.Array) -> None:
        RedisSource(self._url, source.name, source.key).delete(keys)
