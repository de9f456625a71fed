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
from recserve.deploy.gateway import program
from recserve.deploy.gateway.gateway import Gateway
from recserve.deploy.gateway.process import Address, Tls
from recserve.deploy.plane import Plane
from recserve.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recserve.deploy.backends.backend import Backend

log = logging.getLogger("recserve.deploy")

#: Where clients on this machine find out how to reach the control plane.
CONTEXT = "context.json"
_BACKLOG = 1024


def up(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    keep: bool = False,
    gateway: bool = True,
    gateway_port: int | None = None,
    tls: Tls | None = None,
    advertised: str = "",
    backend: Callable[[Callable[[], None]], Backend] | None = None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Run a control plane until SIGTERM or Ctrl-C; `ready` is told its URL.

    `gateway`: with one, if HAProxy is installed; it listens on the port after `port` (0: on a free one).
    `tls` is the gateway's. `advertised` is the address that clients are told, where they cannot use `host`.
    `backend`: where instances run, if not as processes of this machine.
    """
    if gateway_port is None:
        gateway_port = port and min(port + 1, 65_535)
    listener = _listen(host, port)
    outside = advertised or address_of(host)
    url = f"http://{_in_url(outside)}:{listener.getsockname()[1]}"
    haproxy = program.found() if gateway else None
    plane = Plane(
        folder,
        backend or partial(LocalBackend, folder / "instances", host=outside),
        endpoint=url,
        gateway=(
            partial(
                Gateway,
                program=haproxy,
                address=Address(host, gateway_port),
                advertised=outside,
                control=url.removeprefix("http://"),
                tls=tls,
            )
            if haproxy
            else None
        ),
        advice=program.MISSING if gateway and haproxy is None else "",
        elsewhere=backend is not None,
    )
    started = False
    try:
        config = uvicorn.Config(application(plane), log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        # uvicorn catches signals only while it runs: one that comes before ends it all the same, and the one
        # that it raises once more when it has ended leaves us time for our own end.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        plane.start()
        started = True
        _write_context(folder, url)
        ready(url)
        server.run(sockets=[listener])
    finally:
        (folder / CONTEXT).unlink(missing_ok=True)
        plane.close(keep=keep or not started)  # what an earlier one left is not this one's to end


def address_of(host: str) -> str:
    """An address that others can use: of "every address", the one that this machine sends from."""
    families = {"0.0.0.0": (socket.AF_INET, "192.0.2.1"), "::": (socket.AF_INET6, "2001:db8::1")}
    if host not in families:
        return host
    family, elsewhere = families[host]  # an address of documentation: nothing is sent there
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as found:
            found.connect((elsewhere, 9))
            address: str = found.getsockname()[0]
    except OSError as error:
        raise LoadError(
            f"--host {host}: nobody knows under which address others reach this machine ({error.strerror});"
            " say it with --advertise"
        ) from error
    return address


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def tls(certificate: Path | None, key: Path | None) -> Tls | None:
    """Of two files that go together; LoadError if one is not named, or cannot be read."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise LoadError("--tls-certificate and --tls-key go together; name both")
    for path in (certificate, key):
        if not path.is_file():
            raise LoadError(f"{path} does not exist; --tls-certificate and --tls-key name PEM files")
    return Tls(certificate, key)


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # who is told that it is ready may connect, even if it is not asked yet
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
