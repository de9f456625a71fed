"""The yardstick: the same artefact called in worker threads of a warmed process, with the server's settings.

    python -m benchmarks.bare <bundle> <workload>

It reads lines `<threads> <seconds>` and answers each with a line of JSON, so that a run can put bare calls
and the server in turns. Called in the main thread the model would be up to a fifth slower, by glibc's
allocator.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from benchmarks.service import requests, service
from benchmarks.workloads import WORKLOADS, Workload

from recserve.allocator import tune_allocator
from recserve.bundle import Bundle
from recserve.config.service import load as load_service
from recserve.engines.torch_arrays import share
from recserve.processors.load import load
from recserve.processors.normal import Normal

if TYPE_CHECKING:
    from recserve.columns import ModelInputs
    from recserve.messages import ScoreRequest

WARM_UP_CALLS = 20
CPU = torch.device("cpu")


def main() -> None:
    """Load, warm and answer lines until the input ends."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    tune_allocator()
    path, workload = Path(sys.argv[1]), WORKLOADS[sys.argv[2]]
    inputs = generated(path, workload)
    model = torch.jit.load(Bundle.open(path).model_path).eval()  # type: ignore[no-untyped-call]
    measure(model, inputs, threads=2, calls=WARM_UP_CALLS, seconds=60)
    print("ready", flush=True)
    for line in sys.stdin:
        threads, seconds = line.split()
        print(json.dumps(measure(model, inputs, threads=int(threads), seconds=float(seconds))), flush=True)


def generated(path: Path, workload: Workload) -> list[dict[str, torch.Tensor]]:
    """The tensors that the server hands to its model for the requests that it will be sent.

    The same ids, so that both find the embedding tables equally warm.
    """
    zero = path.with_name(f"{path.name}-zero")
    processor = load(Bundle.open(zero), load_service(service(path.parent, path.name)))
    assert isinstance(processor, Normal)
    return [share(model_inputs(processor, request)) for request in requests(workload)]


def model_inputs(processor: Normal, request: ScoreRequest) -> ModelInputs:
    """The first two verbs of Normal.score."""
    with processor.items.pin() as rows:
        items = rows.gather(request.item_ids, rows=request.rows, overrides=request.item_features)
        clicked = rows.gather_lists(request.user, processor.features.sequence_keys)
    return processor.features.generate(
        request.user, request.context, items.raw, items.finished, clicked, rows=request.rows
    )


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
