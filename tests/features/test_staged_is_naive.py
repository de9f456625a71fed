"""Any staging gives bit for bit what the naive row-by-row evaluation gives, on random configs and data.

So does any cut of the rows into batches, and any number of threads. A failure prints its seed and the
smallest case that still fails; `python -m tests.features.referee` runs others.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.features.comparison import failures

CASES = 20_000
PER_TASK = 250


def test_every_way_to_generate_equals_the_referee() -> None:
    tasks = [range(first, first + PER_TASK) for first in range(0, CASES, PER_TASK)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        found = [text for task in processes.map(failures, tasks) for text in task.values()]

    assert not found, "\n\n".join(found[:3])
