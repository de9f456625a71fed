"""A running server for a test: `recserve serve` as a process of its own, on a free port.

with recserve.testing.serve("exported/bundle", {"name": "rank", "token": "t"}) as server:
    answer = urllib3.request("POST", server.url, body=…, headers={"Authorization": server.token})
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.config import service
from recserve.config.environment import process_environ
from recserve.config.items import FeatureStoreSettings
from recserve.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What `recserve serve` prints before its URLs when it is ready; that of the service comes last.
_READY = "is ready at "
_TAKES_ITEMS = "takes items at "


@dataclass
class RunningServer:
    """A server process that is ready."""

    url: str  # where predictions are posted
    name: str
    token: str  # the first one; empty if everybody may ask
    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)  # lines that it has written to stderr
    admin_url: str = ""  # where items are looked at and changed, if there is an admin port

    @property
    def base_url(self) -> str:
        """Scheme, host and port, for `Client` and for /metrics."""
        return self.url.partition("/api/")[0]

    @property
    def pid(self) -> int:
        """The process, for signals and memory."""
        return self.process.pid

    def stop(self, seconds: float = 30.0) -> int:
        """Ask it to drain and wait until it has ended; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextmanager
def serve(
    bundle_path: Path | str,
    spec: Path | str | Mapping[str, Any] | None = None,
    *,
    seconds: float = 300.0,
) -> Iterator[RunningServer]:
    """Serve a bundle with a service file, or its content as a dict; gives the server when it is ready.

    Raises LoadError with the server's own words if it ends before it is ready or takes longer than `seconds`.
    """
    with tempfile.TemporaryDirectory(prefix="recserve-") as folder:
        config = spec if isinstance(spec, (str, Path)) or spec is None else _write(spec, Path(folder))
        arguments = ["serve", str(bundle_path), "--port", "0"]
        if config is not None:
            arguments += ["--config", str(config)]
        process = subprocess.Popen(
            [sys.executable, "-m", "recserve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**process_environ(), "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with process:  # closes the pipes in the end
            try:
                yield _when_ready(process, service.load(config), seconds)
            finally:
                process.kill()


def _write(spec: Mapping[str, Any], folder: Path) -> Path:
    """The dict as a service file; its paths are relative to the working directory, as in `service.load`."""
    document = json.loads(json.dumps(spec))
    model_config = document.get("model_config", {})
    tables = model_config.get("tables", []) if model_config.get("remote_type") == "file" else []
    for table in [tables] if isinstance(tables, dict) else tables:
        table["name"] = _absolute(table["name"])
    for key in ("item_snapshot", "fs_registry", "request_log_path", "warmup_data_path"):
        if key in model_config:
            model_config[key] = _absolute(model_config[key])
    if "warm_up_data_path" in document:
        paths = document["warm_up_data_path"]
        document["warm_up_data_path"] = [
            _absolute(p) for p in (paths if isinstance(paths, list) else [paths])
        ]
    if "fs_project" in model_config:
        model_config.setdefault("fs_registry", _absolute(FeatureStoreSettings().registry))
    path = folder / "service.json"
    path.write_text(json.dumps(document))
    return path


def _absolute(name: str) -> str:
    return name if "://" in name else str(Path(name).absolute())


def _when_ready(process: subprocess.Popen[str], spec: service.ServiceSpec, seconds: float) -> RunningServer:
    server = RunningServer("", spec.name, spec.tokens[0] if spec.tokens else "", process)
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        threading.Thread(target=server.log.extend, args=(process.stderr,), daemon=True),
        threading.Thread(target=_find_url, args=(server, process.stdout), daemon=True),
    ]
    for reader in readers:
        reader.start()
    deadline = time.monotonic() + seconds
    while not server.url:
        if process.poll() is not None:
            for reader in readers:
                reader.join(5)
            raise LoadError(
                f"the server ended with status {process.returncode}: {''.join(server.log)[-2000:]}"
            )
        if time.monotonic() > deadline:
            raise LoadError(f"the server was not ready after {seconds:g} s: {''.join(server.log)[-2000:]}")
        time.sleep(0.01)
    return server


def _find_url(server: RunningServer, lines: Iterator[str]) -> None:
    """Read until the end, so that the pipe never fills."""
    for line in lines:
        if _TAKES_ITEMS in line:
            server.admin_url = line.partition(_TAKES_ITEMS)[2].strip()
        if _READY in line:
            server.url = line.partition(_READY)[2].strip()
