"""The settings as Markdown tables: the reference pages are made of what the code reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recserve.config.hosted_keys import ACCEPTED, EXPORT_VARIABLES, REFUSED
from recserve.config.sections import SECTIONS, Section
from recserve.config.settings import OURS, Setting, default_of, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from dataclasses import Field
    from typing import Any


def reference() -> str:
    """The tables of all sections, then the keys of the hosted product by what happens to them."""
    parts = []
    for section in SECTIONS:
        parts += [f"## {section.title}", "", *_table(section), ""]
    parts += ["## Keys of the hosted product that no process needs", "", *_hosted_keys()]
    return "\n".join(parts) + "\n"


def hosted_settings() -> str:
    """Every setting that the hosted product has, with what recserve does with it."""
    rows = ["| key | from | default | what recserve does |", "|---|---|---|---|"]
    for section in SECTIONS:
        for key, (known, entry) in settings(section.record).items():
            if known.source != OURS:
                name = key if section.where == "processor_envs" else section.path(key)
                rows.append(f"| `{name}` | {known.source} | {_default(known, entry)} | {known.sentence} |")
    return "\n".join([*rows, *_accepted_and_refused()]) + "\n"


def _table(section: Section) -> Iterator[str]:
    yield "| key | type | default | meaning | source |"
    yield "|---|---|---|---|---|"
    for key, (known, entry) in settings(section.record).items():
        unit = f", {known.unit}" if known.unit else ""
        kind = f"{_TYPES[str(entry.type)]}{unit}"
        yield f"| `{key}` | {kind} | {_default(known, entry)} | {known.sentence} | {known.source} |"


_TYPES = {
    "bool": "true or false",
    "int": "whole number",
    "float": "number",
    "str": "string",
    "tuple[str, ...]": "strings",
    "Mapping[str, str]": "object of strings",
}


def _default(known: Setting, entry: Field[Any]) -> str:
    if known.required:
        return "required"
    value = default_of(entry)
    if value in ("", ()) or isinstance(value, Mapping):
        return ""
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _hosted_keys() -> Iterator[str]:
    yield "| key | what happens |"
    yield "|---|---|"
    for where, keys in ACCEPTED.items():
        yield f"| {_names(where, keys)} | accepted, no effect on one machine |"
    exported = "warned about: the export read them, its files hold the result"
    yield f"| {_names('processor_envs', EXPORT_VARIABLES)} | {exported} |"
    for where, reasons in REFUSED.items():
        yield from (f"| {_names(where, {key})} | refused: {why} |" for key, why in reasons.items())


def _accepted_and_refused() -> Iterator[str]:
    for where, keys in ACCEPTED.items():
        yield f"| {_names(where, keys)} | EAS | | accepted, no effect on one machine |"
    for where, reasons in REFUSED.items():
        yield from (f"| {_names(where, {key})} | EAS | | refused: {why} |" for key, why in reasons.items())


def _names(where: str, keys: frozenset[str] | set[str]) -> str:
    return ", ".join(f"`{where}.{key}`" if where else f"`{key}`" for key in sorted(keys))
