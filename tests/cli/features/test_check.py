from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from tests.cli.features.conftest import FEATURES, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_right_file_is_checked_line_by_line(features: Callable[..., Any]) -> None:
    result = features("check", "fg.json")

    assert result.exit_code == 0
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        "✓ file",
        "✓ features",
        "✓ inputs",
        "✓ order",
        "✓ rules",
        "✓ plan",
    ]


def test_data_says_what_features_make_of_it(features: Callable[..., Any], data: Path) -> None:
    cities = pq.read_table(data / "sample.parquet")["city"].to_pylist()

    result = features("check", "fg.json", "--data", "sample.parquet")

    assert result.exit_code == 0, result.output
    assert "✓ columns: 2 of 2 are read" in result.stdout
    bonn, missing = cities.count("bonn"), cities.count(None)
    assert f"'city' has {bonn} words that its vocabulary lacks, such as 'bonn'" in result.stdout
    assert "Sample of 2,000 rows" in result.stdout
    shown = [line.split() for line in result.stdout.splitlines()]
    assert ["city", f"{missing / 2000:.1%}", "0", f"{bonn}"] in [words[:4] for words in shown]


def test_json_has_the_findings_and_the_sample(features: Callable[..., Any]) -> None:
    report = json.loads(
        features("check", "fg.json", "--data", "sample.parquet", "--rows", "100", "--json").stdout
    )

    assert report["ok"] is True
    assert {"check": "order", "ok": True, "detail": "no circles"} in report["findings"]
    by_name = {sample["feature"]: sample for sample in report["sample"]}
    assert by_name["city"]["rows"] == 100
    assert (by_name["price_bucket"]["buckets"], by_name["price_bucket"]["default_rate"]) == (4, 0.0)


def test_what_is_wrong_is_exit_code_1(features: Callable[..., Any], data: Path) -> None:
    wrong = [{**FEATURES[0], "expression": "itm:price"}, {**FEATURES[1], "vocab_list": "oslo"}, *FEATURES[2:]]
    (data / "fg.json").write_text(json.dumps({"features": wrong}))

    result = features("check", "fg.json")

    assert result.exit_code == 1
    failed = [line for line in result.stdout.splitlines() if line.startswith("✗")]
    assert len(failed) == 2
    assert "vocab_list is 'oslo'; a list of words is wanted" in failed[0]
    assert failed[1].endswith("did you mean 'item'?")


def test_a_column_that_the_data_lacks_is_exit_code_1(features: Callable[..., Any], data: Path) -> None:
    pq.write_table(rows(10).drop_columns(["city"]), data / "sample.parquet")

    result = features("check", "fg.json", "--data", "sample.parquet")

    assert result.exit_code == 1
    assert "✗ columns: the data has no column 'city', which 'city', 'city_x_price' reads" in result.stdout


def test_data_that_cannot_be_read_is_one_line(features: Callable[..., Any]) -> None:
    result = features("check", "fg.json", "--data", "fg.json")

    assert result.exit_code == 1
    assert "recserve: fg.json is not a Parquet file that can be read" in result.stderr
