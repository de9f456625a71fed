"""One feature by itself, as TorchEasyRec's tokenize_feature asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.features import config

if TYPE_CHECKING:
    from collections.abc import Mapping


class FeatureFactory:
    """Makes an operator of one feature object of fg.json."""

    @staticmethod
    def create(feature: Mapping[str, Any], is_sequence: bool = False) -> FeatureOperator:
        """Read the feature; what is asked of it here is the same whether it `is_sequence`."""
        return FeatureOperator(feature)


class FeatureOperator:
    """A feature that tells how many ids it has."""

    def __init__(self, feature: Mapping[str, Any]) -> None:
        [read] = config.load({"features": [feature]}, folder=Path(), anywhere=True).features
        self._rules = read.type.rules(sequence=read.is_sequence, farm_hash=False)

    def vocab_size(self) -> int:
        """What all ids are below: of a tokenizer all its tokens, added ones too; 0 where that is unknown."""
        return self._rules.size
