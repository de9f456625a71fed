"""Opens a port for an ASGI application, with our protocol on every connection."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import uvicorn

from recserve.errors import ConfigError
from recserve.server.protocol import Connection

if TYPE_CHECKING:
    from uvicorn.server import ServerState

#: Connections that the kernel holds while the loop is busy; clients give up on a dial after 100 ms.
_BACKLOG = 4096


async def listen(
    application: Any, host: str, port: int, *, idle_timeout_ms: int, state: ServerState
) -> asyncio.Server:
    """Answer on a port, 0 takes a free one; `state` holds the connections and the headers of every answer.

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
        timeout_keep_alive=math.ceil(idle_timeout_ms / 1000),
    )
    config.load()

    def connect() -> asyncio.Protocol:
        return Connection(config=config, server_state=state, app_state={}, _loop=loop)

    try:
        return await loop.create_server(connect, host, port, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port} ({error}); choose another port") from error


def port_of(listener: asyncio.Server) -> int:
    """The port that it is."""
    port: int = listener.sockets[0].getsockname()[1]
    return port
