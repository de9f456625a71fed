"""What each feature type yields for one row or one element: tokens, numbers or nothing."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from tests.features.referee.bool_mask import run_bool_mask
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
from tests.features.referee.combine import combined, run_combine
from tests.features.referee.custom import formula_of, run_custom, variables_of
from tests.features.referee.kv_dot_product import run_kv_dot_product
from tests.features.referee.outcome import Cells, Operator, Outcome, Token, prefixed
from tests.features.referee.overlap import run_overlap
from tests.features.referee.texts import run_regex_replace, run_slice, run_text_normalizer
from tests.features.referee.tokenizer import run_tokenize

if TYPE_CHECKING:
    from tests.features.referee.config import Feature

Hit = tuple[str, str | int | float]


def run_id(feature: Feature, cells: Cells) -> Outcome:
    """6.1: the tokens of the cell, with weights when asked for."""
    cell = cells["value"]
    if not feature.weighted:
        return prefixed(feature, [Token(text, text) for text in tokens(cell, feature.separator)])
    if isinstance(cell, tuple):
        pairs = [(scalar_to_text(key), _number(weight)) for key, weight in cell]
    else:
        pairs = [_weighted(text) for text in tokens(cell, feature.separator)]
    return prefixed(feature, [Token(text, text, float(float32(weight))) for text, weight in pairs])


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
    return prefixed(feature, [Token(text, text) for text in map("_".join, product(*lists))])


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
        return Numbers(combined(values, str(feature.spec.get("combiner", "sum"))), text)
    with_key = bool(feature.spec.get("needKey", False)) and feature.value_type == "string"
    texts = [f"{key}_{scalar_to_text(value)}" if with_key else scalar_to_text(value) for key, value in hits]
    return prefixed(feature, [Token(text, text) for text in texts])


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
    variables = variables_of(feature, cells)
    if variables is None:
        return None
    formula = formula_of(feature.spec["expression"], tuple(variables))
    result = formula(variables, float(feature.spec.get("fill_missing", "nan")))
    return Numbers(list(result) if isinstance(result, list) else [result], text=True)


def _number(value: str | int | float) -> int | float:
    if not isinstance(value, str):
        return value
    parsed = text_to_number(value)
    if parsed is None:
        raise UnspecifiedError(f"'{value}' where a number is read")
    return parsed


OPERATORS: dict[str, Operator] = {
    "id_feature": run_id,
    "raw_feature": run_raw,
    "combo_feature": run_combo,
    "lookup_feature": run_lookup,
    "match_feature": run_match,
    "expr_feature": run_expr,
    "overlap_feature": run_overlap,
    "kv_dot_product": run_kv_dot_product,
    "bool_mask_feature": run_bool_mask,
    "combine_feature": run_combine,
    "regex_replace_feature": run_regex_replace,
    "text_normalizer": run_text_normalizer,
    "tokenize_feature": run_tokenize,
    "slice_feature": run_slice,
    "custom_feature": run_custom,
}
