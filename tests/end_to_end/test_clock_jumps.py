"""The wall clock of a machine jumps by days, both ways, and no request notices."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest
import urllib3
from tests.processors.conftest import service_of, write_bundle

from recserve.client.request import build_request
from recserve.testing import serve
from recserve.wire.torchrec import decode_response, encode_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recserve.testing import RunningServer

#: Adds the seconds that a file holds to the wall clock of a process; the monotonic clock stays what it is.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile int64_t* offset;

__attribute__((constructor)) static void find_offset(void) {
  int file = open(getenv("CLOCK_OFFSET"), O_RDONLY);
  offset = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
}

int clock_gettime(clockid_t id, struct timespec* now) {
  static int (*real)(clockid_t, struct timespec*);
  if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, now);
  if (id == CLOCK_REALTIME && offset) now->tv_sec += *offset;
  return result;
}

time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval* now, void* zone) {
  struct timespec fine;
  clock_gettime(CLOCK_REALTIME, &fine);
  now->tv_sec = fine.tv_sec;
  now->tv_usec = fine.tv_nsec / 1000;
  return 0;
}
"""
DAY = 86_400
BODY = encode_request(build_request(user={"taste": 3}, item_ids=["i1", "i2"], debug_level=100))


class Clock:
    """The wall clock of the server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jump_to(0)

    def jump_to(self, seconds: int) -> None:
        """Let it be so far from the machine's."""
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shim")
    (folder / "clock.c").write_text(SHIM)
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "the native core was built with a compiler"
    command = [compiler, "-shared", "-fPIC", "-o", str(folder / "clock.so"), str(folder / "clock.c"), "-ldl"]
    subprocess.run(command, check=True)
    return folder / "clock.so"


@pytest.fixture
def jumping(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[RunningServer, Clock, Path]]:
    clock = Clock(tmp_path / "offset")
    bundle, captures = write_bundle(tmp_path), tmp_path / "captures"
    captures.mkdir()
    document = service_of(request_log_path=str(captures), capture_max_age=0)
    document["model_config"]["tables"][0]["name"] = str(tmp_path / "items.parquet")
    document["metadata"]["rpc"].update(keepalive=2000, rate_limit=1000)
    with monkeypatch.context() as environ:
        environ.setenv("LD_PRELOAD", str(shim))
        environ.setenv("CLOCK_OFFSET", str(clock.path))
        with serve(bundle, document) as server:
            yield server, clock, captures


def test_requests_go_on_whatever_the_wall_clock_does(jumping: tuple[RunningServer, Clock, Path]) -> None:
    server, clock, captures = jumping
    with urllib3.PoolManager(maxsize=1, retries=False) as http:
        scores, days = [], []
        for jump in (0, 2 * DAY, -3 * DAY, 400 * DAY, 0):
            clock.jump_to(jump)
            wait_for_date(http, server, jump)
            answer = http.request("POST", server.url, body=BODY, headers={"Authorization": "token"})
            assert answer.status == 200, answer.data
            scores.append(decode_response(answer.data).outputs["score"].tolist())
            days.append(date_of(answer))
            # It is written beside the answers, into the folder of the hour that it is then.
            wait_until(lambda: len(list(captures.rglob("*.pb"))) == len(days))
        assert http.connection_from_url(server.url).num_connections == 1  # none was closed as idle

    assert all(score == scores[0] for score in scores)
    assert [round((day - days[0]) / DAY) for day in days] == [0, 2, -3, 400, 0]
    assert len({path.parent.name for path in captures.rglob("*.pb")}) >= 4
    assert server.stop() == 0


def wait_for_date(http: urllib3.PoolManager, server: RunningServer, jump: int) -> None:
    """The Date header is told anew once per second."""

    def has_jumped() -> bool:
        answer = http.request("GET", server.base_url + "/healthz")
        return abs(date_of(answer) - time.time() - jump) < 60

    wait_until(has_jumped)


def date_of(answer: urllib3.BaseHTTPResponse) -> float:
    return parsedate_to_datetime(answer.headers["Date"]).timestamp()


def wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)
