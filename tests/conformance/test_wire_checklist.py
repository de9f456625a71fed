"""The checklist of the wire protocol, item by item, against a running server with features and items.

Numbers are those of the checklist (HTTP and authorization 1-16, torchrec 27-35); requests are made and read
with protobuf's own message classes. Items 17 to 26 belong to other parts, or are tested there more closely.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import (
    Doubler,
    Running,
    read_answer,
    read_to_end,
    running,
    running_bundle,
    tensors_of,
)

from recserve.wire.descriptors import message_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

PATH = "/api/predict/rank"
PBRequest = message_class("com.alibaba.pairec.processor.PBRequest")
PBResponse = message_class("com.alibaba.pairec.processor.PBResponse")


@pytest.fixture(scope="module")
def rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    bundle = write_bundle(tmp_path_factory.mktemp("rank"))
    with running_bundle(bundle, service_of()) as server:
        yield server


def ask(*ids: str, **fields: Any) -> Any:
    """A PBRequest for these items; `fields` fill user, context and item features by nested dicts."""
    message = PBRequest(item_ids=ids)
    for name, value in fields.get("user", {}).items():
        set_value(message.user_features[name], value)
    for side in ("context", "item"):
        for name, entries in fields.get(side, {}).items():
            features = getattr(message, f"{side}_features")[name].features
            for value in entries:
                set_value(features.add(), value)
    return message


def set_value(feature: Any, value: Any) -> None:
    """(member, value), or a text, or None for an unset oneof."""
    if value is None:
        return
    member, value = value if isinstance(value, tuple) else ("string_feature", value)
    if isinstance(value, dict):
        getattr(feature, member).map_field.update(value)
    elif isinstance(value, list) and member.endswith("_lists"):
        for entry in value:
            getattr(feature, member).lists.add().features.extend(entry)
    elif isinstance(value, list):
        getattr(feature, member).features.extend(value)
    else:
        setattr(feature, member, value)


def post(rank: Running, message: Any, path: str = PATH, **headers: str) -> urllib3.BaseHTTPResponse:
    body = message if isinstance(message, bytes) else message.SerializeToString()
    sent = {name.replace("_", "-"): value for name, value in headers.items()} or {"Authorization": "token"}
    return rank.http.request("POST", path, body=body, headers=sent)


def outputs(rank: Running, message: Any, **headers: str) -> dict[str, list[float]]:
    """Scores by output name."""
    response = post(rank, message, **headers)
    assert response.status == 200, response.data
    parsed = PBResponse.FromString(response.data)
    for tensor in parsed.map_outputs.values():
        assert list(tensor.array_shape.dim) == [len(tensor.float_val)]
    return {name: list(tensor.float_val) for name, tensor in parsed.map_outputs.items()}


def signed(
    path: str, *, md5: str | None = None, date: str = "Mon, 02 Jan 2006 15:04:05 GMT", body: bytes = b""
) -> dict[str, str]:
    """Headers of scheme EAS, made as the clients make them."""
    md5 = hashlib.md5(body).hexdigest() if md5 is None else md5
    text = "\n".join(("POST", md5, "application/octet-stream", date, path))
    signature = base64.b64encode(hmac.new(b"token", text.encode(), "sha1").digest()).decode()
    return {
        "Content_MD5": md5,
        "Content_Type": "application/octet-stream",
        "Date": date,
        "Authorization": f"EAS {signature}",
    }


ONE = ask("i1")
BODY: bytes = ONE.SerializeToString()


# --- HTTP and authorization ---


def test_01_a_plain_token_is_200(rank: Running) -> None:
    assert post(rank, ONE).status == 200


def test_02_a_signature_over_the_received_headers_is_200(rank: Running) -> None:
    assert post(rank, ONE, **signed(PATH, body=BODY)).status == 200


@pytest.mark.parametrize("date", ["Fri, 20 Nov 2020 18:00:00 GMT", "yesterday", ""])
def test_03_a_date_that_is_off_is_200(rank: Running, date: str) -> None:
    assert post(rank, ONE, **signed(PATH, body=BODY, date=date)).status == 200


def test_04_a_content_md5_without_its_leading_zero_is_200(rank: Running) -> None:
    assert post(rank, ONE, **signed(PATH, md5="abcdef0123456789abcdef012345678")).status == 200


def test_05_a_content_md5_of_another_body_is_200(rank: Running) -> None:
    assert post(rank, ONE, **signed(PATH, body=b"another")).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "wrong"},
        {"X_Nothing": "x"},
        {"Authorization": "Bearer token"},
        {**signed(PATH), "Authorization": signed(PATH)["Authorization"][:-4]},
    ],
)
def test_06_what_proves_nothing_is_401_with_a_text(rank: Running, headers: dict[str, str]) -> None:
    response = post(rank, ONE, **headers)

    assert response.status == 401
    assert response.data


@pytest.mark.parametrize(
    ("sent", "signed_path", "status"),
    [
        (PATH, "/api/predict/other", 401),
        (PATH + "?a=1", PATH + "?a=1", 200),
        (PATH + "?a=1", PATH, 200),
        (PATH, PATH + "/", 200),
        (PATH + "?a=1", PATH + "?a=2", 401),
    ],
)
def test_07_the_path_is_signed_with_or_without_its_query(
    rank: Running, sent: str, signed_path: str, status: int
) -> None:
    assert post(rank, ONE, sent, **signed(signed_path)).status == status


@pytest.mark.parametrize("path", [PATH + "/sub", PATH + "/", PATH + "/a/b?c=d"])
def test_08_paths_below_the_service_reach_it(rank: Running, path: str) -> None:
    assert post(rank, ONE, path).status == 200


def test_09_no_content_type_is_accepted(rank: Running) -> None:
    assert post(rank, ONE, Authorization="token").status == 200


def test_10_an_unknown_service_is_404_with_a_body_and_put_is_405(rank: Running) -> None:
    response = post(rank, ONE, "/api/predict/unknown")

    assert response.status == 404
    assert response.data
    assert rank.http.request("PUT", PATH, headers={"Authorization": "token"}).status == 405


def test_11_a_connection_is_kept(rank: Running) -> None:
    """That it survives 60 idle seconds is the default of `idle_timeout_ms`, 75 s."""
    assert rank.server.spec.rpc.idle_timeout_ms >= 75_000
    with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
        for pause in (0.0, 1.5):
            time.sleep(pause)
            head = f"POST {PATH} HTTP/1.1\r\nAuthorization: token\r\nContent-Length: {len(BODY)}\r\n\r\n"
            connection.sendall(head.encode() + BODY)
            assert read_answer(connection)[0] == 200


def test_12_the_answer_is_200_with_its_length_and_no_encoding(rank: Running) -> None:
    response = post(rank, ONE)

    assert response.status == 200
    assert int(response.headers["content-length"]) == len(response.data)
    assert "content-encoding" not in response.headers


def test_13_get_describes_inputs_and_outputs(rank: Running) -> None:
    signature = json.loads(rank.get(PATH, Authorization="token").data)

    assert signature["signature_name"]
    assert {entry["name"] for entry in signature["inputs"]} >= {"taste", "price", "hour"}
    assert {entry["name"] for entry in signature["outputs"]} == {"score", "tags"}
    for entry in (*signature["inputs"], *signature["outputs"]):
        assert isinstance(entry["shape"], list)
        assert entry["type"].startswith("DT_")


def test_14_while_loading_it_is_503_no_healthy_upstream() -> None:
    gate = threading.Event()

    def load() -> Doubler:
        gate.wait(20)
        return Doubler()

    with running(load, ready=False) as loading:
        response = post(loading, ONE)
        gate.set()

    assert (response.status, response.data) == (503, b"no healthy upstream")


def test_15_over_queue_rate_and_time() -> None:
    with running(worker_threads=1, max_queue_size=0) as busy:
        waiting = threading.Thread(target=lambda: answer_of(busy, tensors_of(x=1, wait=1)))
        waiting.start()
        while busy.metric("recserve_requests_in_flight") < 1:
            time.sleep(0.005)
        assert busy.post().status == 450
        busy.processor.gate.set()
        waiting.join()
    with running(rate_limit=0.01) as limited:
        assert [limited.post().status for _ in range(2)] == [200, 429]
    with running(keepalive=100, worker_threads=2) as slow:
        with socket.create_connection(("127.0.0.1", slow.port), 10) as connection:
            body = tensors_of(x=1, sleep=0.3)
            connection.sendall(b"POST %s HTTP/1.1\r\nAuthorization: token\r\n" % PATH.encode())
            connection.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            answer = read_to_end(connection)  # until the server closes
        assert answer.startswith(b"HTTP/1.1 408")


def answer_of(rank: Running, body: bytes) -> int:
    with socket.create_connection(("127.0.0.1", rank.port), 20) as connection:
        connection.sendall(b"POST %s HTTP/1.1\r\nAuthorization: token\r\n" % PATH.encode())
        connection.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return read_answer(connection)[0]


def test_16_garbage_is_400_a_model_exception_500_and_no_message_parses_their_text(rank: Running) -> None:
    garbage = post(rank, b"garbage")
    with running() as failing:
        broken = failing.post(tensors_of(x=1, fail=1))

    assert (garbage.status, broken.status) == (400, 500)
    for body in (garbage.data, broken.data):
        for name in ("com.alibaba.pairec.processor.PBResponse", "pytorch.eas.PredictResponse"):
            with pytest.raises(Exception, match=r"[Pp]ars"):
                message_class(name).FromString(body)


# --- torchrec ---


def test_27_rows_come_in_request_order_and_duplicates_keep_theirs(rank: Running) -> None:
    assert outputs(rank, ask("i2", "i1", "i2", "i3"))["score"] == [3, 2, 3, 4]


def test_28_an_unknown_id_scores_item_empty_score(rank: Running) -> None:
    assert outputs(rank, ask("i2", "unknown", "i1")) == {"score": [3, -1, 2], "tags": [0, -1, 30]}


MEMBERS: list[tuple[str, Any]] = [
    ("int_feature", 5),
    ("long_feature", 5),
    ("string_feature", "5"),
    ("float_feature", 5.0),
    ("double_feature", 5.0),
    *((f"{key}_{value}_map", {k: v}) for key, k in (("long", 5), ("string", "5"), ("int", 5))
      for value, v in (("string", "5"), ("int", 5), ("long", 5), ("float", 5.0), ("double", 5.0))),
    ("int_list", [5]),
    ("long_list", [5]),
    ("string_list", ["5"]),
    ("float_list", [5.0]),
    ("double_list", [5.0]),
    ("int_lists", [[5]]),
    ("long_lists", [[5]]),
    ("string_lists", [["5"]]),
    ("float_lists", [[5.0]]),
    ("double_lists", [[5.0]]),
]  # fmt: skip


@pytest.mark.parametrize("side", ["user", "context", "item"])
@pytest.mark.parametrize(("member", "value"), MEMBERS)
def test_29_every_member_is_accepted_on_every_side(rank: Running, side: str, member: str, value: Any) -> None:
    feature = (member, value)
    fields: dict[str, Any] = {side: {"unread": feature if side == "user" else [feature]}}

    assert outputs(rank, ask("i1", **fields))["score"] == [2]


@pytest.mark.parametrize("missing", ["", None])
def test_30_an_empty_text_and_an_unset_feature_are_missing(rank: Running, missing: str | None) -> None:
    asked = ask(
        "i1",
        user={"taste": missing, "likes": missing},
        context={"hour": [missing]},
        item={"price": [missing]},
    )

    assert outputs(rank, asked)["score"] == [0 + 1 + 0 + 0]


@pytest.mark.parametrize(
    "value",
    [
        ("int_feature", 5),
        ("long_feature", 5),
        ("string_feature", "5"),
        ("float_feature", 5.0),
        ("double_feature", 5.0),
    ],
)
def test_31_the_same_value_in_another_type_scores_the_same(rank: Running, value: Any) -> None:
    asked = ask("i1", user={"taste": value}, context={"hour": [value]}, item={"price": [value]})

    assert outputs(rank, asked)["score"] == [5 + 5 + 5]


def test_32_a_surplus_of_entries_is_ignored(rank: Running) -> None:
    asked = ask("i1", context={"hour": [("float_feature", 10.0), ("float_feature", 20.0)]})

    assert outputs(rank, asked)["score"] == [1 + 1 + 10]


def test_32_fewer_entries_than_items_are_400_by_name(rank: Running) -> None:
    response = post(rank, ask("i1", "i2", "i3", context={"hour": ["1", "2"]}))

    assert response.status == 400
    assert b"hour" in response.data


def test_32_one_entry_stands_for_all_items(rank: Running) -> None:
    assert outputs(rank, ask("i1", "i2", context={"hour": ["7"]}))["score"] == [9, 10]


def test_33_without_ids_the_lists_give_the_rows(rank: Running) -> None:
    assert outputs(rank, ask(context={"hour": ["1", "2", "3"]}))["score"] == [2, 3, 4]
    assert outputs(rank, ask(user={"taste": "9"}))["score"] == [9]


def test_34_item_features_win_over_the_table_and_unknown_names_are_ignored(rank: Running) -> None:
    asked = ask("i1", "i2", item={"price": ["100", ""], "nobody_reads_this": ["x", "y"]})

    assert outputs(rank, asked)["score"] == [101, 1]


def test_35_ids_are_echoed_and_meta_data_accepted(rank: Running) -> None:
    asked = ask("i3", "unknown", "i3")
    asked.meta_data["request_id"] = "r1"

    response = PBResponse.FromString(post(rank, asked).data)

    assert list(response.item_ids) == ["i3", "unknown", "i3"]
