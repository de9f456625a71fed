from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.server.conftest import LoopThread, listening, read_answer, read_to_end, send, status_of

from recserve.server.error_body import error_body
from recserve.server.protocol import FIRST_BYTE_NS, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"


class Echo:
    """Answers the body; the path says how."""

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(
            **{"budget_seconds": 30.0, "max_header_bytes": 4096, "max_message_bytes": 1 << 20, **limits}
        )
        self.refused: list[tuple[int, str]] = []
        self.first_bytes: list[int] = []
        self.gone = 0

    def refuse(self, status: int, message: str) -> tuple[bytes, bytes]:
        self.refused.append((status, message))
        body = error_body(message)
        return b"content-length: %d\r\n" % len(body), body

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.first_bytes.append(scope[FIRST_BYTE_NS])
        body, more = b"", scope["path"] != "/early"
        status = 200
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone += 1
                return
            body += message["body"]
            more = message["more_body"]
            if more and time.monotonic_ns() - scope[FIRST_BYTE_NS] >= self.limits.budget_seconds * 1e9:
                status, more = 408, False
        headers = [(b"content-length", b"%d" % len(body))]
        if status == 408:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def echo(loop_thread: LoopThread) -> Iterator[tuple[Echo, int]]:
    application = Echo()
    with listening(loop_thread, application) as port:
        yield application, port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10)


def test_two_requests_share_a_connection(echo: tuple[Echo, int]) -> None:
    with connect(echo[1]) as connection:
        for _ in range(2):
            connection.sendall(REQUEST)
            assert read_answer(connection)[::2] == (200, b"hello")


def test_a_request_in_single_bytes_is_a_request(echo: tuple[Echo, int]) -> None:
    with connect(echo[1]) as connection:
        for byte in REQUEST:
            connection.sendall(bytes([byte]))
        assert read_answer(connection)[::2] == (200, b"hello")


def test_pipelined_requests_are_answered_in_order(echo: tuple[Echo, int]) -> None:
    bodies = [b"%05d" % number for number in range(20)]
    with connect(echo[1]) as connection:
        connection.sendall(b"".join(REQUEST.replace(b"hello", body) for body in bodies))
        received = b""
        while received.count(b"HTTP/1.1 200") < len(bodies) or not received.endswith(bodies[-1]):
            received += connection.recv(65536)

    assert [part[-5:] for part in received.split(b"HTTP/1.1 ")[1:]] == bodies


def test_the_first_byte_counts_not_the_last(echo: tuple[Echo, int]) -> None:
    application, port = echo
    with connect(port) as connection:
        before = time.monotonic_ns()
        connection.sendall(REQUEST[:3])
        time.sleep(0.05)
        connection.sendall(REQUEST[3:])
        read_answer(connection)

    assert application.first_bytes[0] - before < 40_000_000


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (REQUEST[:10], 408),  # stops in the request line
        (REQUEST[:-20], 408),  # stops in a header
        (REQUEST[:-2], 408),  # stops in the body: the application says it
        (b"\r\n", 0),  # never begins: closed as an idle connection
        (b"", 0),
    ],
)
def test_a_client_that_stops_sending_is_answered_and_cut_off(
    loop_thread: LoopThread, sent: bytes, answers: int
) -> None:
    with listening(loop_thread, Echo(budget_seconds=0.1), idle_seconds=1) as port:
        answer = send(port, sent)

    assert (status_of(answer) if answer else 0) == answers


def test_a_slow_head_is_cut_off_before_the_budget_of_the_request(loop_thread: LoopThread) -> None:
    with listening(loop_thread, Echo(header_seconds=0.1)) as port:
        assert status_of(send(port, REQUEST[:10])) == 408


def test_a_body_that_trickles_in_after_the_answer_ends_with_the_budget(loop_thread: LoopThread) -> None:
    early = b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n"
    with listening(loop_thread, Echo(budget_seconds=0.1)) as port, connect(port) as connection:
        connection.sendall(early)
        assert read_answer(connection)[0] == 200
        assert read_to_end(connection) == b""


HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"a: " + b"x" * 5000 + b"\r\n\r\n",  # whole
        HEAD + b"a: " + b"x" * 5000,  # one header that never ends
        HEAD + b"a: b\r\n" * 1000 + b"\r\n",  # many small ones
        b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_a_head_over_the_limit_is_431_and_closes(echo: tuple[Echo, int], sent: bytes) -> None:
    application, port = echo

    answer = send(port, sent)

    assert status_of(answer) == 431
    assert b"connection: close" in answer
    assert application.refused[0][0] == 431


def test_a_head_under_the_limit_may_come_with_a_body_over_it(echo: tuple[Echo, int]) -> None:
    body = b"x" * 100_000
    with connect(echo[1]) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n" + body)
        assert read_answer(connection)[::2] == (200, body)


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: five\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnot a size\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",  # a TLS hello
        b"GET \xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_not_http_is_400_and_closes(echo: tuple[Echo, int], sent: bytes) -> None:
    application, port = echo

    answer = send(port, sent)

    assert status_of(answer) == 400
    assert answer.endswith(b"\r\n\r\nfailed to parse the HTTP request")
    assert [status for status, _ in application.refused] == [400]


def test_garbage_after_a_request_does_not_become_its_answer(echo: tuple[Echo, int]) -> None:
    answer = send(echo[1], REQUEST + b"garbage\r\n\r\n")

    assert status_of(answer) == 200
    assert answer.endswith(b"hello")


def test_a_chunked_request_without_end_is_cut_off(loop_thread: LoopThread) -> None:
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    with listening(loop_thread, Echo(max_message_bytes=200_000)) as port, connect(port) as connection:
        connection.sendall(head)
        try:
            for _ in range(1000):
                connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert status_of(read_to_end(connection)) == 413


def test_trailers_are_read_and_dropped(echo: tuple[Echo, int]) -> None:
    with connect(echo[1]) as connection:
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n" + REQUEST
        )
        assert read_answer(connection)[0] == 200
        assert read_answer(connection)[::2] == (200, b"hello")


def test_an_offer_to_upgrade_is_ignored(echo: tuple[Echo, int]) -> None:
    offer = REQUEST.replace(b"host: x", b"host: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c")
    with connect(echo[1]) as connection:
        for _ in range(2):
            connection.sendall(offer)
            assert read_answer(connection)[::2] == (200, b"hello")


def test_http_1_0_is_answered_and_closed(echo: tuple[Echo, int]) -> None:
    assert status_of(send(echo[1], b"GET / HTTP/1.0\r\n\r\n")) == 200


def test_a_client_that_never_reads_is_cut_off(loop_thread: LoopThread) -> None:
    """The answer is larger than what the kernel buffers, so it cannot be flushed."""
    application = Echo(flush_seconds=0.1, max_message_bytes=1 << 26)
    body = b"x" * (1 << 24)
    with listening(loop_thread, application, idle_seconds=1) as port, connect(port) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        time.sleep(1.6)
        assert len(read_to_end(connection)) < len(body)


def test_a_hang_up_in_the_body_reaches_the_application(echo: tuple[Echo, int]) -> None:
    application, port = echo
    with connect(port) as connection:
        connection.sendall(REQUEST[:-2])
        time.sleep(0.05)
    for _ in range(100):
        if application.gone:
            break
        time.sleep(0.01)

    assert application.gone == 1
