"""What does feature generation cost per request? rank-200: 80 features, 200 candidates, items finished.

Run: python benchmarks/features.py [rows] [--raw]     (--raw: nothing finished, items generated per request)
Prints one JSON line: median and p99 in µs of CPU time of the calling thread, and the share of each stage.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve.columns import Batch, batch_from_arrow
from recserve.features import config
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Callable

CLICKS = 50
random_ = random.Random(200)


def rank_features() -> dict[str, Any]:
    """The 80 features of rank-200: 27 of the user, 40 of the item, 3 lookups, 8 combos, 2 sequences."""
    features: list[dict[str, Any]] = []

    def add(kind: str, name: str, **keys: Any) -> None:
        features.append({"feature_type": f"{kind}_feature", "feature_name": name, **keys})

    def side(side: str, *counts: int) -> None:
        strings, ints, tags, bucketed, normalized = counts
        for i in range(strings):
            add("id", f"{side}_s{i}", expression=f"{side}:{side}_s{i}", hash_bucket_size=100_000)
        for i in range(ints):
            add("id", f"{side}_i{i}", expression=f"{side}:{side}_i{i}", num_buckets=1000, default_value="0")
        for i in range(tags):
            add("id", f"{side}_t{i}", expression=f"{side}:{side}_t{i}", hash_bucket_size=100_000)
        for i in range(bucketed):
            boundaries = [0.1 * (b + 1) for b in range(9)]
            add(
                "raw",
                f"{side}_b{i}",
                expression=f"{side}:{side}_b{i}",
                boundaries=boundaries,
                default_value="0",
            )
        for i in range(normalized):
            normalizer = "method=zscore,mean=0.5,standard_deviation=0.3"
            add(
                "raw",
                f"{side}_n{i}",
                expression=f"{side}:{side}_n{i}",
                normalizer=normalizer,
                default_value="0",
            )

    side("user", 12, 4, 3, 4, 4)
    side("item", 18, 6, 6, 5, 5)
    for i in range(3):
        add("lookup", f"lookup{i}", map=f"user:map{i}", key=f"item:item_s{i}", default_value="0")
    for i in range(8):
        inputs = [f"user:user_s{i}", f"item:item_s{i}"]
        add("combo", f"combo{i}", expression=inputs, hash_bucket_size=500_000 if i < 2 else 100_000)
    for i in range(2):
        member = {
            "feature_type": "id_feature",
            "feature_name": "item",
            "expression": "item:item_s0",
            "hash_bucket_size": 1_000_000,
            "default_value": "0",
            "value_dim": 1,
        }
        features.append({"sequence_name": f"click{i}", "sequence_length": CLICKS, "features": [member]})
    return {"features": features}


def columns(side: str, counts: tuple[int, int, int, int], rows: int) -> dict[str, pa.Array]:
    """Strings of 8 to 12 letters, ints, tag lists of up to 5, floats."""
    strings, ints, tags, floats = counts
    made: dict[str, pa.Array] = {}
    for i in range(strings):
        made[f"{side}_s{i}"] = pa.array([f"{side[0]}{i}_{random_.randrange(10**6):08d}" for _ in range(rows)])
    for i in range(ints):
        made[f"{side}_i{i}"] = pa.array([random_.randrange(1000) for _ in range(rows)])
    for i in range(tags):
        made[f"{side}_t{i}"] = pa.array(
            [[f"tag{random_.randrange(5000)}" for _ in range(random_.randrange(6))] for _ in range(rows)],
            pa.list_(pa.string()),
        )
    for i in range(floats):
        for kind in "bn":
            made[f"{side}_{kind}{i}"] = pa.array([random_.random() for _ in range(rows)], pa.float32())
    return made


def timed(call: Callable[[], object], repeats: int) -> list[float]:
    """CPU µs of each call, sorted."""
    taken = []
    for _ in range(repeats):
        start = time.thread_time_ns()
        call()
        taken.append((time.thread_time_ns() - start) / 1000)
    return sorted(taken)


def main() -> None:
    rows = int(next((a for a in sys.argv[1:] if a.isdigit()), "200"))
    generator = Generator(config.load(rank_features()))
    items = columns("item", (18, 6, 6, 5), rows)
    user = columns("user", (12, 4, 3, 4), 1)
    for i in range(3):
        keys = items[f"item_s{i}"].to_pylist()[:100] + [f"other{k}" for k in range(100)]
        user[f"map{i}"] = pa.array(
            [[(key, 0.5) for key in dict.fromkeys(keys)]], pa.map_(pa.string(), pa.float32())
        )
    raw = batch_from_arrow(items)
    pair = batch_from_arrow({name: items[name] for name in generator.pair_columns})
    clicked = {}
    for group, key in generator.sequence_keys.items():
        gathered = batch_from_arrow({name: array.slice(0, CLICKS) for name, array in items.items()})
        everything = generator.finisher.finish(gathered)
        elements = Batch(gathered.rows)
        for name in key.finished:
            elements.add(name, everything[name])
        clicked[group] = (Batch(gathered.rows), elements)
    requests = batch_from_arrow(user)
    finished = generator.finisher.finish(raw)
    empty = Batch(rows)

    def staged() -> object:
        return generator.generate(requests, empty, pair, finished, clicked, rows=rows)

    def unstaged() -> object:
        return generator.generate(requests, empty, raw, empty, clicked, rows=rows)

    call = unstaged if "--raw" in sys.argv else staged
    timed(call, 200)
    taken = timed(call, 2000)
    finishing = timed(lambda: generator.finisher.finish(raw), 50)
    print(
        json.dumps(
            {
                "benchmark": "features",
                "features": len(generator.plan.features),
                "rows": rows,
                "finished_items": call is staged,
                "median_us": round(taken[len(taken) // 2], 1),
                "p99_us": round(taken[int(len(taken) * 0.99)], 1),
                "finish_us_per_item": round(finishing[len(finishing) // 2] / rows, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
