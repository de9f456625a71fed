"""The referee from the command line.

python -m tests.features.referee write           write the vectors, conformance/features/*.json
python -m tests.features.referee compare 0 1000  compare the native core with the referee on random cases
python -m tests.features.referee fuzz 5 [SEED]   the same for five minutes, from a seed of the clock or SEED

Every case that differs is printed in its smallest form; `fuzz` keeps it in build/fuzz/features-<seed>.json.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.vectors import write
from tests.features.comparison import failures

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path("build/fuzz")
PER_TASK = 200


def compare(first: int, last: int) -> int:
    """Print what differs, and return how many cases do."""
    found = failures(range(first, last))
    for text in found.values():
        print(text, end="\n\n")
    print(f"{last - first} cases, {len(found)} differ")
    return len(found)


def fuzz(minutes: float, seed: int) -> int:
    """Compare until the time is over, on every core; keep what differs, and return how many cases do."""
    end = time.monotonic() + 60 * minutes
    cases = found = 0
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        tasks = tasks_until(end, seed)
        running = {processes.submit(failures, task): task for task in islice(tasks, 8)}
        while running:
            done = next(as_completed(running))
            cases += len(running.pop(done))
            for failing, text in done.result().items():
                found += 1
                keep(failing, text)
            for task in islice(tasks, 1):
                running[processes.submit(failures, task)] = task
    print(f"referee: seeds from {seed}, {cases} cases, {found} differ")
    return found


def tasks_until(end: float, seed: int) -> Iterator[range]:
    """Ranges of seeds, until the time is over."""
    while time.monotonic() < end:
        yield range(seed, seed + PER_TASK)
        seed += PER_TASK


def keep(seed: int, text: str) -> None:
    """Save a case that differs, and say how to see it again."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"features-{seed}.json"
    command = f"python -m tests.features.referee compare {seed} {seed + 1}"
    path.write_text(json.dumps({"seed": seed, "command": command, "case": text.split("\n")}, indent=1))
    print(f"{text}\n  kept in {path}; again: {command}\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write"]:
            write()
        case ["compare", first, last]:
            sys.exit(compare(int(first), int(last)) > 0)
        case ["fuzz", minutes, *seed]:
            sys.exit(fuzz(float(minutes), int(seed[0]) if seed else time.time_ns() % 10**12) > 0)
        case _:
            sys.exit(__doc__)
