from __future__ import annotations

import os
import signal
import urllib.request
from typing import TYPE_CHECKING

import pytest
from tests.deploy.backends.contract import ProcessContract, gone, order, running, wait_for

from recserve.deploy.backends.backend import Mount, Resources, State
from recserve.deploy.backends.limits import Limits
from recserve.deploy.backends.local import LocalBackend
from recserve.deploy.backends.processes import family, identity
from recserve.deploy.backends.root import mounts_are_possible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recserve.deploy.backends.backend import Backend

NAME = "app-1-aaaaaa"


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    made = LocalBackend(tmp_path / "instances")
    yield made
    made.close(keep=False)


def asked(host: str, port: int) -> str:
    with urllib.request.urlopen(f"http://{host}:{port}/", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def answering(backend: Backend) -> str:
    """What it says, once it listens."""
    found: list[str] = []

    def answers(_: object) -> bool:
        seen = backend.observe()[NAME]
        try:
            found.append(asked(seen.host, seen.port))
        except OSError:
            return False
        return True

    wait_for(backend, NAME, answers)
    return found[-1]


class TestLocalBackend(ProcessContract):
    pass


def test_it_is_told_its_port_and_answers_there(backend: Backend) -> None:
    backend.start(order())

    assert answering(backend) == NAME


def test_a_killed_process_comes_back_in_place(backend: Backend) -> None:
    backend.start(order())
    answering(backend)
    first = backend.observe()[NAME]

    os.kill(first.pid, signal.SIGKILL)

    seen = wait_for(backend, NAME, lambda one: running(one) and one is not None and one.restarts == 1)
    assert seen is not None
    assert seen.pid != first.pid
    assert (seen.exit_code, seen.reason) == (-9, "Killed")
    assert answering(backend) == NAME


def test_what_it_has_started_ends_with_it(backend: Backend) -> None:
    backend.start(order(command=("/bin/sh", "-c", "sleep 600 & sleep 600 & wait"), files={}))
    wait_for(backend, NAME, lambda one: one is not None and len(family(one.pid)) == 3)
    pids = family(backend.observe()[NAME].pid)

    backend.stop(NAME, 5.0)
    wait_for(backend, NAME, gone)

    assert not any(identity(pid) for pid in pids)


def test_the_next_control_plane_adopts_what_the_killed_one_left(tmp_path: Path) -> None:
    first = LocalBackend(tmp_path / "instances")
    first.start(order())
    answering(first)
    before = first.observe()[NAME]
    first.close(keep=True)

    second = LocalBackend(tmp_path / "instances")
    seen = wait_for(second, NAME, running)
    assert seen is not None
    assert (seen.pid, seen.port) == (before.pid, before.port)
    assert answering(second) == NAME

    os.kill(seen.pid, signal.SIGKILL)  # and watches it
    again = wait_for(second, NAME, lambda one: running(one) and one is not None and one.pid != seen.pid)
    assert again is not None
    assert answering(second) == NAME
    second.close(keep=False)
    assert identity(again.pid) is None


def test_what_has_ended_meanwhile_is_started_again(tmp_path: Path) -> None:
    first = LocalBackend(tmp_path / "instances")
    first.start(order())
    answering(first)
    pid = first.observe()[NAME].pid
    first._running[NAME]._stopping.set()  # it does not watch any more, as if it were killed
    os.kill(pid, signal.SIGKILL)
    wait_for(first, NAME, lambda _: identity(pid) is None)

    second = LocalBackend(tmp_path / "instances")

    seen = wait_for(second, NAME, running)
    assert seen is not None
    assert seen.pid != pid
    assert answering(second) == NAME
    second.close(keep=False)


def test_a_number_that_another_process_has_by_now_is_left_alone(tmp_path: Path) -> None:
    first = LocalBackend(tmp_path / "instances")
    first.start(order())
    answering(first)
    first.close(keep=False)
    root = tmp_path / "instances" / NAME
    first = LocalBackend(tmp_path / "instances")
    first.start(order())
    answering(first)
    first.close(keep=True)
    note = root / "process.json"
    running_pid = first.observe()[NAME].pid
    note.write_text(note.read_text().replace(f'"pid": {running_pid}', f'"pid": {os.getpid()}'))

    second = LocalBackend(tmp_path / "instances")
    wait_for(second, NAME, running)
    second.close(keep=False)

    assert identity(os.getpid()) is not None
    assert identity(running_pid) is None  # it is known by its variable, and not left behind


def test_mounts_are_where_the_app_looks_for_them(backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.txt").write_text("weights")
    code = "print(open('/eas/recserve-test/model/weights.txt').read(), flush=True)"
    script = f'cat /eas/recserve-test/model/weights.txt; echo; {{python}} -c "{code}"; sleep 600'
    if not mounts_are_possible():  # a path inside of code is then not found: see root.py
        script = "cat /eas/recserve-test/model/weights.txt; echo; cat $EAS_MOUNT_0/weights.txt; sleep 600"
    command = ("/bin/sh", "-c", script)
    backend.start(
        order(command=command, files={}, mounts=(Mount("/eas/recserve-test/model", str(tmp_path / "model")),))
    )

    wait_for(backend, NAME, lambda _: len(backend.logs(NAME, 5)) == 2)

    assert backend.logs(NAME, 5) == ["weights", "weights"]


def test_an_app_that_listens_where_it_wants_is_found_there(backend: Backend) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = order().files["app.py"].replace('int(os.environ["LISTENING_PORT"])', str(port))
    backend.start(order(files={"app.py": app}, port=port))

    seen = wait_for(backend, NAME, lambda one: one is not None and one.fixed_port)

    assert seen is not None
    assert seen.port == port
    assert asked(seen.host, port) == NAME
    other = "app-1-bbbbbb"
    backend.start(order(other, files={"app.py": app}, port=port))
    found = wait_for(backend, other, lambda one: one is not None and one.restarts >= 1)
    assert found is not None
    assert found.reason == "PortInUse"
    assert "runs once on each machine" in found.message


def test_requirements_that_cannot_be_installed_are_told(backend: Backend) -> None:
    backend.start(order(requirements=("./no-such-package-anywhere",)))

    seen = wait_for(backend, NAME, lambda one: one is not None and one.state is State.EXITED)

    assert seen is not None
    assert seen.reason == "RequirementsFailed"
    assert "no-such-package-anywhere" in seen.message


def test_files_and_folders_are_for_their_owner_alone(backend: Backend, tmp_path: Path) -> None:
    backend.start(order(environment={"SECRET": "s"}))
    wait_for(backend, NAME, running)
    root = tmp_path / "instances" / NAME

    assert root.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (root / "order.json", root / "app.py")} == {0o600}


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "log", "order.json"])
def test_a_file_that_would_lie_elsewhere_is_refused(backend: Backend, name: str) -> None:
    backend.start(order(files={name: "x"}))

    seen = wait_for(backend, NAME, lambda one: one is not None and one.state is State.EXITED)

    assert seen is not None
    assert seen.reason == "CannotPrepare"


def test_who_takes_more_memory_than_it_asked_for_is_ended_and_told_so(backend: Backend) -> None:
    probe = Limits("probe-1-aaaaaa", Resources(memory_mb=64))
    possible = bool(probe)
    probe.remove()
    hungry = "x = bytearray(512 * 2**20); import time; time.sleep(600)"
    resources = Resources(memory_mb=64)
    backend.start(order(command=("{python}", "-c", hungry), files={}, resources=resources))

    if possible:
        seen = wait_for(backend, NAME, lambda one: one is not None and one.restarts >= 1)
        assert seen is not None
        assert seen.reason == "OOMKilled"
    else:  # no limit can be set here: it runs
        wait_for(backend, NAME, running)
