from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.deploy.backends.contract import ProcessContract, gone, order, running, wait_for

from recserve.deploy.backends.backend import Mount, Repository, Resources, State
from recserve.deploy.backends.limits import Limits
from recserve.deploy.backends.local import LocalBackend
from recserve.deploy.backends.processes import family, identity, marked
from recserve.deploy.backends.root import MARK, mounts_are_possible

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    script = f"python -c '{hungry}'; exit $?"  # a process that the first one starts at once
    backend.start(order(command=(), script=script, files={}, resources=Resources(memory_mb=64)))

    if possible:
        seen = wait_for(backend, NAME, lambda one: one is not None and one.restarts >= 1)
        assert seen is not None
        assert seen.reason == "OOMKilled"
    else:  # no limit can be set here: it runs
        wait_for(backend, NAME, running)


#: Answers its last slowly, as a server that drains does.
DRAINS = """
import signal, sys, time
def last(*_):
    time.sleep(0.5)
    print("drained", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, last)
print("serves", flush=True)
while True:
    signal.pause()
"""


def test_an_app_that_a_shell_has_started_may_drain_though_the_shell_has_ended(backend: Backend) -> None:
    backend.start(order(command=(), script='python "$PWD/app.py"; echo over', files={"app.py": DRAINS}))
    wait_for(backend, NAME, lambda _: backend.logs(NAME, 1) == ["serves"])

    backend.stop(NAME, 20.0)
    wait_for(backend, NAME, gone)

    assert "drained" in backend.logs(NAME, 5)


def test_what_an_ended_process_has_left_behind_ends_too(backend: Backend, tmp_path: Path) -> None:
    script = "setsid sleep 600 & sleep 600 & sleep 0.2; exit 1"
    backend.start(order(command=(), script=script, files={}, restart=False))
    seen = wait_for(backend, NAME, running)
    assert seen is not None
    wait_for(backend, NAME, lambda one: one is not None and one.state is State.EXITED)

    assert marked(MARK, str(tmp_path / "instances" / NAME)) == []


def test_what_ran_unnoted_when_the_control_plane_was_killed_is_not_left_behind(tmp_path: Path) -> None:
    first = LocalBackend(tmp_path / "instances")
    first.start(order())
    answering(first)
    pid = first.observe()[NAME].pid
    first.close(keep=True)
    (tmp_path / "instances" / NAME / "process.json").unlink()

    second = LocalBackend(tmp_path / "instances")

    assert identity(pid) is None
    wait_for(second, NAME, running)
    assert answering(second) == NAME
    second.close(keep=False)


def test_what_is_adopted_is_seen_to_run_at_once(tmp_path: Path) -> None:
    first = LocalBackend(tmp_path / "instances")
    first.start(order())
    answering(first)
    before = first.observe()[NAME]
    first.close(keep=True)

    second = LocalBackend(tmp_path / "instances")
    seen = second.observe()[NAME]
    second.close(keep=False)

    assert (seen.state, seen.port, seen.pid) == (State.RUNNING, before.port, before.pid)


def test_what_is_not_to_be_restarted_is_not_when_it_ended_unwatched(tmp_path: Path) -> None:
    first = LocalBackend(tmp_path / "instances")
    first.start(order(restart=False))
    answering(first)
    pid = first.observe()[NAME].pid
    first.close(keep=True)
    os.kill(pid, signal.SIGKILL)
    wait_for(first, NAME, lambda _: identity(pid) is None)

    second = LocalBackend(tmp_path / "instances")
    seen = second.observe()[NAME]
    second.close(keep=False)

    assert seen.state is State.EXITED
    assert "nobody watched" in seen.message


def test_what_was_being_taken_away_is_not_begun_again(tmp_path: Path) -> None:
    root = tmp_path / "instances" / NAME
    root.mkdir(parents=True)
    (root / "service.json").write_text("a token")
    (root / "log").write_text("its last words\n")

    backend = LocalBackend(tmp_path / "instances")

    assert not backend.observe()
    assert [path.name for path in root.iterdir()] == ["log"]
    assert backend.logs(NAME, 1) == ["its last words"]
    backend.close(keep=False)


@pytest.mark.parametrize("name", ["..", ".", "", "../instances", "/etc", "a/b"])
def test_logs_are_of_instances_alone(backend: Backend, tmp_path: Path, name: str) -> None:
    (tmp_path / "log").write_text("of another")

    assert backend.logs(name, 10) == []


def test_a_mount_whose_source_is_missing_is_told(backend: Backend) -> None:
    backend.start(order(mounts=(Mount("/eas/recserve-test/model", "/no/such/model"),)))

    seen = wait_for(backend, NAME, lambda one: one is not None and one.state is State.EXITED)

    assert seen is not None
    assert seen.reason == "CannotPrepare"
    assert "/no/such/model does not exist" in seen.message


def test_a_repository_is_fetched_before_the_app_begins(backend: Backend, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "app.py").write_text(order().files["app.py"])
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "the app"]):
        who = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")
        subprocess.run(["git", "-C", str(source), *who, *arguments], check=True)
    code = Mount("/ml/recserve-test", "", repository=Repository(source.as_uri()))

    backend.start(order(command=(), script="python app.py", files={}, mounts=(code,), workdir=code.path))

    assert answering(backend) == NAME
    assert f"fetching {source.as_uri()}" in backend.logs(NAME, 10)


def test_a_disk_without_room_is_told(backend: Backend, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        backend.start(order())
        seen = wait_for(backend, NAME, lambda one: one is not None and one.state is State.EXITED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert seen is not None
    assert seen.reason == "DiskFull"
    assert "make room" in seen.message


def test_an_environment_holds_what_is_asked_for_and_is_shared(backend: Backend, tmp_path: Path) -> None:
    wheel = tmp_path / "word-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("word.py", "WORD = 'from a wheel'\n")
        file.writestr("word-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: word\nVersion: 1.0\n")
        file.writestr("word-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("word-1.0.dist-info/RECORD", "")
    app = "import word; print(word.WORD, flush=True)\n" + order().files["app.py"]
    for name in (NAME, "app-1-bbbbbb"):
        backend.start(order(name, files={"app.py": app}, requirements=(str(wheel),)))

    for name in (NAME, "app-1-bbbbbb"):
        wait_for(backend, name, lambda _, name=name: "from a wheel" in backend.logs(name, 5))  # type: ignore[misc]

    assert len(list((tmp_path / "environments").glob("*/bin/python"))) == 1


def test_whoever_is_stopped_while_pip_runs_leaves_no_pip_behind(backend: Backend, tmp_path: Path) -> None:
    package = tmp_path / "endless"
    package.mkdir()
    (package / "setup.py").write_text("import time\ntime.sleep(600)\n")
    backend.start(order(requirements=(str(package),)))
    wait_for(backend, NAME, lambda _: bool(mentioning(str(package))))

    backend.stop(NAME, 1.0)
    wait_for(backend, NAME, gone)

    wait_for(backend, NAME, lambda _: not mentioning(str(package)))


def mentioning(text: str) -> list[int]:
    """The processes in whose command line something stands, or that work there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if text.encode() in (entry / "cmdline").read_bytes() or text in os.readlink(entry / "cwd"):
                    found.append(int(entry.name))
    return found
