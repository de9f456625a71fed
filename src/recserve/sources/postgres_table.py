"""What the catalog says of a table: where it is, its columns, and how it can be cut into parts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.config.nearest import did_you_mean
from recserve.errors import DataError, LoadError
from recserve.sources.postgres_types import TIMEKEYS, TableColumn
from recserve.sources.sql import quoted, split_name
from recserve.sources.table import require_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Query = Callable[..., list[tuple[Any, ...]]]

_PART_BYTES = 16 << 20
_FEW_ROWS = 100_000  # so many are counted at once
_MANY_ROWS = 500_000  # so many are worth more than one connection
_KEY_PARTS = 8

#: Exactly the name that is written, else the name as PostgreSQL would fold it.
_FIND = """
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, c.reltuples::float8,
       (c.relkind IN ('r', 'm') AND c.relam = 2 AND NOT c.relhassubclass)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN $1::text = '' THEN pg_catalog.pg_table_is_visible(c.oid)
           ELSE n.nspname IN ($1::text, lower($1::text)) END
  AND c.relname IN ($2::text, lower($2::text))
ORDER BY c.relname = $2::text DESC, n.nspname = $1::text DESC LIMIT 1
"""
_NEAR = """
SELECT CASE WHEN $1::text = '' THEN c.relname ELSE n.nspname || '.' || c.relname END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1 LIMIT 1000
"""
#: An array is what has elements; a domain, also of an array, what it is over.
_COLUMNS = """
SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
       CASE WHEN e.oid IS NOT NULL THEN CASE e.typtype WHEN 'e' THEN 'an enum' ELSE e.typname END
            WHEN b.typtype = 'e' THEN 'an enum' ELSE b.typname END::text,
       CASE WHEN e.oid IS NOT NULL THEN greatest(a.attndims, d.typndims, 1) ELSE 0 END::int,
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum
               AND i.indisunique AND i.indisvalid AND i.indnatts = 1 AND i.indpred IS NULL),
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum
               AND i.indisvalid AND i.indpred IS NULL),
       a.attnotnull,
       coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '' OR coalesce(to_jsonb(a) ->> 'attidentity', '') = 'a'
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type d ON d.oid = a.atttypid
JOIN pg_catalog.pg_type b ON b.oid = CASE d.typtype WHEN 'd' THEN d.typbasetype ELSE d.oid END
LEFT JOIN pg_catalog.pg_type e ON e.oid = b.typelem AND b.typcategory = 'A'
WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_PARTITIONS_PAGES = """
SELECT CASE WHEN bool_and(c.relkind = 'r' AND c.relam = 2)
            THEN max(pg_catalog.pg_relation_size(c.oid)) / current_setting('block_size')::int END
FROM pg_catalog.pg_partition_tree($1::oid::regclass) t JOIN pg_catalog.pg_class c ON c.oid = t.relid
WHERE t.isleaf
"""
_PAGES = "SELECT pg_catalog.pg_relation_size($1::oid) / current_setting('block_size')::int"


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table, a view or what else rows can be selected from."""

    oid: int
    schema_name: str
    table_name: str
    kind: str  # r table, p partitioned, v view, m materialized view, f foreign
    is_heap: bool  # one file of pages of PostgreSQL's own kind
    estimate: float  # of rows, at the last ANALYZE; below 0: never
    columns: tuple[TableColumn, ...]

    @property
    def quoted_name(self) -> str:
        """As SQL has it."""
        return f"{quoted(self.schema_name)}.{quoted(self.table_name)}"

    def qualified(self, column: str) -> str:
        """A column as ORDER BY needs it, which takes a bare name for one that is selected."""
        return f"{quoted(self.table_name)}.{quoted(column)}"

    @property
    def schema(self) -> pa.Schema:
        """Names and types of all columns."""
        return pa.schema([column.field for column in self.columns])

    def column(self, name: str) -> TableColumn:
        """The column of a name that is there."""
        return next(column for column in self.columns if column.name == name)


def find(query: Query, name: str) -> CatalogTable | None:
    """Look a table up by name; None if there is none."""
    found = query(_FIND, split_name(name))
    if not found:
        return None
    oid, schema_name, table_name, kind, estimate, is_heap = found[0]
    columns = tuple(TableColumn(*row) for row in query(_COLUMNS, (oid,)))
    return CatalogTable(oid, schema_name, table_name, kind, is_heap, estimate, columns)


def described(query: Query, name: str, origin: str, where: str, *, key: str, timekey: str) -> CatalogTable:
    """Look a table up and check the columns that it must have. Raises DataError."""
    table = find(query, name)
    if table is None:
        schema_name, _ = split_name(name)
        others = [row[0] for row in query(_NEAR, (schema_name,))]
        raise DataError(f"{where}: {origin} has no table '{name}'{did_you_mean(name, others)}")
    require_key(table.schema, key, where)
    key_column = table.column(key)
    if not key_column.may_be_key:
        raise DataError(
            f"{where}: key column '{key}' is of type {key_column.shown_type}; keys are texts or integers: "
            "cast it in a view"
        )
    if timekey:
        if timekey not in table.schema.names:
            raise DataError(
                f"{where} has no timekey column '{timekey}'; columns: {', '.join(table.schema.names)}"
            )
        time_column = table.column(timekey)
        if time_column.dimensions or time_column.type_name not in TIMEKEYS:
            raise DataError(
                f"{where}: timekey '{timekey}' is of type {time_column.shown_type}; "
                "it may be timestamp, timestamptz, date or an integer"
            )
    return table


def parts(query: Query, table: CatalogTable, key: TableColumn, server_version: int) -> list[str]:
    """Conditions that cut a table into parts, in the order of its rows; [""] for one part.

    Ours: PostgreSQL reads ranges of pages, so the order stays that of the table. Databases that only talk
    like it are asked for ranges of an integer key, or for the key's hash: then of equal keys any may come
    last, unless there is a timekey. Views are read in one part.
    """
    if server_version >= 140000 and (table.is_heap or table.kind == "p"):
        pages = query(_PARTITIONS_PAGES if table.kind == "p" else _PAGES, (table.oid,))[0][0]
        return _page_parts(pages or 0)
    if table.kind in "rp" and not table.is_heap and table.estimate > _MANY_ROWS:
        return _key_parts(query, table, key)
    return [""]


def _page_parts(pages: int) -> list[str]:
    step = _PART_BYTES // 8192
    if pages <= 2 * step:
        return [""]
    starts = range(0, pages, step)
    # The last one is open: pages that are added meanwhile are of no snapshot, but no harm either.
    ends = [f" AND ctid < '({start + step},0)'::tid" for start in starts[:-1]] + [""]
    return [f"ctid >= '({start},0)'::tid{end}" for start, end in zip(starts, ends, strict=True)]


def _key_parts(query: Query, table: CatalogTable, key: TableColumn) -> list[str]:
    name = quoted(key.name)
    if key.type_name not in {"int2", "int4", "int8"}:
        return [f"coalesce(abs(hashtext({name}::text) % {_KEY_PARTS}), 0) = {n}" for n in range(_KEY_PARTS)]
    least, most = query(f"SELECT min({name})::int8, max({name})::int8 FROM {table.quoted_name}")[0]
    if least is None or most - least < _KEY_PARTS:
        return [""]
    bounds = [least + (most - least) * n // _KEY_PARTS for n in range(1, _KEY_PARTS)]
    lows = [f"{name} >= {bound}" for bound in bounds]
    highs = [f"{name} < {bound}" for bound in bounds]
    first = f"({highs[0]} OR {name} IS NULL)"  # a key that is null is an error, not a row less
    middle = [f"{low} AND {high}" for low, high in zip(lows, highs[1:], strict=False)]
    return [first, *middle, lows[-1]]


def row_count(query: Query, table: CatalogTable, filtered: str) -> int:
    """About how many rows; few are counted."""
    try:
        plan = query(f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {filtered}")[0][0]
        plan = json.loads(plan) if isinstance(plan, str) else plan
        estimate = int(plan[0]["Plan"]["Plan Rows"])
    except (LoadError, LookupError, TypeError, ValueError):  # a database that only talks like PostgreSQL
        estimate = int(table.estimate)
    if estimate > _FEW_ROWS:
        return estimate
    return int(query(f"SELECT count(*) FROM {filtered}")[0][0])
