"""GET /api/v2/openapi.json: the API in OpenAPI 3.1, made of the table of operations. Without a token.

Answers are described by what all of them have: records grow, and clients read the fields that they know.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from recserve import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recserve.deploy.api.operation import Operation

_FAILURES = {
    "400": "What was sent cannot be done; Message says why.",
    "401": "The token is missing or wrong.",
    "404": "There is no such service, group, version or instance.",
    "409": "It cannot be done in the state that the service is in.",
    "507": "The state cannot be written; nothing was changed.",
}


def description(operations: Sequence[Operation], url: str) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "recserve control plane",
            "version": __version__,
            "description": "Services, in the shape of the EAS API of 2021-07-01.",
        },
        "servers": [{"url": url}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Answer": {
                    "type": "object",
                    "required": ["RequestId"],
                    "properties": {"RequestId": {"type": "string"}},
                },
                "Failure": {
                    "type": "object",
                    "required": ["RequestId", "Code", "Message"],
                    "properties": {name: {"type": "string"} for name in ("RequestId", "Code", "Message")},
                },
            },
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": [
            *(_parameter(name, "path", _PATH[name]) for name in re.findall(r"\{(\w+)\}", one.path)),
            *(_parameter(name, "query", text) for name, text in one.query.items()),
        ],
        "responses": {
            "200": _answer("Done.", "Answer"),
            **{status: _answer(text, "Failure") for status, text in _FAILURES.items()},
        },
    }
    if one.body is not None:
        found["requestBody"] = {"content": {"application/json": {"schema": dict(one.body)}}}
    return found


_PATH = {"cluster": "Any word; the platform's region.", "name": "Of the service, or group."}


def _parameter(name: str, place: str, text: str) -> Mapping[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": text,
        "schema": {"type": "string"},
    }


def _answer(text: str, schema: str) -> Mapping[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": text, "content": content}
