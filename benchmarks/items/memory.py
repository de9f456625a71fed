"""What does an item take in memory, and what does a refresh take on top of it?

50 columns (280 bytes of numbers) under text keys of 14 bytes, with the row hash that refreshes compare.

| figure              | counted                                                                          |
|---------------------|----------------------------------------------------------------------------------|
| index_bytes_per_row | hash cells, version header (born, previous) and row hash                         |
| packed_ratio        | key, presence bits, cells and padding of a slot over key bytes and field widths  |
| refresh_peak_ratio  | what the process had at most during a refresh over what it had before, both      |
|                     | without what it had before the store; 10 % of rows changed, 5 % are gone, 5 % new |

The refreshed table comes in batches of 8192 rows; of each one there are some copies while it is compared.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from benchmarks.items.tables import BATCH_ROWS, FIFTY, ROW_HASH, batch, filled_store, split

from recserve.columns import batch_from_arrow, column_from_arrow, to_arrow
from recserve.items.store import give_back_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.items.store import ItemStore

KEY_BYTES = 14
CHANGED, GONE = 0.1, 0.05
HEADER_BYTES = 12
HASH_BYTES = 8


def status_bytes(name: str) -> int:
    """VmRSS or VmHWM of this process."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0]) * 1024


def newer_table(rows: int) -> Iterator[pa.RecordBatch]:
    """The table after a day: some rows changed, the first ones are gone, others came."""
    rng = np.random.default_rng(7)
    for start in range(0, rows, BATCH_ROWS):
        numbers = np.arange(start, min(start + BATCH_ROWS, rows))
        made = batch(FIFTY, numbers)
        prices = made.column(1).to_numpy().copy()
        prices[rng.random(len(prices)) < CHANGED] += 1
        made = made.set_column(1, made.schema.field(1), pa.array(prices))
        yield made.filter(pa.array(numbers >= rows * GONE))
    for start in range(rows, int(rows * (1 + GONE)), BATCH_ROWS):
        yield batch(FIFTY, np.arange(start, min(start + BATCH_ROWS, int(rows * (1 + GONE)))))


def refresh(store: ItemStore, table: Iterator[pa.RecordBatch]) -> dict[str, int]:
    """The whole of it, by one thread."""
    session = store.refresh(ROW_HASH)
    for rows in table:
        keys, cells = split(rows, hashed=True)
        write = pa.array(session.changed(keys, cells[ROW_HASH]))
        kept = {name: to_arrow(cells[name]).filter(write) for name in cells.names}
        prepared = store.prepare(batch_from_arrow(kept), column_from_arrow(rows.column(0).filter(write)))
        store.publish(prepared, session)
    gone = sum(store.delete(keys) for keys in session.unseen(BATCH_ROWS))
    found = session.figures()
    return {"unchanged": found.unchanged, "written": found.written, "gone": gone}


def measure(rows: int) -> dict[str, float]:
    filled_store(FIFTY, BATCH_ROWS, hashed=True)  # what imports and allocators take is not the store's
    give_back_memory()
    base = status_bytes("VmRSS")
    store = filled_store(FIFTY, rows, hashed=True)
    give_back_memory()
    kept, grown = store.figures(), status_bytes("VmRSS") - base
    cells = kept.slot_bytes - HEADER_BYTES - HASH_BYTES
    widths = KEY_BYTES + sum(field.type.bit_width // 8 for field in FIFTY)

    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    start, cpu = time.perf_counter(), time.process_time()
    table = newer_table(rows)
    found = refresh(store, table)
    peak = status_bytes("VmHWM") - base
    return {
        "index_bytes_per_row": kept.index_bytes / rows + HEADER_BYTES + HASH_BYTES,
        "row_bytes": cells,
        "packed_ratio": cells / widths,
        "resident_bytes_per_row": grown / rows,
        "refresh_s": time.perf_counter() - start,
        "refresh_cpu_s": time.process_time() - cpu,
        "refresh_peak_ratio": peak / grown,
        **found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    print(json.dumps(measure(parser.parse_args().rows)))


if __name__ == "__main__":
    main()
