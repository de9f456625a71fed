"""A control plane as a process of its own, its commands, and traffic on what it has deployed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

import psutil
import urllib3
from tests.end_to_end.conftest import eas_python

from recserve.client.targets import DISCOVERY_PATH, Targets, discovered
from recserve.deploy.client import ControlClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PATIENCE_S = 180.0
_EAS_TRAFFIC = "eas_traffic.py"


@dataclass(frozen=True)
class Deployed:
    """A control plane that runs, and how it is asked."""

    home: Path
    process: subprocess.Popen[str]
    client: ControlClient = field(repr=False)

    def recserve(self, *arguments: str, status: int = 0) -> str:
        """What a command prints to stdout; it has to end with the status."""
        done = subprocess.run(
            [sys.executable, "-m", "recserve", *arguments],
            capture_output=True,
            text=True,
            env=_environ(self.home),
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == status, f"recserve {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    @property
    def gateway(self) -> str:
        """Where requests are sent that do not follow discovery."""
        endpoint = str(self.client.services()[0]["InternetEndpoint"])
        assert not endpoint.startswith(self.client.url), "there is no gateway: HAProxy is missing"
        return endpoint.partition("/api/")[0]

    def instances(self, service: str) -> list[dict[str, Any]]:
        """Those that are not gone."""
        found: list[dict[str, Any]] = self.client.get(service, "instances")["Instances"]
        return found

    def wait(self, service: str, is_there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for a service until it is as expected."""
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            found = self.client.service(service)
            if is_there(found):
                return found
            assert time.monotonic() < give_up_at, f"{service} stays {found}"
            time.sleep(0.05)

    def kill_one(self, service: str) -> None:
        """End the process of a ready instance as the system does when memory is short; wait for it again."""
        before = self._became_ready(service)
        ready = next(one for one in self.instances(service) if one["Status"] == "Ready")
        name = str(ready["InstanceName"])
        found = [
            process for process in _processes_of(self.home) if f"/{name}/" in " ".join(process.cmdline())
        ]
        assert found, f"{name} has no process"
        for process in found:
            process.kill()
        self.wait(service, lambda seen: seen["Status"] == "Running" and self._became_ready(service) > before)

    def _became_ready(self, service: str) -> int:
        """How often an instance has."""
        events = self.client.get(service, "events")["Events"]
        return sum(event["Reason"] == "InstanceReady" for event in events)

    def answered(self, *services: str) -> dict[str, int]:
        """How many predictions the instances of each service have answered so far."""
        return {
            service: sum(
                _predictions(f"http://{one['InnerIP']}:{one['InstancePort']}")
                for one in self.instances(service)
            )
            for service in services
        }


@dataclass(frozen=True, slots=True)
class Told:
    """What came of traffic since it was last asked."""

    requests: int
    failures: list[str]
    known: int | None  # instances that requests go to now; None: the gateway knows


class Traffic(Protocol):
    """Requests without an end."""

    def since(self) -> Told:
        """What came of them since the last time."""
        ...


@contextmanager
def control_plane(home: Path, *options: str) -> Iterator[Deployed]:
    """Run `recserve up`; in the end nothing that it has started is left."""
    home.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "recserve", "up", "--port", "0", "--state", str(home), *options],
        stdout=subprocess.DEVNULL,
        stderr=None,
        text=True,
        env=_environ(home),
    )
    try:
        give_up_at = time.monotonic() + PATIENCE_S
        while not _is_up(home, process.pid):
            assert process.poll() is None, f"recserve up has ended with {process.returncode}"
            assert time.monotonic() < give_up_at, "recserve up is not ready"
            time.sleep(0.02)
        yield Deployed(home, process, ControlClient.found(context=home))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert _processes_of(home) == []
    finally:
        process.kill()
        process.wait()
        for left in _processes_of(home):
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()


class PostedTraffic(ABC):
    """Threads that post bytes."""

    def __init__(self, service: str, token: str, body: bytes, *, threads: int, pause_s: float) -> None:
        self._path = f"/api/predict/{service}"
        self._token = token
        self._body = body
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._requests = 0
        self._failures: list[str] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def since(self) -> Told:
        """See Traffic."""
        with self._lock:
            told = Told(self._requests, self._failures, self._known())
            self._requests, self._failures = 0, []
        return told

    def _send(self) -> None:
        pool = urllib3.PoolManager(retries=False, timeout=10.0)
        while not self._done.wait(self._pause_s):
            failure = self._ask(pool)
            with self._lock:
                self._requests += 1
                self._failures += [failure] * bool(failure)

    def _post(self, pool: urllib3.PoolManager, server: str) -> str:
        """Send a request; why it failed, "" if it did not. Raises HTTPError where nobody answers."""
        answer = pool.request(
            "POST", server + self._path, body=self._body, headers={"Authorization": self._token}
        )
        return "" if answer.status == 200 else f"{server}: {answer.status} {answer.data[:200]!r}"

    @abstractmethod
    def _known(self) -> int | None: ...

    @abstractmethod
    def _ask(self, pool: urllib3.PoolManager) -> str: ...


class GatewayTraffic(PostedTraffic):
    """Requests through the gateway, none of them tried again."""

    def __init__(
        self, server: str, service: str, token: str, body: bytes, *, threads: int = 1, pause_s: float = 0.02
    ) -> None:
        super().__init__(service, token, body, threads=threads, pause_s=pause_s)
        self._server = server

    def _known(self) -> int | None:
        return None

    def _ask(self, pool: urllib3.PoolManager) -> str:
        try:
            return self._post(pool, self._server)
        except urllib3.exceptions.HTTPError as error:
            return repr(error)


class RawTraffic(PostedTraffic):
    """Requests to who discovery tells; a connection that breaks is tried at another instance."""

    def __init__(
        self, server: str, service: str, token: str, body: bytes, *, threads: int = 2, pause_s: float = 0.02
    ) -> None:
        super().__init__(service, token, body, threads=threads, pause_s=pause_s)
        self._discovery = f"{server}{DISCOVERY_PATH}{service}"
        self._targets = Targets()
        self._threads.append(threading.Thread(target=self._follow))
        self._ask_who_serves(urllib3.PoolManager(retries=False))

    def _known(self) -> int | None:
        return len(self._targets)

    def _follow(self) -> None:
        pool = urllib3.PoolManager(retries=False)
        while not self._done.wait(1.0):
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                self._ask_who_serves(pool)

    def _ask_who_serves(self, pool: urllib3.PoolManager) -> None:
        answer = pool.request("GET", self._discovery)
        if answer.status == 200:
            self._targets.replace(discovered(self._discovery, answer.data))

    def _ask(self, pool: urllib3.PoolManager) -> str:
        server, why = "", ""
        for _ in range(3):
            server = self._targets.next(but=server)
            try:
                return self._post(pool, server)
            except urllib3.exceptions.HTTPError as error:
                why = f"{server}: {error!r}"
        return why


class EasTraffic:
    """The unmodified EAS client in mode DIRECT, in a process of its own."""

    def __init__(
        self, url: str, service: str, token: str, calls: Sequence[Sequence[Any]], *, pause_s: float = 0.02
    ) -> None:
        self._process = _eas(url, service, token, calls, pause_s=pause_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def since(self) -> Told:
        """See Traffic."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the EAS client ended; its message is above"
        return Told(**json.loads(line))


def ask_with_eas(url: str, service: str, token: str, calls: Sequence[Sequence[Any]], count: int) -> Told:
    """Send so many requests as fast as the EAS client does."""
    with _eas(url, service, token, calls, count=count) as process:
        return Told(**json.loads(process.communicate(timeout=PATIENCE_S)[0]))


def settle(*traffic: Traffic, known: int, least: int = 20) -> Told:
    """Let every kind of traffic go on until it knows so many instances, and has asked them; what came of all.

    A client that has not heard of a second instance yet has nobody to turn to when the first is killed.
    """
    requests, failures = 0, list[str]()
    for one in traffic:
        give_up_at = time.monotonic() + PATIENCE_S
        told = one.since()
        requests, failures, since = requests + told.requests, failures + told.failures, 0
        while since < least or told.known not in (None, known):
            assert time.monotonic() < give_up_at, f"{type(one).__name__} stays {told}"
            time.sleep(0.05)
            told = one.since()
            since = since + told.requests if told.known in (None, known) else 0
            requests, failures = requests + told.requests, failures + told.failures
    return Told(requests, failures, known)


def _eas(
    url: str,
    service: str,
    token: str,
    calls: Sequence[Sequence[Any]],
    *,
    pause_s: float = 0.0,
    count: int = 0,
) -> subprocess.Popen[str]:
    script = __file__.replace("deployed.py", _EAS_TRAFFIC)
    values = (url, service, token, json.dumps(calls), str(pause_s), str(count))
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ["PYTHONWARNINGS"] = "ignore::FutureWarning"  # of urllib3, for each URL of the client
    return subprocess.Popen(
        [str(eas_python()), script, *values],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
    )


def _environ(home: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RECSERVE_HOME": str(home)}


def _is_up(home: Path, pid: int) -> bool:
    try:
        return bool(json.loads((home / "context.json").read_text())["pid"] == pid)
    except (OSError, ValueError):
        return False


def _processes_of(home: Path) -> list[psutil.Process]:
    """Instances of a control plane: they have its folder in their command lines."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"{home}/instances/" in " ".join(process.info["cmdline"] or ())
        and process.status() != psutil.STATUS_ZOMBIE
    ]


def _predictions(server: str) -> int:
    text = urllib3.request("GET", f"{server}/metrics").data.decode()
    found = re.findall(r'^recserve_requests_total\{door="predict",status="200"\} (\S+)', text, re.MULTILINE)
    return sum(int(float(number)) for number in found)
