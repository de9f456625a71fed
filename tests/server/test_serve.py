"""The life of a server: loading, ready, draining, and how it ends."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
import urllib3
import uvloop
from tests.server.conftest import DOUBLE, Doubler, Rank, running, running_loader, tensors_of

from recserve.config import service
from recserve.errors import BundleError, ConfigError
from recserve.server.serve import EXIT_WRITTEN_OFF, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.processors.load import Progress


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- loading ---


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_while_loading_clients_are_told_to_wait_in_the_words_they_know(method: str) -> None:
    gate = threading.Event()

    def load() -> Doubler:
        gate.wait(20)
        return Doubler()

    with running(load, ready=False) as rank:
        try:
            assert rank.get("/healthz").status == 200
            assert rank.get("/readyz").status == 503
            assert b"loading" in rank.get("/readyz").data
            response = rank.http.request(method, "/api/predict/rank", headers={"Authorization": "token"})
            assert (response.status, response.data) == (503, b"no healthy upstream")
            assert rank.metric("recserve_ready") == 0
        finally:
            gate.set()
        wait_for(lambda: rank.get("/readyz").status == 200)
        assert rank.post().status == 200


def test_while_loading_readyz_says_how_far_that_is_in_words_and_as_json() -> None:
    gate = threading.Event()

    def load(progress: Progress) -> Doubler:
        progress("loading items.parquet", 1000, 4000, 1 << 30)
        gate.wait(20)
        return Doubler()

    with running_loader(load) as rank:
        wait_for(lambda: b"1,000 of 4,000 rows" in rank.get("/readyz").data)
        words = rank.get("/readyz")
        figures = rank.get("/readyz", Accept="application/json")
        gate.set()
        wait_for(lambda: rank.get("/readyz").status == 200)
        at_last = rank.get("/readyz", Accept="application/json")

    assert words.status == figures.status == 503
    assert words.data.startswith(b"not ready: loading items.parquet: 1,000 of 4,000 rows, ")
    assert re.search(rb" per second, 1\.00 GiB, \d+ s to go", words.data)
    found = json.loads(figures.data)
    assert found.pop("per_second") > 0
    assert found.pop("seconds_left") >= 0
    assert found == {
        "ready": False,
        "state": "loading",
        "step": "loading items.parquet",
        "done": 1000,
        "total": 4000,
        "memory_bytes": 1 << 30,
    }
    told = json.loads(at_last.data)
    assert (at_last.status, told["ready"], told["state"]) == (200, True, "ready")
    assert told["serves"]["engine"]


def test_warm_up_runs_the_whole_path_on_every_thread_before_ready() -> None:
    seen = set()

    class Watching(Doubler):
        def predict(self, request: object, trace: object = None) -> object:  # type: ignore[override]
            rows = len(request.named_inputs["x"])  # type: ignore[attr-defined]
            seen.add((threading.current_thread().name, rows))
            time.sleep(0.005)  # the other thread gets its share
            return super().predict(request, trace)  # type: ignore[arg-type]

    with running(Watching, worker_threads=2):
        rows = {rows for _, rows in seen}
        threads = {thread for thread, _ in seen}

    assert rows == {1, 8, 64, 256}
    assert len(threads) == 2


def test_a_bundle_that_cannot_be_loaded_ends_the_server_with_its_reason() -> None:
    def load(progress: object) -> Doubler:
        raise BundleError("bundle 'x' has no scripted_model.pt")

    server = Server(service.load({"name": "rank"}, {}), load)

    with pytest.raises(BundleError, match="no scripted_model"):
        uvloop.run(server.main())


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Server(service.load({"name": "rank"}, {}), lambda progress: Doubler(), port=port)
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            uvloop.run(server.main())


def test_a_server_can_be_stopped_while_it_loads() -> None:
    gate = threading.Event()

    def load() -> Doubler:
        gate.wait(20)
        return Doubler()

    with running(load, ready=False, drain_ms=60_000) as rank:
        wait_for(lambda: rank.get("/healthz").status == 200)
        rank.server.stop()
        wait_for(lambda: rank.status is not None)
        gate.set()

    assert rank.status == 0


# --- the end ---


def test_a_drain_answers_everything_and_closes_connections() -> None:
    with running(drain_ms=60_000) as rank:
        rank.post()
        rank.server.stop()
        wait_for(lambda: rank.server.lifecycle.draining)
        response = rank.post()
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert rank.get("/readyz").status == 503
        assert rank.get("/healthz").status == 200
        rank.server.stop()  # a second time: at once
        wait_for(lambda: rank.status == 0)


def test_pooled_clients_that_keep_sending_see_no_failure_when_one_of_two_servers_drains() -> None:
    """Clients do as balancers do: an open connection is used again, a new one goes where it is ready."""
    failures: list[str] = []
    answered = {"first": 0, "second": 0}
    done = threading.Event()

    def client(first: Rank, second: Rank) -> None:
        pools = {
            name: urllib3.HTTPConnectionPool("127.0.0.1", server.port, maxsize=1, retries=False, timeout=20)
            for name, server in (("first", first), ("second", second))
        }
        name = "first"
        while not done.is_set():
            try:
                response = pools[name].request(
                    "POST", "/api/predict/rank", body=DOUBLE, headers={"Authorization": "token"}
                )
            except urllib3.exceptions.HTTPError as error:
                failures.append(repr(error))
                return
            if response.status != 200:
                failures.append(f"{response.status} {response.data!r}")
            answered[name] += 1
            if response.headers.get("connection") == "close" and not first.server.lifecycle.ready:
                name = "second"
        for pool in pools.values():
            pool.close()

    with running(drain_ms=500) as first, running() as second:
        clients = [threading.Thread(target=client, args=(first, second)) for _ in range(8)]
        for thread in clients:
            thread.start()
        wait_for(lambda: answered["first"] > 200)
        first.server.stop()
        wait_for(lambda: first.status == 0)
        at_the_end = answered["second"]
        wait_for(lambda: answered["second"] > at_the_end + 200)
        done.set()
        for thread in clients:
            thread.join()

    assert failures == []


def test_a_request_in_work_when_the_drain_ends_is_answered() -> None:
    with running(drain_ms=0) as rank:
        answer: list[int] = []
        client = threading.Thread(target=lambda: answer.append(rank.post(tensors_of(x=1, wait=1)).status))
        client.start()
        wait_for(lambda: rank.server._pool.in_flight == 1)
        rank.server.stop()
        time.sleep(0.1)
        assert rank.status is None
        rank.processor.gate.set()
        client.join()
        wait_for(lambda: rank.status == 0)

    assert answer == [200]


def test_a_request_half_sent_when_the_drain_ends_is_answered() -> None:
    with running(drain_ms=0) as rank:
        with socket.create_connection(("127.0.0.1", rank.port), 10) as connection:
            head = b"POST /api/predict/rank HTTP/1.1\r\nauthorization: token\r\ncontent-length: %d\r\n\r\n"
            whole = head % len(DOUBLE) + DOUBLE
            connection.sendall(whole[:20])
            time.sleep(0.05)
            rank.server.stop()
            time.sleep(0.1)
            connection.sendall(whole[20:])
            answer = connection.recv(65536)
        wait_for(lambda: rank.status == 0)

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer


def test_as_many_write_offs_as_threads_end_the_process_for_its_supervisor() -> None:
    with running(keepalive=100, worker_threads=1) as rank:
        assert rank.post(tensors_of(x=1, wait=1)).status == 408
        wait_for(lambda: rank.status is not None)
        assert rank.status == EXIT_WRITTEN_OFF
        assert rank.server.left_behind
