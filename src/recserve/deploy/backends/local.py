"""Instances as processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from recserve.config.environment import process_environ
from recserve.cores import cores
from recserve.deploy.backends.backend import Node, Observed, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from recserve.deploy.backends.backend import Order

_NODE = "local"


@dataclass
class _Running:
    order: Order
    observed: Observed
    process: subprocess.Popen[bytes] | None = None
    stopping: bool = False
    thread: threading.Thread | None = field(default=None)


class LocalBackend:
    """Processes, each with a folder of its own below `folder`."""

    def __init__(
        self, folder: Path, on_change: Callable[[], None] = lambda: None, *, host: str = "127.0.0.1"
    ) -> None:
        self._folder = folder
        self._host = host
        self._on_change = on_change
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}

    def nodes(self) -> list[Node]:
        """This machine."""
        return [Node(_NODE, self._host, cpu=cores())]

    def start(self, order: Order) -> None:
        """See backend.py."""
        with self._lock:
            if order.instance in self._running:
                return
            running = _Running(order, Observed(State.PREPARING, node=_NODE))
            self._running[order.instance] = running
        running.thread = threading.Thread(target=self._run, args=(running,), daemon=True)
        running.thread.start()

    def stop(self, instance: str, grace_s: float) -> None:
        """See backend.py."""
        running = self._running.get(instance)
        if running is None or running.stopping:
            return
        running.stopping = True
        self._see(running, state=State.STOPPING)
        threading.Thread(target=self._end, args=(running, grace_s), daemon=True).start()

    def observe(self) -> Mapping[str, Observed]:
        """See backend.py."""
        with self._lock:
            return {name: running.observed for name, running in self._running.items()}

    def logs(self, instance: str, lines: int) -> list[str]:
        """See backend.py."""
        with contextlib.suppress(OSError):
            return (self._folder / instance / "log").read_text(errors="replace").splitlines()[-lines:]
        return []

    def close(self, *, keep: bool) -> None:
        """See backend.py."""
        if keep:
            return
        for name in list(self._running):
            self.stop(name, 10.0)
        while self._running:
            time.sleep(0.05)

    def _run(self, running: _Running) -> None:
        order = running.order
        root = self._folder / order.instance
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        back_off = 1.0
        while not running.stopping:
            port = order.port or _free_port(self._host)
            chosen = {"port": str(port), "host": self._host, "root": str(root), "python": sys.executable}
            for name, text in order.files.items():
                (root / name).write_text(text)
            command = [_filled(part, chosen) for part in order.command] or ["/bin/sh", "-c", order.script]
            environment = {**process_environ(), **order.environment, "LISTENING_PORT": str(port)}
            with (root / "log").open("ab") as log:
                running.process = subprocess.Popen(
                    command, cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True
                )
            began = time.time()
            self._see(
                running,
                state=State.RUNNING,
                host=self._host,
                port=port,
                pid=running.process.pid,
                started_at=began,
            )
            code = running.process.wait()
            if running.stopping:
                break
            reason = "Completed" if code == 0 else "Error"
            message = " ".join(self.logs(order.instance, 3))[-500:]
            again = State.BACKING_OFF if order.restart else State.EXITED
            self._see(
                running,
                state=again,
                exit_code=code,
                finished_at=time.time(),
                reason=reason,
                message=message,
                restarts=running.observed.restarts + 1,
            )
            if not order.restart:
                return
            time.sleep(back_off)
            back_off = min(60.0, back_off * 2)

    def _end(self, running: _Running, grace_s: float) -> None:
        process = running.process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(grace_s)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if running.thread is not None:
            running.thread.join(1)
        with self._lock:
            self._running.pop(running.order.instance, None)
        self._on_change()

    def _see(self, running: _Running, **changes: object) -> None:
        with self._lock:
            running.observed = replace(running.observed, **changes)  # type: ignore[arg-type]
        self._on_change()


def _filled(text: str, chosen: Mapping[str, str]) -> str:
    for name, value in chosen.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _free_port(host: str) -> int:
    with socket.socket() as found:
        found.bind((host, 0))
        port: int = found.getsockname()[1]
        return port
