"""The item tables that a service file names, opened.

model_config.tables ──open_source──▶ ┐
fs_project, fs_model ──feature store──▶ ItemTable ──load_items──▶ Keeper
neither, but an admin port ──▶ an empty table ┘
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.columns import arrow_type
from recserve.config.items import passwords_of
from recserve.errors import ConfigError, SourceError
from recserve.feature_store import open as feature_store
from recserve.observe import logs
from recserve.source import TableSpec
from recserve.sources import open_source
from recserve.sources.memory import MemorySource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recserve.config.items import Table
    from recserve.config.service import ServiceSpec
    from recserve.features.generator import Generator
    from recserve.messages import InputSchema
    from recserve.source import Source

#: The key column of items that operators post and no table has.
POSTED_KEY = "item_id"


@dataclass(frozen=True, slots=True)
class ItemTable:
    """One table, and what of it may be loaded."""

    source: Source
    columns: frozenset[str] | None = None  # None: whatever features read
    static: bool = False
    timekey: str = ""
    condition: str = ""

    def gives(self, names: frozenset[str]) -> frozenset[str]:
        """Which of these columns it is asked for; the key is loaded in any case."""
        return names if self.columns is None else names & (self.columns | {self.source.key})


def open_quietly(kind: str, table: TableSpec) -> Source:
    """Open a table; no log will show its passwords, also those that a registry took from the environment."""
    logs.hide(passwords_of((table.url, table.name)))
    return open_source(kind, table)


def open_tables(spec: ServiceSpec) -> list[ItemTable]:
    """Open what the service file names; nothing is read yet. Whoever calls closes the sources."""
    with ExitStack() as opened:
        tables = []
        for table in _tables(spec):
            opened.callback(table.source.close)
            tables.append(table)
        opened.pop_all()  # all are open: they are the caller's now
        return tables


@contextmanager
def tables_of(spec: ServiceSpec) -> Iterator[list[ItemTable]]:
    """The tables for as long as they are looked at."""
    tables = open_tables(spec)
    try:
        yield tables
    finally:
        for table in tables:
            table.source.close()


def _tables(spec: ServiceSpec) -> Iterator[ItemTable]:
    if spec.feature_store is not None:
        for opened in feature_store.open_tables(spec.feature_store, spec.base_dir, open_quietly):
            yield ItemTable(opened.source, opened.columns, opened.static)
    for table in spec.items.tables:
        yield ItemTable(
            open_quietly(spec.items.remote_type, _table_spec(spec, table)),
            frozenset(table.value) or None,
            table.static,
            table.timekey,
            table.condition,
        )


def _table_spec(spec: ServiceSpec, table: Table) -> TableSpec:
    return TableSpec(
        name=table.name,
        key=table.key,
        url=spec.items.url,
        condition=table.condition,
        timekey=table.timekey,
        overlap_seconds=spec.items.timekey_overlap_s,
        base_dir=spec.base_dir,
    )


def posted_table(features: Generator, declared: InputSchema | None) -> ItemTable:
    """A table of nothing, for items that operators post: columns have the types that features take."""
    own: Mapping[str, str] = declared.item if declared is not None else {}
    taken = features.plan.absent_types()["item"]
    kinds = {name: own.get(name, taken.get(name, "string")) for name in sorted(features.raw_columns)}
    fields = {POSTED_KEY: "string", **kinds}
    schema = pa.schema({name: arrow_type(kind.replace(" ", "")) for name, kind in fields.items()})
    return ItemTable(MemorySource(schema.empty_table(), POSTED_KEY), static=True)


def check_values(tables: Sequence[ItemTable]) -> None:
    """Refuse a `value` that names a column which its table lacks.

    A table that cannot be reached is not asked: an item snapshot may do without it.
    """
    for table in tables:
        if table.columns is None:
            continue
        try:
            names = table.source.schema().names
        except SourceError:
            continue
        for name in sorted(table.columns - set(names)):
            raise ConfigError(
                f"model_config.tables: '{table.source.name}' has no column '{name}', which `value` asks for"
            )


def missing_columns(features: Generator, tables: Sequence[ItemTable]) -> list[str]:
    """Item columns that features read and none of the tables gives."""
    given = {name for table in tables for name in table.gives(frozenset(table.source.schema().names))}
    return sorted(features.raw_columns - given)
