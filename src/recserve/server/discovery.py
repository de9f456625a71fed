"""Who serves: `{"endpoints": {"items": [{"app", "ip", "port", "weight"}]}}`, for clients in mode DIRECT.

| path, then /<service>                                    | asked by                                       |
|----------------------------------------------------------|------------------------------------------------|
| `/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams`     | Java, Go, pairec; Python up to 0.33            |
| `/api/v1/servicediscovery/upstreams`                     | Python from 0.34 on, and our own client        |

Without a token, as these clients ask, every second to every third; the query (`?internal=`) says nothing to
us.

One process knows one endpoint, itself: at the address that the client reached, or at `rpc.advertised_address`
where that is another one outside (a container's published port, a translated address).

Ours: while it loads, warms or drains a process answers 503 here and never an empty list. At an answer other
than 200 every client keeps the list that it has, and one that has none yet waits for it; of an empty list
Python and Go make errors at once, for requests that a draining server would still have answered. A client
that began with us thus stays until it finds the port closed, and asks on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from recserve.errors import UnavailableError
from recserve.server.operators import JSON
from recserve.server.routes import Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.config.service import ServiceSpec
    from recserve.server.door import Door, Exchange
    from recserve.server.lifecycle import Lifecycle

PATHS = ("/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams", "/api/v1/servicediscovery/upstreams")


class Discovery:
    """Tells clients where this process can be reached."""

    def __init__(self, spec: ServiceSpec, door: Door, lifecycle: Lifecycle) -> None:
        self._name = spec.name
        self._advertised = spec.rpc.advertised
        self._door = door
        self._lifecycle = lifecycle

    def routes(self) -> Iterator[Route]:
        """See routes.py; a service's name may have a path behind it, as in the URL of a prediction."""
        for path in PATHS:
            yield Route(f"{path}/{self._name}", {"GET": self._tell}, below=True, token=False)

    async def _tell(self, exchange: Exchange) -> None:
        if not self._lifecycle.ready:
            raise UnavailableError("no healthy upstream")  # the words that clients wait for
        ip, port = self._advertised or exchange.scope["server"]
        body = endpoints(self._name, ip, port)
        await self._door.answer(exchange, 200, body, [(b"content-type", JSON)])


def endpoints(name: str, ip: str, port: int) -> bytes:
    """The list of one endpoint. Clients write `ip:port`, so an address of IPv6 needs its brackets."""
    ip = ip.removeprefix("::ffff:")  # IPv4 on a socket for both
    ip = f"[{ip.strip('[]')}]" if ":" in ip else ip
    item = {"app": name, "ip": ip, "port": port, "weight": 100}
    return json.dumps({"endpoints": {"items": [item]}}).encode()
