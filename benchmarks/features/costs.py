"""What does a feature of each type cost, at each rate? Nanoseconds, one feature of a kind at a time.

| rate  | per                    | inputs                                                        |
|-------|------------------------|---------------------------------------------------------------|
| const | nothing                | const: computed when the plan is built                        |
| item  | item row written       | item:                                                         |
| user  | request                | user:                                                         |
| pair  | candidate of a request | user: first, item: behind it; of one input alone, context:    |

Rows are made up (recserve.features.views.made_up): maps of 20 keys, texts of 4 words, sequences of 20
elements; lists, maps and sequences come as texts.
"""

from __future__ import annotations

import json
from typing import Any

from recserve.allocator import tune_allocator
from recserve.features.config import load
from recserve.features.generator import Generator
from recserve.features.views.made_up import made_up_rows
from recserve.features.views.timing import measure as time_plan

CANDIDATES = 200
ROWS = 4000
HASH = {"hash_bucket_size": 100_000}

#: feature_type → its keys; `a` and `b` stand for its inputs.
EXAMPLES: dict[str, dict[str, Any]] = {
    "id_feature": {"expression": "a", **HASH},
    "raw_feature": {"expression": "a", "boundaries": [0.5, 1, 2, 4]},
    "combo_feature": {"expression": ["a", "b"], **HASH},
    "lookup_feature": {"map": "a", "key": "b"},
    "match_feature": {"user": "a", "category": "b", "item": "c", **HASH},
    "expr_feature": {"expression": "a * 2 + log(b)", "variables": ["a", "b"]},
    "overlap_feature": {"query": "a", "title": "b", "method": "query_common_ratio"},
    "kv_dot_product": {"query": "a", "document": "b"},
    "bool_mask_feature": {"expression": ["a", "b"], **HASH},
    "combine_feature": {"expression": "a"},
    "slice_feature": {"expression": "a", "start": 1, **HASH},
    "regex_replace_feature": {"expression": "a", "regex_pattern": "w", "replacement": "v", **HASH},
    "text_normalizer": {"expression": "a", **HASH},
    "custom_feature": {"operator_name": "EditDistance", "expression": ["a", "b"]},
}
SEQUENCES: dict[str, dict[str, Any]] = {
    "sequence_id_feature": {"expression": "a", "value_dim": 1, **HASH},
    "sequence_raw_feature": {"expression": "a"},
}
ONE_INPUT = ("id", "raw", "combine", "slice", "regex_replace", "text_normalizer")


def measure() -> dict[str, dict[str, float]]:
    """Feature type → rate → nanoseconds."""
    tune_allocator()
    plain = {
        name: {rate: cost(name, keys, rate) for rate in ("item", "user", "pair")}
        for name, keys in EXAMPLES.items()
    }
    return plain | {name: {"user": cost(name, keys, "user")} for name, keys in SEQUENCES.items()}


def cost(feature_type: str, keys: dict[str, Any], rate: str) -> float:
    """Nanoseconds of one feature at a rate, over the rows that it is computed for."""
    single = feature_type.removeprefix("sequence_").removesuffix("_feature") in ONE_INPUT
    first = {"item": "item", "user": "user", "pair": "context" if single else "user"}[rate]
    others = "item" if rate == "pair" else first
    sides = {"a": f"{first}:a", "b": f"{others}:b", "c": f"{others}:c"}
    formula = feature_type == "expr_feature"
    feature = {"feature_type": feature_type, "feature_name": "f", "default_value": "0"} | {
        key: value if formula and key == "expression" else _with_sides(value, sides)
        for key, value in keys.items()
    }
    generator = Generator(load({"features": [feature]}))
    timing = time_plan(generator, made_up_rows(generator.plan, rows=ROWS), candidates=CANDIDATES)
    if rate == "item":
        return timing.item_row["f"]
    return timing.request["f"] / (CANDIDATES if rate == "pair" else 1)


def _with_sides(value: Any, sides: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_with_sides(entry, sides) for entry in value]
    return sides.get(value, value) if isinstance(value, str) else value


if __name__ == "__main__":
    print(json.dumps(measure()))
