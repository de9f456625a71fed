"""HAProxy as a process, and what it is told while instances come and go."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.certificates import Authority
from tests.deploy.gateway.apps import CONTAINER, apps, ask, put_instance, put_service
from tests.deploy.gateway.opening import made, opened, process_of, settle, until

from recserve.deploy.gateway.configuration import BUFFER_BYTES
from recserve.deploy.gateway.process import Tls
from recserve.deploy.records import Phase
from recserve.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.deploy.gateway.apps import App

    from recserve.deploy.gateway.gateway import Gateway
    from recserve.deploy.store import Store


class Caller(threading.Thread):
    """Asks again and again until it is told to stop; every status but 200 is kept."""

    def __init__(self, url: str, body: bytes) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._body = body
        self._stopped = threading.Event()
        self.answered = 0
        self.failed: list[object] = []

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                answer = ask(self._url, "/api/predict/rank", self._body)
            except OSError as error:
                self.failed.append(error)
                continue
            if answer.status == 200 and answer.asked["length"] == len(self._body):
                self.answered += 1
            else:
                self.failed.append(answer)

    def has_gone_on(self) -> None:
        """Wait for some answers more."""
        begun = self.answered
        until(lambda: self.answered > begun + 20 or self.failed)

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def _asked(app: App) -> Callable[[], object]:
    return lambda: app.asked


def _listens(gateway: Gateway) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", int(gateway.url.rpartition(":")[2]))) == 0


@contextmanager
def _taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def _hanging_up() -> Iterator[int]:
    """An instance that ends whenever it is asked."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(65_536)
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_no_request_is_lost_while_every_instance_is_replaced(store: Store) -> None:
    names = [f"a{number}" for number in range(8)]
    with apps(*names) as running, opened(store) as gateway:
        put_service(store, "rank")
        for name in names[:2]:
            put_instance(store, "rank", running[name])
        settle(gateway)
        callers = [Caller(gateway.url, b"x" * size) for size in (10, 40_000, 2 * BUFFER_BYTES)]
        for caller in callers:
            caller.start()

        for old, new in zip(names, names[2:], strict=False):
            put_instance(store, "rank", running[new])
            gateway.wake()
            until(_asked(running[new]))
            put_instance(store, "rank", running[old], Phase.DRAINING)
            gateway.settle()
            for caller in callers:
                caller.has_gone_on()
        for caller in callers:
            caller.stop()

        assert [caller.failed for caller in callers] == [[], [], []]


def test_a_request_whose_instance_ends_without_an_answer_is_sent_to_another(store: Store) -> None:
    with apps("good") as running, _hanging_up() as port, opened(store) as gateway:
        put_service(store, "rank")
        put_instance(store, "rank", running["good"])
        with store.change() as change:
            one = store.instances["rank-1-good"]
            change.put(replace(one, id="rank-1-bad", port=port))
            change.put(replace(one, id="rank-1-nobody", port=1))
        settle(gateway)

        for size in (10, 40_000, BUFFER_BYTES - 20_000):
            for _ in range(6):
                assert ask(gateway.url, "/api/predict/rank", b"x" * size).status == 200


def test_requests_under_way_end_where_they_began_and_then_the_instance_is_forgotten(store: Store) -> None:
    with apps("aa", "bb") as running, opened(store) as gateway:
        put_service(store, "rank")
        put_instance(store, "rank", running["aa"])
        settle(gateway)
        running["aa"].parting = True
        running["aa"].pause.clear()
        answers: list[str] = []
        caller = threading.Thread(
            target=lambda: answers.append(ask(gateway.url, "/api/predict/rank").asked["app"])
        )
        caller.start()
        until(lambda: running["aa"].asked)

        put_instance(store, "rank", running["bb"])
        put_instance(store, "rank", running["aa"], Phase.DRAINING)
        gateway.settle()

        assert {ask(gateway.url, "/api/predict/rank").asked["app"] for _ in range(10)} == {"bb"}
        assert not gateway.settle(), "it cannot be deleted yet"
        running["aa"].pause.set()
        caller.join()
        assert answers == ["aa"]
        settle(gateway)


def test_names_and_instances_that_go_leave_room_for_others(store: Store) -> None:
    with apps("aa") as running, opened(store) as gateway:
        for number in range(5):
            name = f"rank{number}"
            put_service(store, name)
            put_instance(store, name, running["aa"])
            settle(gateway)
            assert ask(gateway.url, f"/api/predict/{name}").status == 200
            with store.change() as change:
                change.forget(name)
            settle(gateway)
            assert ask(gateway.url, f"/api/predict/{name}").status == 404


def test_a_service_of_a_new_version_is_asked_by_its_new_document(store: Store) -> None:
    with apps("aa") as running, opened(store) as gateway:
        put_service(store, "app", CONTAINER)
        put_instance(store, "app", running["aa"])
        settle(gateway)
        assert ask(gateway.url, "/api/predict/app/x").asked["path"] == "/x"

        with store.change() as change:
            old = store.versions["app", 1]
            new = {**CONTAINER, "metadata": {"rpc": {"proxy_path": "/v2/"}}}
            change.put(replace(old, number=2, document=new))
            change.put(replace(store.services["app"], version=2))
        settle(gateway)

        assert ask(gateway.url, "/api/predict/app/x").asked["path"] == "/v2/x"


def test_a_gateway_that_ends_is_started_again_and_callers_only_wait(store: Store) -> None:
    with apps("aa") as running, opened(store) as gateway:
        put_service(store, "rank")
        put_instance(store, "rank", running["aa"])
        settle(gateway)
        url = gateway.url
        for _ in range(3):
            before = process_of(store)

            os.kill(before.pid, signal.SIGKILL)
            before.wait(10)

            assert ask(url, "/api/predict/rank").status == 200
            assert process_of(store) != before


def test_a_gateway_outlives_its_control_plane_and_the_next_one_goes_on_with_it(store: Store) -> None:
    with apps("aa", "plane", "other") as running:
        put_service(store, "rank")
        put_instance(store, "rank", running["aa"])
        first = made(store, control=f"127.0.0.1:{running['plane'].port}")
        first.start()
        process = process_of(store)
        first.close(keep=True)
        assert ask(first.url, "/api/predict/rank").status == 200

        put_service(store, "late")
        with opened(store, control=f"127.0.0.1:{running['other'].port}") as second:
            assert second.url == first.url
            assert process_of(store) == process
            assert ask(second.url, "/api/predict/rank").status == 200
            assert ask(second.url, "/api/predict/late").status == 503
            settle(second)
            discovery = ask(second.url, "/api/v1/servicediscovery/upstreams/rank", method="GET")
            assert discovery.asked["app"] == "other"

            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
            until(lambda: process_of(store).alive and process_of(store) != process)
            until(lambda: ask(second.url, "/api/predict/rank").status == 200)

        assert not (store.folder / "gateway" / "gateway.json").exists()


def test_one_that_was_started_otherwise_is_ended_and_not_adopted(store: Store) -> None:
    first = made(store)
    first.start()
    process = process_of(store)
    first.close(keep=True)

    with (
        _taken() as port,
        pytest.raises(LoadError, match=f"cannot listen on 127.0.0.1:{port}: .*--gateway-port"),
    ):
        made(store, port).start()

    assert not process.alive


def test_a_port_in_use_is_told_with_the_way_out(store: Store) -> None:
    with _taken() as port, pytest.raises(LoadError, match="choose another --gateway-port"):
        made(store, port).start()


def test_whoever_closes_it_leaves_nothing_running(store: Store) -> None:
    gateway = made(store)
    gateway.start()
    process = process_of(store)

    gateway.close(keep=False)

    assert not process.alive
    with pytest.raises(OSError, match="refused"):
        ask(gateway.url, "/healthz")


def test_closing_waits_for_the_answers_under_way(store: Store) -> None:
    with apps("aa") as running:
        put_service(store, "rank")
        put_instance(store, "rank", running["aa"])
        gateway = made(store)
        gateway.start()
        running["aa"].pause.clear()
        answers: list[int] = []
        caller = threading.Thread(target=lambda: answers.append(ask(gateway.url, "/api/predict/rank").status))
        caller.start()
        until(lambda: running["aa"].asked)

        closing = threading.Thread(target=lambda: gateway.close(keep=False, grace_s=30))
        closing.start()
        until(lambda: not _listens(gateway))
        running["aa"].pause.set()
        caller.join()
        closing.join()

        assert answers == [200]


def test_it_speaks_tls(store: Store, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.certify("gateway")
    with apps("aa") as running, opened(store, tls=Tls(server.certificate, server.key)) as gateway:
        put_service(store, "rank")
        put_instance(store, "rank", running["aa"])
        settle(gateway)
        trusting = ssl.create_default_context(cafile=str(authority.ca))

        with urllib.request.urlopen(f"{gateway.url}/api/predict/rank", b"user", context=trusting) as answer:
            assert gateway.url.startswith("https://")
            assert answer.status == 200


def test_a_certificate_that_is_none_is_told_in_a_line(store: Store, tmp_path: Path) -> None:
    for name in ("certificate.pem", "key.pem"):
        (tmp_path / name).write_text("nothing")
    gateway = made(store, tls=Tls(tmp_path / "certificate.pem", tmp_path / "key.pem"))

    with pytest.raises(LoadError, match=r"tls\.pem") as raised:
        gateway.start()
    gateway.close(keep=False)

    assert "\n" not in str(raised.value)


def test_a_group_whose_name_would_be_a_command_is_not_told(store: Store) -> None:
    evil = "x; shutdown frontend gateway"
    with apps("aa") as running, opened(store) as gateway:
        put_service(store, "rank", group=evil, grouped=True)
        put_instance(store, "rank", running["aa"])
        settle(gateway)

        assert ask(gateway.url, "/api/predict/rank").status == 200
