"""A condition chooses rows by the table's own columns, and reaches nothing else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recserve.errors import ConfigError, DataError
from recserve.sources.files import FileSource, create_table

if TYPE_CHECKING:
    from pathlib import Path

ITEMS = pa.table(
    {
        "id": ["a", "b", "c"],
        "price": pa.array([1.0, None, 3.0], pa.float32()),
        "Größe x": pa.array([1, 2, 3], pa.int8()),
        "tags": pa.array([["x"], [], None], pa.list_(pa.string())),
        "vector": pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2)),
        "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    }
)


def source_of(folder: Path, condition: str) -> FileSource:
    pq.write_table(ITEMS, folder / "items.parquet", row_group_size=2)
    return FileSource(folder / "items.parquet", "id", condition=condition)


def ids(source: FileSource) -> list[str]:
    return [key for batch in source.snapshot(["vector"]) for key in batch.column("id").to_pylist()]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("price > 1", ["c"]),
        ("price > 1 OR price IS NULL", ["b", "c"]),
        ("PRICE = 1", ["a"]),
        ('"Größe x" IN (1, 3) -- the small and the large', ["a", "c"]),
        ("list_contains(tags, 'x')", ["a"]),
        ("map['k'] = 1", ["a"]),
        ("id LIKE 'b%'", ["b"]),
        ("vector[1] > 2", ["c"]),
        ("COLUMNS('pr.*') > 1", ["c"]),
        ("NULL", []),
        ("1 = 1", ["a", "b", "c"]),
    ],
)
def test_rows_are_chosen(tmp_path: Path, condition: str, expected: list[str]) -> None:
    source = source_of(tmp_path, condition)

    assert ids(source) == expected
    assert source.profile([]).rows == len(expected)
    assert source.rows() == 0


def test_chosen_rows_keep_their_types(tmp_path: Path) -> None:
    result = pa.Table.from_batches(source_of(tmp_path, "id <> 'b'").snapshot())

    assert result.equals(ITEMS.take([0, 2]))


def test_single_rows_are_chosen_too(tmp_path: Path) -> None:
    result = source_of(tmp_path, "price > 1").get(pa.array(["a", "c"]), ["price"])

    assert result.column("price").to_pylist() == [None, 3.0]


@pytest.mark.parametrize(
    "condition",
    [
        "1=1; DROP TABLE rows",
        "1=1) UNION ALL SELECT * FROM rows WHERE (1=1",
        "1=1) GROUP BY (id",
        "1=1) LIMIT (1",
        "1=1)) --",
        "id IN (SELECT id FROM rows)",
        "EXISTS (FROM read_text('{secret}'))",
        "id IN (SELECT column0 FROM '{secret}')",
        "(SELECT content FROM read_text('{secret}')) IS NOT NULL",
        "read_text('{secret}') IS NOT NULL",
        "getenv('HOME') IS NOT NULL",
        "COPY rows TO '{written}'",
        "1=1) TO '{written}' --",
        "PRAGMA database_list",
        "SET threads = 8",
        "INSTALL httpfs",
        "ATTACH '{written}'",
        "$secret = 1",
    ],
)
def test_what_is_more_than_a_condition_is_refused(tmp_path: Path, condition: str) -> None:
    secret, written = tmp_path / "secret.csv", tmp_path / "written"
    secret.write_text("a\n1\n")
    text = condition.replace("{secret}", str(secret)).replace("{written}", str(written))
    with pytest.raises(DataError, match=r"table .*items\.parquet: condition"):
        ids(source_of(tmp_path, text))
    assert not written.exists()


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("prise > 1", "there is no column 'prise'; did you mean 'price'?"),
        ('id = "a"', "there is no column 'a'"),
        ("price >", "syntax error"),
        ("id > 1", "Cannot compare values of type VARCHAR"),
        ("count(*) > 1", "cannot contain aggregates"),
        ("price > 1 AND", "syntax error"),
        ("x'", "unterminated"),
    ],
)
def test_a_wrong_condition_is_named_with_its_table(tmp_path: Path, condition: str, message: str) -> None:
    with pytest.raises(DataError) as info:
        ids(source_of(tmp_path, condition))
    assert f'items.parquet: condition "{condition}": ' in str(info.value)
    assert message in str(info.value)


def test_a_value_that_the_condition_cannot_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Could not convert string 'a' to INT32"):
        ids(source_of(tmp_path, "CAST(id AS INT) = 1"))


def test_a_row_that_is_let_through_no_more_is_told_as_deleted(tmp_path: Path) -> None:
    writer = create_table(tmp_path / "items", pa.table({"id": [1, 2, 3], "n": [5, 5, 0]}), "id")
    feed = FileSource(tmp_path / "items", "id", condition="n > 1")
    cursor = feed.cursor()
    writer.write(pa.table({"id": [1, 3], "n": [7, 7]}))
    writer.write(pa.table({"id": [2, 3], "n": [0, 0]}))
    writer.delete(pa.array([9]))
    changes = feed.changes(cursor, [])

    assert [row for batch in changes.upserts for row in batch.to_pylist()] == [{"id": 1}]
    assert changes.deleted is not None
    assert sorted(changes.deleted.to_pylist()) == [2, 3, 9]
    assert [row for batch in feed.snapshot() for row in batch.to_pylist()] == [{"id": 1, "n": 7}]


def test_without_duckdb_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ConfigError, match=r"pip install 'recserve\[sql\]'"):
        ids(source_of(tmp_path, "price > 1"))
