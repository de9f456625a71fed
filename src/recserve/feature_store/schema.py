"""The JSON Schema of a registry file, for editors: made of the records that read it.

    recserve store schema > feature_store.schema.json

A file that does not fit is refused. One that fits may still be: names that refer to others, and keys that go
together, are checked by `recserve store apply`.
"""

from __future__ import annotations

from typing import Any

from recserve.config.settings import Setting, default_of, settings
from recserve.feature_store.records import Entity, Feature, Labels, Model, Place, Project, Sequence, View
from recserve.feature_store.types import TYPES

Schema = dict[str, Any]

_TYPES: dict[str, Schema] = {
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "tuple[str, ...]": {"type": ["array", "string"], "items": {"type": "string"}},
}
_NAMES: Schema = {"minLength": 1, "maxLength": 256, "pattern": r"^[^#\s]"}
_FIELDS: Schema = {
    "description": "The columns: names and types.",
    "type": "object",
    "propertyNames": _NAMES,
    "additionalProperties": {"anyOf": [{"enum": list(TYPES)}, {"type": "string", "pattern": "[A-Z ]"}]},
}


def schema() -> Schema:
    """The whole schema, draft 2020-12."""
    store = {"$ref": "#/$defs/place"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "feature_store.yaml",
        "description": "Which features there are, of what, and where (recserve).",
        "type": "object",
        "required": ["project"],
        "additionalProperties": False,
        "properties": {
            "project": _record(Project, offline=store, online=store),
            "entities": _named(_record(Entity)),
            "views": _named(
                _record(
                    View,
                    fields=_FIELDS,
                    play_time_over={
                        "description": "Sequences: by event, the play time that behaviours are over.",
                        "type": "object",
                        "additionalProperties": {"type": "number"},
                    },
                    sequences=_named(_record(Sequence)),
                )
            ),
            "labels": _named(_record(Labels, fields=_FIELDS)),
            "models": _named(
                _record(Model, features={"type": "array", "minItems": 1, "items": _record(Feature)})
            ),
        },
        "$defs": {"place": _record(Place)},
    }


def _named(record: Schema) -> Schema:
    return {"type": ["object", "null"], "propertyNames": _NAMES, "additionalProperties": record}


def _record(kind: type, **inner: Schema) -> Schema:
    own = settings(kind)
    properties: Schema = {
        key: _property(known, str(entry.type), default_of(entry)) for key, (known, entry) in own.items()
    }
    required = [key for key, (known, _) in own.items() if known.required]
    required += [key for key in ("fields", "features") if key in inner]
    made: Schema = {"type": "object", "additionalProperties": False, "properties": properties | inner}
    return {**made, "required": required} if required else made


def _property(known: Setting, kind: str, default: Any) -> Schema:
    made = {"description": known.sentence, **_TYPES[kind]}
    if known.choices:
        made = {"description": known.sentence, "enum": list(known.choices)}
    if known.least is not None:
        made["minimum"] = known.least
    if known.required:
        made["minLength"] = 1
    elif default not in ("", ()):
        made["default"] = default
    return made
