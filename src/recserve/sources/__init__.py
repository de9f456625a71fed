"""Where rows come from. The contract is `recserve/source.py`; a name here is a `remote_type`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from recserve.errors import ConfigError
from recserve.source import sink

if TYPE_CHECKING:
    import pyarrow as pa

    from recserve.source import Source, TableSpec

SOURCES = {
    "file": "recserve.sources.files:FileSource",
    "hologres": "recserve.sources.postgres:PostgresSource",
    "postgresql": "recserve.sources.postgres:PostgresSource",
    "redis": "recserve.sources.redis:RedisSource",
    "feast": "recserve.sources.feast:FeastSource",
}
"""Sources by the name that configurations use (`remote_type`); each class has a classmethod `open(spec)`."""


def open_source(kind: str, spec: TableSpec) -> Source:
    """Open a table as the source named `kind`; nothing is read yet."""
    if kind not in SOURCES:
        raise ConfigError(f"unknown source '{kind}'; known: {', '.join(SOURCES)}")
    module, name = SOURCES[kind].split(":")
    opened: Any = getattr(import_module(module), name).open(spec)
    source: Source = opened
    return source


def make_table(kind: str, spec: TableSpec, schema: pa.Schema) -> Source:
    """Make an empty table that can be written to; raises ConfigError where that cannot be."""
    if kind == "file":
        files: Any = import_module("recserve.sources.files")
        made: Source = files.create_table(spec.name, schema.empty_table(), spec.key, base_dir=spec.base_dir)
        return made
    source = open_source(kind, spec)
    target = sink(source)
    if target is None:
        raise ConfigError(f"{source.name}: '{kind}' has no tables that can be made; make it by other means")
    target.write(schema.empty_table())
    return source
