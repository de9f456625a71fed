"""The engine without torch adds up what it is told to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from tests.engines.contract import EngineContract

from recserve.bundle import Bundle
from recserve.columns import ModelInputs
from recserve.engines.column_sum import ColumnSum
from recserve.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

SUMS = {
    "all": ["age.values", "tags.values", "tags.lengths"],
    "old": ["age.values"],
}


def write(folder: Path, document: object) -> Path:
    (folder / "column_sum.json").write_text(json.dumps(document))
    return folder


class TestContract(EngineContract):
    name: ClassVar[str] = "column_sum"
    outputs: ClassVar[tuple[str, ...]] = ("all", "old")
    broken_file: ClassVar[str] = "column_sum.json"
    many_rows: ClassVar[int] = 3_000_000

    @classmethod
    def write(cls, folder: Path) -> Path:
        return write(folder, {"outputs": SUMS})

    @classmethod
    def inputs(cls, rows: int, seed: int = 0) -> ModelInputs:
        rng = np.random.default_rng(seed)
        lengths = rng.integers(0, 3, rows)
        tags = rng.integers(0, 9, int(lengths.sum()))
        return ModelInputs(
            ["tags.values", "tags.lengths"],
            [tags, lengths],
            ["age.values"],
            [rng.random((rows, 2), np.float32)],
        )


def test_a_row_of_ids_and_floats_is_added_up(tmp_path: Path) -> None:
    engine = ColumnSum.load(Bundle.open(write(tmp_path, {"outputs": SUMS})))
    inputs = ModelInputs(
        ["tags.values", "tags.lengths"],
        [np.array([7, 8, 9]), np.array([2, 0, 1])],
        ["age.values"],
        [np.array([[0.5, 0.25], [1, 2], [3, 4]], np.float32)],
    )

    result = engine.run(inputs, rows=3)

    assert result["all"].tolist() == [15.75, 3, 16]
    assert result["old"].tolist() == [0.75, 3, 7]


def test_one_row_counts_for_every_row(tmp_path: Path) -> None:
    engine = ColumnSum.load(Bundle.open(write(tmp_path, {"outputs": SUMS})))
    inputs = ModelInputs(
        ["tags.values", "tags.lengths"],
        [np.array([4]), np.array([1])],
        ["age.values"],
        [np.array([1, 2], np.float32)],
    )

    assert engine.run(inputs, rows=2)["all"].tolist() == [5, 6]


@pytest.mark.parametrize("document", [{}, {"outputs": []}, {"outputs": {}}])
def test_a_file_without_sums_shows_how_to_write_one(tmp_path: Path, document: object) -> None:
    with pytest.raises(BundleError, match=r'has no outputs; write \{"outputs"'):
        ColumnSum.load(Bundle.open(write(tmp_path, document)))
