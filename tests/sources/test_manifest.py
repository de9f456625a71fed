"""Tables with a manifest: written by many, read meanwhile, compacted, and whole after whatever happens."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recserve.errors import DataError, SourceError
from recserve.sources.files import FileSource, create_table
from recserve.sources.manifest import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def items(keys: list[int], n: int) -> pa.Table:
    return pa.table({"id": keys, "n": [n] * len(keys)})


def rows_of(source: FileSource) -> dict[int, int]:
    rows = [row for batch in source.snapshot() for row in batch.to_pylist()]
    assert len(rows) == len({row["id"] for row in rows}), "a snapshot has every key once"
    return {row["id"]: row["n"] for row in rows}


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    return create_table(tmp_path / "items", items([1, 2, 3], 0), "id")


def test_compaction_changes_files_and_no_rows(source: FileSource, tmp_path: Path) -> None:
    source.write(items([2, 4], 1))
    source.delete(pa.array([3]))
    before = rows_of(source)
    source.compact(keep_seconds=0)

    assert rows_of(source) == before == {1: 0, 2: 1, 4: 1}
    assert source.rows() == 3
    names = {file.name for file in (tmp_path / "items").iterdir()}
    assert names == {".lock", "manifest.json", "base-000002.parquet"}


def test_who_follows_is_not_disturbed_by_compaction(source: FileSource) -> None:
    cursor = source.cursor()
    source.write(items([2], 1))
    source.compact()
    source.write(items([3], 2))
    changes = source.changes(cursor)

    assert [row for batch in changes.upserts for row in batch.to_pylist()] == [
        {"id": 2, "n": 1},
        {"id": 3, "n": 2},
    ]


def test_who_reads_is_not_disturbed_by_compaction(source: FileSource) -> None:
    source.write(items([4], 1))
    with source.moment() as moment:
        source.write(items([1], 9))
        source.compact()
        rows = {row["id"]: row["n"] for batch in source.snapshot(at=moment) for row in batch.to_pylist()}

    assert rows == {1: 0, 2: 0, 3: 0, 4: 1}


def test_a_table_that_is_replaced_is_read_anew(source: FileSource, tmp_path: Path) -> None:
    cursor = source.cursor()
    create_table(tmp_path / "items", items([8], 8), "id", replace=True)

    with pytest.raises(DataError, match=r"cursor .* is not one of this table"):
        source.changes(cursor)
    assert rows_of(source) == {8: 8}


def test_a_table_is_not_replaced_by_mistake(source: FileSource, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is there already"):
        create_table(tmp_path / "items", items([8], 8), "id")
    assert rows_of(source) == {1: 0, 2: 0, 3: 0}


def test_writers_wait_for_one_another(source: FileSource, tmp_path: Path) -> None:
    def write(n: int) -> None:
        FileSource(tmp_path / "items", "id").write(items([n], n))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(100, 140)))

    assert rows_of(source) == {1: 0, 2: 0, 3: 0, **{n: n for n in range(100, 140)}}


def test_readers_see_whole_writes(source: FileSource, tmp_path: Path) -> None:
    source.write(items(list(range(100)), 0))
    done = threading.Event()

    def write() -> None:
        writer = FileSource(tmp_path / "items", "id")
        for n in range(1, 20):
            writer.write(items(list(range(100)), n))
            if n % 5 == 0:
                writer.compact()
        done.set()

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        while not done.is_set() and not written.done():
            assert len(set(rows_of(source).values())) == 1
        written.result()


def _write_for_ever(path: str, began: Any) -> None:
    source, n = FileSource(path, "id"), 0
    while True:
        n += 1
        source.write(items(list(range(50)), n))
        if n % 3 == 0:
            source.compact(keep_seconds=0)
        began.set()


def test_a_killed_writer_leaves_a_whole_table(source: FileSource, tmp_path: Path) -> None:
    source.write(items(list(range(50)), 0))
    processes = multiprocessing.get_context("spawn")
    for _ in range(3):
        began = processes.Event()
        writer = processes.Process(target=_write_for_ever, args=(str(tmp_path / "items"), began))
        writer.start()
        assert began.wait(60)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()

        assert len(set(rows_of(source).values())) == 1
    source.write(items(list(range(50)), -1))
    source.compact(keep_seconds=0)
    assert set(rows_of(source).values()) == {-1}
    assert len(list((tmp_path / "items").iterdir())) == 3


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk is to a writer: the system refuses to make a file longer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 200, 5000])
def test_a_full_disk_leaves_the_old_table(source: FileSource, tmp_path: Path, size: int) -> None:
    before = {file.name: file.read_bytes() for file in (tmp_path / "items").iterdir()}
    with (
        files_of_at_most(size),
        pytest.raises(SourceError, match=r"items.* cannot be written: .*the table is as it was before"),
    ):
        source.write(items(list(range(100_000)), 1))

    assert {file.name: file.read_bytes() for file in (tmp_path / "items").iterdir()} == before
    assert source.write(items([1], 1)) == 1


def test_a_file_of_changes_that_is_gone_is_named(source: FileSource, tmp_path: Path) -> None:
    source.write(items([1], 1))
    (tmp_path / "items" / "delta-000001.parquet").unlink()
    with pytest.raises(
        DataError, match=r"items: delta-000001\.parquet is not there, and the manifest names it"
    ):
        list(source.snapshot())


def test_a_file_of_changes_of_other_columns_is_named(source: FileSource, tmp_path: Path) -> None:
    source.write(items([1], 1))
    pq.write_table(pa.table({"id": [1]}), tmp_path / "items" / "delta-000001.parquet")
    with pytest.raises(DataError, match=r"delta-000001\.parquet has no column 'n', which the table has"):
        list(source.snapshot())


def test_somebody_else_may_write_files_and_manifest(tmp_path: Path) -> None:
    """As the format is told in manifest.py, by whatever writes Parquet and JSON."""
    pq.write_table(items([1, 2], 0), tmp_path / "part-a.parquet")
    pq.write_table(items([3], 0), tmp_path / "part-b.parquet")
    pq.write_table(items([2], 5), tmp_path / "increment.parquet")
    manifest = {
        "version": 1,
        "id": "mine",
        "key": "id",
        "base": {"sequence": 0, "files": ["part-a.parquet", "part-b.parquet"]},
        "changes": [{"sequence": 1, "file": "increment.parquet", "kind": "rows", "rows": 1, "time": 1.5}],
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    source = FileSource(tmp_path, "id")

    assert rows_of(source) == {1: 0, 2: 5, 3: 0}
    assert source.cursor() == "mine:1"
    assert source.changes("mine:0").watermark == 1.5


GOOD: dict[str, Any] = {
    "version": 1,
    "id": "x",
    "key": "id",
    "base": {"sequence": 0, "files": ["a"]},
    "changes": [{"sequence": 1, "file": "b", "kind": "rows", "rows": 1, "time": 0}],
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": 2}, "version is 2, this recserve reads 1"),
        ({"version": None}, "version is None"),
        ({"id": 5}, "'id' is 5"),
        ({"key": None}, "'key' is None"),
        ({"base": []}, r"'base' is \[\]"),
        ({"base": {"sequence": 0, "files": []}}, "base.files is empty"),
        ({"base": {"sequence": True, "files": ["a"]}}, "'sequence' is True"),
        ({"base": {"sequence": 0, "files": ["../a"]}}, "'../a' is not the name of a file in the folder"),
        ({"base": {"sequence": 0, "files": ["/etc/passwd"]}}, "is not the name of a file"),
        ({"base": {"sequence": 5, "files": ["a"]}}, "no gaps"),
        ({"changes": [5]}, r"changes\[0\] is 5; it is an object"),
        ({"changes": [{**GOOD["changes"][0], "kind": "row"}]}, r"changes\[0\].kind is 'row'"),
        ({"changes": [{**GOOD["changes"][0], "sequence": 3}]}, "no gaps"),
        ({"changes": [GOOD["changes"][0], GOOD["changes"][0]]}, r"numbered \[1, 1\]"),
        ({"retired": [{"file": "a"}]}, r"retired\[0\]: 'time' is None"),
    ],
)
def test_a_wrong_manifest_is_named_with_its_entry(changed: dict[str, Any], message: str) -> None:
    assert parse(json.dumps(GOOD), "here").cursor == "x:1"
    with pytest.raises(DataError, match=f"here.*{message}"):
        parse(json.dumps({**GOOD, **changed}), "here")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"version": 1}'])
def test_a_manifest_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.json"):
        FileSource(tmp_path, "id").schema()


def test_another_key_than_the_tables_is_refused(source: FileSource, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no key column 'n': its key is 'id'"):
        FileSource(tmp_path / "items", "n").schema()
