from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_features_are_measured_and_kept(features: Callable[..., Any], data: Path) -> None:
    result = features("stats", "fg.json", "sample.parquet", "--out", "baseline.json")

    assert result.exit_code == 0, result.output
    assert "2,000 rows" in result.stdout
    saved = json.loads((data / "baseline.json").read_text())
    assert [entry["feature"] for entry in saved["features"]] == [
        "price_bucket",
        "city",
        "city_x_price",
        "price",
    ]
    assert saved["missing"]["price"] == 0


def test_the_same_table_has_not_drifted(features: Callable[..., Any]) -> None:
    features("stats", "fg.json", "sample.parquet", "--out", "baseline.json")

    result = features("stats", "fg.json", "sample.parquet", "--compare", "baseline.json")

    assert result.exit_code == 0, result.output
    assert "0 of 6 have drifted" in result.stdout


def test_what_drifted_is_named_and_exit_code_1(features: Callable[..., Any], data: Path) -> None:
    features("stats", "fg.json", "sample.parquet", "--out", "baseline.json")

    result = features("stats", "fg.json", "today.parquet", "--compare", "baseline.json", "--plots", "plots")
    as_json = features("stats", "fg.json", "today.parquet", "--compare", "baseline.json", "--json")

    assert result.exit_code == as_json.exit_code == 1
    drifted = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("✗")]
    assert {"price", "price_bucket"} <= set(drifted)
    assert "city" not in drifted
    assert {entry["name"] for entry in json.loads(as_json.stdout)["drift"] if entry["why"]} == set(drifted)
    assert (data / "plots" / "features_1.png").stat().st_size > 10_000


def test_limits_are_options(features: Callable[..., Any]) -> None:
    features("stats", "fg.json", "sample.parquet", "--out", "baseline.json")

    result = features(
        *("stats", "fg.json", "today.parquet", "--compare", "baseline.json"),
        *("--psi", "100", "--js-distance", "1"),
    )

    assert result.exit_code == 0, result.output
