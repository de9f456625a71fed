"""Files: one or a directory of them, streamed, with errors that say what is wrong where."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recserve.errors import DataError, SourceError
from recserve.source import TableSpec
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


def rows_of(source: FileSource) -> list[dict[str, object]]:
    return [row for batch in source.snapshot() for row in batch.to_pylist()]


def write_arrow(path: Path, table: pa.Table, batch_rows: int = 1 << 16) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, batch_rows)


def test_a_format_is_told_by_the_content_where_the_name_says_nothing(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2]})
    pq.write_table(table, tmp_path / "parquet")
    write_arrow(tmp_path / "file", table)
    with pa.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as writer:
        writer.write_table(table)

    for name in ("parquet", "file", "stream.arrow"):
        assert rows_of(FileSource(tmp_path / name, "id")) == [{"id": 1}, {"id": 2}]


def test_a_file_of_no_format_is_told_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "items.xlsx").write_bytes(b"PK..")
    with pytest.raises(DataError, match=r"items\.xlsx is neither Parquet nor Arrow IPC; .*\*\.csv"):
        FileSource(tmp_path / "items.xlsx", "id").schema()


def test_a_directory_has_one_format(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", 0, 2)
    (tmp_path / "b.csv").write_text("id,name\n1,x\n")
    with pytest.raises(DataError, match=r"b\.csv is CSV, a\.parquet is Parquet"):
        FileSource(tmp_path, "id").schema()


def test_large_batches_of_an_arrow_file_come_in_slices(tmp_path: Path) -> None:
    write_arrow(tmp_path / "items.arrow", pa.table({"id": range(200_000)}), 200_000)
    sizes = [batch.num_rows for batch in FileSource(tmp_path / "items.arrow", "id").snapshot()]

    assert sum(sizes) == 200_000
    assert max(sizes) <= 1 << 14


@pytest.mark.parametrize("left", [100, 10_000, 1_000_000])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_file_that_is_cut_off_while_it_is_read_is_named(tmp_path: Path, suffix: str, left: int) -> None:
    path = tmp_path / f"items.{suffix}"
    table = pa.table({"id": [f"key {i}" for i in range(400_000)]})
    if suffix == "parquet":
        pq.write_table(table, path, row_group_size=50_000)
    else:
        write_arrow(path, table)
    batches = FileSource(path, "id").snapshot()
    next(batches)
    os.truncate(path, left)

    with pytest.raises(DataError, match=rf"items\.{suffix} cannot be read to its end"):
        list(batches)


def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "items.parquet", 0, 200_000)
    write(tmp_path / "new", 500, 3)
    source = FileSource(tmp_path / "items.parquet", "id")
    batches = source.snapshot()
    first = next(batches)
    os.replace(tmp_path / "new", tmp_path / "items.parquet")

    assert first.num_rows + sum(batch.num_rows for batch in batches) == 200_000
    assert source.rows() == 3


def test_a_file_that_vanishes_before_its_turn_is_asked_for_again(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", 0, 100_000)
    write(tmp_path / "b.parquet", 5, 3)
    batches = FileSource(tmp_path, "id").snapshot()
    next(batches)
    (tmp_path / "b.parquet").unlink()

    with pytest.raises(SourceError, match=r"b\.parquet vanished while it was read; read the table again"):
        list(batches)


def test_a_column_that_changed_its_type_is_named(tmp_path: Path) -> None:
    write(tmp_path / "items.parquet", 0, 2)
    source = FileSource(tmp_path / "items.parquet", "id")
    assert source.schema().field("name").type == pa.string()
    pq.write_table(pa.table({"id": [1], "name": [5]}), tmp_path / "items.parquet")

    assert source.schema().field("name").type == pa.int64()


def test_a_column_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["id", "id"])
    write_arrow(tmp_path / "items.arrow", table)
    with pytest.raises(DataError, match="has the column 'id' twice"):
        FileSource(tmp_path / "items.arrow", "id").schema()


def test_columns_with_dots_are_not_parts_of_one_another(tmp_path: Path) -> None:
    table = pa.table({"id": [1], "a": [2], "a.b": [3], "s": [{"t": 4}]})
    pq.write_table(table, tmp_path / "items.parquet")
    source = FileSource(tmp_path / "items.parquet", "id")

    assert [b.to_pylist() for b in source.snapshot(["a"])] == [[{"id": 1, "a": 2}]]
    assert source.profile(["a", "a.b", "s"]).nulls == {"a": 0, "a.b": 0, "s": 0}


def test_nulls_of_lists_are_counted_not_those_inside(tmp_path: Path) -> None:
    lists = pa.array([[1, None], None, []], pa.list_(pa.int64()))
    pq.write_table(pa.table({"id": [1, 2, 3], "l": lists}), tmp_path / "items.parquet")

    assert FileSource(tmp_path / "items.parquet", "id").profile(["l"]).nulls == {"l": 1}


def test_names_are_relative_to_the_service_file(tmp_path: Path) -> None:
    write(tmp_path / "items.parquet", 0, 2)
    for name in ("items.parquet", "file://items.parquet", f"file://{tmp_path}/items.parquet"):
        source = FileSource.open(TableSpec(name=name, key="id", base_dir=tmp_path))

        assert (source.name, source.rows()) == ("items.parquet", 2)


def test_a_plain_file_has_no_changes_and_takes_no_rows(tmp_path: Path) -> None:
    write(tmp_path / "items.parquet", 0, 2)
    source = FileSource(tmp_path / "items.parquet", "id")

    assert source.abilities == {"profile", "get"}
    with pytest.raises(DataError, match=r"items\.parquet has no manifest\.json.*create_table"):
        source.cursor()


def test_a_stream_whose_writer_died_is_refused(tmp_path: Path) -> None:
    """Between two batches nothing but the mark at the end tells that more was to come."""
    table = pa.table({"id": [1, 2]})
    with (tmp_path / "items.arrows").open("wb") as file:
        writer = pa.ipc.new_stream(file, table.schema)
        writer.write_table(table)
        file.flush()
        with pytest.raises(DataError, match=r"items\.arrows .*its writer did not finish"):
            FileSource(tmp_path / "items.arrows", "id").schema()
        writer.close()
    assert FileSource(tmp_path / "items.arrows", "id").schema() == table.schema


def test_rows_of_a_stream_are_counted_by_reading_it(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2]})
    with pa.ipc.new_stream(tmp_path / "items.arrows", table.schema) as writer:
        writer.write_table(table)
    source = FileSource(tmp_path / "items.arrows", "id")

    assert source.rows() == 0
    assert source.profile([]).rows == 2
