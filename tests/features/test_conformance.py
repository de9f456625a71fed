"""The native core gives the tensors of conformance/features.json, and the referee still writes that file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.features.comparison import tensor_differences
from tests.features.referee.vectors import text_of, vectors
from tests.features.staged import array_of, batch_of, tensors_of

from recserve.features import config
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from tests.features.referee.evaluate import Tensors

FILE = Path(__file__).parents[2] / "conformance" / "features.json"
VECTORS: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text(encoding="utf-8"))
CASES = [
    pytest.param(case, id=f"{group}: {case['name']}") for group, cases in VECTORS.items() for case in cases
]


@pytest.mark.parametrize("case", CASES)
def test_the_core_gives_the_tensors_of_a_vector(case: dict[str, Any]) -> None:
    arrays = {
        name: array_of([cell_of(cell, column["type"]) for cell in column["cells"]], column["type"])
        for name, column in case["columns"].items()
    }
    generator = Generator(config.load({"features": case["features"]}))

    result = tensors_of(generator.generate_joined(batch_of(arrays, case["rows"])))

    assert not tensor_differences(case["name"], result, tensors_in(case))


def test_the_file_is_what_the_referee_writes() -> None:
    assert text_of(vectors()) == FILE.read_text(encoding="utf-8")


def cell_of(cell: Any, column_type: str) -> Any:
    """A cell as Python has it: maps as tuples, numbers that JSON lacks as floats."""
    if column_type.startswith("map<"):
        return None if cell is None else tuple((key, value) for key, value in cell)
    if isinstance(cell, list):
        return [cell_of(entry, column_type) for entry in cell]
    return float(cell) if "float" in column_type and cell is not None else cell


def tensors_in(case: dict[str, Any]) -> Tensors:
    return {
        name: np.array([float(value) if isinstance(value, str) else value for value in tensor["values"]])
        .astype(tensor["dtype"])
        .reshape(tensor["shape"])
        for name, tensor in case["tensors"].items()
    }
