"""The admin port: what operators see and change, and what bad requests get."""

from __future__ import annotations

import io
import json
import socket
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import urllib3
import uvloop
from tests.processors.conftest import ITEMS, service_of, write_bundle
from tests.server.conftest import Doubler, Running, read_answer, running, running_bundle

from recserve.columns import Batch, column_from_arrow
from recserve.config import service
from recserve.errors import ConfigError
from recserve.messages import ScoreRequest
from recserve.server.serve import Server
from recserve.wire import torchrec
from recserve.wire.auth import sign

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"


class Admin:
    """A client of the admin port, beside the server that it belongs to."""

    def __init__(self, running: Running, folder: Path) -> None:
        self.running = running
        self.folder = folder
        self.http = urllib3.HTTPConnectionPool(
            "127.0.0.1", running.server.admin_port, maxsize=1, retries=False, timeout=20
        )

    def ask(
        self, method: str, path: str, body: Any = None, token: str = "admin", **headers: str
    ) -> urllib3.BaseHTTPResponse:
        sent = {"Authorization": token, **{name.replace("_", "-"): text for name, text in headers.items()}}
        if isinstance(body, dict):
            body, sent["Content-Type"] = json.dumps(body).encode(), JSON
        return self.http.request(method, path, body=body, headers={k: v for k, v in sent.items() if v})

    def json(self, method: str, path: str, body: Any = None) -> Any:
        response = self.ask(method, path, body)
        assert (response.status, response.headers["content-type"]) == (200, JSON), response.data
        return json.loads(response.data)

    def scores(self, *ids: str) -> list[float]:
        """What items score for a user of whom nothing is known: 1 more than their price."""
        column = column_from_arrow(pa.array(ids, pa.string()))
        asked = ScoreRequest(Batch(1), column, Batch(len(ids)), Batch(len(ids)), len(ids))
        answer = self.running.post(torchrec.encode_request(asked))
        assert answer.status == 200
        return [float(score) for score in torchrec.decode_response(answer.data).outputs["score"]]


def document() -> dict[str, Any]:
    return {**service_of(), "admin_token": "admin"}


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Admin]:
    bundle = write_bundle(tmp_path)
    with running_bundle(bundle, document(), admin_port=-1, max_body_bytes=10_000, keepalive=2000) as server:
        yield Admin(server, tmp_path)


# --- what operators see ---


def test_one_item_is_shown_with_its_raw_and_finished_columns(admin: Admin) -> None:
    item = admin.json("GET", "/items/i1")

    assert item["raw"] == {"cat": "a", "price": 1.0, "tags": [10, 20]}
    assert item["finished"] == {"=price": 1.0, "=tags": [10, 20]}
    assert admin.ask("GET", "/items/nobody").data == b"no such item: 'nobody'"


@pytest.mark.parametrize("item", ["a/b", "status", "ä ?#%", "i&1"])
def test_any_id_can_stand_in_a_path(admin: Admin, item: str) -> None:
    path = "/items/" + "".join(f"%{byte:02x}" for byte in item.encode())
    admin.json("POST", "/items", {"upsert": [{"item_id": item, "price": 7}]})

    assert admin.json("GET", path)["raw"]["price"] == 7.0
    assert admin.json("DELETE", path)["deleted"] == 1
    assert admin.ask("GET", path).status == 404


def test_the_status_tells_tables_and_memory(admin: Admin) -> None:
    status = admin.json("GET", "/items/status")

    assert (status["state"], status["rows"], status["alarms"]) == ("ready", 3, [])
    (table,) = status["tables"]
    assert (table["name"], table["rows"], table["state"]) == ("items.parquet", 3, "loaded")
    assert {column["name"] for column in status["columns"]} >= {"price", "cat", "tags", "=price", "=tags"}


def test_a_refresh_reads_the_tables_again_and_tells_what_it_did(admin: Admin) -> None:
    dearer = ITEMS.set_column(1, "price", pa.array([1.0, 2.0, 30.0], pa.float32()))
    pq.write_table(dearer, admin.folder / "items.parquet")

    report = admin.json("POST", "/items/refresh")

    assert report["complete"] is True
    (table,) = report["tables"]
    assert (table["table"], table["rows"], table["written"], table["unchanged"]) == ("items.parquet", 3, 1, 2)
    assert admin.scores("i3") == [31.0]


def test_a_refresh_that_would_empty_the_store_is_refused_and_says_so(admin: Admin) -> None:
    pq.write_table(ITEMS.slice(0, 0), admin.folder / "items.parquet")

    report = admin.json("POST", "/items/refresh")

    assert (report["complete"], report["tables"][0]["outcome"]) == (False, "refused")
    assert "items.parquet" in report["tables"][0]["error"]
    assert admin.scores("i3") == [4.0]
    assert admin.running.metric("recserve_item_alarm", table="items.parquet", kind="refused") == 1


def test_a_diff_names_rows_and_columns(admin: Admin) -> None:
    assert admin.json("GET", "/items/diff") == {"equal": True, "differences": [], "limit": 100}
    admin.json("POST", "/items", {"upsert": [{"item_id": "i1", "price": 9}], "delete": ["i3"]})

    found = admin.json("GET", "/items/diff?limit=7")

    assert (found["equal"], found["limit"]) == (False, 7)
    by_key = {difference["key"]: difference for difference in found["differences"]}
    assert by_key["i1"]["columns"] == {"price": [9.0, 1.0]}
    assert by_key["i3"]["kind"] == "missing"
    assert len(admin.json("GET", "/items/diff?limit=1")["differences"]) == 1


@pytest.mark.parametrize("limit", ["0", "-1", "x", "", "100001", "9" * 5000, "%C2%B2"])
def test_a_limit_that_is_none_is_400(admin: Admin, limit: str) -> None:
    assert admin.ask("GET", f"/items/diff?limit={limit}").status == 400


# --- what operators change ---


def test_posted_rows_are_scored_by_the_next_request_and_keep_what_they_do_not_bring(admin: Admin) -> None:
    before = admin.json("GET", "/items/i2")

    done = admin.json(
        "POST",
        "/items",
        {
            "upsert": [{"item_id": "i2", "price": 20.0, "colour": "red"}, {"item_id": "x"}],
            "delete": ["i3", "?"],
        },
    )

    assert admin.scores("i1", "i2", "i3", "x") == [2.0, 21.0, -1.0, 1.0]
    assert done.pop("epoch") > 0
    assert done == {"upserted": 2, "deleted": 1, "ignored_columns": ["colour"]}
    assert admin.json("GET", "/items/i2")["raw"] == {**before["raw"], "price": 20.0}


def test_rows_may_come_as_arrow(admin: Admin) -> None:
    table = pa.table(
        {"item_id": ["i1", "i8"], "price": [5, 6], "tags": pa.array([[1], None], pa.list_(pa.int64()))}
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)

    response = admin.ask("POST", "/items", sink.getvalue(), Content_Type=ARROW)

    assert response.status == 200, response.data
    assert admin.scores("i1", "i8") == [6.0, 7.0]


def test_integer_keys_are_numbers_or_their_texts(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    pq.write_table(ITEMS.set_column(0, "item_id", pa.array([7, 8, 9])), tmp_path / "items.parquet")
    with running_bundle(bundle, document(), admin_port=-1) as server:
        admin = Admin(server, tmp_path)
        admin.json("POST", "/items", {"upsert": [{"item_id": 7, "price": 70}], "delete": ["8"]})

        assert admin.scores("7", "8", "9") == [71.0, -1.0, 4.0]
        assert admin.json("GET", "/items/7")["raw"]["price"] == 70.0
        assert admin.ask("GET", "/items/seven").status == 400


def test_without_a_table_items_are_posted(tmp_path: Path) -> None:
    posted = document()
    posted["model_config"] |= {"remote_type": "none", "tables": []}
    with running_bundle(write_bundle(tmp_path), posted, admin_port=-1) as server:
        admin = Admin(server, tmp_path)
        assert admin.scores("i1") == [-1.0]

        admin.json("POST", "/items", {"upsert": [{"item_id": "i1", "price": 3.5, "cat": "a"}]})

        assert admin.scores("i1") == [4.5]
        assert admin.json("POST", "/items/refresh")["complete"] is True
        assert admin.scores("i1") == [4.5]


# --- who may ---


@pytest.mark.parametrize("token", ["", "token", "wrong", "admi", "Bearer admin", "EAS YWRtaW4="])
def test_the_admin_token_alone_lets_in(admin: Admin, token: str) -> None:
    for method, path in (("GET", "/items/status"), ("POST", "/items"), ("DELETE", "/items/i1")):
        assert admin.ask(method, path, b"{}", token=token).status == 401
    assert admin.scores("i1") == [2.0]


def test_a_signature_lets_in_too(admin: Admin) -> None:
    headers = sign("admin", "/items/status", b"", method="GET")

    response = admin.http.request("GET", "/items/status", headers=headers)

    assert response.status == 200


def test_the_admin_token_does_not_score_and_without_one_that_of_the_service_counts(tmp_path: Path) -> None:
    with running_bundle(write_bundle(tmp_path), service_of(), admin_port=-1) as server:
        assert Admin(server, tmp_path).ask("GET", "/items/status", token="token").status == 200
        assert Admin(server, tmp_path).ask("GET", "/items/status", token="admin").status == 401


def test_the_public_port_knows_nothing_of_it(admin: Admin) -> None:
    for path in ("/items", "/items/status", "/items/i1"):
        for method in ("GET", "POST", "DELETE"):
            response = admin.running.http.request(method, path, headers={"Authorization": "admin"})
            assert response.status == 404
    assert admin.running.post(Authorization="admin").status == 401


def test_the_admin_port_does_not_score_and_shows_no_metrics(admin: Admin) -> None:
    for path in ("/api/predict/rank", "/", "/metrics", "/healthz"):
        assert admin.ask("GET", path).status == 404


def test_without_an_admin_port_there_is_none(tmp_path: Path) -> None:
    with running_bundle(write_bundle(tmp_path), service_of()) as server:
        assert (server.server.admin_port, server.server.admin_url) == (0, "")


def test_answers_say_how_fresh_items_are_only_where_somebody_knows(tmp_path: Path) -> None:
    for option in (False, True):
        folder = tmp_path / str(option)
        with running_bundle(write_bundle(folder), service_of(item_watermarks=option)) as server:
            answer = server.post(a_request())
        assert answer.status == 200
        assert "x-recserve-item-watermark" not in answer.headers  # a plain file has no changes to tell


def a_request() -> bytes:
    column = column_from_arrow(pa.array(["i1"]))
    return torchrec.encode_request(ScoreRequest(Batch(1), column, Batch(1), Batch(1), 1))


def test_answers_say_how_fresh_items_are_only_when_asked_to(tmp_path: Path) -> None:
    """And not where nobody knows, as with a plain file."""
    for option in (False, True):
        folder = tmp_path / str(option)
        with running_bundle(write_bundle(folder), service_of(item_watermarks=option)) as server:
            assert "x-recserve-item-watermark" not in server.post(_a_request()).headers


def _a_request() -> bytes:
    column = column_from_arrow(pa.array(["i1"]))
    return torchrec.encode_request(ScoreRequest(Batch(1), column, Batch(1), Batch(1), 1))


# --- what bad requests get ---


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/items", 405, "POST"),
        ("PUT", "/items", 405, "POST"),
        ("POST", "/items/status", 405, "GET"),
        ("GET", "/items/refresh", 405, "POST"),
        ("POST", "/items/i1", 405, "GET, DELETE"),
        ("GET", "/items/", 404, None),
        ("GET", "/itemsx", 404, None),
        ("GET", "//items", 404, None),
        ("GET", "/items/../status", 404, None),
        ("GET", "/items/%FF", 400, None),
        ("GET", "/items/%00", 404, None),
        ("GET", "/items/" + "x" * 5000, 404, None),
    ],
)
def test_other_paths_and_methods_are_refused(
    admin: Admin, method: str, path: str, status: int, allowed: str | None
) -> None:
    with socket.create_connection(("127.0.0.1", admin.running.server.admin_port), 10) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\nauthorization: admin\r\n\r\n".encode())
        found, headers, body = read_answer(connection)

    assert (found, headers.get("allow")) == (status, allowed)
    assert body


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (b"", JSON, 400, b"not JSON"),
        (b"[1]", JSON, 400, b"a JSON object"),
        (b'{"upsert": [{"price": 1}]}', JSON, 400, b"upsert, row 0: 'item_id' is None"),
        (
            b'{"upsert": [{"item_id": "i1"}, {"item_id": "i2", "price": "dear"}]}',
            JSON,
            400,
            b"upsert, row 1 ('i2'): column 'price' is 'dear'; float32 is expected",
        ),
        (b"{}", "text/html", 415, b"items come as application/json"),
        (b"garbage", ARROW, 400, b"not a stream of Arrow batches"),
        (b"{" * 9000, JSON, 400, b""),
        (b" " * 10_001, JSON, 413, b"max_body_bytes"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_and_changes_nothing(
    admin: Admin, body: bytes, kind: str, status: int, message: bytes
) -> None:
    response = admin.ask("POST", "/items", body, Content_Type=kind)

    assert response.status == status
    assert message in response.data
    assert admin.scores("i1", "i2", "i3") == [2.0, 3.0, 4.0]


def test_rows_are_all_written_or_none(admin: Admin) -> None:
    rows = [{"item_id": "i1", "price": 50}, {"item_id": "i2", "tags": 5}]

    assert admin.ask("POST", "/items", {"upsert": rows}).status == 400

    assert admin.scores("i1") == [2.0]


def test_a_body_that_never_comes_is_408_and_others_are_answered_meanwhile(admin: Admin) -> None:
    head = b"POST /items HTTP/1.1\r\nauthorization: admin\r\ncontent-length: 50\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", admin.running.server.admin_port), 10) as connection:
        connection.sendall(head)
        assert admin.json("GET", "/items/status")["rows"] == 3
        status, headers, _ = read_answer(connection)

    assert (status, headers["connection"]) == (408, "close")


def test_a_service_in_bypass_keeps_no_items() -> None:
    with running(admin_port=-1) as rank:
        http = urllib3.HTTPConnectionPool("127.0.0.1", rank.server.admin_port, retries=False, timeout=20)
        response = http.request("GET", "/items/status", headers={"Authorization": "token"})

    assert (response.status, b"keeps no items" in response.data) == (404, True)


def test_an_admin_port_that_is_taken_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        spec = service.load({"name": "rank", "metadata": {"rpc": {"admin_port": port}}}, {})
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            uvloop.run(Server(spec, lambda progress: Doubler()).main())
