"""Which path leads where: a small table, looked through once per request.

    path ──exact, else below a prefix──▶ Route ──method──▶ handler(exchange)
                 │                         └── none: 405, with Allow
                 └── none: 404

Another path is a file that makes routes, and a line in `app.py` that takes them into the table; another door
for scores is a dialect (dialect.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recserve.errors import MethodNotAllowedError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from recserve.server.door import Exchange

    #: Answers one request; whatever it raises is answered by `App._fail`.
    Handler = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path and what it answers."""

    path: str
    methods: Mapping[str, Handler]
    below: bool = False  # so do all paths below it
    token: bool = True  # asked only with a token and when the service is ready; False: by anybody at any time

    def handler(self, method: str) -> Handler:
        """What answers a method. Raises MethodNotAllowedError."""
        found = self.methods.get(method)
        if found is None:
            raise MethodNotAllowedError(
                f"not allowed: {method} on {self.path}; use {' or '.join(self.methods)}"
            )
        return found

    @property
    def allow(self) -> bytes:
        """The value of an `Allow` header."""
        return ", ".join(self.methods).encode()


class Routes:
    """All routes of a port; `home` is what a lost caller is told of."""

    def __init__(self, home: str, routes: Iterable[Route]) -> None:
        self._home = home
        self._exact: dict[str, Route] = {}
        self._below: list[tuple[str, Route]] = []
        for route in routes:
            assert route.path not in self._exact, f"two routes for {route.path}"
            self._exact[route.path] = route
            if route.below:
                self._below.append((f"{route.path}/", route))

    def find(self, path: str) -> Route:
        """The route of a path, as it is without percent-encoding. Raises NotFoundError."""
        route = self._exact.get(path)
        if route is None:
            for prefix, route in self._below:
                if path.startswith(prefix):
                    return route
            raise NotFoundError(f"no such path: {path}; this server answers {self._home}")
        return route
