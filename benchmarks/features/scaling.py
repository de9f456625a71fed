"""What does a second thread give, and what does a longer table take?

Over `offline.stream`, with the columns and features of every group of benchmarks/features/tables.py. The
figure is the wall time of one thread over that of two, in turns, the allocator set as the server sets it.
Memory is the peak of a process that streams so many rows, made of one table over and over.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pyarrow as pa
from benchmarks.features.tables import GROUPS, IDS_OF_TEXTS, table

from recserve.allocator import tune_allocator
from recserve.features import offline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.features.generator import Generator

ROWS = 200_000
COPIES = 4  # one behind the other
ROUNDS = 5
TURNS = (24, 240)  # how often the memory runs read a table of MEMORY_ROWS
MEMORY_ROWS = 8192


def generator() -> Generator:
    """Every feature of every group, under names of their own."""
    features = [
        {**feature, "feature_name": f"{name}_{feature['feature_name']}"}
        for name, group in {**GROUPS, "ids": IDS_OF_TEXTS}.items()
        for feature in group.features
    ]
    return offline.load_generator({"features": features})


def measure() -> dict[str, float]:
    """The ratio of two threads, rows per second, and peak memory of a short and a long run."""
    tune_allocator()
    made, rows = generator(), pa.concat_tables([table(ROWS)] * COPIES)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for threads, taken in seconds.items():
            start = time.perf_counter()
            for _ in offline.stream(made, rows, threads=threads):
                pass
            taken.append(time.perf_counter() - start)
    one, two = median(seconds[1]), median(seconds[2])
    short, long = (_peak_mib(turns) for turns in TURNS)
    return {
        "rows_per_s": len(rows) / one,
        "features": len(made.plan.features),
        "two_threads": one / two,
        "short_rows": TURNS[0] * MEMORY_ROWS,
        "short_peak_mib": short,
        "long_rows": TURNS[1] * MEMORY_ROWS,
        "long_peak_mib": long,
        "memory_ratio": long / short,
    }


def _peak_mib(turns: int) -> float:
    command = [sys.executable, "-m", "benchmarks.features.scaling", "--turns", str(turns)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def stream(turns: int) -> float:
    """Stream a table so many times over and return the peak memory of this process in MiB."""
    rows = table(MEMORY_ROWS)

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(turns):
            yield from rows.to_batches()

    for _ in offline.stream(generator(), batches(), threads=2):
        pass
    # getrusage would tell the peak of the process that started this one, where that was higher.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Print the figures, or the memory of one run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, help="only this: the peak memory in MiB")
    turns = parser.parse_args().turns
    print(json.dumps(measure()) if turns is None else stream(turns))


if __name__ == "__main__":
    main()
