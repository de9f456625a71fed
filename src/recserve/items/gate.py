"""The sanity gate: a full refresh that would spoil the store is refused before it writes.

    schema ──▶ is every needed column there, of its type?
    profile ──▶ are there enough rows, and not too many nulls?      where the source can count
    batches ──▶ the same of the rows so far, and of their number at the end, where it cannot

A refused refresh leaves the rows as they are; the next one may pass.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recserve.columns import column_from_arrow, to_arrow
from recserve.errors import DataError
from recserve.items.part_rows import check_keys
from recserve.items.store import column_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from recserve.items.part_rows import PartRows
    from recserve.items.tables import Part
    from recserve.items.writer import StoreWriter
    from recserve.source import Profile


class RefusedError(DataError):
    """A full refresh did not pass the gate; the old rows are served."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a full refresh may change at most."""

    min_rows_percent: float = 50.0
    max_null_increase_percent: float = 50.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of a table, and nulls in each column; a column that nobody counted is absent."""

    rows: int
    nulls: Mapping[str, int]


def count_present(writer: StoreWriter, part: Part, before: Counts | None) -> Counts:
    """Count what the store has of a table. `before`, the last snapshot, tells of columns not kept."""
    kept = _kept(writer, part)
    rows = 0
    nulls: Counter[str] = Counter(dict.fromkeys(kept, 0))
    for _, batch in writer.store.scan([part.hash_column, *kept.values()]):
        absent = to_arrow(batch[part.hash_column]).null_count  # they are null in all columns of the part
        rows += batch.rows - absent
        for column, stored in kept.items():
            nulls[column] += to_arrow(batch[stored]).null_count - absent
    if before is not None and before.rows:
        for column, count in before.nulls.items():
            if column not in kept:
                nulls[column] = round(count * rows / before.rows)
    return Counts(rows, nulls)


def _kept(writer: StoreWriter, part: Part) -> dict[str, str]:
    """The columns of the part that can be read back, and where they are stored."""
    raw = writer.store.raw_columns
    return {column: stored for column, stored in part.stored.items() if stored in raw}


def check_schema(part: Part, schema: pa.Schema, key_kind: str) -> None:
    """Refuse a table that lost a needed column, or has it in another type. New columns do not matter."""
    if part.key not in schema.names:
        raise RefusedError(_refused(part, f"its key column '{part.key}' is gone"))
    try:
        check_keys(schema.field(part.key).type, part, key_kind)
        found = column_types(schema, part.types)
    except DataError as error:
        raise RefusedError(_refused(part, str(error))) from error
    for column, kind in part.types.items():
        if column not in found:
            raise RefusedError(_refused(part, f"its column '{column}', which features read, is gone"))
        if found[column] != kind:
            raise RefusedError(_refused(part, f"its column '{column}' was {kind} and became {found[column]}"))


def check_counts(part: Part, counts: Counts | Profile, present: Counts, limits: Limits) -> None:
    """Refuse a table with too few rows, or with too many nulls in one column."""
    check_rows(part, counts.rows, present.rows, limits)
    if not counts.rows or not present.rows:
        return
    for column, before in present.nulls.items():
        share = 100.0 * counts.nulls.get(column, 0) / counts.rows
        _check_share(part, column, share, 100.0 * before / present.rows, limits)


def check_rows(part: Part, rows: int, present: int, limits: Limits) -> None:
    """Refuse a table with too few rows; one without any is always refused."""
    if rows < present * limits.min_rows_percent / 100.0 or (rows == 0 and present > 0):
        raise RefusedError(
            _refused(
                part,
                f"it has {rows} rows, the store has {present} of it; "
                f"min_rows_percent is {limits.min_rows_percent:g}, and an empty table is never taken",
            )
        )


def _check_share(part: Part, column: str, share: float, before: float, limits: Limits) -> None:
    if share - before > limits.max_null_increase_percent:
        raise RefusedError(
            _refused(
                part,
                f"column '{column}' is null in {share:.1f} % of the rows, before in {before:.1f} %; "
                f"max_null_increase_percent is {limits.max_null_increase_percent:g}",
            )
        )


def _refused(part: Part, reason: str) -> str:
    return f"the full refresh of table '{part.name}' is refused and the old rows are served: {reason}"


@dataclass(slots=True)
class Watch:
    """Checks a snapshot that nobody could count before, batch by batch.

    The nulls of the rows so far are compared with those that the store has under the same keys, so that it
    does not matter in which order a table is read. Rows that the store does not have are not compared.
    """

    part: Part
    present: StoreWriter
    limits: Limits
    rows: int = 0
    compared: int = 0
    nulls: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)

    def check(self, rows: PartRows) -> None:
        """Look at a batch before it is written. Raises RefusedError."""
        self.rows += len(rows)
        kept = _kept(self.present, self.part)
        keys = column_from_arrow(rows.keys, self.part.key)
        cells, _ = self.present.present(keys, [self.part.hash_column, *kept.values()])
        known = cells[self.part.hash_column].is_valid()
        self.compared += known.true_count
        for column, stored in kept.items():
            self.nulls[column] += rows.cells[column].filter(known).null_count
            self.before[column] += cells[stored].filter(known).null_count
        for column in kept if self.compared else ():
            share = 100.0 * self.nulls[column] / self.compared
            _check_share(self.part, column, share, 100.0 * self.before[column] / self.compared, self.limits)
