"""What each feature type yields for one row or one element: tokens, numbers or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product

from tests.features.referee.cells import (
    VALUE_SEPARATOR,
    Cell,
    Numbers,
    UnspecifiedError,
    float32,
    is_missing,
    numbers,
    scalar_to_text,
    text_to_number,
    tokens,
)
from tests.features.referee.config import Feature
from tests.features.referee.formula import Formula, Value


@dataclass(frozen=True)
class Token:
    """One token; `bare` is the value alone of a match, which num_buckets parses and vocabularies try last."""

    text: str
    bare: str
    weight: float = 1.0


Outcome = list[Token] | Numbers | None
Cells = Mapping[str, Cell]
Operator = Callable[[Feature, Cells], Outcome]
Hit = tuple[str, str | int | float]


def run_id(feature: Feature, cells: Cells) -> Outcome:
    """6.1: the tokens of the cell, with weights when asked for."""
    cell = cells["value"]
    if not feature.weighted:
        return _prefixed(feature, [Token(text, text) for text in tokens(cell, feature.separator)])
    if isinstance(cell, tuple):
        pairs = [(scalar_to_text(key), _number(weight)) for key, weight in cell]
    else:
        pairs = [_weighted(text) for text in tokens(cell, feature.separator)]
    return _prefixed(feature, [Token(text, text, float(float32(weight))) for text, weight in pairs])


def _weighted(text: str) -> tuple[str, float]:
    name, colon, weight = text.rpartition(":")
    if not colon:
        return text, 1.0
    if not name:
        raise UnspecifiedError(f"a weight without an id: {text}")
    return name, _number(weight)


def run_raw(feature: Feature, cells: Cells) -> Outcome:
    """6.2: the first value_dim numbers, not looking at those behind; padding comes after the normalizer."""
    return numbers(cells["value"], feature.separator, feature.value_dim)


def run_combo(feature: Feature, cells: Cells) -> Outcome:
    """6.3: the cartesian product, the first input varying slowest."""
    lists = [tokens(cell, feature.separator) for cell in cells.values()]
    return _prefixed(feature, [Token(text, text) for text in map("_".join, product(*lists))])


def run_lookup(feature: Feature, cells: Cells) -> Outcome:
    """6.4: the values of the keys that the map has, in key order."""
    table = dict(_pairs(cells["map"]))
    keys = tokens(cells["key"], feature.separator)
    hits = [(key, table[key]) for key in keys if key in table]
    if not hits:
        return None
    if not feature.discrete:
        text = isinstance(hits[0][1], str)
        values = [float(_number(value)) for _, value in hits]
        return Numbers(_combined(values, str(feature.spec.get("combiner", "sum"))), text)
    with_key = bool(feature.spec.get("needKey", False)) and feature.value_type == "string"
    texts = [f"{key}_{scalar_to_text(value)}" if with_key else scalar_to_text(value) for key, value in hits]
    return _prefixed(feature, [Token(text, text) for text in texts])


def _pairs(cell: Cell) -> list[Hit]:
    """A native map, an array of `k:v`, or text of them cut at \\x1d alone."""
    if is_missing(cell):
        return []
    if isinstance(cell, tuple):
        return [(scalar_to_text(key), value) for key, value in cell]
    if isinstance(cell, int | float) or (
        isinstance(cell, list) and not set(map(type, cell)) <= {str, type(None)}
    ):
        raise UnspecifiedError(f"{cell!r} read as a map")
    pairs = (text.partition(":") for text in tokens(cell, VALUE_SEPARATOR))
    return [(key, value) for key, colon, value in pairs if colon]


def _combined(values: list[float], combiner: str) -> list[int | float]:
    ordered = sorted(values)
    gaps = [after - before for before, after in pairwise(ordered)] or [0.0]
    results: dict[str, Callable[[], float]] = {
        "sum": lambda: _sum(values),
        "mean": lambda: _sum(values) / len(values),
        "avg": lambda: _sum(values) / len(values),
        "min": lambda: ordered[0],
        "max": lambda: ordered[-1],
        "count": lambda: float(len(values)),
        "gap_min": lambda: min(gaps),
        "gap_max": lambda: max(gaps),
    }
    if combiner == "":
        return list(values)
    if any(value != value for value in values):  # noqa: PLR0124
        raise UnspecifiedError("NaN in a combiner")
    return [results[combiner]()]


def _sum(values: list[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


def run_match(feature: Feature, cells: Cells) -> Outcome:
    """6.5: the values under all pairs of an outer and an inner key."""
    outer = _nested(cells["user"])
    hits = [
        (outer_key, inner_key, outer[outer_key][inner_key])
        for outer_key in _match_keys(feature, cells, "category", list(outer))
        for inner_key in _match_keys(feature, cells, "item", list(outer.get(outer_key, {})))
        if inner_key in outer.get(outer_key, {})
    ]
    if not hits:
        return None
    if not feature.discrete:
        return Numbers([_number(value) for _, _, value in hits], text=True)
    spec = feature.spec
    shown = spec.get("matchType", "hit") == "hit" and bool(spec.get("needDiscrete", True))
    parts = [
        [
            *([spec["feature_name"]] if spec.get("need_prefix", True) else []),
            *([outer_key] if spec.get("show_category", shown) else []),
            *([inner_key] if spec.get("show_item", shown) else []),
            value,
        ]
        for outer_key, inner_key, value in hits
    ]
    return [Token("_".join(part), part[-1]) for part in parts]


def _match_keys(feature: Feature, cells: Cells, argument: str, all_keys: list[str]) -> list[str]:
    if feature.spec[argument] != "ALL":
        return tokens(cells[argument], feature.separator)
    return all_keys if feature.spec.get("matchType", "hit") == "multihit" else ["ALL"]


def _nested(cell: Cell) -> dict[str, dict[str, str]]:
    """`k1^a:1,b:2|k2^a:3`, or a native map from the outer key to the inner text."""
    if is_missing(cell):
        return {}
    if isinstance(cell, tuple):
        pairs = [(scalar_to_text(key), scalar_to_text(inner)) for key, inner in cell]
    elif isinstance(cell, str):
        cut = (text.partition("^") for text in cell.split("|"))
        pairs = [(key, inner) for key, caret, inner in cut if caret]
    else:
        raise UnspecifiedError(f"{cell!r} read as a nested map")
    if len(dict(pairs)) < len(pairs):
        raise UnspecifiedError("a repeated outer key")
    return {key: _inner(text) for key, text in pairs}


def _inner(text: str) -> dict[str, str]:
    cut = (pair.partition(":") for pair in text.split(","))
    return {key: value for key, colon, value in cut if colon}


def run_expr(feature: Feature, cells: Cells) -> Outcome:
    """6.6: the formula over numbers and vectors; one value per entry of the result."""
    variables: dict[str, Value] = {}
    for name, cell in cells.items():
        found = numbers(cell, feature.separator)
        if found is None:
            return None
        values = [float(value) if found.text else float(float32(value)) for value in found.values]
        variables[name] = values if isinstance(cell, list) or len(values) > 1 else values[0]
    formula = _formula(feature.spec["expression"], tuple(variables))
    result = formula(variables, float(feature.spec.get("fill_missing", "nan")))
    values = result if isinstance(result, list) else [result]
    return Numbers(list(values), text=True)


@cache
def _formula(text: str, variables: tuple[str, ...]) -> Formula:
    return Formula(text, variables)


def _number(value: str | int | float) -> int | float:
    if not isinstance(value, str):
        return value
    parsed = text_to_number(value)
    if parsed is None:
        raise UnspecifiedError(f"'{value}' where a number is read")
    return parsed


def _prefixed(feature: Feature, found: list[Token]) -> list[Token]:
    prefix = f"{feature.spec['feature_name']}_" if feature.spec.get("need_prefix", False) else ""
    texts = ((prefix + token.text, token.weight) for token in found)
    return [Token(text, text, weight) for text, weight in texts]


OPERATORS: dict[str, Operator] = {
    "id_feature": run_id,
    "raw_feature": run_raw,
    "combo_feature": run_combo,
    "lookup_feature": run_lookup,
    "match_feature": run_match,
    "expr_feature": run_expr,
}
