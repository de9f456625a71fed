"""The examples of offline runs as a user starts them, and what one of them wrote beside what another did."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import recserve

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "02_features_offline"
WRITTEN = Path(".demo/offline")


def run(name: str, folder: Path) -> str:
    """Run an example in a folder; what it printed."""
    sources = str(Path(recserve.__file__).resolve().parents[1])
    environ = {**os.environ, "PYTHONPATH": sources, "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(path: Path, like: pa.Schema | None = None) -> pa.Table:
    """A table in one piece, in the order of its rows."""
    table = pq.read_table(path).sort_by("row")
    return table.cast(like or table.schema.remove_metadata()).combine_chunks()


def check_same(folder: Path, name: str) -> None:
    """Every column of what `name` holds has the very buffers of what run.py wrote."""
    expected = read(folder / WRITTEN / "features.parquet")
    found = read(folder / WRITTEN / name, expected.schema)
    assert found.num_rows == 10_000
    assert found.equals(expected)
    assert as_bytes(found) == as_bytes(expected)


def as_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())
