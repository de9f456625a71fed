"""The control plane's HTTP: who may ask, what becomes of errors, and which paths there are."""

from __future__ import annotations

import hmac
import logging
import sqlite3
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from recserve.deploy.api.groups import Groups
from recserve.deploy.api.instances import Instances
from recserve.deploy.api.openapi import description
from recserve.deploy.api.operation import answer
from recserve.deploy.api.services import Services
from recserve.deploy.api.settings import Settings
from recserve.deploy.api.upstreams import upstreams
from recserve.errors import RecserveError, UnauthorizedError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from recserve.deploy.api.operation import Operation
    from recserve.deploy.plane import Plane

log = logging.getLogger("recserve.deploy")

OPENAPI = "/api/v2/openapi.json"
_PARTS = (Services, Settings, Instances, Groups)


class Guarded:
    """Lets only those in who have the control plane's token."""

    def __init__(self, app: Any, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"].startswith("/api/v2") and scope["path"] != OPENAPI:
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
    every = operations(plane)
    routes = [
        *(operation.route() for operation in every),
        *upstreams(plane),
        Route(OPENAPI, _described(description(every, plane.endpoint))),
        Route("/healthz", _healthy),
    ]
    handlers: dict[Any, Any] = {
        RecserveError: lambda _request, error: _failure(error),
        HTTPException: _no_route,
        sqlite3.OperationalError: _not_kept,
    }
    return Guarded(Starlette(routes=routes, exception_handlers=handlers), plane.token)


def _described(values: dict[str, Any]) -> Any:
    async def endpoint(_request: Request) -> Response:
        return JSONResponse(values)

    return endpoint


def operations(plane: Plane) -> list[Operation]:
    """Everything that the API can be asked."""
    return [one for part in _PARTS for one in part(plane).operations()]


async def _healthy(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _failure(error: RecserveError) -> Response:
    code = type(error).__name__.removesuffix("Error")
    return answer({"Code": code, "Message": str(error)}, error.status)


def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "MethodNotAllowed" if error.status_code == 405 else "NotFound"
    message = f"{request.method} {request.url.path}: {error.detail}; /api/v2/openapi.json lists what there is"
    return answer({"Code": code, "Message": message}, error.status_code)


def _not_kept(_request: Request, error: Exception) -> Response:
    log.error("the state cannot be written: %s", error)
    return answer(
        {"Code": "NotKept", "Message": f"nothing was changed: the state cannot be written: {error}"}, 507
    )
