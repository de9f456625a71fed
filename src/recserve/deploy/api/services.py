"""/api/v2/services: what clients of the hosted platform's API ask of services."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route

from recserve.config.document import parse_json
from recserve.deploy.api import shown
from recserve.errors import NotFoundError, RequestError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from recserve.deploy.plane import Plane
    from recserve.deploy.records import Service

    Handler = Callable[[Request], Awaitable[Response]]

ROOT = "/api/v2/services"
MAX_BODY_BYTES = 4 * 2**20


class Services:
    """Handlers; each is one verb of Control, or one look into the store."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def routes(self) -> list[Route]:
        """`{cluster}` is the platform's region; any word will do."""
        one = ROOT + "/{cluster}/{name}"
        table: list[tuple[str, str, Handler]] = [
            (ROOT, "GET", self._list),
            (ROOT, "POST", self._create),
            (one, "GET", self._describe),
            (one, "PUT", self._modify),
            (one, "DELETE", self._verb("delete")),
            (f"{one}/start", "PUT", self._verb("start")),
            (f"{one}/stop", "PUT", self._verb("stop")),
            (f"{one}/release", "PUT", self._release),
            (f"{one}/version", "PUT", self._switch),
            (f"{one}/versions", "GET", self._versions),
            (f"{one}/lock", "PUT", self._lock),
            (f"{one}/rollout", "PUT", self._rollout),
            (f"{one}/instances", "GET", self._instances),
            (f"{one}/events", "GET", self._events),
            (f"{one}/logs", "GET", self._logs),
        ]
        return [Route(path, handler, methods=[method]) for path, method, handler in table]

    async def _create(self, request: Request) -> Response:
        service = await run_in_threadpool(self._plane.control.create, await body(request))
        return answer(self._shown(service))

    async def _list(self, request: Request) -> Response:
        store = self._plane.store
        wanted = request.query_params.get("Filter", "")
        with store.reading():
            found = [self._shown(one, secrets=False) for one in store.services.values() if wanted in one.name]
        found.sort(key=lambda one: one["ServiceName"])
        return answer({"Services": found, "TotalCount": len(found), "PageNumber": 1, "PageSize": len(found)})

    async def _describe(self, request: Request) -> Response:
        return answer(self._shown(self._service(request)))

    async def _modify(self, request: Request) -> Response:
        service = await run_in_threadpool(self._plane.control.modify, name_of(request), await body(request))
        return answer(self._shown(service))

    async def _switch(self, request: Request) -> Response:
        number = _number(await body(request), "Version")
        service = await run_in_threadpool(self._plane.control.switch, name_of(request), number)
        return answer(self._shown(service))

    async def _release(self, request: Request) -> Response:
        values = await body(request)
        state = values.get("TrafficState")
        if state not in (None, "grouping", "standalone"):
            raise RequestError(f"TrafficState is {state!r}; grouping and standalone are possible")
        weight = _number(values, "Weight") if values.get("Weight") is not None else None
        grouped = None if state is None else state == "grouping"
        service = self._plane.control.release(name_of(request), weight=weight, grouped=grouped)
        return answer(self._shown(service))

    async def _lock(self, request: Request) -> Response:
        what = str((await body(request)).get("Lock", ""))
        return answer(self._shown(self._plane.control.lock(name_of(request), what)))

    async def _rollout(self, request: Request) -> Response:
        raise NotFoundError("roll-outs cannot be changed yet")

    async def _versions(self, request: Request) -> Response:
        service = self._service(request)
        found = [one for one in self._plane.store.versions.values() if one.service == service.name]
        versions = [
            {"Version": one.number, "BuildTime": shown.time(one.created_at)}
            for one in sorted(found, key=lambda one: -one.number)
        ]
        return answer({"Versions": versions, "TotalCount": len(versions)})

    async def _instances(self, request: Request) -> Response:
        found = [shown.instance(one) for one in self._plane.store.instances_of(self._service(request).name)]
        return answer({"Instances": found, "TotalCount": len(found)})

    async def _events(self, request: Request) -> Response:
        name = name_of(request)
        found = [shown.event(one) for one in self._plane.store.events(name)]
        return answer({"Events": found, "TotalCount": len(found)})

    async def _logs(self, request: Request) -> Response:
        service = self._service(request)
        lines = int(request.query_params.get("PageSize", "100"))
        found = {
            one.id: await run_in_threadpool(self._plane.backend.logs, one.id, lines)
            for one in self._plane.store.instances_of(service.name)
        }
        return answer({"Logs": [f"{name} {line}" for name, every in found.items() for line in every]})

    def _verb(self, verb: str) -> Handler:
        async def handle(request: Request) -> Response:
            service = await run_in_threadpool(getattr(self._plane.control, verb), name_of(request))
            return answer(self._shown(service))

        return handle

    def _service(self, request: Request) -> Service:
        name = name_of(request)
        found = self._plane.store.services.get(name)
        if found is None:
            raise NotFoundError(f"there is no service {name}")
        return found

    def _shown(self, service: Service, *, secrets: bool = True) -> dict[str, Any]:
        store = self._plane.store
        version = store.versions[service.name, service.version]
        endpoint = f"{self._plane.endpoint}/api/predict/{service.name}"
        return shown.service(
            service, version, store.instances_of(service.name), endpoint=endpoint, secrets=secrets
        )


def name_of(request: Request) -> str:
    """The service that a path names."""
    name: str = request.path_params["name"]
    return name


async def body(request: Request) -> dict[str, Any]:
    """A JSON object of bounded size."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise TooLargeError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8: byte {error.start}") from None
    return parse_json(text, "the body")


def answer(values: dict[str, Any]) -> Response:
    """With the number that the platform gives each answer."""
    return JSONResponse({"RequestId": str(uuid.uuid4()).upper(), **values})


def _number(values: dict[str, Any], key: str) -> int:
    value = values.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError(f"{key} is {value!r}; a whole number is expected")
    return value
