"""The yardstick: the same artefact called in worker threads of a warmed process, with the server's settings.

    python -m benchmarks.bare <bundle> <workload>

It reads lines `<threads> <seconds>` and answers each with a line of JSON, so that a run can put bare calls and
the server in turns. Called in the main thread the model would be up to a fifth slower, by glibc's allocator.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from benchmarks.workloads import WORKLOADS

from recserve.bundle import Bundle
from recserve.engines.torchscript import TorchScript, tensors
from recserve.server.serve import tune_allocator

WARM_UP_CALLS = 20


def main() -> None:
    """Load, warm and answer lines until the input ends."""
    warnings.simplefilter("ignore")
    tune_allocator()
    bundle, workload = Bundle.open(Path(sys.argv[1])), WORKLOADS[sys.argv[2]]
    engine = TorchScript.load(bundle)
    inputs = [tensors(workload.inputs(workload.candidates, tile=bundle.input_tile > 0, seed=k)) for k in range(8)]
    measure(engine, inputs, threads=2, calls=WARM_UP_CALLS, seconds=60)
    print("ready", flush=True)
    for line in sys.stdin:
        threads, seconds = line.split()
        print(json.dumps(measure(engine, inputs, threads=int(threads), seconds=float(seconds))), flush=True)


def measure(engine, inputs, *, threads: int, seconds: float, calls: int = 1_000_000) -> dict[str, float]:
    """Call from that many threads at once; the latency of one call, and calls per second of all."""
    latencies: list[float] = []
    cpu = time.process_time()
    start = time.perf_counter()

    def work() -> None:
        for k in range(calls):
            before = time.perf_counter()
            if before - start > seconds:
                return
            engine.call(inputs[k % len(inputs)])
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
