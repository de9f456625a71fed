"""The control plane's HTTP: who may ask, what becomes of errors, and which paths there are."""

from __future__ import annotations

import hmac
import logging
import sqlite3
import uuid
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from recserve.deploy.api.services import Services
from recserve.deploy.api.upstreams import upstreams
from recserve.errors import RecserveError, UnauthorizedError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from recserve.deploy.plane import Plane

log = logging.getLogger("recserve.deploy")

#: Larger documents are not read.
MAX_BODY_BYTES = 4 * 2**20


class Guarded:
    """Lets only those in who have the control plane's token."""

    def __init__(self, app: Any, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"].startswith("/api/v2"):
            given = dict(scope["headers"]).get(b"authorization", b"").removeprefix(b"Bearer ")
            if not hmac.compare_digest(given, self._token):
                wrong = "wrong" if given else "missing"
                error = UnauthorizedError(
                    f"the control plane's token is {wrong}; `recserve up` printed where it is kept"
                )
                await _failure(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def application(plane: Plane) -> Any:
    """The ASGI application of a control plane."""
    services = Services(plane)
    routes = [
        *services.routes(),
        *upstreams(plane),
        Route("/healthz", _healthy),
    ]
    handlers: dict[Any, Any] = {
        RecserveError: lambda _request, error: _failure(error),
        HTTPException: lambda _request, error: _answer(
            error.status_code, {"Code": "NotFound", "Message": error.detail}
        ),
        sqlite3.OperationalError: _not_kept,
    }
    return Guarded(Starlette(routes=routes, exception_handlers=handlers), plane.token)


async def _healthy(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _failure(error: RecserveError) -> Response:
    code = type(error).__name__.removesuffix("Error")
    return _answer(error.status, {"Code": code, "Message": str(error)})


def _not_kept(_request: Request, error: Exception) -> Response:
    log.error("the state cannot be written: %s", error)
    return _answer(
        507, {"Code": "NotKept", "Message": f"nothing was changed: the state cannot be written: {error}"}
    )


def _answer(status: int, body: dict[str, Any]) -> Response:
    return JSONResponse({"RequestId": str(uuid.uuid4()).upper(), **body}, status)
