"""What `Client` and `AsyncClient` share: one service as its callers know it.

values ──request.py──▶ bytes ──packed, signed──▶ HTTP ──▶ Scores | ClientError
                                ▲
                targets.py: where to      retry.py: how often
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

import numpy as np

from recserve.client.errors import ClientError, ServiceError
from recserve.client.retry import Retry, RetryBudget, Tries
from recserve.client.targets import Discovery, Targets, with_scheme
from recserve.errors import RequestError
from recserve.messages import TensorRequest
from recserve.wire.auth import sign
from recserve.wire.compression import COMPRESSORS, deflate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import ArrayLike

T = TypeVar("T")

Scheme = Literal["token", "signature"]  # how Authorization proves the token
PREDICT = "/api/predict/"


class ServiceClient:
    """How one service is reached; `Client` and `AsyncClient` say how it is asked.

    `url`: of the server, or several that serve the same and are taken in turn. Instead of it, `discovery`
    names a server that tells who serves, as clients of the hosted product know it.
    `timeout_s`: for a whole call, all its tries and waits; `connect_timeout_s` for one connection.
    `scheme`: the token itself, or a signature made with it.
    `compression`: of requests; the service has to know it by `metadata.rpc.decompressor`, or to recognise it.
    `ca`: a PEM file with the authorities that a server's certificate may come from; `certificate`: PEM files
    with a certificate of our own and its key.
    """

    def __init__(
        self,
        url: str | Sequence[str] = "",
        name: str = "",
        token: str = "",
        *,
        discovery: str = "",
        timeout_s: float = 5.0,
        connect_timeout_s: float = 1.0,
        scheme: Scheme = "token",
        compression: str = "none",
        retry: Retry | None = None,
        connections: int = 32,
        ca: Path | str = "",
        certificate: tuple[Path | str, Path | str] | None = None,
    ) -> None:
        urls = [url] if isinstance(url, str) else list(url)
        if bool(discovery) == any(urls):
            raise RequestError("where is the service? give one url or more, or else the server of discovery")
        if compression not in ("none", *COMPRESSORS):
            known = ", ".join(("none", *COMPRESSORS))
            raise RequestError(f"unknown compression '{compression}'; known: {known}")
        self._path = PREDICT + quote(name)
        self._token = token
        self._scheme = scheme
        self._compression = compression
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._connections = connections
        self._retry = retry or Retry()
        self._budget = RetryBudget(self._retry.share)
        self._tls = _tls(ca, certificate)
        self._targets = Targets((with_scheme(each), 1) for each in urls if each)
        self._discovery = Discovery(discovery, name, self._targets) if discovery else None
        self.url = f"{with_scheme(urls[0])}{self._path}" if self._discovery is None else self._discovery.url
        self._open()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def _open(self) -> None:
        """Make what keeps connections."""
        raise NotImplementedError

    def _tries(self) -> Tries:
        return Tries(self._retry, self._budget, self._timeout_s)

    def _packed(self, body: bytes) -> bytes:
        return body if self._compression == "none" else deflate(body, self._compression)

    def _headers(self, url: str, body: bytes, request_id: str) -> dict[str, str]:
        """Headers of a request to a URL, with which it proves the token."""
        headers = {"Content-Type": "application/octet-stream"}
        if self._token and self._scheme == "token":
            headers["Authorization"] = self._token
        elif self._token:
            headers |= sign(self._token, urlsplit(url).path, body)
        if request_id:
            headers["X-Request-Id"] = request_id
        return headers

    def _wait_s(self, tries: Tries, server: str, error: ClientError) -> float:
        """Seconds to wait after an error before the next try; raises it if that was the last."""
        self._targets.failed(server, error)
        return tries.wait_s(error, elsewhere=self._targets.others(server))

    def _read(self, read: Callable[[], T]) -> T:
        """What an answer says; ServiceError if it says nothing."""
        try:
            return read()
        except RequestError as error:
            raise ServiceError(
                f"{self.url} answered 200 with what is not a response: {error}", 200
            ) from error


def tensor_request(
    inputs: Mapping[str, ArrayLike] | Sequence[ArrayLike], fetch: Sequence[int], debug_level: int
) -> TensorRequest:
    """Tensors by name, or by position; a list becomes an array of the type that numpy gives it."""
    if isinstance(inputs, Mapping):
        named = {name: _tensor(f"input '{name}'", value) for name, value in inputs.items()}
        return TensorRequest((), named, tuple(fetch), debug_level)
    if isinstance(inputs, np.ndarray):
        raise RequestError("inputs are one array; write [array], or {name: array}")
    arrays = [_tensor(f"input {place}", value) for place, value in enumerate(inputs)]
    return TensorRequest(arrays, {}, tuple(fetch), debug_level)


def _tensor(what: str, value: ArrayLike) -> Any:
    try:
        return np.ascontiguousarray(value).reshape(np.shape(value))  # the former makes (1,) of ()
    except ValueError as error:
        raise RequestError(f"{what} is no tensor: {error}") from error


def _tls(ca: Path | str, certificate: tuple[Path | str, Path | str] | None) -> ssl.SSLContext | None:
    if not ca and certificate is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        if certificate is not None:
            context.load_cert_chain(*certificate)
    except OSError as error:  # ssl's errors are among them
        files = [str(file) for file in (ca, *(certificate or ())) if file]
        raise RequestError(f"{', '.join(files)}: no certificates can be read: {error}") from error
    return context
