"""Where a service can be reached: several addresses in turn, and not those that failed just now.

given URLs ──────────────┐
discovery ──every 3 s──▶ Targets ──next──▶ URL ──▶ worked | failed: rests, longer each time
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.client.errors import NotReadyError, ServiceError, UnreachableError
from recserve.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recserve.client.errors import ClientError

#: The first rest of an address that failed; each failure in a row doubles it.
_FIRST_REST_S = 0.5
_LONGEST_REST_S = 30.0

#: Where a server tells who serves; the client package has moved to this path in 0.34.
DISCOVERY_PATH = "/api/v1/servicediscovery/upstreams/"
#: How long an answer of it counts.
DISCOVERY_SECONDS = 3.0


@dataclass(slots=True)
class _Target:
    url: str
    weight: int
    credit: int = 0
    failures: int = 0
    rests_until: float = 0.0


class Targets:
    """Addresses with weights, taken in turn; for any number of threads."""

    def __init__(self, urls: Iterable[tuple[str, int]] = ()) -> None:
        self._targets: list[_Target] = []
        self._lock = threading.Lock()
        self.replace(urls)

    def __len__(self) -> int:
        return len(self._targets)

    def replace(self, urls: Iterable[tuple[str, int]]) -> None:
        """Use these from now on, unless there are none; what is known of an address that stays is kept."""
        given = {url: weight for url, weight in urls if weight > 0}
        if not given:
            return
        with self._lock:
            known = {target.url: target for target in self._targets}
            self._targets = [known.get(url) or _Target(url, weight) for url, weight in given.items()]
            for target in self._targets:
                target.weight = given[target.url]

    def next(self, but: str = "") -> str:
        """Whose turn it is; `but` is taken last, and who rests only when everybody does."""
        now = time.monotonic()
        with self._lock:
            if not self._targets:
                raise UnreachableError("no address of the service is known")
            awake = [target for target in self._targets if target.rests_until <= now]
            others = [target for target in awake or self._targets if target.url != but]
            candidates = others or awake or self._targets
            if not awake:
                candidates = [min(candidates, key=lambda target: target.rests_until)]
            for target in candidates:  # smooth weighted round robin, as nginx does it
                target.credit += target.weight
            chosen = max(candidates, key=lambda target: target.credit)
            chosen.credit -= sum(target.weight for target in candidates)
            return chosen.url

    def others(self, url: str) -> bool:
        """Whether another address is there that does not rest."""
        now = time.monotonic()
        return any(target.url != url and target.rests_until <= now for target in self._targets)

    def worked(self, url: str) -> None:
        """An address has answered."""
        for target in self._targets:
            if target.url == url:
                target.failures, target.rests_until = 0, 0.0

    def failed(self, url: str, error: ClientError) -> None:
        """An address has not; one that cannot be reached, or is not ready, rests."""
        if not isinstance(error, (UnreachableError, NotReadyError)):
            return
        with self._lock:
            for target in self._targets:
                if target.url == url:
                    rest = min(_FIRST_REST_S * 2**target.failures, _LONGEST_REST_S)
                    target.failures = min(target.failures + 1, 16)
                    target.rests_until = time.monotonic() + rest


def with_scheme(url: str) -> str:
    """The address of a server without its last slash; http:// if it says nothing else."""
    url = url.rstrip("/")
    scheme, found, _ = url.partition("://")
    if found and scheme not in ("http", "https"):
        raise RequestError(f"'{url}' is not the URL of a server; write http://host:port")
    return url if found else f"http://{url}"


def discovered(url: str, answer: bytes) -> list[tuple[str, int]]:
    """Addresses and weights of an answer of discovery. Raises ServiceError if it is none."""
    try:
        items: list[dict[str, Any]] = json.loads(answer)["endpoints"]["items"]
        return [(f"http://{item['ip']}:{int(item['port'])}", int(item.get("weight", 1))) for item in items]
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceError(f"{url} answered 200 with what is no list of endpoints: {error!r}", 200) from error


class Discovery:
    """Asks a server who serves, and again when the answer is old; a failure leaves what is known."""

    def __init__(self, server: str, name: str, targets: Targets) -> None:
        self.url = f"{with_scheme(server)}{DISCOVERY_PATH}{name.partition('/')[0]}"
        self._targets = targets
        self._asked_at = -DISCOVERY_SECONDS
        self._asking = False
        self._lock = threading.Lock()

    def due(self) -> bool:
        """Whether to ask now; whoever is told so asks, and nobody else until `asked`."""
        with self._lock:
            if self._asking or time.monotonic() - self._asked_at < DISCOVERY_SECONDS:
                return False
            self._asking = True
            return True

    def asked(self, answer: bytes | None) -> None:
        """Note an answer, or that there was none."""
        try:
            if answer is not None:
                self._targets.replace(discovered(self.url, answer))
        finally:
            with self._lock:
                self._asking = False
                if len(self._targets):
                    self._asked_at = time.monotonic()
