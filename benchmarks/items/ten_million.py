"""Ten million items × 40 columns: how long do they take, how much memory, and how long does a gather?

Made batch by batch, straight into the store (216 bytes of numbers a row, text keys of 14 bytes); `made_s` is
making the batches alone. Takes about 4 GB.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.items.gather import cpu_us, gather
from benchmarks.items.memory import status_bytes
from benchmarks.items.tables import FORTY, KEY, batches, empty_store, keys

from recserve.allocator import tune_allocator
from recserve.columns import column_from_arrow

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

CALLS = 500


def measure(rows: int) -> dict[str, float]:
    tune_allocator()
    made = 0.0
    visible = 0
    start = time.perf_counter()

    def timed() -> Iterator[pa.RecordBatch]:
        nonlocal made
        making = iter(batches(FORTY, rows))
        while True:
            began = time.perf_counter()
            batch = next(making, None)
            made += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    def progress(more: int) -> None:
        nonlocal visible
        before, visible = visible, visible + more
        if before // 1_000_000 == visible // 1_000_000:
            return
        left = (time.perf_counter() - start) / visible * (rows - visible)
        print(f"  {visible / 1e6:.0f} of {rows / 1e6:.0f} million rows, {left:.0f} s left", file=sys.stderr)

    base, cpu = status_bytes("VmRSS"), time.process_time()
    store = empty_store(FORTY)
    store.load(timed(), key=KEY, progress=progress)
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    kept, rng = store.figures(), np.random.default_rng(8)
    asked = [column_from_arrow(keys(rng.integers(0, rows, 200))) for _ in range(CALLS)]
    return {
        "rows": kept.rows,
        "load_s": seconds,
        "made_s": made,
        "load_cpu_s": cpu_s,
        "store_bytes": kept.bytes,
        "resident_bytes": status_bytes("VmRSS") - base,
        "peak_bytes": status_bytes("VmHWM") - base,
        "index_cells_bytes_per_row": kept.index_bytes / rows,
        "gather_200_us": median(cpu_us(lambda ids: gather(store, ids, size=200), asked)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    print(json.dumps(measure(parser.parse_args().rows)))


if __name__ == "__main__":
    main()
