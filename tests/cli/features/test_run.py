"""`recserve features run` makes training features out of a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from recserve.cli.app import app

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

FEATURES: list[dict[str, Any]] = [
    {
        "feature_type": "id_feature",
        "feature_name": "city",
        "expression": "user:city",
        "hash_bucket_size": 100,
    },
    {
        "feature_type": "raw_feature",
        "feature_name": "price",
        "expression": "item:price",
        "boundaries": [1, 5],
    },
]
ROWS = {"city": ["oslo", None, "bergen"], "price": ["2", "x", ""], "label": [0, 1, 0]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "fg.json").write_text(json.dumps({"features": FEATURES, "reserves": ["label"]}))
    pq.write_table(pa.table(ROWS), tmp_path / "in.parquet")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["features", "run", "fg.json", *arguments])


def test_features_and_reserves_are_written_and_summed_up(folder: Path) -> None:
    result = call(
        "in.parquet", "out.parquet", "--threads", "2", "--on-error", "default", "--rejects", "bad.parquet"
    )

    assert result.exit_code == 0, result.stderr
    assert pq.read_table(folder / "out.parquet").to_pydict() == {
        "city": [[2], [], [68]],
        "price": [[1], [], []],
        "label": [0, 1, 0],
    }
    assert "3 rows, 2 features → out.parquet in " in result.stderr
    assert "feature 'price': 1 values were no numbers, so missing" in result.stderr
    assert "1 rows could not be read whole, written to bad.parquet" in result.stderr
    assert pq.read_table(folder / "bad.parquet")["label"].to_pylist() == [1]


def test_a_bad_row_is_one_line_and_leaves_no_file(folder: Path) -> None:
    result = call("in.parquet", "out.parquet")

    assert result.exit_code == 1
    line = "recserve: in.parquet row 1: feature 'price' reads column 'price': 'x' is not a number\n"
    assert result.stderr.endswith(line)
    assert sorted(path.name for path in folder.iterdir()) == ["fg.json", "in.parquet"]


def test_two_steps_give_what_one_gives(folder: Path) -> None:
    call("in.parquet", "one.parquet", "--on-error", "default")
    first = call("in.parquet", "texts.parquet", "--on-error", "default", "--without-bucketizers")
    second = call("texts.parquet", "two.parquet", "--bucketize-only")

    assert first.exit_code == second.exit_code == 0, second.stderr
    assert pq.read_table(folder / "texts.parquet")["city"].to_pylist() == [["oslo"], [], ["bergen"]]
    assert (folder / "one.parquet").read_bytes() == (folder / "two.parquet").read_bytes()


def test_farm_hash_is_a_variable_as_in_serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cities = []
    for value in ("false", "true"):
        monkeypatch.setenv("USE_FARM_HASH_TO_BUCKETIZE", value)
        call("in.parquet", "out.parquet", "--force", "--columns", "city")
        cities.append(pq.read_table(folder / "out.parquet")["city"].to_pylist())

    assert cities[0] != cities[1]


def test_columns_name_what_is_written(folder: Path) -> None:
    result = call(
        "in.parquet", "out.parquet", "--columns", "city", "--columns", "price", "--on-error", "default"
    )

    assert result.exit_code == 0, result.stderr
    assert pq.read_schema(folder / "out.parquet").names == ["city", "price"]


def test_a_column_that_the_table_lacks_is_named(folder: Path) -> None:
    pq.write_table(pa.table(ROWS).drop_columns("price"), folder / "in.parquet")

    refused = call("in.parquet", "out.parquet")
    taken = call("in.parquet", "out.parquet", "--on-error", "default")

    assert refused.exit_code == 1
    assert "feature 'price' reads column 'price', which the table does not have" in refused.stderr
    assert "feature 'price': column 'price' is not in the table, so missing" in taken.stderr


@pytest.mark.parametrize(
    "options",
    [["--rejects", "bad.parquet"], ["--without-bucketizers", "--bucketize-only"], ["--threads", "0"]],
)
def test_options_that_do_not_go_together_are_a_usage_error(folder: Path, options: list[str]) -> None:
    assert call("in.parquet", "out.parquet", *options).exit_code == 2
