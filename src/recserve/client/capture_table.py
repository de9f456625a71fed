"""Kept requests as a table: one row per item, a column for all that was sent and known of it.

| column                          | holds                                                        |
|---------------------------------|--------------------------------------------------------------|
| request_id, time                | of the request, the same in all of its rows                  |
| item_id, position               | the item, and its place in the request, from 0               |
| the names of features           | what was sent: of the user the same in all rows              |
| raw_features, generate_features | the texts of the item, where the file has them               |

A name that comes from several sides has its side before it: `user:city`, `context:city`, `request:position`.

A column has one type in the whole table: what requests sent, integers and floats together as float64, and
what differs otherwise as text (a list or a map as JSON). So files are read twice: first for the types.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from recserve.client.captures import cells, read
from recserve.columns import to_arrow
from recserve.errors import DataError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from recserve.client.captures import Kept
    from recserve.messages import InputSchema, ScoreRequest

    #: (side, name)
    Key = tuple[str, str]

_OWN: dict[str, pa.DataType] = {
    "request_id": pa.string(),
    "time": pa.timestamp("ms", "UTC"),
    "item_id": pa.string(),
    "position": pa.int32(),
    "raw_features": pa.string(),
    "generate_features": pa.string(),
}
_ROWS_PER_GROUP = 50_000


def write_table(
    files: Sequence[Path],
    target: Path,
    *,
    schema: InputSchema | None = None,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> tuple[int, dict[str, str]]:
    """Write the items of kept requests to a Parquet file; gives their number, and what could not be read.

    `schema` gives columns the types of their bundle. Raises DataError if nothing could be read, or the file
    cannot be written; it gets its name when it is complete.
    """
    problems: dict[str, str] = {}
    types = _types(files, schema, problems, progress)
    good = [file for file in files if str(file) not in problems]
    if not good:
        raise DataError(f"no request could be read; the first: {next(iter(problems.values()))}")
    names = _names(types)
    fields = [pa.field(names["request", name], type_) for name, type_ in _OWN.items()]
    fields += [pa.field(names[key], type_) for key, type_ in sorted(types.items())]
    unfinished = target.with_name(f".{target.name}.part")
    rows, waiting = 0, list[pa.Table]()
    try:
        with pq.ParquetWriter(unfinished, pa.schema(fields)) as writer:
            for number, file in enumerate(good):
                progress("writing", number, len(good))
                waiting.append(_items(read(file), schema, types, names, pa.schema(fields)))
                rows += waiting[-1].num_rows
                if sum(table.num_rows for table in waiting) >= _ROWS_PER_GROUP or file is good[-1]:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting.clear()
        unfinished.replace(target)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"cannot write {target}: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    progress("writing", len(good), len(good))
    return rows, problems


def _types(
    files: Sequence[Path],
    schema: InputSchema | None,
    problems: dict[str, str],
    progress: Callable[[str, int, int], None],
) -> dict[Key, pa.DataType]:
    """One type for each column, of those with which requests sent it."""
    found: dict[Key, set[pa.DataType]] = {}
    for number, file in enumerate(files):
        progress("reading", number, len(files))
        try:
            request = read(file).request(schema)
        except RequestError as error:
            problems[str(file)] = str(error)
            continue
        for key, column in _sent(request):
            found.setdefault(key, set()).add(_type_of(column))
    progress("reading", len(files), len(files))
    return {key: _common(types) for key, types in found.items()}


def _sent(request: ScoreRequest) -> Iterator[tuple[Key, Any]]:
    for side in ("user", "context", "item_features"):
        batch = getattr(request, side)
        for name in batch.names:
            yield (side.removesuffix("_features"), name), batch[name]


def _type_of(column: Any) -> pa.DataType:
    type_ = to_arrow(column).type
    return pa.string() if pa.types.is_large_string(type_) else type_


def _common(types: set[pa.DataType]) -> pa.DataType:
    if len(types) == 1:
        return next(iter(types))
    if all(pa.types.is_integer(type_) for type_ in types):
        return pa.int64()
    if all(pa.types.is_integer(type_) or pa.types.is_floating(type_) for type_ in types):
        return pa.float64()
    return pa.string()


def _names(types: Mapping[Key, pa.DataType]) -> dict[Key, str]:
    keys = [*(("request", name) for name in _OWN), *types]
    often = Counter(name for _, name in keys)
    return {(side, name): name if often[name] == 1 else f"{side}:{name}" for side, name in keys}


def _items(
    kept: Kept,
    schema: InputSchema | None,
    types: Mapping[Key, pa.DataType],
    names: Mapping[Key, str],
    fields: pa.Schema,
) -> pa.Table:
    request = kept.request(schema)
    rows, ids = request.rows, to_arrow(request.item_ids).to_pylist()
    texts = (kept.data.raw_features, kept.data.generate_features)
    own = {
        "request_id": [kept.request_id] * rows,
        "time": [kept.written] * rows,
        "item_id": ids or [None] * rows,
        "position": range(rows),
        "raw_features": [texts[0].get(item) for item in ids] or [None] * rows,
        "generate_features": [texts[1].get(item) for item in ids] or [None] * rows,
    }
    columns = {names["request", name]: pa.array(values, _OWN[name]) for name, values in own.items()}
    for key, column in _sent(request):
        columns[names[key]] = _cast(column, types[key], rows)
    return pa.table(
        {field.name: columns.get(field.name, pa.nulls(rows, field.type)) for field in fields}, schema=fields
    )


def _cast(column: Any, type_: pa.DataType, rows: int) -> pa.Array:
    array = to_arrow(column)
    if array.type != type_:
        if not pa.types.is_string(type_) or pa.types.is_large_string(array.type):
            array = array.cast(type_)
        else:
            array = pa.array([_text(value) for value in cells(column)], pa.string())
    return array if len(array) == rows else array.take(pa.array([0] * rows))


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
