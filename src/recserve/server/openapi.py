"""`GET /openapi.json`: the JSON door of this service, made of what its model really reads and answers.

    Processor.columns, signature ──▶ OpenAPI 3.1 (JSON Schema 2020-12), with an example that can be sent

Ours: a column has its declared type in the schema, although the server takes more (a number as a text, say).
The example asks for items that the service knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from recserve import __version__
from recserve.wire.json_tensors import DTYPES, declared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.processors.processor import Processor, Scorer, Signature

_NUMBERS = {"type": ["number", "null"]}
#: Type of a column → schema of one value, and one that may be tried.
_PLAIN: dict[str, tuple[str, Any]] = {
    "int32": ("integer", 1),
    "int64": ("integer", 1),
    "float32": ("number", 0.5),
    "float64": ("number", 0.5),
    "string": ("string", "1"),
}
_SIDES = {
    "user": "Features of the user, one value per name.",
    "context": "Features of the request: a list with one value per item, or one that stands for all.",
    "item_features": "Features of items, in place of those that the service knows; lists likewise.",
}
_REFUSALS = {
    "400": "The request does not fit; `detail` names the column and the way out.",
    "401": "No token, or a wrong one.",
    "408": "The time budget is spent.",
    "413": "The body is too large.",
    "429": "Too many requests per second.",
    "450": "Too many requests wait.",
    "500": "The model failed, or the server did.",
    "503": "The service is loading.",
}


def document(service: str, processor: Processor, *, needs_token: bool) -> dict[str, Any]:
    """The document of one service."""
    features = processor.answers == "features"
    schemas = _of_scores(cast("Scorer", processor)) if features else _of_tensors(processor.signature())
    scored = {"description": "Scored.", "content": _json({"$ref": "#/components/schemas/Answer"})}
    refused = {
        status: {"description": why, "content": {"application/problem+json": _schema("Problem")}}
        for status, why in _REFUSALS.items()
        if needs_token or status != "401"
    }
    operation: dict[str, Any] = {
        "operationId": "score",
        "summary": f"Score with '{service}'",
        "requestBody": {"required": True, "content": _json({"$ref": "#/components/schemas/Request"})},
        "responses": {"200": scored, **refused},
    }
    components: dict[str, Any] = {"schemas": {**schemas, "Problem": _PROBLEM}}
    if needs_token:
        components["securitySchemes"] = {
            "token": {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "The token itself, without `Bearer`.",
            }
        }
        operation["security"] = [{"token": []}]
    return {
        "openapi": "3.1.0",
        "info": {"title": f"recserve: {service}", "version": __version__, "description": _told(processor)},
        "servers": [{"url": "/"}],
        "paths": {
            f"/v1/score/{service}": {"post": operation},
            **{path: {"get": _health(what)} for path, what in _HEALTH.items()},
        },
        "components": components,
    }


# --- features ---------------------------------------------------------------------------------------------


def _of_scores(processor: Scorer) -> dict[str, Any]:
    columns = processor.columns
    sides = {"user": columns["user"], "context": columns["context"], "item_features": columns["item"]}
    kept = processor.kept_items
    ids = kept.some_keys(3) if kept is not None else []
    request = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "user": _columns("user", sides["user"]),
            "item_ids": {
                "type": "array",
                "description": "The items to score, in the order of the answer.",
                "items": {"type": ["string", "integer"]},
            },
            "context": _columns("context", sides["context"]),
            "item_features": _columns("item_features", sides["item_features"]),
            "debug_level": _count("What is told beside the scores."),
            "neighbours": _count("Items to recall; 0: as configured."),
            "meta": _texts("What identifies the request, such as `request_id`."),
        },
        "examples": [
            {
                "user": {name: example(kind) for name, kind in sorted(sides["user"].items())},
                "item_ids": ids or ["i1", "i2", "i3"],
                "context": {name: [example(kind)] for name, kind in sorted(sides["context"].items())},
            }
        ],
    }
    scores = {"type": "array", "items": {"anyOf": [_NUMBERS, {"type": "array", "items": _NUMBERS}]}}
    names = [output.name for output in processor.signature().outputs]
    answer = {
        "type": "object",
        "required": ["item_ids", "outputs"],
        "properties": {
            "item_ids": {"type": "array", "items": {"type": "string"}},
            "outputs": {
                "type": "object",
                "description": "A score, or a list of them, per item; null where it is no finite number.",
                "properties": dict.fromkeys(names, scores),
                "additionalProperties": scores,
            },
            "pass_through": _texts("What the service is configured to send back."),
            "raw_features": _texts("Inputs of features by item id, at some debug levels."),
            "generate_features": _texts("Features by item id, at some debug levels."),
        },
    }
    return {"Request": request, "Answer": answer}


def _columns(side: str, columns: Mapping[str, str]) -> dict[str, Any]:
    cells = {name: schema_of(kind) for name, kind in sorted(columns.items())}
    if side != "user":
        cells = {name: {"type": "array", "minItems": 1, "items": cell} for name, cell in cells.items()}
    return {"type": "object", "description": _SIDES[side], "properties": cells}


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of one value of a column type, such as map<string,float32>; null is missing."""
    if kind in _PLAIN:
        return {"type": [_PLAIN[kind][0], "null"], "description": kind}
    outer, _, inner = kind.replace(" ", "").removesuffix(">").partition("<")
    if outer == "list":
        return {"type": ["array", "null"], "items": _present(inner), "description": kind}
    if outer == "map":
        values = _present(inner.partition(",")[2])
        return {"type": ["object", "null"], "additionalProperties": values, "description": kind}
    return {"description": kind}


def _present(kind: str) -> dict[str, Any]:
    """The same inside of a list or a map, where nothing may be missing."""
    schema = schema_of(kind)
    if "type" in schema:
        schema["type"] = schema["type"][0]
    del schema["description"]
    return schema


def example(kind: str) -> Any:
    """A value that a column of this type may have."""
    if kind in _PLAIN:
        return _PLAIN[kind][1]
    outer, _, inner = kind.replace(" ", "").removesuffix(">").partition("<")
    if outer == "list":
        return [example(inner)]
    if outer == "map":
        return {"1": example(inner.partition(",")[2])}
    return None


# --- tensors ----------------------------------------------------------------------------------------------


def _of_tensors(signature: Signature) -> dict[str, Any]:
    dtypes = declared((tensor.name, tensor.type) for tensor in signature.inputs)
    nested = {"type": ["array", "number", "boolean"], "description": "Nested lists of numbers."}
    tensor = {
        "type": "object",
        "required": ["values"],
        "additionalProperties": False,
        "properties": {
            "dtype": {"enum": list(DTYPES)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "values": nested,
        },
    }
    given = {"anyOf": [{"$ref": "#/components/schemas/Tensor"}, nested]}
    inputs = {
        entry.name: {**given, "description": f"{dtypes[entry.name] or 'any dtype'} {list(entry.shape)}"}
        for entry in signature.inputs
    }
    request = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "inputs": {
                "description": "Tensors by name, or a list of them by position.",
                "anyOf": [
                    {"type": "object", "properties": inputs, "additionalProperties": given},
                    {"type": "array", "items": {"anyOf": [*given["anyOf"], {"type": "null"}]}},
                ],
            },
            "output_filter": {"type": "array", "items": {"type": "integer"}},
            "debug_level": _count("100 keeps the request on disk."),
        },
        "examples": [
            {"inputs": {x.name: _zeros(dtypes[x.name], len(x.shape)) for x in signature.inputs}},
        ],
    }
    told = {"$ref": "#/components/schemas/Tensor"}
    answer = {
        "type": "object",
        "required": ["outputs"],
        "properties": {
            "outputs": {"type": "object", "additionalProperties": told},
            "outputs_by_position": {"type": "array", "items": told},
        },
    }
    return {"Request": request, "Answer": answer, "Tensor": tensor}


def _zeros(dtype: str | None, rank: int) -> Any:
    value: Any = False if dtype == "bool" else 0.0 if (dtype or "float").startswith("float") else 0
    for _ in range(rank):
        value = [value]
    return value


# --- small things -----------------------------------------------------------------------------------------


def _told(processor: Processor) -> str:
    return ", ".join(f"{name} {text}" for name, text in processor.info().items() if text)


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _schema(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def _count(what: str) -> dict[str, Any]:
    return {"type": "integer", "default": 0, "description": what}


def _texts(what: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": {"type": "string"}, "description": what}


def _health(what: str) -> dict[str, Any]:
    return {
        "summary": what,
        "security": [],
        "responses": {"200": {"description": "Yes."}, "503": {"description": "Not now."}},
    }


_HEALTH = {"/healthz": "Does the process live?", "/readyz": "Should new traffic come here?"}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
