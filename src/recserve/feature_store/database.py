"""A DuckDB of one's own, for what is larger than memory: it sorts and joins, and leaves nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

_BATCH_ROWS = 1 << 15
_CLOSED = {
    "enable_external_access": "false",  # no query of ours reads files or loads extensions
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "preserve_insertion_order": "false",  # what needs an order says so
}


class Database:
    """Tables of which at most `memory_mb` are in memory, the rest in a temporary folder.

    SQL comes from this part alone: tables and columns have names that it made up.
    """

    def __init__(self, *, memory_mb: int = 1024, threads: int = 2, folder: Path | None = None) -> None:
        try:
            import duckdb
        except ImportError:
            raise ConfigError(
                "tables are joined by DuckDB, which is not installed: pip install 'recserve[store]'"
            ) from None
        self._folder = tempfile.TemporaryDirectory(prefix="recserve-store-", dir=folder)
        self.folder = Path(self._folder.name)
        config: dict[str, str | bool | int | float | list[str]] = {
            **_CLOSED,
            "memory_limit": f"{memory_mb}MB",
            "threads": threads,
            "temp_directory": str(self.folder / "spill"),
        }
        self._error = duckdb.Error
        self._connection = duckdb.connect(":memory:", config=config)  # more than fits is spilled

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._folder.cleanup()

    def run(self, sql: str) -> None:
        """Execute one statement."""
        self._tried(self._connection.execute, sql)

    def read(
        self, sql: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch], parameters: Sequence[Any] = ()
    ) -> None:
        """Execute a statement over `batches`, which it calls `rows`; they are streamed."""
        failed: list[Exception] = []

        def streamed() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except Exception as error:  # DuckDB would give it as a text of its own
                failed.append(error)
                raise

        self._connection.register("rows", pa.RecordBatchReader.from_batches(schema, streamed()))
        try:
            self._connection.execute(sql, list(parameters))
        except self._error as error:
            raise (failed[0] if failed else _told(error)) from None
        finally:
            self._connection.unregister("rows")

    def number(self, sql: str) -> int:
        """The one number that a query gives."""
        ((number,),) = self._connection.execute(sql).fetchall()
        return int(number)

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The rows of a query; take all of them before the next statement."""
        relation: Any = self._tried(self._connection.sql, sql)
        reader = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
        batches = self._tried(reader, _BATCH_ROWS)
        while True:
            try:
                batch = batches.read_next_batch()
            except StopIteration:
                return
            except (self._error, pa.ArrowException, OSError) as error:
                raise _told(error) from None
            yield batch

    def _tried(self, execute: Any, *arguments: Any) -> Any:
        try:
            return execute(*arguments)
        except self._error as error:
            raise _told(error) from None


def _told(error: Exception) -> SourceError:
    """Most often the disk is full, or the memory too little: asking again with more of it helps."""
    return SourceError(f"DuckDB: {str(error).partition('LINE 1:')[0].strip()}")
