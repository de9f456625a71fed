"""The native core gives what conformance/features says, and the files are what the referee writes."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conformance.vectors import FOLDER, cases, text_of
from tests.features.comparison import tensor_differences
from tests.features.staged import array_of, batch_of, tensors_of

from recserve.columns import to_arrow
from recserve.errors import ConfigError, DataError
from recserve.features import config
from recserve.features.generator import Generator
from recserve.features.types import FEATURE_TYPES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.features.referee.evaluate import Tensors

    from recserve.columns import Batch

VECTORS: dict[str, list[dict[str, Any]]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
CASES = [
    pytest.param(case, id=f"{name}: {case['name']}") for name, listed in VECTORS.items() for case in listed
]
DTYPES = {"values": "int64", "lengths": "int64", "key_lengths": "int64", "weights": "float32"}


@pytest.mark.parametrize("case", CASES)
def test_the_core_gives_what_a_vector_says(case: dict[str, Any], tmp_path: Path) -> None:
    if case.get("error"):
        with pytest.raises(DataError if case.get("strict") else ConfigError):
            generator_of(case, tmp_path).generate_joined(batch_in(case), strict=True)
        return
    expected = case["expected"]
    texts = {name: result["tokens"] for name, result in expected.items() if "tokens" in result}
    generator = generator_of(case, tmp_path, texts=bool(texts))

    if texts:
        columns = generator.generate_columns(batch_in(case), names=list(texts))
        assert {name: tokens_in(columns, name, case["rows"]) for name in texts} == texts
    else:
        result = tensors_of(generator.generate_joined(batch_in(case)))
        assert not tensor_differences(case["name"], result, tensors_in(case))


def test_the_files_are_what_the_referee_writes() -> None:
    written = {name: text_of(listed) for name, listed in cases().items()}

    assert written == {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}


def test_every_feature_type_has_vectors_in_every_form() -> None:
    seen: Counter[str] = Counter()
    for listed in VECTORS.values():
        for case in listed:
            for entry in case["fg_config"]["features"]:
                seen.update(forms_of(entry))

    for name in FEATURE_TYPES:
        assert {name, f"{name} as a sequence"} <= seen.keys()


def forms_of(entry: dict[str, Any]) -> list[str]:
    if "features" in entry:
        return [f"{member['feature_type']} as a sequence" for member in entry["features"]]
    name = entry.get("feature_type", "")
    sequence = name.startswith("sequence_") or entry.get("is_sequence", False)
    return [f"{name.removeprefix('sequence_')} as a sequence" if sequence else name]


def generator_of(case: dict[str, Any], folder: Path, *, texts: bool = False) -> Generator:
    for name, text in case.get("files", {}).items():
        folder.joinpath(name).write_bytes(text.encode())
    loaded = config.load(case["fg_config"], farm_hash=case.get("farm_hash", False), folder=folder)
    return Generator(loaded, texts=texts)


def batch_in(case: dict[str, Any]) -> Batch:
    arrays = {
        name: array_of([cell_of(cell, column["type"]) for cell in column["cells"]], column["type"])
        for name, column in case.get("inputs", {}).items()
    }
    return batch_of(arrays, case.get("rows", 0))


def cell_of(cell: Any, column_type: str) -> Any:
    """A cell as Python has it: maps as tuples, numbers that JSON lacks as floats."""
    if column_type.startswith("map<"):
        return None if cell is None else tuple((key, value) for key, value in cell)
    if isinstance(cell, list):
        return [cell_of(entry, column_type) for entry in cell]
    return float(cell) if "float" in column_type and cell is not None else cell


def tensors_in(case: dict[str, Any]) -> Tensors:
    tensors = {}
    for name, result in case["expected"].items():
        for kind in DTYPES.keys() & result.keys():
            dense = kind == "values" and "shape" in result
            numbers = [float(value) if isinstance(value, str) else value for value in result[kind]]
            tensor = np.array(numbers, "float32" if dense else DTYPES[kind])
            tensors[f"{name}.{kind}"] = tensor.reshape(result["shape"]) if dense else tensor
    return tensors


def tokens_in(columns: Batch, name: str, rows: int) -> list[Any]:
    """The tokens of every row: a scalar is one, null is none, one row stands for all."""
    cells = to_arrow(columns[name]).to_pylist()
    listed = [[] if cell is None else cell if isinstance(cell, list) else [cell] for cell in cells]
    return listed * rows if len(listed) == 1 else listed
