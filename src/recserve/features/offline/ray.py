"""Feature generation in Ray Data (the extra `ray`): more machines, the same features.

    ray.data.read_parquet("clicks").map_batches(FeatureGeneration("fg.json"), batch_format="pyarrow")

Ray reads, schedules and writes; this is what it calls with each batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from recserve.features.offline.generate import load_generator, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa


class FeatureGeneration:
    """From a batch of raw columns to the features of its rows, as `offline.run` gives them.

    fg.json and its vocabularies are read here, once, and travel with the object; each worker process builds
    the plan once. `columns` and `on_error` are those of `offline.Options`, the rest is `load_generator`'s.
    The row that an error names is counted from the beginning of its batch.
    """

    def __init__(
        self,
        fg_json: Path | str | Mapping[str, Any],
        *,
        columns: Sequence[str] | None = None,
        on_error: Literal["raise", "default"] = "raise",
        farm_hash: bool = False,
        step: Literal["", "without_bucketizers", "bucketize_only"] = "",
    ) -> None:
        self._generator = load_generator(fg_json, farm_hash=farm_hash, step=step)
        self._columns = columns
        self._on_error = on_error

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Generate for one batch."""
        return run(self._generator, rows, columns=self._columns, on_error=self._on_error)
