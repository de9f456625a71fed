"""One feature by itself, as TorchEasyRec's tokenize_feature asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.features import config
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Mapping


class FeatureFactory:
    """Makes an operator of one feature object of fg.json."""

    @staticmethod
    def create(feature: Mapping[str, Any], is_sequence: bool = False) -> FeatureOperator:
        """Read the feature; `is_sequence` is pyfg's, and changes nothing that is asked of it here."""
        return FeatureOperator(feature)


class FeatureOperator:
    """A feature that tells how many ids it has."""

    def __init__(self, feature: Mapping[str, Any]) -> None:
        keys = {**feature, "stub_type": False, "expression": "user:" + str(feature.get("feature_name"))}
        read = config.load({"features": [keys]}, folder=Path(), anywhere=True)
        self._limits = Generator(read).id_limits

    def vocab_size(self) -> int:
        """What all ids are below: of a tokenizer all its tokens, the added ones too."""
        return next(iter(self._limits.values()), 0)
