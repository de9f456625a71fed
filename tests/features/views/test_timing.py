"""Timing plays the rows of a sample as requests; how long anything takes is not asserted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.features.example import example, rows

from recserve.columns import batch_from_arrow
from recserve.errors import DataError
from recserve.features import config
from recserve.features.generator import Generator
from recserve.features.views.made_up import made_up_rows
from recserve.features.views.timing import measure, read_sample

if TYPE_CHECKING:
    from pathlib import Path


def test_every_feature_has_a_time_per_request_and_item_features_one_per_row() -> None:
    generator = Generator(example())

    timing = measure(generator, rows(), candidates=50)

    assert set(timing.request) == set(generator.plan.order)
    assert set(timing.item_row) == {"price", "tag", "clicks__tags"}
    assert all(spent >= 0 for spent in [*timing.request.values(), *timing.item_row.values()])
    assert timing.generate is not None
    assert timing.generate > 0


def test_what_a_pair_feature_takes_grows_with_the_candidates() -> None:
    generator = Generator(example())

    few, many = (measure(generator, rows(), candidates=n).request["taste"] for n in (10, 10_000))

    assert many > few


def test_nothing_that_the_sample_has_is_taken_for_missing() -> None:
    generator = Generator(example())

    measure(generator, rows(), candidates=10)

    assert generator.counters["missing_columns"] == 0


def test_a_plan_with_texts_for_results_has_no_time_as_a_whole() -> None:
    text = {"feature_type": "id_feature", "feature_name": "t", "expression": "item:x"}
    generator = Generator(config.load({"features": [text]}), texts=True)

    assert measure(generator, pa.table({"x": ["a"]}), candidates=3).generate is None


def test_a_sample_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match="the sample has no rows"):
        measure(Generator(example()), rows(0), candidates=3)


def test_a_sample_is_the_first_rows_of_the_columns_that_are_read(tmp_path: Path) -> None:
    table = rows(30).append_column("label", pa.array([1] * 30))
    pq.write_table(table, tmp_path / "rows.parquet")

    sample = read_sample(Generator(example()).plan, tmp_path / "rows.parquet", rows=7)

    assert sample.num_rows == 7
    assert set(sample.column_names) == set(rows().column_names)


def test_a_file_that_is_not_parquet_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")

    with pytest.raises(DataError, match=r"rows.csv cannot be read as Parquet"):
        read_sample(Generator(example()).plan, tmp_path / "rows.csv")


def test_an_empty_file_is_a_sample_without_rows(tmp_path: Path) -> None:
    pq.write_table(rows(0), tmp_path / "rows.parquet")

    assert read_sample(Generator(example()).plan, tmp_path / "rows.parquet").num_rows == 0


def test_made_up_rows_have_every_column_and_are_the_same_for_the_same_seed() -> None:
    plan = Generator(example()).plan

    made = made_up_rows(plan, rows=50)

    assert set(made.column_names) == set(rows().column_names)
    assert made.num_rows == 50
    assert made.equals(made_up_rows(plan, rows=50))
    assert not made.equals(made_up_rows(plan, rows=50, seed=1))


def test_made_up_rows_give_most_features_a_result() -> None:
    generator = Generator(example())

    made = generator.generate_columns(batch_from_arrow(made_up_rows(generator.plan, rows=200)), strict=True)

    assert sum(not made["taste"].missing(row) for row in range(200)) > 20
    assert generator.counters["unparsable_numbers"] == 0
