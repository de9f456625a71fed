"""The contract over what needs no server: files and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tests.servers.object_store import BUCKET, SECRET, object_store
from tests.sources.contract import SourceContract
from tests.sources.place import TYPES

from recserve.errors import DataError
from recserve.sources.files import FileSource, create_table
from recserve.sources.memory import MemoryOrigin, MemorySource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import IO

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


class FilesPlace:
    """Files of one kind in a folder or under a URL; with `deltas` as tables that change."""

    def __init__(self, folder: str, write: Callable[[pa.Table, IO[bytes]], None], suffix: str) -> None:
        self._folder, self._write, self._suffix = folder, write, suffix

    def make(self, table: pa.Table, key: str, name: str = "items") -> Source:
        path = f"{self._folder}/{name}{self._suffix}"
        with fsspec.open(path.replace("oss://", "s3://"), "wb") as file:
            self._write(table, file)
        return FileSource(path, key)

    def absent(self, key: str) -> Source:
        return FileSource(f"{self._folder}/no_such_table{self._suffix}", key)

    def upsert(self, source: Source, rows: pa.Table) -> None:
        raise NotImplementedError

    def delete(self, source: Source, keys: pa.Array) -> None:
        raise NotImplementedError


class ManifestPlace(FilesPlace):
    """Tables with a manifest; each is followed through one source and written through another."""

    def __init__(self, folder: str, page_rows: int) -> None:
        super().__init__(folder, pq.write_table, "")
        self._page_rows = page_rows

    def make(self, table: pa.Table, key: str, name: str = "items") -> Source:
        create_table(f"{self._folder}/{name}", table, key)
        return FileSource(f"{self._folder}/{name}", key, page_rows=self._page_rows)

    def upsert(self, source: Source, rows: pa.Table) -> None:
        FileSource(source.origin, source.key).write(rows)

    def delete(self, source: Source, keys: pa.Array) -> None:
        FileSource(source.origin, source.key).delete(keys)


def write_ipc(table: pa.Table, file: IO[bytes]) -> None:
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def write_stream(table: pa.Table, file: IO[bytes]) -> None:
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


class OfFiles(SourceContract):
    can = frozenset({"profile", "get", "order", "null keys", "row count"})


class TestParquet(OfFiles):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return FilesPlace(str(tmp_path), pq.write_table, ".parquet")


class TestIpcFile(OfFiles):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return FilesPlace(str(tmp_path), write_ipc, ".arrow")


class TestIpcStream(OfFiles):
    can = OfFiles.can - {"row count"}

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return FilesPlace(str(tmp_path), write_stream, ".arrows")


class TestCsv(OfFiles):
    lacks_types = frozenset(TYPES) - {"int64", "float64", "string"}
    lacks_keys = frozenset({"int32"})

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return FilesPlace(str(tmp_path), pa.csv.write_csv, ".csv")


class TestManifest(SourceContract):
    can = OfFiles.can | {"changes", "write", "deletes", "once", "pages", "moments"}
    page_rows = 100

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return ManifestPlace(str(tmp_path), self.page_rows)


class TestMemoryUrl(OfFiles):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return FilesPlace(f"memory://{tmp_path.name}", pq.write_table, ".parquet")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with object_store() as url:
        yield url


class TestS3(OfFiles):
    secret = SECRET

    @pytest.fixture
    def place(self, bucket: str, tmp_path: Path) -> Place:
        return FilesPlace(f"{bucket}/{tmp_path.name}", pq.write_table, ".parquet")


class TestOss(OfFiles):
    secret = SECRET

    @pytest.fixture
    def place(self, bucket: str, tmp_path: Path) -> Place:
        return FilesPlace(f"oss://{BUCKET}/{tmp_path.name}", pq.write_table, ".parquet")


class TestManifestInOss(TestManifest):
    secret = SECRET

    @pytest.fixture
    def place(self, bucket: str, tmp_path: Path) -> Place:
        return ManifestPlace(f"oss://{BUCKET}/{tmp_path.name}", self.page_rows)


class TestManifestInS3(TestManifest):
    secret = SECRET

    @pytest.fixture
    def place(self, bucket: str, tmp_path: Path) -> Place:
        return ManifestPlace(f"{bucket}/{tmp_path.name}", self.page_rows)
