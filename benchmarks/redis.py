"""How tables lie in Redis: one hash of packed rows beside a key per row, and how fast both ends are.

    python -m benchmarks.redis [--rows 300000]

Server and client share this machine's cores, so that the least time of many is told; memory is what the
server says of itself.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from tests.servers.redis import RedisServer

from recserve.sources.packed_rows import PackedSchema, key_texts
from recserve.sources.redis import RedisSource

if TYPE_CHECKING:
    from collections.abc import Callable

_ASKED = 200  # keys in one request
_REPEATS = 300


def table_of(rows: int) -> pa.Table:
    """20 columns: 8 integers, 6 floats, 4 texts, 2 lists of 5 integers."""
    chance = np.random.default_rng(0)
    texts = pa.array([f"text-{n}" for n in range(1000)])
    columns: dict[str, Any] = {"id": pa.array(np.arange(rows))}
    columns |= {f"int{n}": pa.array(chance.integers(0, 1000, rows)) for n in range(8)}
    columns |= {f"float{n}": pa.array(chance.random(rows).astype(np.float32)) for n in range(6)}
    columns |= {f"text{n}": texts.take(pa.array(chance.integers(0, 1000, rows))) for n in range(4)}
    for n in range(2):
        values = pa.array(chance.integers(0, 9, 5 * rows))
        columns[f"list{n}"] = pa.FixedSizeListArray.from_arrays(values, 5).cast(pa.list_(pa.int64()))
    return pa.table(columns)


def packing(table: pa.Table) -> dict[str, float]:
    """Rows packed and unpacked per second of CPU."""
    schema = PackedSchema.of(table.schema, "id")
    batches = table.to_batches(max_chunksize=1 << 14)
    start = time.process_time()
    packed = [(key_texts(batch.column("id")), schema.pack(batch)) for batch in batches]
    middle = time.process_time()
    for keys, rows in packed:
        schema.unpack(keys, rows, where="")
    end = time.process_time()
    return {
        "packed_bytes_per_row": sum(map(len, packed[0][1])) / len(packed[0][1]),
        "packed_rows_per_s": table.num_rows / (middle - start),
        "unpacked_rows_per_s": table.num_rows / (end - middle),
    }


def through_the_source(server: RedisServer, table: pa.Table) -> dict[str, float]:
    """Rows written and scanned per second, and how long a get takes."""
    source = RedisSource(server.url, "items", "id")
    start = time.perf_counter()
    source.write(table)
    middle = time.perf_counter()
    assert sum(batch.num_rows for batch in source.snapshot()) == table.num_rows
    end = time.perf_counter()
    keys = pa.array(np.random.default_rng(1).integers(0, table.num_rows, _ASKED))
    return {
        "written_rows_per_s": table.num_rows / (middle - start),
        "scanned_rows_per_s": table.num_rows / (end - middle),
        "get_200_us": _least_us(lambda: source.get(keys)),
    }


def layouts(server: RedisServer, rows: list[bytes]) -> dict[str, float]:
    """Memory, a scan and a get of both layouts, by plain commands."""
    names = [f"{n:012d}".encode() for n in range(len(rows))]
    found: dict[str, float] = {}
    with server.client() as client:
        redis: Any = client
        for layout in ("hash", "keys"):
            redis.flushall()
            before = redis.info("memory")["used_memory"]
            for start in range(0, len(rows), 1000):
                part = dict(zip(names[start : start + 1000], rows[start : start + 1000], strict=True))
                if layout == "hash":
                    redis.hset("items", mapping=part)
                else:
                    redis.mset({b"items:" + name: row for name, row in part.items()})
            found[f"{layout}_bytes_per_row"] = (redis.info("memory")["used_memory"] - before) / len(rows)
            begin = time.perf_counter()
            place = count = 0
            while count == 0 or place != 0:
                if layout == "hash":
                    place, page = redis.hscan("items", place, count=2000)
                else:
                    place, keys = redis.scan(place, match="items:*", count=2000)
                    page = redis.mget(keys) if keys else []
                count += len(page)
            found[f"{layout}_scanned_rows_per_s"] = count / (time.perf_counter() - begin)
            asked = names[:: max(1, len(names) // _ASKED)][:_ASKED]
            if layout == "hash":
                found["hash_get_200_us"] = _least_us(partial(redis.hmget, "items", asked))
            else:
                found["keys_get_200_us"] = _least_us(
                    partial(redis.mget, [b"items:" + name for name in asked])
                )
    return found


def _least_us(ask: Callable[[], object]) -> float:
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        ask()
        times.append(time.perf_counter() - start)
    return min(times) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    table = table_of(parser.parse_args().rows)
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            figures = packing(table) | through_the_source(server, table)
            figures |= layouts(server, PackedSchema.of(table.schema, "id").pack(table.to_batches()[0]))
        finally:
            server.stop()
    print(json.dumps({"redis": {name: round(value, 1) for name, value in figures.items()}}))


if __name__ == "__main__":
    main()
