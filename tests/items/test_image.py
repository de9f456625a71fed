"""Images of a store: equal to it in every type, and refused with a clear line when they are not whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve.columns import batch_from_arrow, column_from_arrow, to_arrow
from recserve.errors import DataError, SourceError
from recserve.items.image import Image, ImageColumn
from recserve.items.store import ItemStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recserve.items.store import KeyType

RAW = {
    "price": "int64",
    "name": "string",
    "weight": "float32",
    "tags": "list<string>",
    "numbers": "list<int64>",
    "shares": "map<string,float32>",
    "paths": "list<list<int64>>",
    "vector": "float32[3]",
}


def rows(count: int, seed: int = 0) -> dict[str, pa.Array]:
    """A null in every column, texts of every length, lists of none, one and many."""
    numbers = [(seed + 1) * 7919 * i % 1009 for i in range(count)]
    return {
        "price": pa.array([None if n % 11 == 0 else n << 33 for n in numbers], pa.int64()),
        "name": pa.array([None if n % 7 == 0 else f"näme {n} " * (n % 40) for n in numbers]),
        "weight": pa.array([None if n % 5 == 0 else n / 7 for n in numbers], pa.float32()),
        "tags": pa.array([None if n % 6 == 0 else [f"t{i}" for i in range(n % 4)] for n in numbers]),
        "numbers": pa.array([None if n % 9 == 0 else list(range(n % 3)) for n in numbers]),
        "shares": pa.array(
            [None if n % 4 == 0 else [(f"k{i}", i / 3) for i in range(n % 3)] for n in numbers],
            pa.map_(pa.string(), pa.float32()),
        ),
        "paths": pa.array([None if n % 3 == 0 else [[n], [], [n, n]] for n in numbers]),
        "vector": pa.array([None if n % 8 == 0 else [n, 1, 2] for n in numbers], pa.list_(pa.float32(), 3)),
    }


def key_values(key: KeyType, count: int) -> list[Any]:
    return list(range(count)) if key == "int64" else [f"item {i} " + "long" * (i % 9) for i in range(count)]


def empty_store(key: KeyType = "string", raw: dict[str, str] = RAW, **arguments: Any) -> ItemStore:
    return ItemStore(key, raw, always_raw=frozenset(raw), **arguments)


def written(key: KeyType = "string", count: int = 500) -> ItemStore:
    store = empty_store(key)
    store.upsert(batch_from_arrow(rows(count)), column_from_arrow(pa.array(key_values(key, count))))
    return store


def restored(path: Path, key: KeyType = "string", raw: dict[str, str] = RAW) -> ItemStore:
    return ItemStore.restore(ItemStore.open_image(path), key, raw, always_raw=frozenset(raw))


def contents(store: ItemStore, keys: list[Any]) -> dict[str, list[Any]]:
    ids = column_from_arrow(pa.array(keys))
    with store.pin() as pinned:
        gathered = pinned.gather(ids, rows=len(ids))
    found = {name: to_arrow(gathered.raw[name]).to_pylist() for name in gathered.raw.names}
    return found | {"known": gathered.known.tolist()}


@pytest.mark.parametrize("key", ["string", "int64"])
def test_a_restored_store_answers_as_the_saved_one(tmp_path: Path, key: KeyType) -> None:
    store = written(key)
    asked = key_values(key, 600)
    path = tmp_path / "items.image"

    size = store.save(path, {"cursor": "42"})
    result = contents(restored(path, key), asked)

    assert result == contents(store, asked)
    assert size == path.stat().st_size


@pytest.mark.parametrize("key", ["string", "int64"])
def test_a_restored_store_goes_on_and_is_saved_again(tmp_path: Path, key: KeyType) -> None:
    path = tmp_path / "items.image"
    store, again = written(key), written(key)
    keys = key_values(key, 2000)
    for generation in range(4):
        store.save(path, {})
        store = restored(path, key)
        for each in (store, again):
            upserted = keys[generation * 100 : generation * 100 + 900]
            each.upsert(batch_from_arrow(rows(900, generation + 1)), column_from_arrow(pa.array(upserted)))
            each.delete(column_from_arrow(pa.array(keys[generation * 37 : generation * 37 + 20])))

    assert contents(store, keys) == contents(again, keys)
    assert len(store) == len(again)


def test_an_image_says_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "items.image"
    before = datetime.now(UTC) - timedelta(seconds=1)
    ItemStore("int64", {"price": "int64"}, limits={"price": 256}).save(path, {"fingerprint": "ü"})
    result = ItemStore.open_image(path)

    assert result.key == "int64"
    assert result.rows == 0
    assert result.meta == {"fingerprint": "ü"}
    assert result.columns == {"price": "int64"}
    assert result.layout == (ImageColumn("price", "int64", raw=True, limit=256),)
    assert before < result.created < before + timedelta(minutes=5)
    assert result.bytes == path.stat().st_size
    assert repr(result).startswith(f"Image('{path}', rows=0, created=")


def test_only_its_writer_may_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "items.image"
    written().save(path, {})

    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["items.image"]


# -- other columns -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "raw", "difference"),
    [
        ("int64", RAW, "its keys are texts, not int64"),
        ("string", RAW | {"extra": "int64"}, "column 8 is absent, not raw 'extra' int64, always gathered"),
        (
            "string",
            RAW | {"price": "int32"},
            "column 0 is raw 'price' int64, always gathered, not raw",
        ),
        ("string", {"price": "int64"}, "column 1 is raw 'name' string, always gathered, not absent"),
    ],
)
def test_a_store_of_other_columns_is_not_restored(
    tmp_path: Path, key: KeyType, raw: dict[str, str], difference: str
) -> None:
    path = tmp_path / "items.image"
    written().save(path, {})
    with pytest.raises(DataError, match=f"keeps other columns than this store: {difference}") as raised:
        restored(path, key, raw)

    assert "Image.scan" in str(raised.value)


def test_a_limit_is_part_of_the_layout(tmp_path: Path) -> None:
    path = tmp_path / "items.image"
    ItemStore("int64", {"price": "int64"}, limits={"price": 256}).save(path, {})
    with pytest.raises(DataError, match="'price' int64 below 256, not raw 'price' int64;"):
        ItemStore.restore(Image(path), "int64", {"price": "int64"})


@pytest.mark.parametrize("key", ["string", "int64"])
def test_a_scan_feeds_a_store_of_other_columns(tmp_path: Path, key: KeyType) -> None:
    path = tmp_path / "items.image"
    store = written(key)
    store.save(path, {})
    fewer = {"name": "string", "paths": "list<list<int64>>"}
    result = empty_store(key, fewer)
    batches = list(Image(path).scan(fewer, batch_rows=64))
    for keys, batch in batches:
        result.upsert(batch, keys)

    asked = key_values(key, 600)
    expected = contents(store, asked)
    assert contents(result, asked) == {name: expected[name] for name in [*fewer, "known"]}
    assert [len(keys) for keys, _ in batches] == [64] * 7 + [52]


def test_a_scan_gives_all_raw_columns(tmp_path: Path) -> None:
    path = tmp_path / "items.image"
    written().save(path, {})
    (_, batch), *others = Image(path).scan()

    assert sorted(batch.names) == sorted(RAW)
    assert others == []


def test_a_scan_of_an_unknown_column_lists_the_kept_ones(tmp_path: Path) -> None:
    path = tmp_path / "items.image"
    ItemStore("int64", {"price": "int64", "name": "string"}).save(path, {})
    with pytest.raises(DataError, match="keeps no raw column 'colour'; it keeps name, price"):
        Image(path).scan(["price", "colour"])


def test_an_open_image_stays_what_it_is_when_the_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "items.image"
    written(count=100).save(path, {})
    image = Image(path)
    written(count=7).save(path, {})

    assert sum(len(keys) for keys, _ in image.scan()) == 100
    assert Image(path).rows == 7


# -- files that are no images ------------------------------------------------------------------------------

ORDER, VERSION = 8, 12  # where they stand


def with_number(image: bytes, offset: int, value: int, order: str = "<") -> bytes:
    return image[:offset] + struct.pack(f"{order}I", value) + image[offset + 4 :]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda image: b"", "is empty"),
        (lambda image: b"PAR1" + image[4:], "is no item image"),
        (lambda image: b"RS", "is cut off: it has 2 bytes"),
        (lambda image: image[:-1], r"is cut off: it has \d+ of \d+ bytes"),
        (lambda image: image[: len(image) // 2], r"is cut off: it has \d+ of \d+ bytes"),
        (lambda image: image + b"\0", r"is corrupted: it has \d+ of \d+ bytes"),
        (lambda image: with_number(image, ORDER, 0x01020304, ">"), "on a machine of the other byte order"),
        (lambda image: with_number(image, VERSION, 0), "has format 0; this recserve reads format 1"),
        (lambda image: with_number(image, VERSION, 2), "has format 2; this recserve reads format 1"),
        (lambda image: image[:30] + b"\xff" + image[31:], "is corrupted: its first bytes were changed"),
        (lambda image: image[:20_000] + b"\xff" + image[20_001:], "is corrupted: of its bytes"),
    ],
)
def test_a_file_that_is_no_whole_image_is_refused_by_name(tmp_path: Path, change: Any, why: str) -> None:
    path = tmp_path / "items.image"
    written(count=50).save(path, {})
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=why) as raised:
        Image(path).check()

    assert str(raised.value).startswith(f"item image '{path}'")
    assert str(raised.value).endswith("; delete it: items are loaded from their tables then")


def test_a_corrupted_image_is_not_restored(tmp_path: Path) -> None:
    path = tmp_path / "items.image"
    written(count=50).save(path, {})
    image = bytearray(path.read_bytes())
    image[20_000] ^= 1
    path.write_bytes(image)

    with pytest.raises(DataError, match="is corrupted"):
        restored(path)
    with pytest.raises(DataError, match="is corrupted"):
        Image(path).scan()


def test_a_folder_or_a_pipe_is_no_image(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match="is a directory"):
        Image(tmp_path)
    with pytest.raises(DataError, match="is no regular file"):
        Image(pipe)


def test_a_file_that_is_not_there_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read the item image '.*nothing': No such file"):
        Image(tmp_path / "nothing")


@contextlib.contextmanager
def without_permissions(path: Path) -> Iterator[None]:
    """As another user where we are root, to whom nothing is forbidden."""
    path.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield
    path.chmod(0o700)


def test_missing_permissions_are_told(tmp_path: Path) -> None:
    path = tmp_path / "items.image"
    store = written(count=5)
    store.save(path, {})
    with without_permissions(tmp_path):
        with pytest.raises(SourceError, match=r"cannot read the item image .*: Permission denied"):
            Image(path)
        with pytest.raises(SourceError, match=r"cannot open the item image .*: Permission denied"):
            store.save(path, {})


# -- saves that fail ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Lets the system refuse whatever makes a file larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 20_000, 100_000, 1_500_000])
def test_a_full_disk_leaves_the_image_that_was_there(tmp_path: Path, size: int) -> None:
    path = tmp_path / "items.image"
    written(count=5).save(path, {"which": "old"})
    store = written(count=20_000)
    with disk_of(size), pytest.raises(SourceError, match="cannot write the item image") as raised:
        store.save(path, {"which": "new"})

    assert f"'{path}': File too large" in str(raised.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["items.image"]
    assert Image(path).meta == {"which": "old"}
    store.save(path, {"which": "new"})
    assert len(restored(path)) == 20_000


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot open the item image '.*/nowhere/items.image': No such"):
        written(count=5).save(tmp_path / "nowhere" / "items.image", {})


def test_a_path_that_is_a_folder_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(SourceError, match=r"cannot rename the item image '.*folder': Is a directory"):
        written(count=5).save(path, {})

    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_two_processes_do_not_write_one_image(tmp_path: Path) -> None:
    path = tmp_path / "items.image"
    with (tmp_path / "items.image.unfinished").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SourceError, match="another process is writing it"):
            written(count=5).save(path, {})
    written(count=5).save(path, {})

    assert [entry.name for entry in tmp_path.iterdir()] == ["items.image"]


SAVES_FOREVER = """
import sys
import pyarrow as pa
from recserve.columns import batch_from_arrow, column_from_arrow
from recserve.items.store import ItemStore

store = ItemStore("int64", {"text": "string"})
rows = 100_000
store.upsert(batch_from_arrow({"text": pa.array([f"text {i}" for i in range(rows)])}),
             column_from_arrow(pa.array(range(rows))))
while True:
    store.save(sys.argv[1], {})
    print("saved", flush=True)
"""


def test_a_killed_writer_leaves_a_whole_image_and_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "items.image"
    for saves in (1, 2, 4):
        with subprocess.Popen(
            [sys.executable, "-c", SAVES_FOREVER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(saves):
                assert writer.stdout.readline() == "saved\n"
            writer.send_signal(signal.SIGKILL)
        image = Image(path)
        image.check()
        assert image.rows == 100_000
    written(count=5).save(path, {})

    assert Image(path).rows == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["items.image"]


def test_no_batch_is_written_by_a_scan_of_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "items.image"
    empty_store().save(path, {})

    assert list(Image(path).scan()) == []
    assert len(restored(path)) == 0
