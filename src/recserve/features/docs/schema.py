"""The JSON Schema of fg.json, for editors: made of the records that read it, so it knows every type and key.

    recserve features schema > fg.schema.json

A file that does not fit would be refused at load. One that fits may still be: a schema sees neither files,
formulas nor what features read of one another (`recserve features check` does). Keys that nobody knows are
allowed, as they are at load.
"""

from __future__ import annotations

import dataclasses
import inspect
from itertools import combinations
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from recserve.features import bucketize, limits
from recserve.features.docs.key_meanings import (
    DEFAULT_BUCKET,
    FIELDS,
    GROUP,
    Key,
    fields_of,
    keys_of,
)
from recserve.features.keys import ALIASES
from recserve.features.types import FEATURE_TYPES
from recserve.features.types.feature_type import SIDES

if TYPE_CHECKING:
    from recserve.features.types.feature_type import FeatureType

Schema = dict[str, Any]

_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": limits.MAX_NAME_BYTES}
#: What JSON says of a field, by the type that the record has.
_TYPES: dict[Any, Schema] = {
    str: {"type": ["string", "number"]},
    bool: {"enum": [True, False, 0, 1, "true", "false", "True", "False", "0", "1"]},
    int: {"type": "integer"},
    float: {"type": ["number", "string"]},
    NoneType: {"type": "null"},
}
#: What more is known of keys that stand for names, numbers or inputs.
_MORE: dict[str, Schema] = {
    "feature_name": _NAME,
    "value_dim": {"minimum": 0, "maximum": limits.INTEGER_LIMITS["value_dim"]},
    "hash_bucket_size": {"minimum": 1, "maximum": 2**63 - 1},
    "sequence_length": {"minimum": 0, "maximum": limits.INTEGER_LIMITS["sequence_length"]},
    "boundaries": {"maxItems": limits.LIST_LIMITS["boundaries"]},
    "separator": {"minLength": 1, "maxLength": 1},
}
_INPUT = rf"^({'|'.join(SIDES)}):"
#: Keys that hold inputs in every type, and keys that do in some: what a type's own record says decides.
_INPUTS = ("expression", "variables", "map", "key", "user", "category", "item", "query", "title", "document")


def schema() -> Schema:
    """The whole schema, draft 2020-12."""
    alone = {f"{prefix}{name}": name for prefix in ("", "sequence_") for name in FEATURE_TYPES}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fg.json",
        "description": "Which features a model reads, and what each is made of (recserve).",
        "type": "object",
        "required": ["features"],
        "properties": {
            "features": {
                "type": "array",
                "description": "Features and sequence groups, in the order of the outputs.",
                "maxItems": limits.MAX_FEATURES,
                "items": {
                    "type": "object",
                    "if": {"required": ["sequence_name"]},
                    "then": {"$ref": "#/$defs/group"},
                    "else": {"$ref": "#/$defs/feature"},
                },
            },
            "reserves": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Columns that an offline run copies as they are; a server ignores them.",
            },
        },
        "$defs": {
            "group": _group(),
            "feature": _feature(alone),
            "member": _feature({name: name for name in FEATURE_TYPES}),
            "bucketizer": _one_bucketizer(),
            **{name: _type(name, record) for name, record in FEATURE_TYPES.items()},
        },
    }


def _group() -> Schema:
    properties = {key: _property(key, known, _kind_of(key)) for key, known in GROUP.items()}
    properties["sequence_name"] |= _NAME
    properties["sequence_pk"] |= {"pattern": "^user:."}
    properties["features"] = {
        "type": "array",
        "description": GROUP["features"].sentence,
        "items": {"type": "object", "$ref": "#/$defs/member"},
    }
    return {"type": "object", "required": ["sequence_name", "features"], "properties": properties}


def _feature(types: dict[str, str]) -> Schema:
    """A feature object whose `feature_type` is one of the keys; its other keys are those of the record."""
    by_record: dict[str, list[str]] = {}
    for spelled, record in types.items():
        by_record.setdefault(record, []).append(spelled)
    return {
        "type": "object",
        "required": ["feature_type", "feature_name"],
        "properties": {
            "feature_type": {"enum": list(types), "description": "What computes the feature."},
            "feature_name": {**_NAME, "description": FIELDS["feature_name"].sentence},
        },
        "allOf": [
            {
                "if": {"properties": {"feature_type": {"enum": spelled}}},
                "then": {"$ref": f"#/$defs/{record}"},
            }
            for record, spelled in by_record.items()
        ],
    }


def _type(name: str, record: type[FeatureType]) -> Schema:
    types = fields_of(record)
    keys = keys_of(record)
    properties = {}
    for key, known in keys.items():
        field = ALIASES.get(key, key)
        hint = types.get(field)
        properties[key] = _property(field, known, _kind_of(field) if hint is None else _of_hint(hint))
    del properties["feature_type"]  # stands above: it decides which of these schemas holds
    for key in set(_INPUTS) & types.keys():
        properties[key] = properties[key] | _input(record, key)
    known_fields = [f for f in dataclasses.fields(record) if f.name in types]
    required = [f.name for f in known_fields if _is_required(f)]
    return {
        "description": (inspect.getdoc(record) or "").partition("\n\n")[0].replace("\n", " "),
        "properties": properties,
        "required": [_spelled(name) for name in required],
        "$ref": "#/$defs/bucketizer",
    }


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _spelled(name: str) -> str:
    """The spelling of the training side, where a field is spelled otherwise."""
    return next((alias for alias, field in ALIASES.items() if field == name and "_" not in alias), name)


def _property(field: str, known: Key, kind: Schema) -> Schema:
    """One key; null is as if it were absent."""
    made = dict(known.schema if known.schema is not None else kind)
    if known.choices:
        spellings = [*known.choices]
        if field == "value_type":
            made = {"type": "string", "examples": spellings, "pattern": _in_any_case(spellings)}
        else:
            made = {"enum": spellings}
    made |= _MORE.get(field, {})
    made.setdefault("description", known.sentence)
    if field == "feature_name":
        return made
    description = made.pop("description")
    if isinstance(made.get("type"), str):
        return {"description": description, **made, "type": [made["type"], "null"]}
    if isinstance(made.get("type"), list):
        return {"description": description, **made, "type": [*made["type"], "null"]}
    if "enum" in made:
        return {"description": description, "enum": [*made["enum"], None]}
    return {"description": description, "anyOf": [*made.get("anyOf", []), {"type": "null"}]}


def _in_any_case(words: list[str]) -> str:
    """A pattern without flags, which editors written in JavaScript do not know."""
    spelled = ("".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in word) for word in words)
    return f"^({'|'.join(spelled)}|)$"


def _kind_of(key: str) -> Schema:
    """Keys that no record has as a field."""
    if key in (*DEFAULT_BUCKET, "hash_bucket_size", "num_buckets", "sequence_length"):
        return {"type": "integer"}
    return {"type": "string"}


def _of_hint(hint: Any) -> Schema:
    if get_origin(hint) in (Union, UnionType):
        parts = [_of_hint(part) for part in get_args(hint) if part is not NoneType]
        return parts[0] if len(parts) == 1 else {"anyOf": parts}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": {"type": "string"}, "maxItems": limits.MAX_ENTRIES}
    return dict(_TYPES[hint])


def _input(record: type[FeatureType], key: str) -> Schema:
    """Inputs are side:name; a formula is any text, and ALL is no input of a match."""
    kind = _of_hint(fields_of(record)[key])
    if key == "expression" and "variables" in fields_of(record):
        return {}
    if kind.get("type") == "array":
        return {"items": {"type": "string", "pattern": _INPUT}}
    all_keys = {"category", "item", "match_type"} <= fields_of(record).keys() and key in ("category", "item")
    return {"type": "string", "pattern": f"{_INPUT}|^ALL$" if all_keys else _INPUT}


def _one_bucketizer() -> Schema:
    """At most one of the keys that make buckets, null ones not counted."""

    def has(key: str) -> Schema:
        return {"required": [key], "properties": {key: {"not": {"type": "null"}}}}

    pairs = combinations(bucketize.KEYS, 2)
    return {"not": {"anyOf": [{"allOf": [has(first), has(second)]} for first, second in pairs]}}
