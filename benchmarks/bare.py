"""The yardstick: the same artefact called in worker threads of a warmed process, with the server's settings.

    python -m benchmarks.bare <bundle> <workload>

It reads lines `<threads> <seconds>` and answers each with a line of JSON, so that a run can put bare calls
and the server in turns. Called in the main thread the model would be up to a fifth slower, by glibc's allocator.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.workloads import WORKLOADS

from recserve.bundle import Bundle
from recserve.engines.torchscript import share
from recserve.server.serve import tune_allocator

WARM_UP_CALLS = 20
CPU = torch.device("cpu")


def main() -> None:
    """Load, warm and answer lines until the input ends."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    tune_allocator()
    bundle, workload = Bundle.open(Path(sys.argv[1])), WORKLOADS[sys.argv[2]]
    model = torch.jit.load(bundle.model_path).eval()  # type: ignore[no-untyped-call]
    tile = bundle.input_tile() > 0
    inputs = [share(workload.inputs(workload.candidates, tile=tile, seed=seed)) for seed in range(8)]
    measure(model, inputs, threads=2, calls=WARM_UP_CALLS, seconds=60)
    print("ready", flush=True)
    for line in sys.stdin:
        threads, seconds = line.split()
        print(json.dumps(measure(model, inputs, threads=int(threads), seconds=float(seconds))), flush=True)


def measure(
    model: Any, inputs: list[dict[str, torch.Tensor]], *, threads: int, seconds: float, calls: int = 1_000_000
) -> dict[str, float]:
    """Call from that many threads at once; the latency of one call, and calls per second of all."""
    latencies: list[float] = []
    cpu = time.process_time()
    start = time.perf_counter()

    def work() -> None:
        with torch.inference_mode():
            for k in range(calls):
                before = time.perf_counter()
                if before - start > seconds:
                    return
                model.forward(inputs[k % len(inputs)], CPU)
                latencies.append(time.perf_counter() - before)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - start
    return {
        "p50_ms": 1e3 * float(np.median(latencies)),
        "throughput": len(latencies) / took,
        "cpu_ms": 1e3 * (time.process_time() - cpu) / len(latencies),
    }


if __name__ == "__main__":
    main()
