"""Files behind URLs: nothing is remembered that may have changed, and no secret is told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.servers.object_store import forget_drivers, object_store

from recserve.errors import ConfigError, DataError, LoadError, SourceError
from recserve.sources.files import FileSource, create_table
from recserve.sources.object_store import open_url, secrets_of, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with object_store() as url:
        yield url


def write(url: str, keys: list[int]) -> None:
    with fsspec.open(url, "wb") as file:
        pq.write_table(pa.table({"id": keys}), file)


def ids(source: FileSource) -> list[int]:
    return [key for batch in source.snapshot() for key in batch.column("id").to_pylist()]


def test_objects_of_a_prefix_are_read_in_the_order_of_their_names(bucket: str) -> None:
    write(f"{bucket}/items/part-2.parquet", [3, 4])
    write(f"{bucket}/items/part-1.parquet", [1, 2])
    write(f"{bucket}/items/_temporary/part-0.parquet", [9])

    assert ids(FileSource(f"{bucket}/items", "id")) == [1, 2, 3, 4]
    assert ids(FileSource(f"{bucket}/items/", "id")) == [1, 2, 3, 4]


def test_an_object_that_was_replaced_or_added_is_seen(bucket: str) -> None:
    write(f"{bucket}/fresh/part-1.parquet", [1])
    source = FileSource(f"{bucket}/fresh", "id")
    assert ids(source) == [1]
    write(f"{bucket}/fresh/part-1.parquet", [5, 6])
    write(f"{bucket}/fresh/part-2.parquet", [7])

    assert ids(source) == [5, 6, 7]
    assert source.rows() == 3


def test_a_table_in_an_object_store_changes_and_is_compacted(bucket: str) -> None:
    source = create_table(f"{bucket}/changing", pa.table({"id": [1, 2], "n": [0, 0]}), "id")
    cursor = source.cursor()
    source.write(pa.table({"id": [2], "n": [1]}))
    source.compact(keep_seconds=0)

    assert [row for b in source.snapshot() for row in b.to_pylist()] == [{"id": 1, "n": 0}, {"id": 2, "n": 1}]
    with pytest.raises(DataError, match="compacted; read the table as a whole"):
        source.changes(cursor)
    files = fsspec.filesystem("s3").ls(f"{bucket}/changing", detail=False, refresh=True)
    assert sorted(name.rsplit("/", 1)[-1] for name in files) == ["base-000001.parquet", "manifest.json"]


@pytest.mark.parametrize("name", ["nobody/items.parquet", "shop/nothing.parquet", "shop/nothing/"])
def test_what_is_not_there_is_named(bucket: str, name: str) -> None:
    with pytest.raises(DataError, match=f"s3://{name.rstrip('/')}.* does not exist"):
        FileSource(f"s3://{name}", "id").schema()


def test_a_server_that_does_not_answer_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    forget_drivers()
    with pytest.raises(SourceError, match=r"s3://shop/items\.parquet cannot be reached") as info:
        FileSource("s3://shop/items.parquet", "id").schema()
    assert "hunter2" not in str(info.value)
    forget_drivers()


def test_secrets_of_a_url_are_not_told() -> None:
    url = "ftp://user:hunter2@host/items.parquet?signature=abc"

    assert secrets_of(url) == ["hunter2", "signature=abc"]
    assert without_secrets(url, secrets_of(url)) == "ftp://user:***@host/items.parquet?***"
    assert without_secrets("cannot reach ftp://u:p4ss@h/x", []) == "cannot reach ftp://u:***@h/x"


def test_a_signed_address_is_shown_without_its_signature() -> None:
    source = FileSource("http://127.0.0.1:9/items.parquet?signature=hunter2", "id")

    assert source.name == "items.parquet?***"
    assert "hunter2" not in f"{source!r} {source.origin}"
    with pytest.raises(LoadError, match=r"table http://127.0.0.1:9/items.parquet\?\*\*\*") as info:
        source.schema()  # the driver does not tell a server that is not there from a file that is not
    assert "hunter2" not in str(info.value)


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(ConfigError, match="Protocol not known: gopher"):
        open_url("gopher://host/items.parquet")


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dropboxdrivefs", None)
    with pytest.raises(ConfigError, match=r"dropbox:// needs a driver .*recserve\[object-store\]"):
        open_url("dropbox://items.parquet")


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ConfigError, match=r"s3:// needs fsspec.*pip install 'recserve\[object-store\]'"):
        open_url("s3://shop/items.parquet")
