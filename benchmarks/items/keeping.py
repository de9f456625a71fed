"""What does a server's own way take: load a Parquet file, refresh it while serving, start from the image?

The 50 columns under text keys, kept by a `Keeper` as a server keeps them: files, threads, hashes and gate
included.

| figure              | counted                                                                          |
|---------------------|----------------------------------------------------------------------------------|
| load_rows_per_s     | wall time from nothing to every row, the image not yet written                   |
| load_peak_ratio     | what the process had at most meanwhile over what it had afterwards               |
| refresh_peak_ratio  | the same of a full refresh: 10 % of rows changed, 5 % are gone, 5 % new          |
| start_s             | wall time of a start from the image, its checks included; median of rounds        |

Memory is counted without what the process had before the load.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from benchmarks.items.memory import newer_table, status_bytes
from benchmarks.items.tables import FIFTY, KEY, batches

from recserve.items.keeper import Keeper
from recserve.items.store import ItemStore, give_back_memory
from recserve.items.tables import KeptTable
from recserve.sources.files import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

ROUNDS = 5


def write(path: Path, rows: Iterator[pa.RecordBatch]) -> None:
    first = next(rows)
    with pq.ParquetWriter(path, first.schema) as file:
        file.write_batch(first)
        for batch in rows:
            file.write_batch(batch, row_group_size=1 << 17)


def write_both(folder: Path, rows: int) -> None:
    """The table, and the one of the next day; in a process of its own, whose memory goes with it."""
    write(folder / "items.parquet", batches(FIFTY, rows))
    write(folder / "newer.parquet", newer_table(rows))


def keeper(folder: Path) -> Keeper:
    table = KeptTable(FileSource(folder / "items.parquet", KEY), frozenset(FIFTY.names))
    return Keeper(
        [table],
        ItemStore,
        image_path=folder / "items.snapshot",
        fingerprint="benchmark",
        restore_store=ItemStore.restore,
    )


def starts(folder: Path) -> list[float]:
    """Seconds of starts from the image."""
    seconds = []
    for _ in range(ROUNDS):
        kept = keeper(folder)
        start = time.perf_counter()
        kept.load()
        seconds.append(time.perf_counter() - start)
        image = kept.status().image
        assert image is not None
        assert image.loaded
        kept.close()
    return seconds


def measure(rows: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ProcessPoolExecutor(1, get_context("spawn")) as writer:
            writer.submit(write_both, folder, rows).result()
        kept = keeper(folder)
        before = status_bytes("VmRSS")
        start, cpu = time.perf_counter(), time.process_time()
        kept.load()
        load_s, load_cpu_s = time.perf_counter() - start, time.process_time() - cpu
        load_peak = status_bytes("VmHWM") - before
        give_back_memory()
        grown = status_bytes("VmRSS") - before

        os.replace(folder / "newer.parquet", folder / "items.parquet")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        start, cpu = time.perf_counter(), time.process_time()
        (report,) = kept.refresh_now().tables
        refresh_s, refresh_cpu_s = time.perf_counter() - start, time.process_time() - cpu
        peak = status_bytes("VmHWM") - before
        assert report.outcome == "refreshed"
        kept.save_image()
        kept.close()
        return {
            "load_rows_per_s": rows / load_s,
            "load_cpu_s": load_cpu_s,
            "load_peak_ratio": load_peak / grown,
            "refresh_s": refresh_s,
            "refresh_cpu_s": refresh_cpu_s,
            "refresh_peak_ratio": peak / grown,
            "unchanged": report.unchanged,
            "written": report.written,
            "gone": report.deleted,
            "start_s": median(starts(folder)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    print(json.dumps(measure(parser.parse_args().rows)))


if __name__ == "__main__":
    main()
