"""What the API can be asked: each operation is a route, a function of values, and its description.

    HTTP ──read──▶ Asked(path, query, body) ──handle, in a thread──▶ values ──▶ JSON with a RequestId

Names and fields are those of the platform's API of 2021-07-01; what it does not have says "Ours".
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route

from recserve.config.document import parse_json
from recserve.errors import ConfigError, RequestError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    Handle = Callable[["Asked"], dict[str, Any]]

#: Where services are; `{cluster}` is the platform's region, of which any will do.
SERVICES = "/api/v2/services"
SERVICE = SERVICES + "/{cluster}/{name}"

#: Larger documents are not read.
MAX_BODY_BYTES = 4 * 2**20
#: Longer lists are answered in pages.
LONGEST_PAGE = 1000

_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the API can be asked."""

    name: str  # CreateService
    method: str
    path: str
    handle: Handle
    summary: str
    body: Mapping[str, Any] | None = None  # the schema of the body; None: it is not read
    query: Mapping[str, str] = field(default_factory=dict)  # name: what it says

    def route(self) -> Route:
        """How the server finds it."""

        async def endpoint(request: Request) -> Response:
            values = await _body(request) if self.body is not None else {}
            asked = Asked(dict(request.path_params), dict(request.query_params), values)
            return answer(await run_in_threadpool(self.handle, asked))

        return Route(self.path, endpoint, methods=[self.method], name=self.name)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, read."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """The service, or group, that the path names."""
        return self.path["name"]

    def number(self, key: str, default: int, *, least: int = 1, most: int = LONGEST_PAGE) -> int:
        """A whole number of the query."""
        text = self.query.get(key) or str(default)
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
            raise RequestError(f"{key} is {text!r}; a whole number from {least} to {most} is expected")
        return int(text)

    def page(self, key: str, entries: Sequence[Any]) -> dict[str, Any]:
        """The part of a list that PageNumber and PageSize ask for, and how many there are."""
        size = self.number("PageSize", LONGEST_PAGE)
        number = self.number("PageNumber" if "PageNumber" in self.query else "PageNum", 1, most=10**6)
        return {
            key: list(entries[(number - 1) * size : number * size]),
            "TotalCount": len(entries),
            "PageNumber": number,
            "PageSize": size,
        }


def answer(values: Mapping[str, Any], status: int = 200) -> Response:
    """With the number that the platform gives each answer."""
    return JSONResponse({"RequestId": str(uuid.uuid4()).upper(), **values}, status)


def entry(values: Mapping[str, Any], key: str, kind: type, expected: str) -> Any:
    """A value of a body, of one type, or None if it is absent or null."""
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise RequestError(f"{key} is {value!r}; {expected} is expected")
    return value


def seconds(text: Any) -> float:
    """`5m`, `90s`, `1h`, `1m30s`, or a number of seconds."""
    if isinstance(text, int) and not isinstance(text, bool) and 0 <= text <= 7 * 86_400:
        return float(text)
    parts = re.findall(r"(\d{1,6})([smh])", text) if isinstance(text, str) else []
    total = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if not parts or "".join(number + unit for number, unit in parts) != text or total > 7 * 86_400:
        raise RequestError(f'Interval is {text!r}; a time such as "90s", "5m" or "1h" is expected')
    return float(total)


async def _body(request: Request) -> dict[str, Any]:
    """A JSON object of bounded size; no body is an empty one."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise TooLargeError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    if not content:
        return {}
    try:
        return parse_json(content.decode("utf-8-sig"), "the body")
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8: byte {error.start}") from None
    except ConfigError as error:
        raise RequestError(str(error)) from None
