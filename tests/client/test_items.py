"""The client of the admin port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import running_bundle

from recserve.client.errors import NotAuthorizedError, RefusedError, UnreachableError
from recserve.client.items import ItemsClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def items(tmp_path: Path) -> Iterator[ItemsClient]:
    with (
        running_bundle(write_bundle(tmp_path), service_of(), admin_port=-1) as server,
        ItemsClient(server.server.admin_url, "token") as client,
    ):
        yield client


def test_what_is_written_is_read(items: ItemsClient) -> None:
    assert items.change(upsert=[{"item_id": "x", "price": 2.5}], delete=["i1"])["upserted"] == 1
    assert items.upsert_table(pa.table({"item_id": ["y"], "price": [3]}))["upserted"] == 1

    found = items.get("x")
    assert found is not None
    assert found["raw"]["price"] == 2.5
    assert items.get("i1") is None
    assert items.status()["rows"] == 4
    assert items.diff(2)["equal"] is False
    assert items.refresh()["complete"] is True
    assert items.get("i1") is not None


@pytest.mark.parametrize("item_id", ["status", "..", ".", "a/b?c#d", "%41", "ä", " "])
def test_any_id_can_be_asked_for(items: ItemsClient, item_id: str) -> None:
    items.change(upsert=[{"item_id": item_id, "price": 7}])

    found = items.get(item_id)

    assert found is not None
    assert found["raw"]["price"] == 7.0


def test_errors_are_those_of_every_client(items: ItemsClient) -> None:
    with pytest.raises(RefusedError, match=r"upsert, row 0 \('x'\): column 'price'"):
        items.change(upsert=[{"item_id": "x", "price": "dear"}])
    with pytest.raises(RefusedError, match="there is no snapshot file"):
        items.save()
    with pytest.raises(NotAuthorizedError):
        ItemsClient(items.url, "wrong").status()
    with pytest.raises(UnreachableError):
        ItemsClient("127.0.0.1:1", "token").status()
