from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from recserve.observe.capture_files import HourFolders
from recserve.observe.captures import Capture, Captures
from recserve.observe.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def captures(
    *, threads: int = 2, queue_requests: int = 1000, queue_bytes: int = 1 << 20, max_bytes: int = 0
) -> Iterator[Captures]:
    made = Captures(
        Retention(max_bytes), threads=threads, queue_requests=queue_requests, queue_bytes=queue_bytes
    )
    yield made
    made.close(20)


def kept(writer: Captures, root: Path, request_id: str = "r", content: bytes = b"content") -> Capture:
    return Capture(HourFolders(root, writer.retention), len(content), lambda: (request_id, content))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_what_is_offered_is_written(tmp_path: Path) -> None:
    with captures() as writer:
        for number in range(50):
            assert writer.offer(kept(writer, tmp_path, f"r{number}", b"%d" % number))

    assert {file.read_bytes() for file in tmp_path.rglob("*.pb")} == {b"%d" % n for n in range(50)}
    assert (writer.written, writer.written_bytes) == (50, 90)
    assert not writer.dropped.total()


def test_no_thread_runs_before_the_first_capture() -> None:
    before = threading.active_count()
    with captures(threads=4):
        assert threading.active_count() == before


@contextmanager
def blocked(writer: Captures, root: Path) -> Iterator[threading.Event]:
    """The only thread is inside of a capture, until the event or the end."""
    gate, inside = threading.Event(), threading.Event()

    def make() -> tuple[str, bytes]:
        inside.set()
        gate.wait(20)
        return "slow", b"slow"

    assert writer.offer(Capture(HourFolders(root, writer.retention), 4, make))
    assert inside.wait(20)
    try:
        yield gate
    finally:
        gate.set()


@pytest.mark.parametrize("bounds", [{"queue_requests": 3}, {"queue_bytes": 30}])
def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(
    tmp_path: Path, bounds: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    with captures(threads=1, **bounds) as writer, blocked(writer, tmp_path):
        accepted = [writer.offer(kept(writer, tmp_path, content=b"x" * 10)) for _ in range(10)]

    assert accepted == [True] * 3 + [False] * 7
    assert writer.dropped == {"queue_full": 7, "closed": 0}
    assert writer.written == 4
    assert len(caplog.records) == 1  # for seven that were dropped


def test_many_threads_may_offer(tmp_path: Path) -> None:
    with captures(threads=3, queue_requests=10) as writer:

        def offer() -> None:
            for _ in range(200):
                writer.offer(kept(writer, tmp_path))

        callers = [threading.Thread(target=offer) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()

    assert writer.written + writer.dropped["queue_full"] == 800
    assert len(list(tmp_path.rglob("*.pb"))) == writer.written


def test_a_capture_that_cannot_be_made_does_not_end_the_thread(tmp_path: Path) -> None:
    def fail() -> tuple[str, bytes]:
        raise KeyError("no such thing")

    with captures(threads=1) as writer:
        writer.offer(Capture(HourFolders(tmp_path, writer.retention), 1, fail))
        writer.offer(kept(writer, tmp_path))

    assert writer.dropped["failed"] == 1
    assert writer.written == 1


def test_a_capture_larger_than_all_together_may_be_is_dropped(tmp_path: Path) -> None:
    with captures(max_bytes=10) as writer:
        assert not writer.offer(kept(writer, tmp_path, content=b"x" * 11))
        grown = kept(writer, tmp_path, content=b"x" * 11)
        assert writer.offer(Capture(grown.shelf, 1, grown.make))
        assert writer.offer(kept(writer, tmp_path))

    assert writer.dropped["too_large"] == 2
    assert writer.written == 1


def test_a_folder_that_cannot_be_written_costs_a_count_and_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with captures() as writer:
        writer.open([HourFolders(tmp_path / "file", writer.retention)])
        for _ in range(5):
            assert writer.offer(kept(writer, tmp_path / "file" / "log"))
        wait_for(lambda: writer.dropped["disk"] == 5)
        writer.offer(kept(writer, tmp_path / "good"))

    assert writer.written == 1
    (record,) = caplog.records
    assert "their folder cannot be written" in record.message
    assert "Not a directory" in vars(record)["detail"] or "File exists" in vars(record)["detail"]


def test_a_folder_that_vanishes_is_made_again(tmp_path: Path) -> None:
    root = tmp_path / "log"
    with captures() as writer:
        writer.offer(kept(writer, root))
        wait_for(lambda: writer.written == 1)
        for file in root.rglob("*.pb"):
            file.unlink()
        (hour,) = root.iterdir()
        hour.rmdir()
        root.rmdir()
        writer.offer(kept(writer, root))

    assert writer.written == 2
    assert len(list(root.rglob("*.pb"))) == 1


def test_what_waits_is_written_when_the_server_ends_and_nothing_is_taken_after(tmp_path: Path) -> None:
    with captures(threads=1) as writer, blocked(writer, tmp_path):
        for _ in range(5):
            writer.offer(kept(writer, tmp_path))

    assert writer.written == 6
    assert not writer.offer(kept(writer, tmp_path))
    assert writer.dropped["closed"] == 1


def test_the_end_does_not_wait_for_a_disk_that_hangs(tmp_path: Path) -> None:
    writer = Captures(Retention(), threads=1, queue_requests=9, queue_bytes=999)
    with blocked(writer, tmp_path):
        writer.offer(kept(writer, tmp_path))
        writer.close(0.01)

    assert writer.dropped["closed"] == 1


def test_the_end_waits_until_what_a_killed_process_left_is_gone(tmp_path: Path) -> None:
    hours = [tmp_path / f"20261120{hour:02}" for hour in range(24)]
    for hour in hours:
        hour.mkdir()
        for number in range(50):
            (hour / f".{number}.pb.part").touch()

    with captures() as writer:
        writer.open([HourFolders(tmp_path, writer.retention)])

    assert list(tmp_path.rglob("*.part")) == []


def test_gauges_name_every_reason(tmp_path: Path) -> None:
    with captures() as writer:
        gauges = writer.gauges()

    dropped = gauges["recserve_captures_dropped_total"][1]
    assert isinstance(dropped, dict)
    assert {pairs[0][1] for pairs in dropped} == {
        "queue_full",
        "no_folder",
        "too_large",
        "disk",
        "failed",
        "closed",
    }


# --- a process of its own ---

_CHILD = """
import sys, time
from pathlib import Path
from recserve.observe.capture_files import HourFolders
from recserve.observe.captures import Capture, Captures
from recserve.observe.retention import Retention

writer = Captures(Retention(), threads=4, queue_requests=100, queue_bytes=1 << 30)
shelf = HourFolders(Path(sys.argv[1]), writer.retention)
def offer(size):
    return writer.offer(Capture(shelf, size, lambda: ("r", b"x" * size)))
"""
_UNTIL_KILLED = """
print("running", flush=True)
while True:
    if not offer(200_000):
        time.sleep(0.0005)
"""
_ON_A_FULL_DISK = """
for _ in range(20):
    assert offer(40_000)
writer.close(20)
print(writer.written, writer.dropped["disk"], sum(1 for file in Path(sys.argv[1]).rglob("*.part")))
"""
#: 100 kB of disk where a process may mount one, else files of 30 kB at most; either breaks within a write.
_SMALL_DISK = """
mkdir -p "$1" && mount -t tmpfs -o size=100k none "$1" 2>/dev/null || ulimit -f 30
exec "$2" -c "$3" "$1"
"""


def environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_kill_9_leaves_whole_files_and_at_most_what_the_next_start_removes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CHILD + _UNTIL_KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ()) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"running\n"
        wait_for(lambda: sum(1 for _ in tmp_path.rglob("*.pb")) > 20)
        child.send_signal(signal.SIGKILL)

    HourFolders(tmp_path, Retention()).prepare()

    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert all(file.suffix == ".pb" and file.stat().st_size == 200_000 for file in files)


def test_a_full_disk_is_counted_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    arguments = [
        "sh",
        "-c",
        _SMALL_DISK,
        "sh",
        str(tmp_path / "log"),
        sys.executable,
        _CHILD + _ON_A_FULL_DISK,
    ]
    spaces = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*spaces, "true"], capture_output=True, check=False).returncode == 0:
        arguments = [*spaces, *arguments]

    done = subprocess.run(arguments, capture_output=True, text=True, env=environ(), timeout=60, check=True)

    written, failed, unfinished = map(int, done.stdout.split())
    assert written < 20
    assert written + failed == 20
    assert unfinished == 0
    assert done.stderr.count("requests that should be kept are not") == 1
