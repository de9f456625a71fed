"""How long does the wire take? Decode and encode of the rank-200 and rank-1000 requests, in microseconds.

    python -m benchmarks.wire

The requests are composed as the workloads that the project measures itself by: 12 texts, 4 integers, 8
floats, 3 tag lists and 2 click sequences of 50 ids of one user, 3 maps that the item's values are looked up
in, and the item ids. The body of rank-200 has 5 KB. The answer has two outputs.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from recserve.columns import Batch, column_from_arrow
from recserve.messages import ScoreRequest, ScoreResponse
from recserve.wire import torchrec

if TYPE_CHECKING:
    from collections.abc import Callable


def rank_request(items: int, *, keys: int = 34) -> ScoreRequest:
    """A user with `keys` keys in each map, and `items` candidates."""
    columns: dict[str, pa.Array] = {f"user_text_{i}": pa.array([f"value{i * 17}"]) for i in range(12)}
    columns |= {f"user_int_{i}": pa.array([i * 1000], pa.int64()) for i in range(4)}
    columns |= {f"user_float_{i}": pa.array([i * 0.5], pa.float32()) for i in range(8)}
    columns |= {f"user_tags_{i}": pa.array([[f"tag{j}" for j in range(5)]]) for i in range(3)}
    columns |= {f"clicks_{i}": pa.array([[str(100_000 + j * 37) for j in range(50)]]) for i in range(2)}
    pairs = [(f"category{j}", j * 0.1) for j in range(keys)]
    columns |= {f"user_map_{i}": pa.array([pairs], pa.map_(pa.string(), pa.float32())) for i in range(3)}
    user = Batch(1)
    for name, array in columns.items():
        user.add(name, column_from_arrow(array))
    ids = column_from_arrow(pa.array([str(10_000 + i * 491 % 90_000) for i in range(items)]))
    return ScoreRequest(user, ids, Batch(items), Batch(items), rows=items)


def rank_response(items: int) -> ScoreResponse:
    """Two scores for every item of `rank_request`."""
    scores = np.linspace(0, 1, items, dtype=np.float32)
    return ScoreResponse(rank_request(items).item_ids, {"probs_ctr": scores, "probs_cvr": scores})


def median_us(call: Callable[[], object], *, runs: int = 3000) -> float:
    """Median of single calls, in microseconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1000


def measure(items: int) -> dict[str, float]:
    """Body size in bytes, decode and encode in microseconds."""
    body = torchrec.encode_request(rank_request(items))
    decoder, response = torchrec.Decoder(), rank_response(items)
    return {
        "body_bytes": len(body),
        "decode_us": median_us(lambda: decoder.decode(body)),
        "encode_us": median_us(lambda: torchrec.encode(response)),
    }


if __name__ == "__main__":
    for items in (200, 1000):
        figures = measure(items)
        print(
            f"rank-{items}: body {figures['body_bytes']:.0f} B, decode {figures['decode_us']:.1f} us, "
            f"encode {figures['encode_us']:.1f} us"
        )
