"""`recserve features plan` shows order, rates, inputs and cost, as a table, as JSON and as a picture."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Folder

FG = "bundle/fg.json"


def test_the_table_has_a_line_for_each_feature_and_the_cost_by_rate(call: Callable[..., Any]) -> None:
    shown = call("features", "plan", FG, "--candidates", "50").stdout
    lines = [line.rstrip() for line in shown.splitlines()]

    (affinity,) = (line for line in lines if " affinity " in line)
    assert affinity.split() == [
        *("4", "affinity", "lookup_feature", "pair", "user:affinities,", "item:category"),
        *("user:affinities", "prepared", "once", "number", "50"),
    ]
    assert "A request of 50 candidates" in lines
    assert [line.split() for line in lines[-3:]] == [
        ["item", "2", "0"],
        ["user", "1", "1"],
        ["pair", "2", "100"],
    ]


@pytest.mark.parametrize("arguments", [["--measure"], ["--data", "joined.parquet"]])
def test_measured_features_have_nanoseconds(call: Callable[..., Any], arguments: list[str]) -> None:
    result = call("features", "plan", FG, "--json", *arguments)

    content = json.loads(result.stdout)
    assert result.stderr == ""
    assert all(feature["row_ns"] >= 0 for feature in content["features"])
    assert content["generate_ns"] > 0
    assert sum(total["rows"] for total in content["totals"]) == 401


def test_the_measured_table_says_what_a_request_takes(call: Callable[..., Any]) -> None:
    shown = call("features", "plan", FG, "--measure").stdout

    assert "ns per item row  µs per request" in shown
    assert shown.splitlines()[-1].endswith("µs for all features, tensors laid out")


def test_columns_that_the_sample_lacks_are_named(call: Callable[..., Any], folder: Folder) -> None:
    result = call("features", "plan", FG, "--data", "items.parquet")

    assert result.stderr == "items.parquet lacks, and takes for missing: affinities, age, position\n"


def test_features_of_a_rate_and_of_one_feature_are_filtered(call: Callable[..., Any]) -> None:
    of_rate = json.loads(call("features", "plan", FG, "--json", "--rate", "item").stdout)
    of_one = json.loads(call("features", "plan", FG, "--json", "--feature", "affinity").stdout)

    assert [feature["feature"] for feature in of_rate["features"]] == ["category", "price"]
    assert [feature["feature"] for feature in of_one["features"]] == ["affinity"]


def test_an_unknown_rate_is_a_usage_error(call: Callable[..., Any]) -> None:
    assert call("features", "plan", FG, "--rate", "items").exit_code == 2


def test_a_picture_goes_to_stdout_or_to_a_file(call: Callable[..., Any], folder: Folder) -> None:
    shown = call("features", "plan", FG, "--mermaid", "-")
    written = call("features", "plan", FG, "--mermaid", "plan.mmd", "--dot", "plan.dot")

    assert shown.stdout.startswith("flowchart LR\n")
    assert (folder.path / "plan.mmd").read_text() == shown.stdout
    assert (folder.path / "plan.dot").read_text().startswith("digraph features {\n")
    assert written.stdout == ""
    assert written.stderr == "plan.mmd: 5 features\nplan.dot: 5 features\n"


def test_svg_takes_graphviz(call: Callable[..., Any], folder: Folder) -> None:
    result = call("features", "plan", FG, "--svg", "plan.svg")

    if shutil.which("dot") is None:
        assert "apt-get install graphviz" in result.stderr
    else:
        assert (folder.path / "plan.svg").read_text().startswith("<?xml")


def test_a_large_plan_is_drawn_folded_unless_asked_in_full(call: Callable[..., Any], folder: Folder) -> None:
    one = {"feature_type": "id_feature", "expression": "user:x", "num_buckets": 9}
    folder.write("large.json", {"features": [{**one, "feature_name": f"f{n}"} for n in range(100)]})

    folded = call("features", "plan", "large.json", "--mermaid", "-")
    full = call("features", "plan", "large.json", "--mermaid", "-", "--full")

    assert "100 × id" in folded.stdout
    assert "--full draws each" in folded.stderr
    assert full.stdout.count("<br/>id") == 100
