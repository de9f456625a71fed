"""HTTP and authorization, items 1 to 20, against a running server with features and items."""

from __future__ import annotations

import gzip
import json
import random
import socket
import threading
import time
import zlib
from typing import TYPE_CHECKING

import psutil
import pyarrow as pa
import pytest
from tests.conformance.asking import PATH, PBResponse, PredictResponse, ask, outputs, post, signed
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
from tests.wire import random_messages

from recserve.server.discovery import PATHS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE = ask("i1")
BODY: bytes = ONE.SerializeToString()


def test_01_a_plain_token_is_200(rank: Running) -> None:
    assert post(rank, ONE).status == 200


def test_01_02_any_of_several_tokens_is_200(tmp_path: Path) -> None:
    with running_bundle(write_bundle(tmp_path), {**service_of(), "token": ["next", "token"]}) as server:
        for headers in ({"Authorization": "next"}, {"Authorization": "token"}, signed(PATH, body=BODY)):
            assert post(server, ONE, **headers).status == 200


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


def test_11_a_connection_is_kept_while_it_is_idle() -> None:
    """For all of `idle_timeout_ms`, which is over a minute by default; here it is shorter than a test."""
    with running(idle_timeout_ms=2000) as short, running() as usual:
        assert usual.server.spec.rpc.idle_timeout_ms > 60_000
        with (
            socket.create_connection(("127.0.0.1", short.port), 10) as connection,
            socket.create_connection(("127.0.0.1", usual.port), 10) as other,
        ):
            for pause in (0.0, 1.5, 1.5):
                time.sleep(pause)
                assert ask_again(connection) == ask_again(other) == 200
            assert read_to_end(connection) == b""  # closed by the server, in the end
            assert ask_again(other) == 200


def ask_again(connection: socket.socket) -> int:
    body = tensors_of(x=1)
    head = f"POST {PATH} HTTP/1.1\r\nAuthorization: token\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return read_answer(connection)[0]


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
        waiting = threading.Thread(target=lambda: status_of(busy, tensors_of(x=1, wait=1)))
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


def status_of(rank: Running, body: bytes) -> int:
    with socket.create_connection(("127.0.0.1", rank.port), 20) as connection:
        connection.sendall(b"POST %s HTTP/1.1\r\nAuthorization: token\r\n" % PATH.encode())
        connection.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return read_answer(connection)[0]


def test_16_garbage_is_400_a_model_exception_500_and_no_message_parses_their_texts(rank: Running) -> None:
    with running() as failing:
        answers = {
            400: post(rank, b"garbage"),
            401: post(rank, ONE, Authorization="wrong"),
            404: post(rank, ONE, "/api/predict/unknown"),
            405: rank.http.request("PUT", PATH),
            500: failing.post(tensors_of(x=1, fail=1)),
        }

    assert {status: response.status for status, response in answers.items()} == {s: s for s in answers}
    for response in answers.values():
        assert response.headers["content-type"].startswith("text/plain")
        for message in (PBResponse, PredictResponse):
            with pytest.raises(Exception, match=r"[Pp]ars"):
                message.FromString(response.data)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", ["", "?internal=true", "?internal=false"])
def test_17_discovery_lists_the_endpoint_without_a_token(rank: Running, path: str, query: str) -> None:
    response = rank.get(f"{path}/rank{query}")

    (item,) = json.loads(response.data)["endpoints"]["items"]
    assert (item["ip"], item["port"], item["weight"] >= 1) == ("127.0.0.1", rank.port, True)
    assert rank.get(f"{path}/unknown").status == 404


def codec(name: str) -> Callable[[bytes], bytes]:
    def compress(body: bytes) -> bytes:
        compressed: bytes = pa.Codec(name).compress(body, asbytes=True)
        return compressed

    return compress


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "snappy": codec("snappy"),
    "zstd": codec("zstd"),
    "lz4": codec("lz4"),
}


@pytest.mark.parametrize("name", COMPRESS)
def test_18_a_compressed_body_is_recognised(rank: Running, name: str) -> None:
    asked = ask("i2", "i1", user={"taste": "7"}, context={"hour": ["1", "2"]}).SerializeToString()

    assert outputs(rank, COMPRESS[name](asked)) == outputs(rank, asked)


def test_18_raw_lz4_is_read_where_it_is_configured(tmp_path: Path) -> None:
    with running_bundle(write_bundle(tmp_path), service_of(), decompressor="lz4") as server:
        assert outputs(server, codec("lz4_raw")(BODY)) == outputs(server, codec("lz4")(BODY))
        assert post(server, BODY).status == 400


def test_19_snappy_bodies_are_answered_as_plain_ones(rank: Running) -> None:
    rng = random.Random(19)
    snappy = COMPRESS["snappy"]
    statuses = set()
    for _ in range(200):
        body = random_messages.request(rng)
        plain, packed = post(rank, body), post(rank, snappy(body))
        assert (packed.status, packed.data) == (plain.status, plain.data)
        statuses.add(plain.status)
    assert 200 in statuses


@pytest.mark.parametrize("name", COMPRESS)
def test_20_a_bomb_is_refused_within_bounded_memory(rank: Running, name: str) -> None:
    limit = rank.server.spec.rpc.max_body_bytes
    bomb = COMPRESS[name](bytes(4 * limit))
    process = psutil.Process()
    before = process.memory_info().rss
    most = [before]
    watching = threading.Event()

    def watch() -> None:
        while not watching.wait(0.005):
            most[0] = max(most[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        response = post(rank, bomb)
    finally:
        watching.set()
        watcher.join()

    assert response.status == 413
    assert most[0] - before < 3 * limit  # server and client are one process here
    assert outputs(rank, ONE)["score"] == [2]
