"""What an HTTPRoute may be, as far as we make some: kubernetes-validate has no schemas of the Gateway API.

Written after the API's specification, gateway.networking.k8s.io/v1; strict, so that a typing error is found.
"""

from __future__ import annotations

from typing import Any

NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
PORT = {"type": "integer", "minimum": 1, "maximum": 65_535}
#: PathPrefix: absolute, without //, /./, /../, %2f, '#'.
PATH = {
    "type": "string",
    "maxLength": 1024,
    "pattern": r"^/(?!.*(//|/\./|/\.\./|%2[fF]|#|/\.$|/\.\.$)).*",
}


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


REWRITE = closed(
    ["type", "replacePrefixMatch"],
    type={"const": "ReplacePrefixMatch"},
    replacePrefixMatch={"type": "string", "maxLength": 1024},
)
RULE = closed(
    ["matches", "backendRefs"],
    matches={
        "type": "array",
        "maxItems": 64,
        "items": closed(["path"], path=closed(["type", "value"], type={"const": "PathPrefix"}, value=PATH)),
    },
    filters={
        "type": "array",
        "maxItems": 16,
        "items": closed(
            ["type", "urlRewrite"], type={"const": "URLRewrite"}, urlRewrite=closed(["path"], path=REWRITE)
        ),
    },
    backendRefs={
        "type": "array",
        "minItems": 1,
        "maxItems": 16,
        "items": closed(
            ["name", "port"],
            name=NAME,
            port=PORT,
            weight={"type": "integer", "minimum": 0, "maximum": 1_000_000},
        ),
    },
)
SCHEMA = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "gateway.networking.k8s.io/v1"},
    kind={"const": "HTTPRoute"},
    metadata=closed(
        ["name", "namespace"],
        name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253},
        namespace=NAME,
        labels={"type": "object", "additionalProperties": {"type": "string", "maxLength": 63}},
        annotations={"type": "object", "additionalProperties": {"type": "string"}},
    ),
    spec=closed(
        ["parentRefs", "rules"],
        parentRefs={"type": "array", "minItems": 1, "items": closed(["name"], name=NAME)},
        rules={"type": "array", "minItems": 1, "maxItems": 16, "items": RULE},
    ),
)
