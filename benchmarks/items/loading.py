"""How fast does a table come in? Parquet into the store, before anything is finished.

20 columns under text keys of 14 bytes, written with Arrow's defaults (snappy). Wall time of whole loads, with
as many threads as `ItemStore.load` takes; `parquet_s` is reading the file alone, one thread.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.items.tables import KEY, TWENTY, batches, empty_store

from recserve.sources.files import FileSource

ROUNDS = 5


def write(path: Path, rows: int) -> None:
    """The table as a file; in a process of its own, whose memory goes with it."""
    table = pa.Table.from_batches(batches(TWENTY, rows))
    pq.write_table(table, path, row_group_size=1 << 17)


def measure(rows: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.parquet"
        with ProcessPoolExecutor(1, get_context("spawn")) as writer:
            writer.submit(write, path, rows).result()
        loads, cpus, reads = [], [], []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for _ in FileSource(path, KEY).snapshot():
                pass
            reads.append(time.perf_counter() - start)
            store = empty_store(TWENTY)
            start, cpu = time.perf_counter(), time.process_time()
            store.load(FileSource(path, KEY).snapshot(), key=KEY)
            loads.append(time.perf_counter() - start)
            cpus.append(time.process_time() - cpu)
            assert len(store) == rows
    load = median(loads)
    return {
        "rows_per_s": rows / load,
        "load_s": load,
        "load_cpu_s": median(cpus),
        "parquet_s": median(reads),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    print(json.dumps(measure(parser.parse_args().rows)))


if __name__ == "__main__":
    main()
