"""A server process whose items change: by tables that are followed, and by rows that operators post."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import urllib3
from tests.processors.conftest import ITEMS, service_of, write_bundle
from typer.testing import CliRunner

from recserve.cli.app import app
from recserve.client.client import Client
from recserve.client.items import ItemsClient
from recserve.client.request import build_request
from recserve.errors import LoadError
from recserve.sources.files import FileSource, create_table
from recserve.testing import RunningServer, serve
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from collections.abc import Callable


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def document(folder: Path, table: str = "items.parquet", **model_config: Any) -> dict[str, Any]:
    """A service file with an admin port; paths are absolute, since the file lies elsewhere."""
    service = service_of(tables=[{"name": str(folder / table), "key": "item_id"}], **model_config)
    service["metadata"]["rpc"]["admin_port"] = -1
    return {**service, "admin_token": "operator"}


def scores(server: RunningServer, *ids: str) -> list[float]:
    """What items score for a user of whom nothing is known: 1 more than their price."""
    with Client(server.base_url, server.name, server.token) as client:
        return [float(score) for score in client.score(item_ids=ids)["score"]]


def items_of(server: RunningServer) -> ItemsClient:
    return ItemsClient(server.admin_url, "operator")


def priced(**prices: float) -> pa.Table:
    rows = pa.table({"item_id": list(prices), "price": pa.array(list(prices.values()), pa.float32())})
    nothing = {name: pa.nulls(len(prices), ITEMS.schema.field(name).type) for name in ("cat", "tags")}
    return pa.table({**{name: rows[name] for name in rows.column_names}, **nothing})


def test_changes_of_files_with_a_manifest_are_scored_soon_and_answers_say_how_fresh_they_are(
    tmp_path: Path,
) -> None:
    bundle = write_bundle(tmp_path)
    create_table(tmp_path / "items", ITEMS, "item_id")
    writer = FileSource(tmp_path / "items", "item_id")

    with (
        serve(bundle, document(tmp_path, "items", item_watermarks=True)) as server,
        items_of(server) as items,
    ):
        assert scores(server, "i1", "i2", "x") == [2.0, 3.0, -1.0]

        writer.write(priced(i2=20.0, x=5.0))
        wait_for(lambda: scores(server, "i1", "i2", "x") == [2.0, 21.0, 6.0])
        writer.delete(pa.array(["i1"]))
        wait_for(lambda: scores(server, "i1", "i2", "x") == [-1.0, 21.0, 6.0])

        (table,) = items.status()["tables"]
        assert (table["followed"], table["rows"], table["last_error"]) == (True, 3, "")
        assert items.diff()["equal"] is True

        with Client(server.base_url, server.name, server.token) as client:
            headers, _ = client.post(encode_request(build_request(None, ["x"])))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", headers["X-Recserve-Item-Watermark"])


def test_posted_rows_are_scored_by_the_next_request_and_last_until_the_table_is_read_again(
    tmp_path: Path,
) -> None:
    with serve(write_bundle(tmp_path), document(tmp_path)) as server, items_of(server) as items:
        for price in range(20):
            items.change(upsert=[{"item_id": "i1", "price": price}], delete=["i3"])
            assert scores(server, "i1", "i2", "i3") == [price + 1.0, 3.0, -1.0]

        assert items.refresh()["complete"] is True
        assert scores(server, "i1", "i2", "i3") == [2.0, 3.0, 4.0]


def test_a_start_says_how_far_it_is_and_is_ready_when_all_is_loaded(tmp_path: Path) -> None:
    rows = 400_000
    bundle = write_bundle(tmp_path)
    table = {
        "item_id": [f"i{row}" for row in range(rows)],
        "price": np.arange(rows, dtype=np.float32),
        "cat": ["a"] * rows,
        "tags": pa.array([[1]] * rows, pa.list_(pa.int64())),
    }
    pq.write_table(pa.table(table), tmp_path / "items.parquet")

    with serve(bundle, document(tmp_path)) as server:
        ready = urllib3.request("GET", f"{server.base_url}/readyz", headers={"Accept": "application/json"})
        assert json.loads(ready.data).items() >= {"ready": True, "state": "ready"}.items()
        assert scores(server, f"i{rows - 1}") == [float(rows)]
        log = [json.loads(line) for line in server.log if line.startswith("{")]

    steps = [
        line for line in log if line["logger"] == "recserve.progress" and "items.parquet" in line["message"]
    ]
    assert (steps[-1]["done"], steps[-1]["total"]) == (rows, rows)
    assert steps[-1]["per_second"] > 0
    assert steps[-1]["memory_bytes"] > rows


def test_a_table_that_is_not_there_ends_the_start_with_one_line_and_no_password(tmp_path: Path) -> None:
    lost = document(tmp_path)
    lost["model_config"] |= {
        "remote_type": "postgresql",
        "url": "postgresql://shop:hidden-word@127.0.0.1:1/shop",
        "tables": [{"name": "items", "key": "item_id"}],
        "load_timeout": 2,
    }

    with pytest.raises(LoadError) as raised, serve(write_bundle(tmp_path), lost):
        pass

    assert "status 1" in str(raised.value)
    assert "load_timeout" in str(raised.value)
    assert "hidden-word" not in str(raised.value)


@pytest.mark.parametrize("table", ["items", "items.parquet"])
def test_a_drain_ends_the_threads_that_keep_items(tmp_path: Path, table: str) -> None:
    bundle = write_bundle(tmp_path)
    create_table(tmp_path / "items", ITEMS, "item_id")

    with serve(bundle, document(tmp_path, table, period=1, item_snapshot=str(tmp_path / "kept"))) as server:
        assert scores(server, "i1") == [2.0]
        assert server.stop() == 0
        assert not [line for line in server.log if "left behind" in line or "Traceback" in line]


def test_a_start_from_the_snapshot_file_catches_up(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    create_table(tmp_path / "items", ITEMS, "item_id")
    service = document(tmp_path, "items", item_snapshot=str(tmp_path / "kept"))
    with serve(bundle, service) as server, items_of(server) as items:
        assert Path(items.save()["path"]).stat().st_size == items.save()["bytes"]
        server.stop()
    FileSource(tmp_path / "items", "item_id").write(priced(i2=20.0))

    with serve(bundle, service) as server, items_of(server) as items:
        assert items.status()["image"]["loaded"] is True
        assert scores(server, "i1", "i2", "i3") == [2.0, 21.0, 4.0]


def test_operators_have_a_command_for_it(tmp_path: Path) -> None:
    """`recserve items` as people type it, against a process."""
    with serve(write_bundle(tmp_path), document(tmp_path)) as server:
        arguments = ["--url", server.admin_url, "--token", "operator"]
        told = CliRunner().invoke(app, ["items", "status", *arguments, "--json"])
        shown = CliRunner().invoke(app, ["items", "get", "i2", *arguments])

    assert json.loads(told.stdout)["rows"] == 3
    assert shown.exit_code == 0
