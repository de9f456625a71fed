"""How fast are files read, and in how much memory? Rows per second and peak, before finishing.

    python benchmarks/files.py [--rows 1000000]

A million rows of 20 columns: the key, 7 integers, 6 doubles, 6 texts. Each way of reading is a process of its
own, which reads the file three times; the best time counts, and how far its memory rose above what it was
with Arrow loaded. The last lines are `FileSource`, which everything is read with.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from recserve.cores import cores
from recserve.sources.files import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What is tried: the file, then batch rows, pre_buffer, window in KiB, Arrow's threads; or FileSource.
WAYS: list[tuple[str, int, bool, int, bool] | tuple[str, str]] = [
    ("items.parquet", 1 << 15, False, 256, False),
    ("items.parquet", 1 << 15, False, 256, True),
    ("items.parquet", 1 << 16, False, 256, True),
    ("items.parquet", 1 << 17, False, 256, True),
    ("items.parquet", 1 << 16, False, 1024, True),
    ("items.parquet", 1 << 16, True, 0, True),
    ("items.parquet", ""),
    ("items.parquet", "int_5 > 500000 AND text_1 LIKE '%7'"),
    ("items.arrow", ""),
    ("items.csv", ""),
]


def table(rows: int) -> pa.Table:
    rng = np.random.default_rng(0)
    columns: dict[str, pa.Array] = {"item_id": pa.array([f"item_{i:09d}" for i in range(rows)])}
    for i in range(7):
        columns[f"int_{i}"] = pa.array(rng.integers(0, 10 ** (i + 1), rows))
    for i in range(6):
        columns[f"double_{i}"] = pa.array(rng.random(rows))
    for i in range(6):
        words = pa.array([f"word_{j}" for j in range(10 ** (i // 2 + 2))])
        columns[f"text_{i}"] = words.take(pa.array(rng.integers(0, len(words), rows)))
    return pa.table(columns)


def batches(folder: Path, number: int) -> Iterator[pa.RecordBatch]:
    way = WAYS[number]
    if len(way) == 2:
        return FileSource(folder / way[0], "item_id", condition=way[1]).snapshot()
    name, rows, pre_buffer, window, threads = way
    file = pq.ParquetFile(folder / name, pre_buffer=pre_buffer, buffer_size=window << 10)
    opened: Iterator[pa.RecordBatch] = file.iter_batches(rows, use_threads=threads)
    return opened


def measure(folder: Path, number: int) -> dict[str, float]:
    before = peak_kib()
    seconds, cpu_seconds, rows = [], [], 0
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        rows = sum(batch.num_rows for batch in batches(folder, number))
        seconds.append(time.perf_counter() - wall)
        cpu_seconds.append(time.process_time() - cpu)
    peak = (peak_kib() - before) / 1024
    return {"rows": rows, "s": min(seconds), "cpu_s": min(cpu_seconds), "peak_mib": peak}


def peak_kib() -> int:
    """The most memory that this process had; what getrusage tells is at least its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def told(number: int) -> str:
    way = WAYS[number]
    if len(way) == 2:
        return f"FileSource {way[1]}"
    return f"batch {way[1]:6}, pre_buffer {way[2]:d}, window {way[3]:4}, threads {way[4]:d}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(Path(arguments.measure[0]), int(arguments.measure[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        made = table(arguments.rows)
        pq.write_table(made, Path(folder) / "items.parquet", compression="zstd")
        with pa.ipc.new_file(Path(folder) / "items.arrow", made.schema) as writer:
            writer.write_table(made, 1 << 16)
        pa.csv.write_csv(made, Path(folder) / "items.csv")
        print(f"{arguments.rows} rows x {made.num_columns} columns, {cores()} cores")
        for number, way in enumerate(WAYS):
            command = [sys.executable, __file__, "--measure", folder, str(number)]
            out = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"{way[0]:14} {told(number):52} {arguments.rows / out['s'] / 1e6:6.2f} M rows/s  "
                f"cpu {out['cpu_s']:.2f} s  peak +{out['peak_mib']:.0f} MiB"
            )


if __name__ == "__main__":
    main()
