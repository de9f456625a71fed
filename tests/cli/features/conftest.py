"""A feature config, its data, and a way to features `recserve features` in their data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
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
    {
        "feature_type": "raw_feature",
        "feature_name": "price_bucket",
        "expression": "item:price",
        "boundaries": [5, 10, 20],
        "default_value": "0",
    },
    {
        "feature_type": "id_feature",
        "feature_name": "city",
        "expression": "user:city",
        "vocab_list": ["oslo", "rome"],
        "default_bucketize_value": 2,
        "default_value": "oslo",
    },
    {
        "feature_type": "combo_feature",
        "feature_name": "city_x_price",
        "expression": ["user:city", "feature:price_bucket"],
        "hash_bucket_size": 100,
    },
    {
        "feature_type": "raw_feature",
        "feature_name": "price",
        "expression": "item:price",
        "normalizer": "method=log10",
    },
]


def rows(
    count: int, *, scale: float = 1, cities: tuple[str | None, ...] = ("oslo", "rome", "bonn", None)
) -> pa.Table:
    rng = np.random.default_rng(7)
    return pa.table(
        {
            "price": rng.lognormal(2, 1, count) * scale,
            "city": [cities[place] for place in rng.integers(0, len(cities), count)],
        }
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "fg.json").write_text(json.dumps({"features": FEATURES}))
    (tmp_path / "row.json").write_text(json.dumps({"price": 19.5, "city": "rome"}))
    pq.write_table(rows(2000), tmp_path / "sample.parquet", row_group_size=300)
    pq.write_table(rows(2000, scale=4), tmp_path / "today.parquet")
    return tmp_path


@pytest.fixture
def features(monkeypatch: pytest.MonkeyPatch, data: Path) -> Callable[..., Result]:
    monkeypatch.chdir(data)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["features", *arguments])

    return run
