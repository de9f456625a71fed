"""The feature types as Markdown: the reference is made of the records that read fg.json.

FEATURE_TYPES ──reference──▶ `make reference`, `recserve features types`
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import TYPE_CHECKING, Any

from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError
from recserve.features.docs.cases import cases, described
from recserve.features.docs.key_meanings import BUCKETS, FIELDS, fields_of
from recserve.features.keys import ALIASES, kind_of
from recserve.features.operators import OPERATORS
from recserve.features.types import FEATURE_TYPES
from recserve.features.types.custom import Custom
from recserve.features.types.feature_type import FeatureType, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping


def reference() -> str:
    """Write the page of all types."""
    return "\n".join(
        [
            "# Feature types",
            "",
            "Made of the code by `make reference`; `recserve features types NAME` prints a section of it.",
            "",
            *_table(("feature_type", "its result"), [(f"[`{n}`](#{n})", s) for n, s in summaries().items()]),
            "",
            "## Keys of all types",
            "",
            *_keys(FeatureType, {}),
            "",
            "And one bucketizer:",
            "",
            *_table(("key", "meaning"), [(f"`{name}`", key.sentence) for name, key in BUCKETS.items()]),
            "",
            *(section(name) for name in FEATURE_TYPES),
        ]
    )


def summaries() -> dict[str, str]:
    """The first sentence of every type."""
    return {name: _first_sentence(inspect.getdoc(record) or "") for name, record in FEATURE_TYPES.items()}


def named(text: str) -> str:
    """Find the feature_type that a person means: `lookup`, `lookup_feature`, `sequence_lookup_feature`."""
    plain = text.removeprefix("sequence_")
    for known in (plain, f"{plain}_feature"):
        if known in FEATURE_TYPES:
            return known
    hint = did_you_mean(plain, FEATURE_TYPES) or f"; known: {', '.join(FEATURE_TYPES)}"
    raise ConfigError(f"there is no feature_type '{text}'{hint}")


def section(feature_type: str) -> str:
    """Write what one type does: a sentence, its keys, its cases, its rules."""
    record = FEATURE_TYPES[feature_type]
    text = inspect.getdoc(record) or ""
    parts = described(text)
    first = _first_sentence(parts.before)
    above_the_table = parts.before.removeprefix(first).strip()
    feature = cases(feature_type, record, text)[0].feature
    lines = [f"## {feature_type}", "", first, "", *_keys(record, feature), ""]
    if record.refused_buckets:
        lines += [f"Not with {', '.join(f'`{key}`' for key in record.refused_buckets)}.", ""]
    lines += ["### Cases", ""] + ([above_the_table, ""] if above_the_table else [])
    lines += [*_table(parts.header, parts.rows), "", _marked(parts.after), ""]
    if record is Custom:
        lines += ["### Operators", ""]
        for name, operator in OPERATORS.items():
            lines += [f"`{name}`: {inspect.getdoc(operator)}", "", *_keys(operator, {}), ""]
    return "\n".join(lines)


def _first_sentence(text: str) -> str:
    paragraph = text.partition("\n\n")[0]
    return re.split(r"(?<=\.)\s", paragraph, maxsplit=1)[0]


def _keys(record: type[Any], feature: Mapping[str, Any]) -> list[str]:
    """The keys that this class adds, or has another default for; `feature` is an example of it."""
    common = {} if record is FeatureType else {f.name: f.default for f in dataclasses.fields(FeatureType)}
    spelled = {field: alias for alias, field in ALIASES.items()}
    types = fields_of(record)
    rows = []
    for field in dataclasses.fields(record):
        inherited = field.name in common and common[field.name] == field.default
        if inherited or field.name not in types or field.name not in FIELDS:
            continue
        alias = f" (or `{spelled[field.name]}`)" if field.name in spelled else ""
        kind = _input(feature.get(field.name)) or kind_of(types[field.name])
        rows.append((f"`{field.name}`{alias}", kind, _default(field), _prose(FIELDS[field.name].sentence)))
    return _table(("key", "value", "default", "meaning"), rows) if rows else []


def _input(example: object) -> str:
    if isinstance(example, str) and _is_reference(example):
        return "an input"
    if isinstance(example, list) and example and all(_is_reference(entry) for entry in example):
        return "a list of inputs"
    return ""


def _is_reference(text: str) -> bool:
    try:
        Reference.parse(text)
    except ConfigError:
        return False
    return True


def _prose(sentence: str) -> str:
    """A sentence for Markdown, which would take <name> for HTML."""
    return sentence.replace("<", r"\<")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
        return "required"
    if field.default in (None, dataclasses.MISSING):
        return ""
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return (
        f"`{field.default!r}`".replace("'", '"') if isinstance(field.default, str) else f"`{field.default}`"
    )


def _marked(text: str) -> str:
    """Rules, with what is a choice of ours, and where the rest comes from, standing out."""
    return re.sub(r"(^|\s+)\b(Ours|Source):", r"\n\n**\2:**", text).strip()


def _table(header: tuple[str, ...], rows: Any) -> list[str]:
    lines = [header, tuple("---" for _ in header), *rows]
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in lines]
