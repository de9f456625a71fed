"""Rows that somebody brings to the store itself (`POST /items`), past the tables.

Ours: a column goes to the last table that has it, and a row that brings some columns keeps the others. Such a
write is fresher than a full refresh that is under way. It lasts until that table changes the row, or until
the next full refresh. A static table is not read again: what is written over it stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.columns import arrow_type, column_from_arrow
from recserve.errors import DataError
from recserve.items.part_rows import PartRows, as_stored, hashed, last_of_each
from recserve.items.store import key_type

if TYPE_CHECKING:
    from recserve.items.tables import Cells, Layout, Part
    from recserve.items.upkeep import Upkeep
    from recserve.items.writer import Applied


def upsert(upkeep: Upkeep, rows: pa.Table) -> Applied:
    """Write rows, complete or not. Raises DataError where they do not fit the tables."""
    layout = upkeep.layout
    if not layout.parts:
        raise DataError("there are no item tables, so items have no columns that could be written")
    key = _key_column(layout, rows.schema)
    keys = read_keys(layout, rows.column(key))
    kept = pa.array(last_of_each(keys))
    given = {
        name: _cast(rows.column(name), name, layout).filter(kept)
        for name in rows.column_names
        if name in layout.columns
    }
    unknown = set(rows.column_names) - layout.columns.keys() - {key}
    if unknown:
        raise DataError(
            f"items have no column '{min(unknown)}'; they have {', '.join(sorted(layout.columns))}"
        )
    keys = keys.filter(kept)
    brought: dict[int, Cells] = {}
    for name, array in given.items():
        brought.setdefault(layout.last_part_with(name).number, {})[name] = array
    if not brought:
        brought[layout.parts[-1].number] = {}
    with upkeep.lock:  # between reading the present cells and writing nobody may change them
        return upkeep.apply(
            {
                number: _complete(upkeep, layout.parts[number], keys, cells)
                for number, cells in brought.items()
            }
        )


def delete(upkeep: Upkeep, keys: pa.Array | pa.ChunkedArray) -> int:
    """Forget items, whatever table they are from; returns how many there were."""
    return upkeep.delete(read_keys(upkeep.layout, keys))


def read_keys(layout: Layout, keys: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Keys in the type of the store: texts of integers are integers where the keys are."""
    if isinstance(keys, pa.ChunkedArray):
        keys = keys.combine_chunks()
    if keys.null_count:
        raise DataError(f"{keys.null_count} of {len(keys)} keys are null")
    wanted = pa.int64() if layout.key == "int64" else pa.string()
    if key_type(keys.type, "key") != layout.key:
        try:
            keys = keys.cast(wanted)
        except pa.ArrowInvalid as error:
            raise DataError(f"keys are {layout.key}: {error}") from error
    return as_stored(keys, "key")


def _key_column(layout: Layout, schema: pa.Schema) -> str:
    """The ids stand under the name that a table has for them."""
    names = [part.key for part in reversed(layout.parts)]
    for name in names:
        if name in schema.names:
            return name
    raise DataError(f"the rows have no key column '{names[0]}'; columns: {', '.join(schema.names)}")


def _cast(column: pa.ChunkedArray, name: str, layout: Layout) -> pa.Array:
    """Rows from JSON have wider types than tables; what does not fit is refused."""
    wanted = arrow_type(layout.columns[name])
    try:
        return as_stored(column.combine_chunks().cast(wanted), name)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"column '{name}' is {layout.columns[name]}: {error}") from error


def _complete(upkeep: Upkeep, part: Part, keys: pa.Array, brought: Cells) -> PartRows:
    """The part's rows, its other cells as they are now."""
    lacking = {name: stored for name, stored in part.stored.items() if name not in brought}
    lost = [name for name, stored in lacking.items() if stored not in upkeep.live.store.raw_columns]
    if lost:
        raise DataError(
            f"rows have to bring column '{lost[0]}' too: keep_raw_items is false, so its cells are not there"
        )
    present, _ = upkeep.live.present(column_from_arrow(keys, part.key), list(lacking.values()))
    kept = {name: present[stored] for name, stored in lacking.items()}
    return hashed(part, keys, {**brought, **kept})
