"""One HTTP request to a service, wherever it is: at one address, or at whichever instance has its turn.

data ──serializer──▶ body ──Transport──▶ RawResponse ──serializer──▶ result
                               │  address: the gateway, or one process
                               └─ discovery: instances by weight; one that is not there is left for the next
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import urllib3

from recserve.client.errors import NotReadyError, UnreachableError
from recserve.client.targets import Discovery, Targets
from recserve.sdk.exception import PredictionException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.sdk.serializers import SerializerBase

#: An answer is waited for so long unless a call says otherwise; ours: the original waits for ever.
TIMEOUT_S = 60.0
_CONNECT_S = 3.0
_CONNECTIONS = 64
#: Instances that are tried for one request.
_TRIES = 3


@dataclass(frozen=True)
class RawResponse:
    """What a service answered, whatever it was."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The content, read as JSON."""
        return json.loads(self.content)


class Transport:
    """Sends requests below `address`, or (`discovery`) below `prefix` of the instances that serve `name`."""

    def __init__(
        self, address: str = "", *, discovery: str = "", name: str = "", prefix: str = "", ca: str = ""
    ) -> None:
        """`ca`: a PEM file with who may have signed the certificate of an https:// address; the system's."""
        self._pool = urllib3.PoolManager(
            maxsize=_CONNECTIONS, num_pools=_CONNECTIONS, retries=False, ca_certs=ca or None
        )
        self._prefix = prefix.rstrip("/")
        self._targets = Targets([(address.rstrip("/"), 1)] if address else ())
        self._discovery = Discovery(discovery, name, self._targets) if discovery else None
        self._first = threading.Lock()

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()

    def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float
    ) -> RawResponse:
        """Ask; again if a connection breaks off, and at another instance if one cannot be reached or drains.

        So an app may be asked twice for one request when its instance is killed, as at the gateway.
        """
        server = ""
        for tries_left in reversed(range(_TRIES)):
            self._look_up()
            if not len(self._targets):
                raise PredictionException(503, "no healthy upstream")
            server = self._targets.next(but=server)
            url = f"{server}{self._prefix}{path}"
            limits = urllib3.Timeout(connect=min(_CONNECT_S, timeout_s), read=timeout_s)
            try:
                answer = self._pool.request(
                    method, url, body=body, headers=dict(headers), timeout=limits, redirect=False
                )
            except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ProtocolError) as error:
                self._failed(server, UnreachableError(str(error)))
                # At one address, only a kept connection that broke is worth another try.
                broke = isinstance(error, urllib3.exceptions.ProtocolError)
                if not tries_left or not (self._discovery or broke):
                    raise PredictionException(0, f"{url} cannot be reached: {error}") from error
            except urllib3.exceptions.TimeoutError as error:
                raise PredictionException(0, f"{url} did not answer in {timeout_s:g} s") from error
            except urllib3.exceptions.HTTPError as error:
                raise PredictionException(0, f"{url}: {error}") from error
            else:
                drains = answer.status == 503 and self._targets.others(server)
                if not (drains and tries_left):
                    return RawResponse(answer.status, answer.headers, answer.data)
                self._failed(server, NotReadyError("it drains"))
        raise AssertionError("the last try returns or raises")

    def _failed(self, server: str, error: UnreachableError | NotReadyError) -> None:
        """It rests; the next look into discovery may say that it is gone."""
        if self._discovery is not None:
            self._targets.failed(server, error)

    def _look_up(self) -> None:
        """Every 3 seconds; whoever comes while nobody is known waits for the first answer."""
        if self._discovery is None:
            return
        if len(self._targets):
            if self._discovery.due():
                self._discover(self._discovery)
            return
        with self._first:
            if not len(self._targets) and self._discovery.due():
                self._discover(self._discovery)

    def _discover(self, discovery: Discovery) -> None:
        answer = None
        try:
            found = self._pool.request("GET", discovery.url, timeout=_CONNECT_S)
            answer = found.data if found.status == 200 else None
        except urllib3.exceptions.HTTPError:
            pass  # what is known of instances is used on
        finally:
            discovery.asked(answer)


class Asking(ABC):
    """What all predictors share. Subclasses say how a service is reached, and what its data become."""

    @abstractmethod
    def _transport(self) -> Transport: ...

    @abstractmethod
    def _serializer(self) -> SerializerBase: ...

    def _headers(self) -> dict[str, str]:
        return {"User-Agent": "recserve-sdk"}

    def _predicted(self, data: Any) -> Any:
        serializer = self._serializer()
        answer = self._answered(serializer.serialize(data))
        if not 200 <= answer.status_code < 300:
            raise PredictionException(answer.status_code, answer.content.decode(errors="replace")[:2000])
        return serializer.deserialize(answer.content)

    def _answered(
        self,
        data: Any = None,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        timeout: float | None = None,
        params: Mapping[str, str] | None = None,
    ) -> RawResponse:
        sent = {**self._headers(), **(headers or {})}
        if hasattr(data, "read"):
            data = data.read()
        if isinstance(data, str):
            data = data.encode()
        elif data is not None and not isinstance(data, bytes):
            data = json.dumps(data).encode()
            sent.setdefault("Content-Type", "application/json")
        below = f"/{path.lstrip('/')}" if path else ""
        query = f"?{urlencode(params)}" if params else ""
        return self._transport().send(method, below + query, data, sent, timeout or TIMEOUT_S)


class Synchronous(Asking):
    """Asks, and waits for the answer."""

    def predict(self, data: Any) -> Any:
        """Send data and read the answer; PredictionException for anything but a 2xx."""
        return self._predicted(data)

    def raw_predict(
        self,
        data: Any = None,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        timeout: float | None = None,
        *,
        params: Mapping[str, str] | None = None,
    ) -> RawResponse:
        """Send a request as it is: bytes, text and files as the body, anything else as JSON.

        `path` goes behind the service's own, `params` become a query. Ours: 60 seconds are waited without
        `timeout`.
        """
        return self._answered(data, path, headers, method, timeout, params)
