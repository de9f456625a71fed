from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from recserve.deploy.backends.backend import Probe
from recserve.deploy.probing import Answered, Asked, Prober, question

if TYPE_CHECKING:
    from collections.abc import Iterator


class Answering(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(type(self).status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "good"), [(200, True), (302, True), (404, False), (503, False)])
def test_an_answer_from_200_to_399_is_good(status: int, good: bool) -> None:
    handler = type("Handler", (Answering,), {"status": status})
    with listening(handler) as port:
        why = asyncio.run(question(Asked("127.0.0.1", port, Probe("/readyz"))))

    assert (why == "") is good
    assert good or why == f"127.0.0.1:{port}/readyz answers {status}"


def test_without_a_path_a_connection_is_enough() -> None:
    with listening(Answering) as port:
        assert asyncio.run(question(Asked("127.0.0.1", port, Probe()))) == ""
    assert "cannot be reached" in asyncio.run(question(Asked("127.0.0.1", port, Probe())))


def test_who_says_nothing_is_given_up() -> None:
    async def ask() -> str:
        never = asyncio.Event()

        async def mute(_reader: object, writer: asyncio.StreamWriter) -> None:
            try:
                await never.wait()
            finally:
                writer.close()

        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        why = await question(Asked("127.0.0.1", port, Probe("/", timeout_s=0.05)))
        never.set()
        server.close()
        return why

    assert "gave no answer in 0.05 s" in asyncio.run(ask())


@pytest.mark.parametrize("reply", [b"SSH-2.0-x\r\n", b"", b"HTTP/1.1 two\r\n", b"x" * 20_000])
def test_what_is_no_http_is_not_ready(reply: bytes) -> None:
    async def ask() -> str:
        async def speak(_reader: object, writer: asyncio.StreamWriter) -> None:
            writer.write(reply)
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        why = await question(Asked("127.0.0.1", port, Probe("/")))
        server.close()
        return why

    assert asyncio.run(ask())


def test_changes_are_told_and_thresholds_are_kept() -> None:
    changed = threading.Event()
    prober = Prober(changed.set)

    class Handler(Answering):
        """Whose status changes."""

    with listening(Handler) as port:
        assert prober.known("one") is None
        prober.ask({"one": Asked("127.0.0.1", port, Probe("/", period_s=0.02, failure_threshold=2))})
        assert changed.wait(10)
        assert prober.known("one") == Answered(ready=True)

        changed.clear()
        Handler.status = 503
        assert changed.wait(10)
        found = prober.known("one")
        assert found is not None
        assert not found.ready
        assert "answers 503" in found.message

        changed.clear()
        Handler.status = 200
        assert changed.wait(10)
        assert prober.known("one") == Answered(ready=True)
    prober.close()
    assert prober.known("one") is None


def test_before_its_first_good_answer_an_instance_is_asked_the_startup_check_alone() -> None:
    changed = threading.Event()
    asked: list[str] = []
    prober = Prober(changed.set)

    class Handler(Answering):
        """Whose startup check fails at first."""

        status = 503

        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

    with listening(Handler) as port:
        probe, startup = Probe("/ready", period_s=0.02), Probe("/started", period_s=0.02, failure_threshold=2)
        prober.ask({"one": Asked("127.0.0.1", port, probe, startup)})
        assert changed.wait(10)
        found = prober.known("one")
        assert found is not None
        assert "/started answers 503" in found.message
        assert set(asked) == {"/started"}

        changed.clear()
        Handler.status = 200
        assert changed.wait(10)
        assert prober.known("one") == Answered(ready=True)
        assert asked[-1] == "/ready"
    prober.close()
