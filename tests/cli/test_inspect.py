"""`recserve inspect` shows what a bundle reads, computes and answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Folder


def test_json_has_columns_features_with_rates_tensors_and_outputs(call: Callable[..., Any]) -> None:
    content = json.loads(call("inspect", "bundle", "--json").stdout)

    assert {row["name"]: row["rate"] for row in content["features"]} == {
        "age": "user",
        "category": "item",
        "price": "item",
        "affinity": "pair",
        "position": "pair",
    }
    assert {(row["side"], row["name"], row["type"]) for row in content["columns"]} == {
        ("user", "age", "float32"),
        ("user", "affinities", "string"),
        ("context", "position", "float32"),
        ("item", "category", "string"),
        ("item", "price", "float32"),
    }
    assert {"name": "category.values", "dtype": "int64", "rank": 1} in content["tensors"]
    assert content["outputs"] == ["probs_ctr", "probs_cvr"]


def test_types_that_the_bundle_declares_win(call: Callable[..., Any], folder: Folder) -> None:
    folder.write("bundle/input_schema.json", {"user": {"age": "int32"}})

    content = json.loads(call("inspect", "bundle", "--json").stdout)

    assert {"name": "age", "side": "user", "type": "int32"} in content["columns"]


def test_the_tables_show_the_same(call: Callable[..., Any]) -> None:
    lines = call("inspect", "bundle").stdout.splitlines()

    assert "Features (5)" in lines
    row = next(line for line in lines if line.startswith("affinity"))
    assert row.split() == [
        "affinity",
        "lookup_feature",
        "pair",
        "False",
        "True",
        "user:affinities,",
        "item:category",
    ]


def test_a_bundle_without_features_shows_its_model(call: Callable[..., Any], folder: Folder) -> None:
    (folder.bundle / "fg.json").unlink()

    content = json.loads(call("inspect", "bundle", "--json").stdout)

    assert content["features"] == []
    assert len(content["tensors"]) == 6


def test_it_says_what_was_compiled_and_why_it_is_not_served(call: Callable[..., Any], tmp_path: Path) -> None:
    from tests.processors import rewritten

    bundle = rewritten.write(tmp_path / "rank")
    told = json.loads(call("inspect", str(bundle.path), "--json").stdout)["bundle"]["compiled"]
    with bundle.model_path.open("ab") as file:
        file.write(b" ")
    stale = json.loads(call("inspect", str(bundle.path), "--json").stdout)["bundle"]["compiled"]

    assert told.startswith("rates, torchscript; 0.50 x at 200 rows; probability within 1e-07")
    assert stale == "no: scripted_model.pt has changed since"
