"""Every setting of a service with its value and where that came from; secrets are blotted out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.config.concealed import BLOT, shown
from recserve.config.items import Table, shown_url
from recserve.config.sections import SECTIONS
from recserve.config.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.config.sections import Section
    from recserve.config.settings import Setting
    from recserve.config.spec import ServiceSpec

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Value:
    """One setting as a person may see it."""

    key: str  # its path in the file
    value: Any  # as JSON has it; secrets are ***
    unit: str
    origin: str  # "service.json, metadata.rpc.keepalive", "environment variable INPUT_TILE", "default"


def values_of(spec: ServiceSpec) -> Iterator[Value]:
    """All settings in the order of the reference, tables one by one; no feature store, none of its keys."""
    for section in SECTIONS:
        if section.record is Table:
            for place, table in enumerate(spec.items.tables):
                yield from _values(section, table, spec, f"{section.where}[{place}]")
            continue
        record: Any = getattr(spec, section.attribute) if section.attribute else spec
        if record is not None:
            yield from _values(section, record, spec, section.where)


def _values(section: Section, record: Any, spec: ServiceSpec, where: str) -> Iterator[Value]:
    for key, (known, entry) in settings(section.record).items():
        value = getattr(record, entry.name)
        path = f"{where}.{key}" if where else key
        yield Value(path, _visible(value, known), known.unit, spec.origins.get(path, DEFAULT))


def _visible(value: Any, known: Setting) -> Any:
    if known.secret:
        hidden = shown_url(value) if isinstance(value, str) and "://" in value else BLOT
        return hidden if value else _empty(value)
    if isinstance(value, Mapping):
        return {key: shown(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [shown(entry) for entry in value]
    return shown_url(value) if isinstance(value, str) else value


def _empty(value: Any) -> Any:
    return [] if isinstance(value, tuple) else value
