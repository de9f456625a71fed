"""Feature generation in two steps: without bucketizers, then bucketizers only; together the ids of one step.

raw table ──run (without_bucketizers)──▶ texts and numbers ──run (bucketize_only)──▶ ids

In between lies a table to look at: which words, which distribution, so which bucketizer.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from recserve._core import BucketizeOnlyKernel, IdKernel, Kernel, RawKernel, Rules
from recserve.features.inputs import resolve
from recserve.features.types.feature_type import FeatureType, Reference

if TYPE_CHECKING:
    from recserve.features.config import Feature, FeatureConfig


def without_bucketizers(config: FeatureConfig) -> FeatureConfig:
    """Give each output feature as what its bucketizer would read; for `Generator(..., texts=True)`.

    What other features read stays the final result. (An fg.json whose bucketizers somebody has deleted means
    nearly the same; but there a numeric feature has one value, 0.0 where it is missing, and a token has its
    prefix where `num_buckets` would read it without.)
    """
    by_name = {feature.name: feature for feature in config.features}
    inputs = [source for feature in config.features for source in resolve(feature, by_name)]
    read = {source.name for source in inputs if source.source == "feature"}
    features: list[Feature] = []
    for feature in config.features:
        if feature.type.stub_type or not feature.type.bucketized:
            features.append(feature)
            continue
        bare = dataclasses.replace(feature, bucketize=False)
        if feature.name in read:
            stub = dataclasses.replace(feature.type, stub_type=True)
            features.append(dataclasses.replace(feature, type=stub))
            bare = dataclasses.replace(bare, name=f"{feature.name} without bucketizer", column=feature.name)
        features.append(bare)
    return dataclasses.replace(config, features=tuple(features))


def bucketize_only(config: FeatureConfig) -> FeatureConfig:
    """Take each output feature from the column of its own name, and run its bucketizer alone.

    Stubs are left out, and groups are: a member's column has the member's whole name, `S__NAME`.
    """
    outputs = [feature for feature in config.features if not feature.type.stub_type]
    return dataclasses.replace(
        config, features=tuple(_bucketize_only(feature) for feature in outputs), groups=()
    )


def _bucketize_only(feature: Feature) -> Feature:
    record = feature.type
    with feature.named_errors():
        return dataclasses.replace(
            feature,
            group=None,
            type=BucketizeOnly(
                feature_name=feature.name,
                default_value=record.default_value,
                value_type=record.value_type,
                value_dim=record.value_dim,
                separator=record.separator,
                buckets=record.buckets,
                # Prefix and normalizer have been at work already.
                of=dataclasses.replace(record, need_prefix=False, normalizer=""),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketizeOnly(FeatureType):
    """What is left of the feature `of` when its column has everything but the bucketizer.

    An array's entries are tokens, or numbers, whatever they hold. A text is cut as in raw data: a sequence at
    its delimiter, and, unless value_dim is 1, at `\\x1d` and the separator. A missing cell takes the default.
    """

    single_input: ClassVar[bool] = True

    of: FeatureType

    @property
    def discrete(self) -> bool:
        return self.of.discrete

    @property
    def width(self) -> int:
        return self.of.width

    @property
    def is_weighted(self) -> bool:
        return self.of.is_weighted

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference("context", self.feature_name),)

    def limit(self, *, sequence: bool) -> int:
        return self.of.limit(sequence=sequence)

    def kernel(self, *, sequence: bool) -> Kernel:
        if self.is_weighted:
            return IdKernel(self.separator, weighted=True)
        if self.discrete:
            return BucketizeOnlyKernel(self.separator, cut=self.value_dim != 1)
        return RawKernel(self.separator, null_is_zero=False)

    def rules(self, *, sequence: bool, farm_hash: bool) -> Rules:
        return self.of.rules(sequence=sequence, farm_hash=farm_hash)
