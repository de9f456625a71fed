"""The contract over what needs no server: files and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.sources.contract import SourceContract

from recserve.errors import DataError
from recserve.sources.files import FileSource
from recserve.sources.memory import MemoryOrigin, MemorySource

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sources.place import Place

    from recserve.source import Source


class MemoryPlace:
    def __init__(self, page_rows: int) -> None:
        self._page_rows = page_rows
        self._origin = MemoryOrigin()

    def make(self, table: pa.Table, key: str, name: str = "items") -> Source:
        return MemorySource(table, key, name=name, origin=self._origin, page_rows=self._page_rows)

    def absent(self, key: str) -> Source:
        raise DataError("no_such_table: a table in memory is there")

    def upsert(self, source: Source, rows: pa.Table) -> None:
        assert isinstance(source, MemorySource)
        source.write(rows)

    def delete(self, source: Source, keys: pa.Array) -> None:
        assert isinstance(source, MemorySource)
        source.delete(keys)


class TestMemory(SourceContract):
    can = frozenset(
        {
            *("changes", "profile", "get", "write"),
            *("order", "null keys", "row count", "deletes", "once", "waits", "pages", "moments"),
        }
    )
    page_rows = 100

    @pytest.fixture
    def place(self) -> Place:
        return MemoryPlace(self.page_rows)


class ParquetPlace:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, table: pa.Table, key: str, name: str = "items") -> Source:
        pq.write_table(table, self._folder / f"{name}.parquet")
        return FileSource(self._folder / f"{name}.parquet", key)

    def absent(self, key: str) -> Source:
        return FileSource(self._folder / "no_such_table.parquet", key)

    def upsert(self, source: Source, rows: pa.Table) -> None:
        raise NotImplementedError

    def delete(self, source: Source, keys: pa.Array) -> None:
        raise NotImplementedError


class TestParquet(SourceContract):
    can = frozenset({"order", "null keys", "row count"})

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return ParquetPlace(tmp_path)
