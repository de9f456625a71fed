"""Opens ports for ASGI applications, with our protocol on every connection, and closes them in order."""

from __future__ import annotations

import asyncio
import math
from email.utils import formatdate
from time import monotonic
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.server import ServerState

from recserve.errors import ConfigError
from recserve.server.protocol import Connection

if TYPE_CHECKING:
    from recserve.config.rpc import Rpc
    from recserve.server.tls import Tls

#: Connections that the kernel holds while the loop is busy; clients give up on a dial after 100 ms.
_BACKLOG = 4096

#: How long a client may take to agree on TLS.
_HANDSHAKE_SECONDS = 10.0


class Listener:
    """The ports of one process and the connections that came through them; lives on the event loop."""

    def __init__(self, host: str, rpc: Rpc, tls: Tls | None) -> None:
        self._host = host
        self._rpc = rpc
        self._tls = tls
        self._state = ServerState()
        self._ports: list[asyncio.Server] = []

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._state.connections)

    async def listen(self, application: Any, port: int) -> int:
        """Answer on a port, 0 takes a free one; returns the port that it is.

        Raises ConfigError when the port cannot be had.
        """
        loop = asyncio.get_running_loop()
        config = uvicorn.Config(
            application,
            interface="asgi3",
            http=Connection,
            ws="none",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            timeout_keep_alive=math.ceil(self._rpc.idle_timeout_ms / 1000),
        )
        config.load()

        def connect() -> asyncio.Protocol:
            return Connection(config=config, server_state=self._state, app_state={}, _loop=loop)

        secured: dict[str, Any] = {}
        if self._tls is not None:
            secured = {"ssl": self._tls.context, "ssl_handshake_timeout": _HANDSHAKE_SECONDS}
        try:
            opened = await loop.create_server(connect, self._host, port, backlog=_BACKLOG, **secured)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self._host}:{port} ({error}); choose another port"
            ) from error
        self._ports.append(opened)
        taken: int = opened.sockets[0].getsockname()[1]
        return taken

    def tell_time(self) -> None:
        """Renew the Date header of every answer; called at the start and every second."""
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]

    async def close(self) -> None:
        """Take no connection any more; close idle ones now, the others after their answer.

        Those that take longer than a request may take are cut.
        """
        for port in self._ports:
            port.close()
        connections = self._state.connections
        for connection in list(connections):
            connection.shutdown()
        give_up_at = monotonic() + self._rpc.keepalive_ms / 1000 + 1.0
        while connections and monotonic() < give_up_at:
            await asyncio.sleep(0.02)
        for connection in list(connections):
            connection.transport.abort()
