"""What a client sees: statuses, bodies and headers, over real sockets."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.server.conftest import DOUBLE, Rank, read_answer, read_to_end, running, status_of, tensors_of

from recserve.wire import tensors

HEAD = b"POST /api/predict/rank HTTP/1.1\r\nhost: x\r\nauthorization: token\r\n"


def doubled(body: bytes) -> list[float]:
    answer = tensors.decode_response(body).named_outputs["y"]
    assert answer.dtype == np.float32
    return [float(value) for value in answer]


def assert_answers_again(rank: Rank) -> None:
    """Whatever came before, the next request on the pooled connection is right."""
    response = rank.post()
    assert (response.status, doubled(response.data)) == (200, [3.0, 4.0])


# --- paths and methods ---


@pytest.mark.parametrize("path", ["", "/", "/sub", "/sub/path/", "?a=b", "/sub?a=b&c"])
def test_every_path_below_the_service_reaches_it(rank: Rank, path: str) -> None:
    response = rank.post(path=path)

    assert (response.status, doubled(response.data)) == (200, [3.0, 4.0])
    assert response.headers["content-type"] == "application/octet-stream"
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/predict/other", 404),
        ("POST", "/api/predict/rankx", 404),
        ("POST", "/api/predict/", 404),
        ("GET", "/api/predict/other", 404),
        ("GET", "/favicon.ico", 404),
        ("PUT", "/api/predict/rank", 405),
        ("DELETE", "/api/predict/rank/sub", 405),
        ("HEAD", "/api/predict/rank", 405),
        ("POST", "/", 405),
        ("POST", "/healthz", 405),
        ("DELETE", "/metrics", 405),
    ],
)
def test_other_paths_and_methods_are_refused_with_a_text(
    rank: Rank, method: str, path: str, status: int
) -> None:
    response = rank.http.request(method, path, headers={"Authorization": "token"})

    assert response.status == status
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    if method != "HEAD":
        assert response.data[0] & 7 in (6, 7)
    assert ("GET" in response.headers.get("allow", "")) == (status == 405)
    assert_answers_again(rank)


def test_the_host_header_says_nothing(rank: Rank) -> None:
    assert rank.post(Host="somebody.else:80").status == 200


@pytest.mark.parametrize("path", ["/api/predict/rank", "/api/predict/rank/sub", "/"])
def test_get_describes_inputs_and_outputs(rank: Rank, path: str) -> None:
    response = rank.get(path, Authorization="token")

    assert response.status == 200
    assert json.loads(response.data) == {
        "signature_name": "serving_default",
        "inputs": [{"name": "x", "shape": [-1], "type": "DT_FLOAT"}],
        "outputs": [{"name": "y", "shape": [-1], "type": "DT_FLOAT"}],
    }


@pytest.mark.parametrize("path", ["/api/predict/rank", "/"])
def test_get_wants_the_token(rank: Rank, path: str) -> None:
    assert rank.get(path).status == 401


# --- tokens ---


@pytest.mark.parametrize("authorization", ["", "wrong", "Bearer token", "EAS", "EAS YWJj", "token ", "tok"])
def test_a_wrong_token_is_401(rank: Rank, authorization: str) -> None:
    response = rank.post(Authorization=authorization)

    assert response.status == (200 if authorization == "token " else 401)  # HTTP strips the blank
    assert authorization == "token " or response.data[0] & 7 in (6, 7)
    assert_answers_again(rank)


def test_a_wrong_token_is_answered_before_the_body_is_read(rank: Rank) -> None:
    with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
        connection.sendall(b"POST /api/predict/rank HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\n\r\n")
        status, headers, _ = read_answer(connection)

    assert (status, headers["connection"]) == (401, "close")


# --- bodies ---


@pytest.mark.parametrize("body", [b"garbage", b"\xff\xff\xff", DOUBLE[:-3], b"\x0a\x80\x80\x80\x80\x80", b""])
def test_a_body_that_makes_no_sense_is_400(rank: Rank, body: bytes) -> None:
    response = rank.post(body)

    assert response.status == 400
    assert response.data[0] & 7 in (6, 7)
    assert_answers_again(rank)


def test_a_chunked_body_is_a_body(rank: Rank) -> None:
    with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        for byte in DOUBLE:
            connection.sendall(b"1\r\n%c\r\n" % byte)
        connection.sendall(b"0\r\n\r\n")
        status, _, body = read_answer(connection)

    assert (status, doubled(body)) == (200, [3.0, 4.0])


def test_a_large_body_is_a_body(rank: Rank) -> None:
    values = np.arange(1_000_000, dtype=np.float32)

    response = rank.post(tensors_of(x=values.tolist()))

    assert response.status == 200
    assert np.array_equal(tensors.decode_response(response.data).named_outputs["y"], 2 * values)


def test_an_announced_body_over_the_limit_is_413_without_being_read() -> None:
    with running(max_body_bytes=1000) as rank:
        with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
            connection.sendall(HEAD + b"content-length: 1000000000\r\n\r\n" + b"x" * 2000)
            status, headers, body = read_answer(connection)
        assert (status, headers["connection"]) == (413, "close")
        assert b"1000000000 bytes" in body
        assert_answers_again(rank)


def test_a_client_that_sends_too_much_at_full_speed_reads_its_413() -> None:
    with running(max_body_bytes=1000) as rank:
        response = rank.post(b"x" * 8_000_000)
        assert response.status == 413
        assert_answers_again(rank)


def test_a_chunked_body_over_the_limit_is_413() -> None:
    with running(max_body_bytes=1000) as rank:
        with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
            connection.sendall(
                HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"1f4\r\n" + b"x" * 500 + b"\r\n"
            )
            connection.sendall(b"1f5\r\n" + b"x" * 501 + b"\r\n")
            assert read_answer(connection)[0] == 413
        assert_answers_again(rank)


def test_a_body_at_the_limit_passes() -> None:
    body = tensors_of(x=[1.0] * 1000)
    with running(max_body_bytes=len(body)) as rank:
        assert rank.post(body).status == 200
        assert rank.post(tensors_of(x=[1.0] * 1001)).status == 413


def test_a_client_that_asks_before_sending_is_told_to_go_on_or_not(rank: Rank) -> None:
    ask = HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(DOUBLE)
    with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
        connection.sendall(ask)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(DOUBLE)
        assert read_answer(connection)[0] == 200
    with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
        connection.sendall(ask.replace(b"token", b"wrong"))
        assert read_answer(connection)[0] == 401


@pytest.mark.parametrize(
    ("decompressor", "sent", "status"),
    [
        ("", DOUBLE, 200),
        ("", zlib.compress(DOUBLE), 200),
        ("", gzip.compress(DOUBLE), 200),
        ("zlib", zlib.compress(DOUBLE), 200),
        ("zlib", DOUBLE, 400),
        ("none", DOUBLE, 200),
        ("none", zlib.compress(DOUBLE), 400),
        ("", zlib.compress(bytes(100_000_000)), 413),
    ],
)
def test_a_body_is_unpacked_as_the_service_or_its_first_bytes_say(
    decompressor: str, sent: bytes, status: int
) -> None:
    with running(decompressor=decompressor) as rank:
        assert rank.post(sent).status == status


# --- failures ---


@pytest.mark.parametrize(
    ("failure", "text"), [(0, "the model says no"), (1, "inside the server"), (2, "inside")]
)
def test_a_model_that_fails_is_500_without_our_insides(rank: Rank, failure: int, text: str) -> None:
    response = rank.post(tensors_of(x=1, fail=failure), X_Request_Id="r1")

    assert response.status == 500
    assert text in response.data.decode()
    assert b"internal" not in response.data
    assert response.data[0] & 7 in (6, 7)
    assert_answers_again(rank)


def test_an_unknown_failure_is_logged_with_trace_and_request_id(
    rank: Rank, caplog: pytest.LogCaptureFixture
) -> None:
    rank.post(tensors_of(x=1, fail=1), X_Request_Id="r1")

    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert vars(record)["request_id"] == "r1"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


# --- limits ---


def test_a_full_queue_is_450_at_once_and_keeps_the_connection() -> None:
    with running(worker_threads=1, max_queue_size=1) as rank, ThreadPoolExecutor(2) as clients:
        waiting = [clients.submit(other_client, rank, tensors_of(x=1, wait=1)) for _ in range(2)]
        while rank.metric("recserve_requests_in_flight") < 2:
            time.sleep(0.005)
        began = time.monotonic()
        response = rank.post()
        assert time.monotonic() - began < 5  # the others wait for us
        assert response.status == 450
        assert "connection" not in response.headers
        rank.processor.gate.set()
        assert [future.result() for future in waiting] == [200, 200]
        assert_answers_again(rank)


def other_client(rank: Rank, body: bytes) -> int:
    with socket.create_connection(("127.0.0.1", rank.port), 20) as connection:
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        return read_answer(connection)[0]


def test_over_the_rate_limit_is_429_and_keeps_the_connection() -> None:
    with running(rate_limit=0.01) as rank:
        first, second = rank.post(), rank.post()
        assert (first.status, second.status) == (200, 429)
        assert "connection" not in second.headers
        assert rank.http.num_connections == 1


def test_a_wrong_token_does_not_spend_the_rate_limit() -> None:
    with running(rate_limit=0.01) as rank:
        assert [rank.post(Authorization="wrong").status for _ in range(5)] == [401] * 5
        assert rank.post().status == 200


def test_a_request_over_its_budget_is_408_and_closes_and_the_thread_is_replaced() -> None:
    with running(keepalive=150, worker_threads=1) as rank:
        response = rank.post(tensors_of(x=1, wait=1))
        assert (response.status, response.headers["connection"]) == (408, "close")
        assert response.data[0] & 7 in (6, 7)


def test_a_call_that_comes_back_late_does_not_disturb_the_next_one() -> None:
    with running(keepalive=300, worker_threads=2) as rank:
        response = rank.post(tensors_of(x=1, sleep=0.5))
        assert response.status == 408
        assert_answers_again(rank)
        time.sleep(0.3)
        assert_answers_again(rank)


def test_a_slow_body_is_408_and_closes() -> None:
    with running(keepalive=150) as rank:
        with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
            connection.sendall(HEAD + b"content-length: 50\r\n\r\nsome")
            answer = read_to_end(connection)
        assert status_of(answer) == 408
        assert b"connection: close" in answer
        assert b"4 bytes of the body" in answer
        assert_answers_again(rank)


def test_what_expires_in_the_queue_is_408_without_being_computed() -> None:
    with running(keepalive=200, worker_threads=1, max_queue_size=5) as rank, ThreadPoolExecutor(3) as clients:
        calls = rank.processor.calls
        statuses = list(clients.map(lambda _: other_client(rank, tensors_of(x=1, wait=1)), range(3)))
        assert statuses == [408] * 3
        assert rank.processor.calls - calls < 3


# --- identity, time and counts ---


@pytest.mark.parametrize("given", ["abc", "A.b_c-9", "x" * 128])
def test_a_harmless_request_id_comes_back(rank: Rank, given: str) -> None:
    assert rank.post(X_Request_Id=given).headers["x-request-id"] == given
    assert rank.post(b"garbage", X_Request_Id=given).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a;b", "ü", '"'])
def test_another_request_id_is_replaced(rank: Rank, given: str) -> None:
    answered = rank.post(X_Request_Id=given.encode("latin-1").decode("latin-1")).headers["x-request-id"]

    assert answered != given
    assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", answered)


def test_generated_request_ids_differ(rank: Rank) -> None:
    assert len({rank.post().headers["x-request-id"] for _ in range(20)}) == 20


def test_server_timing_tells_the_stages_in_order(rank: Rank) -> None:
    timing = rank.post().headers["server-timing"]

    stages = [entry.split(";")[0] for entry in timing.split(", ")]
    assert stages == ["receive", "queue", "decode", "run", "encode", "respond", "total"]
    times = [float(entry.split("=")[1]) for entry in timing.split(", ")]
    assert sum(times[:-1]) == pytest.approx(times[-1], abs=0.01)


def test_requests_are_counted_by_status(rank: Rank) -> None:
    rank.post()
    rank.post(b"garbage")
    rank.post(Authorization="wrong")
    with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
        connection.sendall(b"no http\r\n\r\n")
        read_to_end(connection)

    assert rank.metric("recserve_requests_total", status="200") == 1
    assert rank.metric("recserve_requests_total", status="400") == 2
    assert rank.metric("recserve_requests_total", status="401") == 1
    assert rank.metric("recserve_stage_duration_seconds_count", stage="run") == 1
    assert rank.metric("recserve_model_info", engine="doubler") == 1
    assert rank.metric("recserve_requests_in_flight") == 0
    assert rank.metric("doubler_calls_total") > 0


def test_operators_need_no_token_and_no_service_name(rank: Rank) -> None:
    for path, body in (("/healthz", b"ok\n"), ("/readyz", b"ready\n")):
        response = rank.get(path)
        assert (response.status, response.data) == (200, body)


# --- connections ---


def test_a_pooled_connection_is_used_again(rank: Rank) -> None:
    for body in (DOUBLE, b"garbage", DOUBLE):
        rank.post(body)
    rank.post(Authorization="wrong")

    assert rank.http.num_connections == 1


def test_pipelined_requests_are_answered_in_order(rank: Rank) -> None:
    bodies = [tensors_of(x=number) for number in range(10)]
    with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
        connection.sendall(
            b"".join(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body for body in bodies)
        )
        answers = [doubled(read_answer(connection)[2]) for _ in bodies]

    assert answers == [[2.0 * number] for number in range(10)]


def test_many_clients_at_once_get_their_own_answers() -> None:
    with running(max_queue_size=1000) as rank:
        wrong = []

        def client(number: int) -> None:
            with socket.create_connection(("127.0.0.1", rank.port), 20) as connection:
                for turn in range(20):
                    body = tensors_of(x=[number, turn])
                    connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
                    status, _, answer = read_answer(connection)
                    if status != 200 or doubled(answer) != [2.0 * number, 2.0 * turn]:
                        wrong.append((number, turn, status))

        clients = [threading.Thread(target=client, args=(number,)) for number in range(64)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()

    assert wrong == []


def test_idle_connections_do_not_disturb(rank: Rank) -> None:
    idle = [socket.create_connection(("127.0.0.1", rank.port), 10) for _ in range(500)]
    try:
        assert_answers_again(rank)
        idle[250].sendall(HEAD + b"content-length: %d\r\n\r\n" % len(DOUBLE) + DOUBLE)
        assert read_answer(idle[250])[0] == 200
    finally:
        for connection in idle:
            connection.close()


def test_slow_bodies_are_always_408_whatever_the_clock_rounds_to() -> None:
    """Many at once: the timer of one in a few goes off in the millisecond before its time."""
    with running(keepalive=150) as rank:
        slow = [socket.create_connection(("127.0.0.1", rank.port), 10) for _ in range(50)]
        for connection in slow:
            connection.sendall(HEAD + b"content-length: 50\r\n\r\n")
            time.sleep(0.0013)
            connection.sendall(b"some")
        assert [status_of(read_to_end(connection)) for connection in slow] == [408] * 50
        for connection in slow:
            connection.close()
