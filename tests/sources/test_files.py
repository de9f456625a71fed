"""Parquet files: one or a directory of them, streamed, with errors that say what is wrong where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recserve.errors import DataError
from recserve.sources.files import FileSource

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, first: int, rows: int) -> None:
    keys = list(range(first, first + rows))
    pq.write_table(pa.table({"id": keys, "name": [f"n{k}" for k in keys]}), path)


def test_a_directory_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    write(tmp_path / "part-2.parquet", 20, 2)
    write(tmp_path / "part-1.parquet", 10, 3)
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".part-3.parquet.tmp").write_text("being written")
    source = FileSource(tmp_path, "id")

    assert pa.Table.from_batches(source.snapshot())["id"].to_pylist() == [10, 11, 12, 20, 21]
    assert source.rows() == 5


def test_a_large_file_comes_in_batches(tmp_path: Path) -> None:
    write(tmp_path / "items.parquet", 0, 100_000)
    sizes = [batch.num_rows for batch in FileSource(tmp_path / "items.parquet", "id").snapshot(["name"])]

    assert sum(sizes) == 100_000
    assert max(sizes) < 70_000


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"table .*gone\.parquet does not exist"):
        FileSource(tmp_path / "gone.parquet", "id").schema()


def test_an_empty_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a directory without files \*\.parquet, .*\*\.csv"):
        FileSource(tmp_path, "id").schema()


@pytest.mark.parametrize("content", [b"", b"id,name\n1,a\n", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_a_file_that_is_not_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "items.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"items\.parquet is not a Parquet file"):
        FileSource(tmp_path / "items.parquet", "id").schema()


def test_a_file_that_is_cut_off_inside_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"id": [f"key {i}" for i in range(10_000)]}), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[1000:20_000] = b"\xff" * 19_000
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"items\.parquet cannot be read to its end"):
        list(FileSource(path, "id").snapshot())


def test_files_of_different_columns_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", 0, 2)
    pq.write_table(pa.table({"id": [5]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet has no column 'name', which a\.parquet has"):
        FileSource(tmp_path, "id").schema()


def test_files_of_different_types_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", 0, 2)
    pq.write_table(pa.table({"id": ["5"], "name": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: column 'id' is string, in a\.parquet it is int64"):
        FileSource(tmp_path, "id").schema()
