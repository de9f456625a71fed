"""What an operator yields for one row or one element: tokens, numbers, ids or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.features.referee.cells import Cell, Numbers
from tests.features.referee.config import Feature


@dataclass(frozen=True)
class Token:
    """One token; `bare` is the value alone of a match, which num_buckets parses and vocabularies try last."""

    text: str
    bare: str
    weight: float = 1.0


@dataclass(frozen=True)
class Ids:
    """The ids that a tokenizer gives; they need no bucketizer."""

    values: list[int]


Outcome = list[Token] | Numbers | Ids | None
Cells = Mapping[str, Cell]
Operator = Callable[[Feature, Cells], Outcome]


def prefixed(feature: Feature, found: list[Token]) -> list[Token]:
    """Tokens with the feature's name before them, where it asks for that (1.2)."""
    prefix = f"{feature.spec['feature_name']}_" if feature.spec.get("need_prefix", False) else ""
    texts = ((prefix + token.text, token.weight) for token in found)
    return [Token(text, text, weight) for text, weight in texts]
