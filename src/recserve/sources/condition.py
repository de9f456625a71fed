"""A WHERE over Arrow batches, by DuckDB: which rows of files count.

    batch ──columns that the condition reads──▶ DuckDB ──numbers of rows──▶ take from the batch

DuckDB sees one batch at a time, as the table `rows`, and nothing else: no file, no other table, no
sub-select, no setting that it could change. Rows keep the types of the file, as they do not go through it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "1",  # a batch is one thread's work
}
_ROW = "#row"
_PLACE = re.compile(r"LINE \d+:")  # behind it the query, which the operator did not write
_UNKNOWN_COLUMN = re.compile(r'Referenced (?:column|table) "([^"]+)" not found')


class Condition:
    """The body of a WHERE, checked against the columns of a table; any thread may filter with it.

    Raises DataError, naming table and condition, for what is not one condition over these columns, and
    ConfigError without DuckDB.
    """

    def __init__(self, text: str, schema: pa.Schema, where: str) -> None:
        self._where = f'{where}: condition "{text}"'
        self._database = _open(where)
        self._query = f'SELECT "{_ROW}" FROM rows WHERE (\n{text}\n)'
        self.columns = self._columns_read(text, schema)
        self._try(schema)

    def filter(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Leave out the rows for which the condition is not true."""
        with self._database.cursor() as cursor:
            for batch in batches:
                chosen = self._chosen(cursor, batch)
                yield batch if len(chosen) == batch.num_rows else batch.take(chosen)

    def _chosen(self, cursor: Any, batch: pa.RecordBatch) -> pa.Array:
        arrays = {name: batch.column(name) for name in self.columns}
        cursor.register("rows", pa.table({**arrays, _ROW: np.arange(batch.num_rows)}))
        return pa.array(self._run(cursor.execute, self._query).fetchnumpy()[_ROW], pa.int64())

    def _columns_read(self, text: str, schema: pa.Schema) -> list[str]:
        """The columns that the parsed condition names; refuses what is more than a condition."""
        parsed, plain = (self._parse(f"SELECT * FROM rows WHERE (\n{body}\n)") for body in (text, "true"))
        body = parsed.pop("where_clause", None)
        plain.pop("where_clause")
        if body is None or _without_places(parsed) != _without_places(plain):
            raise DataError(f"{self._where} is more than what stands behind one WHERE")
        nodes = list(_nodes(body))
        if any("subquery" in node for node in nodes):
            raise DataError(f"{self._where} has a sub-select; only this table's own columns can be read")
        if any(node.get("class") == "STAR" for node in nodes):
            return list(schema.names)
        names = {part for node in nodes for part in node.get("column_names", ())}
        lower = {name.lower(): name for name in schema.names}
        found = {name if name in schema.names else lower.get(name.lower(), "") for name in names}
        return [name for name in schema.names if name in found]

    def _parse(self, query: str) -> dict[str, Any]:
        found = self._run(self._database.execute, "SELECT json_serialize_sql(?::VARCHAR)", [query])
        answer = json.loads(found.fetchone()[0])
        if answer["error"]:
            raise DataError(f"{self._where}: {answer['error_message']}")
        node: dict[str, Any] = answer["statements"][0]["node"]
        if len(answer["statements"]) > 1:
            raise DataError(f"{self._where} is more than what stands behind one WHERE")
        return node

    def _try(self, schema: pa.Schema) -> None:
        """Run it over no rows: wrong names and types are told before anything is read."""
        no_rows = pa.RecordBatch.from_pylist([], schema=pa.schema([schema.field(n) for n in self.columns]))
        try:
            with self._database.cursor() as cursor:
                self._chosen(cursor, no_rows)
        except DataError as error:
            unknown = _UNKNOWN_COLUMN.search(str(error))
            if unknown is None:
                raise
            near = did_you_mean(unknown[1], schema.names)
            raise DataError(f"{self._where}: there is no column '{unknown[1]}'{near}") from None

    def _run(self, execute: Callable[..., Any], *query: Any) -> Any:
        import duckdb

        try:
            return execute(*query)
        except duckdb.Error as error:
            said = _PLACE.split(str(error))[0]
            raise DataError(f"{self._where}: {' '.join(said.split())}") from None


def _open(where: str) -> Any:
    try:
        import duckdb
    except ImportError:
        raise ConfigError(
            f"{where} has a condition, which needs DuckDB, and it is not installed: "
            "pip install 'recserve[sql]'"
        ) from None
    database = duckdb.connect(":memory:", config=_CLOSED)
    database.execute("SET lock_configuration = true")
    return database


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(child)


def _without_places(tree: Any) -> Any:
    """The tree without where in the text its parts stood."""
    if isinstance(tree, dict):
        return {k: _without_places(v) for k, v in tree.items() if not k.startswith("query_location")}
    return [_without_places(child) for child in tree] if isinstance(tree, list) else tree
