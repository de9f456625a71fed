"""`recserve up`: the control plane as a process."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from recserve.deploy.api.app import application
from recserve.deploy.backends.local import LocalBackend
from recserve.deploy.plane import Plane
from recserve.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger("recserve.deploy")

#: Where clients on this machine find out how to reach the control plane.
CONTEXT = "context.json"


def up(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    keep: bool = False,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Run a control plane until SIGTERM or Ctrl-C; `ready` is told its URL."""
    listener = _listen(host, port)
    url = f"http://{host}:{listener.getsockname()[1]}"
    backend = partial(LocalBackend, folder / "instances", host=host)
    plane = Plane(folder, backend, endpoint=url)
    try:
        plane.start()
        _write_context(folder, url)
        config = uvicorn.Config(application(plane), log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        # uvicorn raises what it has caught once more when it has ended; by then there is our own end to do.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        ready(url)
        server.run(sockets=[listener])
    finally:
        (folder / CONTEXT).unlink(missing_ok=True)
        plane.close(keep=keep)


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # whoever reads the context at once is answered a moment later, not refused
    except OSError as error:
        listener.close()
        raise LoadError(
            f"{host}:{port} cannot be listened on: {error.strerror}; choose another --port"
        ) from error
    return listener


def _write_context(folder: Path, url: str) -> None:
    path = folder / CONTEXT
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"url": url, "pid": os.getpid()}, file)
    new.replace(path)
