from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def words(result: Any) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines() if line]


def test_a_value_is_explained_from_the_cell_to_the_bucket(features: Callable[..., Any]) -> None:
    result = features("explain", "fg.json", "row.json", "--feature", "price_bucket")

    assert result.exit_code == 0, result.output
    assert words(result) == [
        ["price_bucket", "(raw_feature,", "rate", "item)"],
        ["reads", "type", "value"],
        ["item:price", "double", "19.5"],
        ["step", "rule", "result"],
        ["operator", "raw_feature", "19.5"],
        ["boundaries", "[5.0,", "10.0,", "20.0]", "2"],
        ["result", "2"],
    ]


def test_a_row_of_a_parquet_file_is_explained_with_what_it_reads(features: Callable[..., Any]) -> None:
    result = features("explain", "fg.json", "sample.parquet", "--row", "1999", "-f", "city_x_price")

    assert result.exit_code == 0, result.output
    assert ["feature", "type", "reads", "result"] in words(result)
    assert words(result)[-1][:3] == ["price_bucket", "raw_feature", "price"]


def test_json_has_every_step(features: Callable[..., Any], data: Path) -> None:
    (data / "row.json").write_text(json.dumps({"user": {"city": ""}}))

    explained = json.loads(features("explain", "fg.json", "row.json", "-f", "city", "--json").stdout)

    assert explained["inputs"][0] == {
        "source": "user",
        "name": "city",
        "type": "string",
        "value": "",
        "sequence": False,
    }
    assert [(step["step"], step["value"]) for step in explained["steps"]] == [
        ("operator", None),
        ("default_value", "oslo"),
        ("vocab_list", [0]),
    ]


def test_what_is_not_there_is_one_line(features: Callable[..., Any]) -> None:
    feature = features("explain", "fg.json", "row.json", "-f", "prize")
    row = features("explain", "fg.json", "sample.parquet", "--row", "2000", "-f", "price")

    assert (feature.exit_code, feature.stderr) == (
        1,
        "recserve: fg.json has no feature 'prize'; did you mean 'price'?\n",
    )
    assert (row.exit_code, row.stderr) == (1, "recserve: sample.parquet has rows 0 to 1999, not 2000\n")
