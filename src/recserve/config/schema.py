"""The JSON Schema of the service file, for editors: made of the settings, so it knows every key.

    recserve config schema > service.schema.json

A file that does not fit is refused at start. One that fits may still be: keys that go together are checked by
`recserve config check`, and a value that comes from elsewhere (`${NAME}`, `file:path`) is known only then.
Keys that nobody knows are allowed, as they are at start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recserve.config.hosted_keys import ACCEPTED, REFUSED
from recserve.config.sections import SECTIONS
from recserve.config.settings import Setting, default_of, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from dataclasses import Field

Schema = dict[str, Any]

_ELSEWHERE = r"\$\{[A-Za-z_]\w*\}|^file:"
_STRING: Schema = {"type": "string"}
#: What may stand for a value, by the annotation of its field; texts of numbers are taken too.
_TYPES: dict[str, Schema] = {
    "bool": {"enum": [True, False, 0, 1, "true", "false", "True", "False", "TRUE", "FALSE", "1", "0"]},
    "int": {"type": ["integer", "string"], "pattern": r"^\s*[+-]?[0-9_]+\s*$"},
    "float": {
        "type": ["number", "string"],
        "pattern": r"^\s*[+-]?([0-9_]+\.?[0-9_]*|\.[0-9_]+)([eE][+-]?[0-9]+)?\s*$",
    },
    "str": _STRING,
    "tuple[str, ...]": {"type": ["array", "string"], "items": _STRING},
    "Mapping[str, str]": {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    },
}
_VARIABLE: Schema = {
    "type": "object",
    "required": ["name", "value"],
    "properties": {"name": _STRING, "value": {"type": ["string", "number", "boolean", "null"]}},
}


def schema() -> Schema:
    """The whole schema, draft 2020-12."""
    rpc = _nullable(_object("metadata.rpc"))
    model_config = _object("model_config")
    tables = _object("model_config.tables", required=("name", "key"))
    model_config["properties"]["tables"] = {
        "description": "Where item features are, one entry per table.",
        "anyOf": [{"type": "array", "items": tables}, tables, {"type": "null"}],
    }
    metadata = _object("metadata")
    top = _object("")
    shared = {key: top["properties"][key] for key in ("name", "token", "group")}
    metadata["properties"] |= {**shared, "rpc": rpc}
    top["properties"] |= {
        "metadata": _nullable(metadata),
        "model_config": {
            "description": "How the model is fed and what it answers; JSON as a text is taken too.",
            "anyOf": [model_config, {"type": ["string", "null"]}],
        },
        "processor_envs": _processor_envs(),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "service.json",
        "description": "One service: what it is called, who may ask it, how its model is served (recserve).",
        **top,
    }


def _nullable(made: Schema) -> Schema:
    return {**made, "type": [made["type"], "null"]}


def _object(where: str, required: tuple[str, ...] = ()) -> Schema:
    """The object at a path: its settings, and what is accepted or refused there."""
    properties: Schema = {key: {"description": "No effect here."} for key in sorted(ACCEPTED.get(where, ()))}
    for key, why in REFUSED.get(where, {}).items():
        properties[key] = {"not": {}, "description": f"Refused: {why}."}
    properties |= dict(_properties(where))
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


def _properties(where: str) -> Iterator[tuple[str, Schema]]:
    for section in SECTIONS:
        if section.where == where:
            for key, (known, entry) in settings(section.record).items():
                yield key, _property(known, entry)


def _property(known: Setting, entry: Field[Any]) -> Schema:
    kind = str(entry.type)
    value = dict(_TYPES[kind])
    if known.choices:
        spelled = [str(choice) for choice in known.choices if not isinstance(choice, str)]
        value = {"enum": [*known.choices, *spelled]}
    if known.least is not None:
        value["minimum"] = known.least
    if known.most is not None:
        value["maximum"] = known.most
    if known.keys:
        value["propertyNames"] = {"enum": list(known.keys)}
    made: Schema = {"description": _sentence(known)}
    if value == _STRING or kind == "tuple[str, ...]":
        made |= {**value, "type": [*_as_list(value["type"]), "null"]}
    else:
        made["anyOf"] = [value, {"type": "string", "pattern": _ELSEWHERE}, {"type": "null"}]
    default = default_of(entry)
    if not known.required and default not in ("", ()) and not isinstance(default, Mapping):
        made["default"] = list(default) if isinstance(default, tuple) else default
    return made


def _as_list(kind: str | list[str]) -> list[str]:
    return [kind] if isinstance(kind, str) else kind


def _sentence(known: Setting) -> str:
    return f"{known.sentence} [{known.unit}]" if known.unit else known.sentence


def _processor_envs() -> Schema:
    names = [
        {
            "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
            "then": {"properties": {"value": made}},
        }
        for name, made in _properties("processor_envs")
    ]
    variable = {**_VARIABLE, "allOf": names}
    return {
        "description": "Environment variables, of which the service file's win over the process's own.",
        "anyOf": [{"type": "array", "items": variable}, variable, {"type": "null"}],
    }
