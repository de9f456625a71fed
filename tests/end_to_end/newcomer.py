"""The demo as a newcomer runs it, once for all tests that look at it, and servers of what it leaves."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

import recserve

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMO = Path(__file__).parents[2] / "examples/01_train_export_serve_score/demo.py"
UNKNOWN = "no-such-item"
#: Our sources, wherever the process stands; a line of the demo is never folded.
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(recserve.__file__).parents[1].absolute()), "COLUMNS": "160"}


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that has ended: where it stood, and what it printed."""

    folder: Path
    status: int
    stdout: str
    stderr: str

    def line(self, start: str) -> str:
        """The only line that begins so."""
        (line,) = [line for line in self.stdout.splitlines() if line.startswith(start)]
        return line


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    from tests.end_to_end.conftest import eas_python

    eas_python()  # says what to do where it is missing
    folder = tmp_path_factory.mktemp("newcomer")
    done = run(str(DEMO), "--small", cwd=folder)
    return Demo(folder, done.returncode, done.stdout, done.stderr)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=ENVIRON, timeout=600, check=False
    )


@contextmanager
def serving(line: str, folder: Path) -> Iterator[str]:
    """Start what the line says, on a free port; gives the URL of the server."""
    command, *arguments = shlex.split(line.replace("--port 8000", "--port 0"))
    assert command == "recserve"
    with subprocess.Popen(
        [sys.executable, "-m", "recserve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env=ENVIRON,
    ) as process:
        assert process.stdout is not None
        try:
            ready = next(line for line in process.stdout if "ready at " in line)
            yield ready.partition("ready at ")[2].partition("/api/")[0]
        finally:
            process.kill()


def first_request(demo: Demo) -> dict[str, Any]:
    """The first session that the demo scored, read from the rows that it predicted offline."""
    schema = json.loads((demo.folder / ".demo/bundle/input_schema.json").read_text())
    rows = pq.read_table(demo.folder / ".demo/rows.parquet").slice(0, 200).to_pylist()
    rows = [row for row in rows if (row["user_id"], row["now"]) == (rows[0]["user_id"], rows[0]["now"])]
    maps = {name for name, kind in schema["user"].items() if kind.startswith("map")}
    return {
        "user": {name: dict(rows[0][name]) if name in maps else rows[0][name] for name in schema["user"]},
        "item_ids": [row["item_id"] or UNKNOWN for row in rows],
        "context": {name: [row[name] for row in rows] for name in schema["context"]},
    }
