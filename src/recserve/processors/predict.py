"""Scores joined rows offline: the very artefact that is served, but naive. No item store, no rates.

joined.parquet (one impression per row) ──generate_joined──▶ ModelInputs ──run──▶ scores.parquet

What it answers is what the service has to answer for the same users and items: `max |online - offline|` tests
all that is staged, gathered or shared online.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from recserve.columns import batch_from_arrow
from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.engines.engine import Engine
    from recserve.features.generator import Generator


def predict_file(
    features: Generator,
    engine: Engine,
    source: Path,
    target: Path,
    *,
    batch_rows: int = 4096,
    keep: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Score the rows of a Parquet file into another one, in order; gives their number.

    The target has the columns of `keep`, then one per output, and gets its name when it is complete. Raises
    DataError if a column of `keep` is missing, or if a file cannot be read or written.
    """
    unfinished = target.with_name(f".{target.name}.part")
    try:
        with pq.ParquetFile(source) as table:
            _check_kept(keep, table.schema_arrow.names, source)
            total, done = table.metadata.num_rows, 0
            writer: pq.ParquetWriter | None = None
            try:
                for rows in table.iter_batches(batch_size=batch_rows):
                    scored = _score(features, engine, rows, keep)
                    writer = writer or pq.ParquetWriter(unfinished, scored.schema)
                    writer.write_table(scored)
                    done += rows.num_rows
                    progress(done, total)
            finally:
                if writer is not None:
                    writer.close()
        if writer is None:
            raise DataError(f"{source} has no rows; there is nothing to score")
        unfinished.replace(target)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"cannot score {source} into {target}: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return done


def _score(features: Generator, engine: Engine, rows: pa.RecordBatch, keep: Sequence[str]) -> pa.Table:
    inputs = features.generate_joined(batch_from_arrow(rows))
    outputs = engine.run(inputs, rows=rows.num_rows)
    columns = {name: rows.column(name) for name in keep}
    if both := columns.keys() & outputs.keys():
        raise DataError(f"{sorted(both)} are columns to keep and outputs of the model; rename or drop them")
    return pa.table({**columns, **{name: _array(values) for name, values in outputs.items()}})


def _array(values: NDArray[Any]) -> pa.Array:
    """One value per row, or a list of them for outputs with more dimensions."""
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), int(values[0].size))


def _check_kept(keep: Sequence[str], names: Sequence[str], source: Path) -> None:
    missing = [name for name in keep if name not in names]
    if missing:
        raise DataError(f"{source} has no column {missing}; it has {', '.join(names)}")
