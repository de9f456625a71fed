"""Feature generation in Spark (the extra `spark`, and a Java VM): more machines, the same features.

    features = FeatureGeneration("fg.json", clicks.schema)
    clicks.mapInArrow(features, features.schema)

Spark reads, schedules and writes; this is what it calls with the batches of a partition.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from recserve.errors import ConfigError
from recserve.features.offline.generate import Work, load_generator, run, stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pyspark.sql.types import StructType


class FeatureGeneration:
    """From the batches of a partition to the features of their rows, as `offline.stream` gives them.

    `rows` is the schema of the frame. fg.json and its vocabularies are read here, once, and travel with the
    object; each worker process builds the plan once. `columns` and `on_error` are those of `offline.Options`,
    the rest is `load_generator`'s. The row that an error names is counted from where its partition begins.
    """

    def __init__(
        self,
        fg_json: Path | str | Mapping[str, Any],
        rows: StructType,
        *,
        columns: Sequence[str] | None = None,
        on_error: Literal["raise", "default"] = "raise",
        farm_hash: bool = False,
        step: Literal["", "without_bucketizers", "bucketize_only"] = "",
    ) -> None:
        self._generator = load_generator(fg_json, farm_hash=farm_hash, step=step)
        self._columns = columns
        self._on_error = on_error
        self.schema = self._schema(rows)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Generate for the batches of one partition, which may have none."""
        for first in batches:
            generated = stream(
                self._generator, chain([first], batches), columns=self._columns, on_error=self._on_error
            )
            yield from map(_without_fixed_sizes, generated)

    def _schema(self, rows: StructType) -> StructType:
        """What comes out: generated columns, and reserves as they are in the frame."""
        try:
            from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
            from pyspark.sql.types import StructType
        except ImportError as error:
            raise ConfigError("Spark is not installed; pip install 'recserve[spark]'") from error
        nothing = to_arrow_schema(rows, timezone="UTC").empty_table()
        made = run(self._generator, nothing, columns=self._columns, on_error=self._on_error)
        passed = Work.of(
            self._generator, nothing.schema, columns=self._columns, on_error=self._on_error
        ).reserves
        out = from_arrow_schema(_without_fixed_sizes(made).schema)
        return StructType([rows[field.name] if field.name in passed else field for field in out])


def _without_fixed_sizes(rows: pa.RecordBatch | pa.Table) -> pa.RecordBatch | pa.Table:
    """Spark knows no lists of a fixed size: they become lists."""
    return rows.cast(pa.schema([field.with_type(_list_of(field.type)) for field in rows.schema]))


def _list_of(arrow: pa.DataType) -> pa.DataType:
    if pa.types.is_list(arrow) or pa.types.is_fixed_size_list(arrow):
        return pa.list_(_list_of(arrow.value_type))
    return arrow
