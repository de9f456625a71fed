"""custom_feature (6.13): the operators that are built in."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tests.features.referee.cells import (
    Cell,
    Numbers,
    UnspecifiedError,
    float32,
    is_missing,
    numbers,
    scalar_to_text,
)
from tests.features.referee.formula import Formula, Value
from tests.features.referee.texts import run_regex_replace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.features.referee.config import Feature
    from tests.features.referee.outcome import Cells, Operator, Outcome

DISTANCE = "spherical_distance"


def run_custom(feature: Feature, cells: Cells) -> Outcome:
    """What `operator_name` says."""
    return OPERATORS[feature.operator](feature, cells)


def run_edit_distance(feature: Feature, cells: Cells) -> Outcome:
    """The Levenshtein distance, of characters or of bytes."""
    first, second = cells.values()
    if is_missing(first) or is_missing(second):
        return None
    if feature.spec.get("encoding", "latin") == "utf-8":
        return _distance(_whole_text(first), _whole_text(second))
    return _distance(_whole_text(first).encode(), _whole_text(second).encode())


def _whole_text(cell: Cell) -> str:
    if isinstance(cell, list | tuple):
        raise UnspecifiedError(f"{cell!r} as one text")
    return scalar_to_text(cell)


def _distance(first: Sequence[object], second: Sequence[object]) -> Numbers:
    row = list(range(len(second) + 1))
    for at, entry in enumerate(first):
        before, row = row, [at + 1]
        for place, other in enumerate(second):
            row.append(min(before[place + 1] + 1, row[place] + 1, before[place] + (entry != other)))
    return Numbers([row[-1]], text=False)


def run_seq_expr(feature: Feature, cells: Cells) -> Outcome:
    """A formula over the inputs of one element; nothing where one of them is missing."""
    variables = variables_of(feature, cells)
    if variables is None:
        return None
    text = feature.spec["formula"]
    if text == DISTANCE:
        names = list(variables)
        if len(set(names)) != 4:
            raise UnspecifiedError("a distance of inputs that are not four")
        text = f"sphere_dist({', '.join(names)})"
    result = formula_of(text, tuple(variables))(variables, float(feature.spec.get("fill_missing", "nan")))
    return Numbers(result if isinstance(result, list) else [result], text=True)


def variables_of(feature: Feature, cells: Mapping[str, Cell]) -> dict[str, Value] | None:
    """Numbers and vectors by input name; None where one is missing (6.6)."""
    variables: dict[str, Value] = {}
    for name, cell in cells.items():
        found = numbers(cell, feature.separator)
        if found is None:
            return None
        values = [float(value) if found.text else float(float32(value)) for value in found.values]
        variables[name] = values if isinstance(cell, list) or len(values) > 1 else values[0]
    return variables


@cache
def formula_of(text: str, variables: tuple[str, ...]) -> Formula:
    """The formula, read once."""
    return Formula(text, variables)


def run_regex(feature: Feature, cells: Cells) -> Outcome:
    """As regex_replace_feature, of the one input."""
    (cell,) = cells.values()
    return run_regex_replace(feature, {"value": cell})


OPERATORS: dict[str, Operator] = {
    "EditDistance": run_edit_distance,
    "SeqExpr": run_seq_expr,
    "RegexReplace": run_regex,
}
