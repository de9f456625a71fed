"""The vectors of feature generation: cases ──referee──▶ conformance/features/*.json.

The referee, a naive evaluator written from the specification, works out every result; where a case states its
result, by hand or as a recorded output, the two must agree.
"""

from __future__ import annotations

import json
import math
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.cases import texts
from tests.features.referee.cells import UnspecifiedError, float32
from tests.features.referee.evaluate import Evaluation, Result, evaluate, tensors_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.cases.case import Case, Columns
    from tests.features.referee.config import Feature

FOLDER = Path(__file__).resolve().parent / "features"
TYPES = (
    *("id", "raw", "combo", "lookup", "match", "expr", "overlap", "kv_dot_product", "bool_mask", "combine"),
    *("slice", "tokenize", "custom"),
)
SUBJECTS = ("inputs", "defaults", "bucketizers", "normalizers", "sequences", "groups", "errors")

Vector = dict[str, Any]


def cases() -> dict[str, list[Case]]:
    """File name, without .json → its cases."""
    found: dict[str, list[Case]] = {
        name: import_module(f"conformance.cases.{name}").CASES for name in (*TYPES, *SUBJECTS)
    }
    return found | {"regex_replace": texts.REGEX_CASES, "text_normalizer": texts.NORMALIZER_CASES}


def write(folder: Path = FOLDER) -> None:
    """Write every file."""
    folder.mkdir(exist_ok=True)
    for name, listed in cases().items():
        (folder / f"{name}.json").write_text(text_of(listed), encoding="utf-8")


def text_of(listed: list[Case]) -> str:
    """A JSON array, one case per line."""
    lines = (json.dumps(vector(case), ensure_ascii=False, allow_nan=False) for case in listed)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def vector(case: Case) -> Vector:
    """One case as JSON has it."""
    result: Vector = {
        "name": case.name,
        "rule": case.rule,
        "confidence": case.confidence,
        "source": source_of(case),
        "fg_config": {"features": case.features},
    }
    options = {"files": dict(case.files), "farm_hash": case.farm_hash, "strict": case.strict}
    result |= {key: value for key, value in options.items() if value}
    if case.columns:
        result["inputs"] = {
            name: {"type": kind, "cells": plain(cells)} for name, (kind, cells) in case.columns.items()
        }
        result["rows"] = rows_of(case.columns)
    return result | ({"error": True} if case.error else {"expected": expected(case)})


def source_of(case: Case) -> str:
    """Where the expected values come from."""
    if case.recorded:
        return "recorded output"
    return "hand calculation" if case.stated is not None else "spec rule"


def expected(case: Case) -> dict[str, Any]:
    """What every output feature gives, by its name."""
    evaluation = evaluation_of(case)
    if case.stated is not None:
        check(case, stated(evaluation))
    return {
        feature.name: written(feature, evaluation.results[feature.name][1])
        for feature in evaluation.config.features
        if not feature.stub
    }


def evaluation_of(case: Case) -> Evaluation:
    """What the referee makes of a case."""
    cells = {name: [rounded(cell, kind) for cell in values] for name, (kind, values) in case.columns.items()}
    types = {name: kind for name, (kind, _) in case.columns.items()}
    try:
        return evaluate(
            {"features": case.features},
            cells,
            types,
            rows_of(case.columns),
            farm_hash=case.farm_hash,
            files=case.files,
        )
    except UnspecifiedError as e:
        raise AssertionError(f"case '{case.name}' is not specified: {e}") from e


def stated(evaluation: Evaluation) -> dict[str, Any]:
    """The last feature's result in the form in which cases state theirs."""
    feature, rows = evaluation.results[evaluation.config.features[-1].name]
    feature, rows = evaluation.results.get("f", (feature, rows))
    if feature.text:
        return {"tokens": [flat(row) for row in rows]}
    tensors = tensors_of(feature, rows)
    return {name.rpartition(".")[2]: tensor.tolist() for name, tensor in tensors.items()}


def check(case: Case, found: Mapping[str, Any]) -> None:
    """The referee and the case agree; NaN equals NaN."""
    if repr(plain(dict(found))) != repr(plain(dict(case.stated or {}))):
        raise AssertionError(f"case '{case.name}' states {case.stated}, the referee gives {found}")


def flat(row: Result | list[Result]) -> list[Any]:
    """The tokens of a row; of a sequence those of every element."""
    return list(row.values) if isinstance(row, Result) else [list(element.values) for element in row]


def written(feature: Feature, rows: Any) -> Vector:
    """The result of one feature: its kind and its values in row order."""
    if feature.text:
        return {
            "kind": "sequence_text" if feature.sequence else "text",
            "tokens": [flat(row) for row in rows],
        }
    tensors = {name.rpartition(".")[2]: tensor for name, tensor in tensors_of(feature, rows).items()}
    kind = "dense" if feature.dense else "sparse"
    result: Vector = {"kind": f"sequence_{kind}" if feature.sequence else kind}
    if feature.dense:
        result["shape"] = list(tensors["values"].shape)
    return result | {name: plain(tensor.ravel().tolist()) for name, tensor in tensors.items()}


def rows_of(columns: Columns) -> int:
    """As many as the longest column has; a column of one stands for all."""
    return max((len(cells) for _, cells in columns.values()), default=0)


def rounded(cell: Any, column_type: str) -> Any:
    """A cell as its column holds it: float32 numbers rounded."""
    if isinstance(cell, list | tuple):
        return type(cell)(rounded(entry, column_type) for entry in cell)
    return float(float32(cell)) if isinstance(cell, float) and "float32" in column_type else cell


def plain(value: Any) -> Any:
    """What JSON can hold: maps as lists of pairs, numbers that JSON lacks as text."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
