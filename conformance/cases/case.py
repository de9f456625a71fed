"""What a case is written in: a rule, how sure it is, and examples of it.

`text` is the rule in our own words behind the number of its section in the specification of feature
generation. Its `confidence`:

| confidence | the rule                                                                   |
|------------|----------------------------------------------------------------------------|
| test       | is fixed by a public test, or by a recorded output of the original         |
| seen       | was measured by the original's maintainers                                 |
| doc        | stands in public documentation                                             |
| json       | follows from the fg.json that TorchEasyRec writes                          |
| inferred   | is deduced                                                                 |
| ours       | is our choice, where the sources are silent or contradict one another      |

A case that needs several rules has the confidence of the least certain one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Spec = dict[str, Any]
Column = tuple[str, list[Any]]  # type and cells; one cell stands for every row
Columns = Mapping[str, Column]
Expected = Mapping[str, list[Any]]  # kind → values, of the feature `f`


@dataclass(frozen=True)
class Case:
    """One example. `stated`: what comes out, by hand or recorded; None leaves it to the referee."""

    name: str
    features: list[Spec]
    columns: Columns
    rule: str
    confidence: str
    stated: Expected | None = None
    recorded: bool = False  # `stated` is an output of the original
    error: bool = False  # refused: when the config is loaded or, if `strict`, when the rows are read
    strict: bool = False
    farm_hash: bool = False
    files: Mapping[str, str] = field(default_factory=dict)


def rule(
    text: str,
    confidence: str,
    examples: Mapping[str, tuple[Any, ...]],
    *,
    recorded: bool = False,
    error: bool = False,
    strict: bool = False,
    farm_hash: bool = False,
    files: Mapping[str, str] = MappingProxyType({}),
) -> list[Case]:
    """The cases of one rule: name → one feature or several, columns and, if stated, what comes out."""
    return [
        Case(
            name,
            listed(features),
            columns[0] if columns else {},
            text,
            confidence,
            stated=columns[1] if len(columns) > 1 else None,
            recorded=recorded,
            error=error,
            strict=strict,
            farm_hash=farm_hash,
            files=files,
        )
        for name, (features, *columns) in examples.items()
    ]


def listed(features: Any) -> list[Spec]:
    """One spec, called f unless it says otherwise, or several."""
    return features if isinstance(features, list) else [{"feature_name": "f", **features}]


def sequence(spec: Spec, **keys: Any) -> Spec:
    """The stand-alone sequence form of a feature."""
    kind = str(spec["feature_type"])
    plain = kind in ("custom_feature", "regex_replace_feature")
    form: Spec = {"is_sequence": True} if plain else {"feature_type": f"sequence_{kind}"}
    return {**spec, **form, "default_value": "0", "value_dim": 1, **keys}


HASH: Spec = {"hash_bucket_size": 100}
SEQUENCE: Spec = {"default_value": "0", "value_dim": 1}
NAN, INF = float("nan"), float("inf")

ID: Spec = {"feature_type": "id_feature", "expression": "item:x"}
RAW: Spec = {"feature_type": "raw_feature", "expression": "item:x"}
COMBO: Spec = {"feature_type": "combo_feature", "expression": ["user:u", "item:x"]}
LOOKUP: Spec = {"feature_type": "lookup_feature", "map": "user:m", "key": "item:x"}
MATCH: Spec = {"feature_type": "match_feature", "user": "user:m", "category": "item:c", "item": "item:x"}
EXPR: Spec = {"feature_type": "expr_feature", "variables": ["item:x"], "expression": "x"}
OVERLAP: Spec = {"feature_type": "overlap_feature", "query": "user:u", "title": "item:x"}
KV: Spec = {"feature_type": "kv_dot_product", "query": "user:u", "document": "item:x"}
MASK: Spec = {"feature_type": "bool_mask_feature", "expression": ["item:x", "item:m"]}
COMBINE: Spec = {"feature_type": "combine_feature", "expression": "item:x"}
SLICE: Spec = {"feature_type": "slice_feature", "expression": "item:x"}
REGEX: Spec = {"feature_type": "regex_replace_feature", "expression": "item:x"}
NORMALIZE: Spec = {"feature_type": "text_normalizer", "expression": "item:x"}
TOKENIZE: Spec = {
    "feature_type": "tokenize_feature",
    "expression": "item:x",
    "vocab_file": "tokenizer.json",
    "tokenizer_type": "bpe",
    "output_type": "word_id",
    "default_value": "",
}
DISTANCE: Spec = {
    "feature_type": "custom_feature",
    "operator_name": "EditDistance",
    "expression": ["user:u", "item:x"],
    "value_type": "float",
}
SEQ_EXPR: Spec = {
    "feature_type": "custom_feature",
    "operator_name": "SeqExpr",
    "is_sequence": True,
    "default_value": "0",
    "value_type": "float",
}
