"""The language-neutral vectors of conformance/features.json, which the referee writes."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from tests.features.referee.cells import float32
from tests.features.referee.evaluate import Tensors, evaluate
from tests.features.referee.more_cases import MORE_CASES
from tests.features.referee.spec_cases import SPEC_CASES, Columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

Vector = dict[str, Any]


def vectors() -> dict[str, list[Vector]]:
    """All cases by group: those of the specification first, each under its feature type."""
    groups: dict[str, list[Vector]] = {group: [] for group in MORE_CASES}
    for name, (spec, columns, _) in SPEC_CASES.items():
        group = spec["feature_type"] if spec["feature_type"] in groups else "sequences"
        groups[group].append(vector(name, {"feature_name": "f", **spec}, columns))
    for group, cases in MORE_CASES.items():
        groups[group] += [vector(name, spec, columns) for name, (spec, columns) in cases.items()]
    return groups


def vector(name: str, features: Any, columns: Columns) -> Vector:
    """One case with the tensors that the referee gives; `features` is one spec or several."""
    listed = features if isinstance(features, list) else [{"feature_name": "f", **features}]
    cells = {column: [rounded(cell, kind) for cell in values] for column, (kind, values) in columns.items()}
    types = {column: column_type for column, (column_type, _) in columns.items()}
    rows = max(map(len, cells.values()))
    tensors = evaluate({"features": listed}, cells, types, rows).tensors()
    return {
        "name": name,
        "features": listed,
        "rows": rows,
        "columns": {
            column: {"type": column_type, "cells": plain(values)}
            for column, (column_type, values) in columns.items()
        },
        "tensors": written(tensors),
    }


def rounded(cell: Any, column_type: str) -> Any:
    """A cell as its column holds it: float32 numbers rounded."""
    if isinstance(cell, list | tuple):
        return type(cell)(rounded(entry, column_type) for entry in cell)
    return float(float32(cell)) if isinstance(cell, float) and "float32" in column_type else cell


def written(tensors: Tensors) -> dict[str, Any]:
    """Tensors as dtype, shape and flat values."""
    return {name: written_tensor(tensor) for name, tensor in tensors.items()}


def written_tensor(tensor: NDArray[Any]) -> dict[str, Any]:
    return {"dtype": str(tensor.dtype), "shape": list(tensor.shape), "values": plain(tensor.ravel().tolist())}


def plain(value: Any) -> Any:
    """What JSON can hold: maps as lists of pairs, numbers that JSON lacks as text."""
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def text_of(groups: dict[str, list[Vector]]) -> str:
    """A JSON object of groups, one line per case."""
    lines = []
    for group, cases in groups.items():
        body = ",\n".join(json.dumps(case, ensure_ascii=False, allow_nan=False) for case in cases)
        lines.append(f"{json.dumps(group)}: [\n{body}\n]")
    return "{\n" + ",\n".join(lines) + "\n}\n"
