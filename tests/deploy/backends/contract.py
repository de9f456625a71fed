"""What every backend promises: a suite that each runs with instances of its own kind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from recserve.deploy.backends.backend import Observed, Order, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.deploy.backends.backend import Backend

PATIENCE_S = 60.0

#: An app that says what it is asked to: no library, so that it begins at once.
APP = """
import http.server, os, signal, sys
print("begins with", os.environ.get("WORD", "nothing"), flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.environ.get("WORD", "").encode())
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.HTTPServer(("127.0.0.1", int(os.environ["LISTENING_PORT"])), Handler).serve_forever()
"""

DEAF = """
import signal
signal.signal(signal.SIGTERM, lambda *_: None)
print("deaf", flush=True)
while True:
    signal.pause()
"""


def order(instance: str = "app-1-aaaaaa", **changes: object) -> Order:
    fields: dict[str, object] = {
        "command": ("{python}", "{root}/app.py"),
        "files": {"app.py": APP},
        "environment": {"WORD": instance},
        "grace_s": 5.0,
    }
    return Order(instance=instance, service="app", version=1, **{**fields, **changes})  # type: ignore[arg-type]


def wait_for(backend: Backend, instance: str, found: Callable[[Observed | None], bool]) -> Observed | None:
    """Observe until it is as expected."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        seen = backend.observe().get(instance)
        if found(seen):
            return seen
        assert time.monotonic() < give_up_at, f"{instance} stays {seen}"
        time.sleep(0.02)


def running(seen: Observed | None) -> bool:
    return seen is not None and seen.state is State.RUNNING


def gone(seen: Observed | None) -> bool:
    return seen is None


class BackendContract:
    """Subclasses give the fixture `backend`."""

    def test_what_is_ordered_runs_and_has_an_address(self, backend: Backend) -> None:
        backend.start(order())

        seen = wait_for(backend, "app-1-aaaaaa", running)

        assert seen is not None
        assert seen.host
        assert seen.port > 0
        assert seen.node in {node.name for node in backend.nodes()}
        assert seen.pid > 0
        assert seen.started_at > 0

    def test_ordering_twice_is_ordering_once(self, backend: Backend) -> None:
        backend.start(order())
        first = wait_for(backend, "app-1-aaaaaa", running)
        backend.start(order())

        assert list(backend.observe()) == ["app-1-aaaaaa"]
        assert backend.observe()["app-1-aaaaaa"] == first

    def test_two_instances_have_addresses_of_their_own(self, backend: Backend) -> None:
        for name in ("app-1-aaaaaa", "app-1-bbbbbb"):
            backend.start(order(name))
        seen = [wait_for(backend, name, running) for name in ("app-1-aaaaaa", "app-1-bbbbbb")]

        assert len({(one.host, one.port) for one in seen if one is not None}) == 2

    def test_what_is_stopped_is_gone_and_its_name_is_free(self, backend: Backend) -> None:
        backend.start(order())
        wait_for(backend, "app-1-aaaaaa", running)

        backend.stop("app-1-aaaaaa", 5.0)
        backend.stop("app-1-aaaaaa", 5.0)

        wait_for(backend, "app-1-aaaaaa", gone)
        backend.stop("app-1-aaaaaa", 5.0)
        backend.start(order())
        wait_for(backend, "app-1-aaaaaa", running)

    def test_stopping_what_nobody_ordered_does_nothing(self, backend: Backend) -> None:
        backend.stop("nobody-1-aaaaaa", 1.0)

        assert not backend.observe()

    def test_logs_of_unknown_instances_are_empty(self, backend: Backend) -> None:
        assert backend.logs("nobody-1-aaaaaa", 10) == []
        assert backend.logs("../../etc/passwd", 10) == []

    def test_whoever_closes_it_leaves_nothing_running(self, backend: Backend) -> None:
        backend.start(order())
        wait_for(backend, "app-1-aaaaaa", running)

        backend.close(keep=False)

        wait_for(backend, "app-1-aaaaaa", gone)


class ProcessContract(BackendContract):
    """What backends with processes promise beside."""

    def test_a_process_that_ends_is_started_again_and_told_of(self, backend: Backend) -> None:
        backend.start(order(command=("/bin/sh", "-c", "echo what went wrong; exit 3"), files={}))

        seen = wait_for(backend, "app-1-aaaaaa", lambda one: one is not None and one.restarts >= 2)

        assert seen is not None
        assert (seen.exit_code, seen.reason) == (3, "Error")
        assert "what went wrong" in seen.message
        assert seen.finished_at > 0

    def test_a_process_that_is_not_to_be_restarted_stays_ended(self, backend: Backend) -> None:
        backend.start(order(command=("/bin/sh", "-c", "exit 0"), files={}, restart=False))

        seen = wait_for(backend, "app-1-aaaaaa", lambda one: one is not None and one.state is State.EXITED)

        assert seen is not None
        assert (seen.exit_code, seen.reason) == (0, "Completed")

    def test_a_command_that_does_not_exist_is_told(self, backend: Backend) -> None:
        backend.start(order(command=("/no/such/command",)))

        seen = wait_for(backend, "app-1-aaaaaa", lambda one: one is not None and one.state is State.EXITED)

        assert seen is not None
        assert seen.reason == "CannotStart"
        assert "/no/such/command" in seen.message

    def test_what_it_writes_is_its_log(self, backend: Backend) -> None:
        backend.start(order())
        wait_for(backend, "app-1-aaaaaa", lambda _: bool(backend.logs("app-1-aaaaaa", 10)))

        assert backend.logs("app-1-aaaaaa", 1) == ["begins with app-1-aaaaaa"]

    def test_who_does_not_heed_sigterm_is_killed_after_its_grace(self, backend: Backend) -> None:
        backend.start(order(command=("{python}", "-c", DEAF), files={}))
        wait_for(backend, "app-1-aaaaaa", lambda _: backend.logs("app-1-aaaaaa", 1) == ["deaf"])

        backend.stop("app-1-aaaaaa", 0.2)

        wait_for(backend, "app-1-aaaaaa", gone)
