"""How fast does a table come in from PostgreSQL? Into the store, beside ADBC alone.

    python -m benchmarks.postgres [--rows 1000000]

20 columns: the key, 7 integers, 6 doubles, 6 texts. Server and client share this machine. ADBC alone streams
the same columns over one connection and throws them away. Wall time of rounds in turns; the median counts. An
idle poll asks by an indexed timekey for newer rows where there are none. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from adbc_driver_postgresql import dbapi
from benchmarks.files import table
from tests.servers.postgres import PostgresServer

from recserve.items.store import ItemStore, column_types
from recserve.sources.postgres import PostgresSource

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

ROUNDS = 5
POLLS = 200
KEY = "item_id"
TARGET = 0.7  # of the rate of ADBC alone


def measure(rows: int) -> dict[str, Any]:
    """Ask a server of our own, with one table of so many rows."""
    with PostgresServer.start_new() as server:
        url = server.new_database()
        schema = fill(server, url, rows)
        ways: dict[str, Callable[[], int]] = {
            "adbc": lambda: adbc(url, schema),
            "stream": lambda: stream(url, schema),
            "stream_one_connection": lambda: stream(f"{url}?connections=1", schema),
            "store": lambda: load(url, schema),
            "store_one_connection": lambda: load(f"{url}?connections=1", schema),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                start = time.perf_counter()
                assert way() == rows, name
                seconds[name].append(time.perf_counter() - start)
        polls = idle_polls(url)
    figures: dict[str, Any] = {f"{name}_s": median(values) for name, values in seconds.items()}
    figures["rows_per_s"] = rows / figures["store_s"]
    figures["of_adbc"] = figures["adbc_s"] / figures["store_s"]
    figures["of_adbc_target"] = TARGET
    figures["idle_poll_ms"] = median(polls) * 1000
    return figures


def fill(server: PostgresServer, url: str, rows: int) -> pa.Schema:
    """Write the table; returns its columns, without the timekey that it has too."""
    made = table(rows)
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("items", made, mode="create")
        connection.commit()
    server.execute(f"ALTER TABLE items ADD PRIMARY KEY ({KEY}), ADD changed timestamptz", url=url)
    spread = f"now() - (right({KEY}, 9)::float8 / {rows}) * interval '1 day'"  # a minute of it is reread
    server.execute(f"UPDATE items SET changed = {spread}", url=url)
    server.execute("CREATE INDEX ON items (changed)", url=url)
    server.execute("VACUUM (FULL, ANALYZE) items", url=url)
    return made.schema


def adbc(url: str, schema: pa.Schema) -> int:
    """ADBC as it comes."""
    rows = 0
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(schema.names)} FROM items")
        for batch in cursor.fetch_record_batch():
            rows += batch.num_rows
    return rows


def stream(url: str, schema: pa.Schema) -> int:
    """The source alone."""
    source = PostgresSource(url, "items", KEY)
    rows = 0
    for batch in source.snapshot(schema.names):
        rows += batch.num_rows
    source.close()
    return rows


def load(url: str, schema: pa.Schema) -> int:
    """Into a store that keeps every column and finishes nothing."""
    names = [name for name in schema.names if name != KEY]
    store = ItemStore("string", column_types(schema, names), always_raw=frozenset(names))
    source = PostgresSource(url, "items", KEY)
    store.load(source.snapshot(names), key=KEY)
    source.close()
    return len(store)


def idle_polls(url: str) -> list[float]:
    """How long each took."""
    source = PostgresSource(url, "items", KEY, timekey="changed")
    cursor = source.cursor()
    seconds = []
    for _ in range(POLLS):
        start = time.perf_counter()
        answer = source.changes(cursor)
        seconds.append(time.perf_counter() - start)
        assert not answer.upserts
        cursor = answer.cursor
    source.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    print(json.dumps(measure(parser.parse_args().rows)))


if __name__ == "__main__":
    main()
