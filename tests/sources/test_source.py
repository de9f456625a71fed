"""What every source promises: what was written is read, types and order kept, nulls in the key refused."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recserve.errors import DataError
from recserve.sources import SOURCES
from recserve.sources.files import FileSource
from recserve.sources.memory import MemorySource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recserve.source import Source

    Open = Callable[[pa.Table, str], Source]

TABLE = pa.table(
    {
        "price": pa.array([1.5, None, 2.5], pa.float32()),
        "id": ["c", "a", "a"],
        "tags": pa.array([["x"], [], None], pa.list_(pa.string())),
        "weights": pa.array([[("k", 1.0)], None, []], pa.map_(pa.string(), pa.float64())),
    }
)


@pytest.fixture(params=["file", "memory"])
def source_of(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Write a table, and open it as the source of this name."""

    def file(table: pa.Table, key: str) -> Source:
        pq.write_table(table, tmp_path / "items.parquet")
        return FileSource(tmp_path / "items.parquet", key)

    opened: dict[str, Open] = {"file": file, "memory": MemorySource}
    return opened[request.param]


def test_what_was_written_is_read(source_of: Open) -> None:
    source = source_of(TABLE, "id")
    result = pa.Table.from_batches(source.snapshot())

    assert result.equals(TABLE)
    assert source.schema().equals(TABLE.schema)
    assert source.rows() == 3
    assert source.key == "id"


def test_a_snapshot_has_the_key_and_the_columns_asked_for(source_of: Open) -> None:
    result = pa.Table.from_batches(source_of(TABLE, "id").snapshot(["tags", "absent"]))

    assert result.schema.names == ["id", "tags"]


def test_a_snapshot_may_be_taken_again(source_of: Open) -> None:
    source = source_of(TABLE, "id")

    assert pa.Table.from_batches(source.snapshot()).equals(pa.Table.from_batches(source.snapshot()))


def test_a_missing_key_column_is_named(source_of: Open) -> None:
    with pytest.raises(DataError, match="has no key column 'item_id'; columns: price, id, tags, weights"):
        source_of(TABLE, "item_id").schema()


def test_null_keys_are_counted(source_of: Open) -> None:
    table = pa.table({"id": ["a", None, None], "price": [1, 2, 3]})
    with pytest.raises(DataError, match="key column 'id' is null in 2 of 3 rows"):
        list(source_of(table, "id").snapshot())


def test_every_name_in_the_table_is_a_source() -> None:
    for place in SOURCES.values():
        module, name = place.split(":")
        assert {"schema", "rows", "snapshot"} <= set(dir(getattr(import_module(module), name)))
