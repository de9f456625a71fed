"""CSV: types are told by all rows, and a cell or row that is wrong is named."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from recserve.errors import DataError
from recserve.sources.files import FileSource

if TYPE_CHECKING:
    from pathlib import Path


def source_of(folder: Path, *contents: str | bytes) -> FileSource:
    for number, content in enumerate(contents):
        text = content.encode() if isinstance(content, str) else content
        (folder / f"part-{number}.csv").write_bytes(text)
    return FileSource(folder, "id")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "-5", "0"], pa.array([1, -5, 0])),
        (["1", "", "3"], pa.array([1, None, 3])),
        (["1", "2.5", "1e3"], pa.array([1.0, 2.5, 1000.0])),
        (["nan", "inf", "-inf"], pa.array([float("nan"), float("inf"), float("-inf")])),
        (["007", "1", "2"], pa.array(["007", "1", "2"])),
        (["+1", "1", "2"], pa.array(["+1", "1", "2"])),
        (["-0", "1", "2"], pa.array([-0.0, 1.0, 2.0])),
        (["9223372036854775808", "1", "2"], pa.array(["9223372036854775808", "1", "2"])),
        (["9223372036854775807", "1", "2"], pa.array([2**63 - 1, 1, 2])),
        (["0x10", "1", "2"], pa.array(["0x10", "1", "2"])),
        (["true", "false", ""], pa.array(["true", "false", None])),
        (['""', "", "a"], pa.array(["", None, "a"])),
        (['"1,5"', '"a ""q"""', '"two\nlines"'], pa.array(["1,5", 'a "q"', "two\nlines"])),
        (["", "", ""], pa.array([None, None, None], pa.string())),
    ],
)
def test_types_are_told_by_all_cells(tmp_path: Path, cells: list[str], expected: pa.Array) -> None:
    lines = "".join(f"{number},{cell}\n" for number, cell in enumerate(cells))
    source = source_of(tmp_path, f"id,value\n{lines}")
    result = pa.Table.from_batches(source.snapshot())

    assert source.schema().field("value").type == expected.type
    assert repr(result["value"].to_pylist()) == repr(expected.to_pylist())
    assert source.profile(["value"]).nulls == {"value": expected.null_count}


def test_a_late_text_makes_the_column_one_of_texts(tmp_path: Path) -> None:
    lines = "".join(f"{number},{number}\n" for number in range(2_000_000))
    source = source_of(tmp_path, f"id,value\n{lines}x,y\n")

    assert source.schema().types == [pa.string(), pa.string()]
    assert source.rows() == 2_000_001


def test_files_of_a_directory_share_their_types(tmp_path: Path) -> None:
    source = source_of(tmp_path, "id,a,b,c\n1,5,,\n", "c,b,id,a\n,007,2,0.5\n")

    assert [row for batch in source.snapshot() for row in batch.to_pylist()] == [
        {"id": 1, "a": 5.0, "b": None, "c": None},
        {"id": 2, "a": 0.5, "b": "007", "c": None},
    ]


def test_a_byte_order_mark_and_carriage_returns_are_no_content(tmp_path: Path) -> None:
    source = source_of(tmp_path, b"\xef\xbb\xbfid,b\r\n1,x\r\n")

    assert [batch.to_pylist() for batch in source.snapshot()] == [[{"id": 1, "b": "x"}]]


def test_a_file_may_be_zipped(tmp_path: Path) -> None:
    (tmp_path / "items.csv.gz").write_bytes(gzip.compress(b"id,b\n1,x\n"))

    assert FileSource(tmp_path / "items.csv.gz", "id").rows() == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"part-0\.csv is empty; a CSV file has a header"),
        (b"id,b\n1,x\n2\n", r"part-0\.csv, row 3: 1 cells instead of 2"),
        (b"id,b\n1,x\n2,y,z\n", r"part-0\.csv, row 3: 3 cells instead of 2; quote texts with commas"),
        (b"id,id\n1,x\n", r"part-0\.csv has the column 'id' twice"),
        (
            b"id,b\n1,x\n2,y\n3,\xff\xfe\n",
            r"part-0\.csv, row 4, column 'b': b'\\xff\\xfe' is not string in UTF-8",
        ),
        (b"\xff\xfe,b\n1,x\n", r"part-0\.csv, row 1: the header is no"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        source_of(tmp_path, content).schema()


def test_a_file_that_is_not_zipped_is_named(tmp_path: Path) -> None:
    (tmp_path / "items.csv.gz").write_bytes(b"id,b\n1,x\n")
    with pytest.raises(DataError, match=r"items\.csv\.gz"):
        FileSource(tmp_path / "items.csv.gz", "id").schema()
