"""`recserve features run`: from files to files, in constant memory, and never half a file.

in.parquet ──TableFiles──▶ parts ──offline.Work──▶ batches ──TableWriter──▶ out.parquet, rejects.parquet
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recserve.errors import DataError
from recserve.features.offline.files import TableFiles, TableWriter, format_of
from recserve.features.offline.generate import BATCH_ROWS, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from recserve.features.generator import Generator


@dataclass(frozen=True, slots=True)
class Report:
    """How a run over files went."""

    rows: int
    features: int
    rejected: int
    #: (feature, column) that were taken as missing, because the table lacks the column
    missing: tuple[tuple[str, str], ...]
    #: feature → values that were no numbers
    unparsable: Mapping[str, int]


def run_file(
    generator: Generator,
    source: Path,
    target: Path,
    *,
    columns: Sequence[str] | None = None,
    threads: int = 1,
    on_error: Literal["raise", "default"] = "raise",
    rejects: Path | None = None,
    force: bool = False,
    batch_rows: int = BATCH_ROWS,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Report:
    """Generate the features of all rows of a file (or a directory of Parquet files) into another file.

    `columns`, `threads` and `on_error` are those of `offline.Options`.

    `target`, and `rejects` for the rows that could not be read whole, have their names once they are
    complete; `force` replaces what has them now. `progress` is told how many rows of how many are done.
    """
    for path in (target, rejects):
        if path is None:
            continue
        format_of(path, "written")
        if path.exists() and not force:
            raise DataError(f"{path} is there already; force (--force) replaces it")
    files = TableFiles(source)
    total, done, rejected = files.rows(), 0, 0
    written, refused = _Writing(target), _Writing(rejects)

    def reject(rows: pa.RecordBatch) -> None:
        nonlocal rejected
        rejected += rows.num_rows
        refused.write(rows)

    work = Work.of(
        generator, files.schema, columns=columns, threads=threads, on_error=on_error, rejects=reject
    )
    with refused, written:
        for batch in work.run(files.parts(work.reads, batch_rows)):
            written.write(batch)
            done += batch.num_rows
            progress(done, total)
    counts = generator.counters_by_feature
    return Report(
        rows=done,
        features=len(work.features),
        rejected=rejected,
        missing=tuple((feature, column) for column, feature in work.missing.items()),
        unparsable={f: n for (f, kind), n in counts.items() if kind == "unparsable_number"},
    )


class _Writing(ExitStack):
    """A file that begins with its first batch, which knows the columns; without a path, none."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path
        self._writer: TableWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self._path is None:
            return
        if self._writer is None:
            self._writer = self.enter_context(TableWriter(self._path, batch.schema))
        self._writer.write(batch)
