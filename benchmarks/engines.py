"""What does the model itself cost, and what does the engine add to it?

    python -m benchmarks.engines <folder of benchmarks.models>

*bare* is the artefact called with a ready dict of tensors; *run* is `Engine.run`, from the buffers of feature
generation to arrays; *zero* is `run` of the zero model. All in a worker thread of a warmed process, one
intra-op thread, in turns. The throughputs are those of one and of two workers, of bare calls. What
`recserve compile` makes of a model is measured by benchmarks.compile.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from benchmarks.workloads import RANK_200, RANK_1000, TINY, Workload

from recserve.bundle import Bundle
from recserve.engines.torch_arrays import share
from recserve.engines.torchscript import TorchScript

if TYPE_CHECKING:
    from collections.abc import Callable

BUNDLES = {"tiny": [TINY], "rank": [RANK_200, RANK_1000]}
CPU = torch.device("cpu")
COLUMNS = ("bare", "run", "zero")


def measure(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median wall and CPU milliseconds of calls that take turns."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.thread_time()
            call()
            taken[name].append((time.perf_counter() - wall, time.thread_time() - cpu))
    medians = {name: np.median(pairs, axis=0) * 1e3 for name, pairs in taken.items()}
    return {name: (float(wall), float(cpu)) for name, (wall, cpu) in medians.items()}


def throughput(call: Callable[[], object], threads: int, seconds: float) -> float:
    """Calls per second of that many threads."""

    def work(until: float) -> int:
        count = 0
        while time.perf_counter() < until:
            call()
            count += 1
        return count

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, [time.perf_counter() + seconds] * threads)) / seconds


def report(workload: Workload, folder: Path, name: str) -> None:
    """Print one line for a workload."""
    bundle = Bundle.open(folder / name)
    rows, tile = workload.candidates, bundle.input_tile() > 0
    inputs = workload.inputs(rows, tile=tile)
    zero = TorchScript.load(Bundle.open(folder / f"{name}-zero"), threads=1)
    # One copy of the model, so that both calls find the same tables in the caches.
    model = torch.jit.load(bundle.model_path).eval()  # type: ignore[no-untyped-call]
    engine = TorchScript(model, device=CPU, outputs=(), features=None, limits={})
    ready = share(inputs)

    def bare() -> None:
        with torch.inference_mode():
            model.forward(ready, CPU)

    calls: dict[str, Callable[[], object]] = {
        "bare": bare,
        "run": lambda: engine.run(inputs, rows=rows),
        "zero": lambda: zero.run(inputs, rows=rows),
    }
    with ThreadPoolExecutor(1) as worker:
        worker.submit(measure, calls, 20).result()
        taken = worker.submit(measure, calls, max(10, 10_000 // rows)).result()
    cells = [f"{cell:.2f}" for name in COLUMNS for cell in taken[name]]
    one, two = alternating(bare)
    cells += [f"{one:.0f}", f"{two:.0f}", f"{two / one:.2f}"]
    print(f"| {workload.name} | {bundle.input_tile()} | {' | '.join(cells)} |")


def alternating(call: Callable[[], object]) -> tuple[float, float]:
    """Median throughput of one worker and of two, taking turns."""
    rates = [[throughput(call, threads, 1) for threads in (1, 2)] for _ in range(3)]
    one, two = np.median(rates, axis=0)
    return float(one), float(two)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    heads = [f"{name} ms | CPU" for name in COLUMNS]
    heads.append("bare /s | two threads /s | ratio")
    print(f"| workload | INPUT_TILE | {' | '.join(heads)} |")
    print("|---" * (2 + 2 * len(COLUMNS) + 3) + "|")
    for name, workloads in BUNDLES.items():
        for workload in workloads:
            report(workload, folder, name)


if __name__ == "__main__":
    main()
