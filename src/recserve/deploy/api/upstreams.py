"""Discovery, at both paths that clients in mode DIRECT ask; without a token, as they do. See routing.py.

Ours: a service that nobody is ready of is 503 `no healthy upstream`, never an empty list, of which some
clients make errors at once: at another status than 200 they keep the list that they have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from recserve.deploy.routing import discovered, endpoints
from recserve.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from starlette.requests import Request

    from recserve.deploy.plane import Plane

PATHS = ("/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams", "/api/v1/servicediscovery/upstreams")


def upstreams(plane: Plane) -> list[Route]:
    """The routes."""

    async def tell(request: Request) -> Response:
        name = request.path_params["name"].partition("/")[0]
        with plane.store.reading():
            found = endpoints(name, plane.store.services, plane.store.instances.values())
        if found is None:
            raise NotFoundError(f"there is no service or group {name!r}")
        if not found:
            raise UnavailableError("no healthy upstream")
        return Response(discovered(found, name), media_type="application/json")

    return [Route(f"{path}/{{name:path}}", tell) for path in PATHS]
