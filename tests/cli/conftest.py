"""A small model of sums with features of every rate, its item table, and ways to call the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from recserve.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

FEATURES: list[dict[str, Any]] = [
    {"feature_type": "raw_feature", "feature_name": "age", "expression": "user:age"},
    {
        "feature_type": "id_feature",
        "feature_name": "category",
        "expression": "item:category",
        "hash_bucket_size": 100,
    },
    {"feature_type": "raw_feature", "feature_name": "price", "expression": "item:price"},
    {
        "feature_type": "lookup_feature",
        "feature_name": "affinity",
        "map": "user:affinities",
        "key": "item:category",
        "needDiscrete": False,
    },
    {"feature_type": "raw_feature", "feature_name": "position", "expression": "context:position"},
]
OUTPUTS = {
    "probs_ctr": ["age.values", "price.values", "position.values", "affinity.values"],
    "probs_cvr": ["category.values", "category.lengths"],
}
ITEMS = {"item_id": ["i1", "i2", "i3"], "category": ["a", "b", "a"], "price": [1.0, 2.0, 3.5]}
REQUEST: dict[str, Any] = {
    "user": {"age": 30, "affinities": ["a:0.5", "b:0.25"]},
    "item_ids": ["i3", "i1", "i2"],
    "context": {"position": [1, 2, 3]},
}
#: The same user and items, one row each.
JOINED = {
    "item_id": ["i3", "i1", "i2"],
    "age": [30, 30, 30],
    "affinities": [["a:0.5", "b:0.25"]] * 3,
    "category": ["a", "a", "b"],
    "price": [3.5, 1.0, 2.0],
    "position": [1, 2, 3],
}


@dataclass(frozen=True, slots=True)
class Folder:
    """Where everything lies."""

    path: Path

    @property
    def bundle(self) -> Path:
        return self.path / "bundle"

    def write(self, name: str, content: Any) -> Path:
        path = self.path / name
        path.write_text(json.dumps(content))
        return path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return make(tmp_path)


def make(path: Path) -> Folder:
    """Write the bundle, its table, a service file and a request."""
    made = Folder(path)
    made.bundle.mkdir()
    made.write("bundle/fg.json", {"features": FEATURES})
    made.write("bundle/column_sum.json", {"outputs": OUTPUTS})
    table = {"remote_type": "file", "tables": [{"name": "items.parquet", "key": "item_id"}]}
    made.write(
        "service.json", {"name": "rank", "token": "s3cret", "model_config": {"fg_mode": "normal", **table}}
    )
    made.write("request.json", REQUEST)
    pq.write_table(pa.table(ITEMS), path / "items.parquet")
    pq.write_table(pa.table(JOINED), path / "joined.parquet")
    return made


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, folder: Folder) -> Callable[..., Result]:
    """Call `recserve` in this process, in the folder."""
    monkeypatch.chdir(folder.path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(app, list(arguments), **options)

    return run


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Start Python as a process of its own, with our sources."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environ, timeout=60, check=False
    )


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    return run_python
