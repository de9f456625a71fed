"""Changes of items as an operator posts them to the admin port: JSON, or a stream of Arrow batches.

    {"upsert": [{"item_id": "i1", "price": 1.5, "tags": ["a", "b"]}], "delete": ["i2"]}

    Content-Type: application/vnd.apache.arrow.stream     rows to upsert, the key among the columns

A row that brings some columns keeps the others as they are; null takes a cell away. Cells have the types that
the item store keeps, a map is a JSON object, a vector a list of its length. Columns that the store does not
keep are left out, and named in the answer. All of it is ours.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa

from recserve.columns import arrow_type, storage_type
from recserve.config.document import parse_json
from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError, ContentTypeError, DataError, RequestError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ARROW_STREAM = "application/vnd.apache.arrow.stream"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class ItemSchema:
    """What rows of the item store look like."""

    key: str  # the column with the id
    key_type: str  # string or int64
    types: Mapping[str, str]  # raw column → type, as InputSchema writes them, and float32[16]


@dataclass(frozen=True, slots=True)
class ItemChanges:
    """What to do with which items."""

    upserts: tuple[
        pa.Table, ...
    ] = ()  # the key column and those that the rows bring; one for each set of them
    deleted: pa.Array | None = None  # keys
    ignored: tuple[str, ...] = ()  # columns that came and are not kept


def decode(body: bytes, content_type: str, schema: ItemSchema, *, max_bytes: int) -> ItemChanges:
    """Read the body of a POST. Raises RequestError that names row, column and value.

    `max_bytes` bounds the rows of an Arrow stream as they are in memory.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == ARROW_STREAM:
        return _from_arrow(body, schema, max_bytes)
    if kind in (JSON, ""):
        return _from_json(body, schema)
    raise ContentTypeError(f"items come as {JSON} or {ARROW_STREAM}, not as {kind!r:.100}")


def key_of(text: str, schema: ItemSchema) -> pa.Array:
    """One id, as it stands in a path; raises RequestError for what no row can have as its key."""
    return _keys([text], schema, "the path")


# --- JSON -------------------------------------------------------------------------------------------------


def _from_json(body: bytes, schema: ItemSchema) -> ItemChanges:
    try:
        document = parse_json(body.decode(), "the body")
    except (ConfigError, UnicodeDecodeError) as error:
        raise RequestError(f"items cannot be read: {error}") from error
    for name in document.keys() - {"upsert", "delete"}:
        raise RequestError(f"unknown key '{name}'{did_you_mean(name, ['upsert', 'delete'])}")
    rows, deleted = document.get("upsert", []), document.get("delete", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RequestError(f'upsert is a list of rows, each an object: [{{"{schema.key}": …, …}}]')
    if not isinstance(deleted, list):
        raise RequestError(f"delete is a {type(deleted).__name__}; a list of ids is expected")
    gone = _keys(deleted, schema, "delete") if deleted else None
    keys = _keys([row.get(schema.key) for row in rows], schema, "upsert")
    known = {schema.key, *schema.types}
    alike: dict[tuple[str, ...], list[int]] = {}  # columns that are sent → the rows that send them
    for place, row in enumerate(rows):
        alike.setdefault(tuple(name for name in schema.types if name in row), []).append(place)
    tables = [
        pa.table({schema.key: keys.take(pa.array(places))} | _columns(rows, names, places, keys, schema))
        for names, places in alike.items()
    ]
    ignored = dict.fromkeys(name for row in rows for name in row if name not in known)
    return _checked(tables, gone, tuple(ignored), schema)


def _columns(
    rows: list[dict[str, Any]], names: Sequence[str], places: list[int], keys: pa.Array, schema: ItemSchema
) -> dict[str, pa.Array]:
    return {
        name: _column([rows[place][name] for place in places], name, schema.types[name], places, keys)
        for name in names
        if name != schema.key
    }


def _keys(values: Sequence[Any], schema: ItemSchema, where: str) -> pa.Array:
    """Ids as the store has them; the canonical text of an integer is that integer."""
    whole = schema.key_type == "int64"
    found: list[str | int] = []
    for row, value in enumerate(values):
        if isinstance(value, str) and value and (not whole or re.fullmatch(r"0|-?[1-9]\d*", value)):
            found.append(int(value) if whole else value)
        elif whole and isinstance(value, int) and not isinstance(value, bool):
            found.append(value)
        else:
            expected = "an integer" if whole else "a text that is not empty"
            raise RequestError(f"{where}, row {row}: '{schema.key}' is {value!r:.100}; ids are {expected}")
        if whole and not -(2**63) <= int(found[-1]) < 2**63:
            raise RequestError(f"{where}, row {row}: '{schema.key}' {value!r:.100} is no 64-bit integer")
    try:
        return pa.array(found, pa.int64() if whole else pa.string())
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise RequestError(f"{where}: '{schema.key}' has a text that is not Unicode") from error


def _column(cells: list[Any], name: str, kind: str, places: list[int], keys: pa.Array) -> pa.Array:
    wanted, convert = arrow_type(kind), _CONVERT[_shape(kind)]

    def refuse(row: int) -> NoReturn:
        place = places[row]
        raise RequestError(
            f"upsert, row {place} ({keys[place].as_py()!r:.100}): column '{name}' is {cells[row]!r:.100}; "
            f"{kind} is expected"
        )

    made = []
    for row, cell in enumerate(cells):
        try:
            made.append(None if cell is None else convert(cell, wanted))
        except (TypeError, ValueError, OverflowError):
            refuse(row)
    try:
        return pa.array(made, wanted)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        refuse(_first_refused(made, wanted))


def _first_refused(cells: list[Any], wanted: pa.DataType) -> int:
    def refused(cell: Any) -> bool:
        try:
            pa.array([cell], wanted)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            return True
        return False

    return next(row for row, cell in enumerate(cells) if refused(cell))


def _scalar(cell: Any, wanted: pa.DataType) -> Any:
    if pa.types.is_string(wanted):
        if not isinstance(cell, str):
            raise TypeError
        return cell
    if pa.types.is_integer(wanted) and isinstance(cell, bool):
        return int(cell)  # tables with switches are stored as integers
    if not isinstance(cell, int if pa.types.is_integer(wanted) else (int, float)) or isinstance(cell, bool):
        raise TypeError
    return cell if pa.types.is_integer(wanted) else float(cell)


def _list(cell: Any, wanted: pa.DataType) -> list[Any]:
    if not isinstance(cell, list):
        raise TypeError
    if pa.types.is_fixed_size_list(wanted) and len(cell) != wanted.list_size:
        raise ValueError
    inner = wanted.value_type
    convert = _list if pa.types.is_list(inner) else _scalar
    return [convert(entry, inner) for entry in cell]


def _map(cell: Any, wanted: pa.DataType) -> list[tuple[Any, Any]]:
    if not isinstance(cell, dict):
        raise TypeError
    whole = pa.types.is_integer(wanted.key_type)
    return [(int(key) if whole else key, _scalar(entry, wanted.item_type)) for key, entry in cell.items()]


_CONVERT: dict[str, Callable[[Any, pa.DataType], Any]] = {"scalar": _scalar, "list": _list, "map": _map}


def _shape(kind: str) -> str:
    return (
        "map"
        if kind.startswith("map<")
        else "list"
        if kind.startswith("list<") or kind[-1] == "]"
        else "scalar"
    )


# --- Arrow ------------------------------------------------------------------------------------------------


def _from_arrow(body: bytes, schema: ItemSchema, max_bytes: int) -> ItemChanges:
    table = _read_stream(body, max_bytes)
    if schema.key not in table.schema.names:
        raise RequestError(
            f"the rows have no key column '{schema.key}'; columns: {', '.join(table.schema.names)}"
        )
    twice = {name for name in table.schema.names if table.schema.names.count(name) > 1}
    if twice:
        raise RequestError(f"columns stand twice: {', '.join(sorted(twice))}")
    columns = {
        name: _cast(table.column(name).combine_chunks(), name, kind)
        for name, kind in {schema.key: schema.key_type, **schema.types}.items()
        if name in table.schema.names
    }
    ignored = tuple(name for name in table.schema.names if name not in columns)
    return _checked([pa.table(columns)], None, ignored, schema)


def _read_stream(body: bytes, max_bytes: int) -> pa.Table:
    batches, size = [], 0
    try:
        with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
            for batch in reader:
                size += batch.nbytes
                if size > max_bytes:
                    raise TooLargeError(
                        f"over the limit: more than {max_bytes} bytes of rows (max_body_bytes)"
                    )
                batch.validate(full=True)  # offsets and texts of a stranger
                batches.append(batch)
            return pa.Table.from_batches(batches, reader.schema)
    except (pa.ArrowException, OSError, EOFError) as error:
        raise RequestError(f"the body is not a stream of Arrow batches: {error}") from error


def _cast(array: pa.Array, name: str, kind: str) -> pa.Array:
    """The array as the store keeps it, if no value changes by that."""
    if isinstance(array, pa.ChunkedArray):  # pyarrow leaves an empty one as it is
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    wanted = arrow_type(kind)
    if array.type == wanted:
        return array
    try:
        storage_type(array.type, name)
    except DataError as error:
        raise RequestError(str(error)) from error

    def fits(rows: int) -> bool:
        try:
            array.slice(0, rows).cast(wanted)
        except pa.ArrowException:
            return False
        return True

    if not fits(0):
        raise RequestError(f"column '{name}' is {array.type}; {kind} is expected")
    if not fits(len(array)):
        row = bisect_left(range(1, len(array) + 1), True, key=lambda rows: not fits(rows))
        value = array[row].as_py()
        raise RequestError(f"upsert, row {row}: column '{name}' is {value!r:.100}; {kind} is expected")
    return array.cast(wanted)


def _checked(
    tables: list[pa.Table], deleted: pa.Array | None, ignored: tuple[str, ...], schema: ItemSchema
) -> ItemChanges:
    keys = [key for table in tables for key in table.column(schema.key).to_pylist()]
    empty = [row for row, key in enumerate(keys) if key is None or key == ""]
    if empty:
        raise RequestError(f"upsert, row {empty[0]}: '{schema.key}' is missing; every row has an id")
    if deleted is not None and (both := set(keys) & set(deleted.to_pylist())):
        raise RequestError(f"{min(both)!r:.100} stands in upsert and in delete; send it in one of them")
    return ItemChanges(tuple(tables), deleted, ignored)


# --- answers ----------------------------------------------------------------------------------------------


def encode(value: Any) -> Any:
    """Cells as JSON has them: a map as an object, bytes as text, what is no number by its name."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {str(key): encode(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(entry, tuple) and len(entry) == 2 for entry in value):
            return {str(key): encode(entry) for key, entry in value}
        return [encode(entry) for entry in value]
    return value
