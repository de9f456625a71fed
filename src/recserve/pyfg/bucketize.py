"""The second half of a two-stage run: texts and numbers that an fg.json without bucketizers made become ids.

Training tables may hold features before they are bucketized (TorchEasyRec's FG_BUCKETIZE), each in a column
named like the feature. What is left to do for them is the bucketizer.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from recserve._core import IdKernel, RawKernel
from recserve.features.types.feature_type import FeatureType, Reference

if TYPE_CHECKING:
    from recserve._core import Kernel
    from recserve.features.config import Feature, FeatureConfig

_SEPARATOR = "\x1d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbucketized(FeatureType):
    """The result of another feature, up to its bucketizer, as one input."""

    single_input: ClassVar[bool] = True

    whole: FeatureType  # the feature that made the column
    column: str

    @property
    def discrete(self) -> bool:
        return self.whole.discrete

    @property
    def width(self) -> int:
        return self.whole.width

    @property
    def is_weighted(self) -> bool:
        return self.whole.is_weighted

    def limit(self, *, sequence: bool) -> int:
        return self.width

    def absent_type(self) -> str:
        return self.whole.absent_type()

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference("user", self.column),)

    def kernel(self, *, sequence: bool) -> Kernel:
        if self.discrete:
            return IdKernel(_SEPARATOR, self.is_weighted)
        return RawKernel(_SEPARATOR, False)


def bucketizers_of(config: FeatureConfig) -> FeatureConfig:
    """Read every output of `config` from the column of its name, and leave its bucketizer to do."""
    return dataclasses.replace(
        config, features=tuple(_unbucketized(f) for f in config.features if not f.type.stub_type), groups=()
    )


def _unbucketized(feature: Feature) -> Feature:
    whole = feature.type
    record = Unbucketized(
        whole=whole,
        column=feature.name,
        feature_name=feature.name,
        default_value=whole.default_value,
        value_type=whole.value_type,
        value_dim=whole.value_dim,
        buckets=whole.buckets,
    )
    return dataclasses.replace(feature, type=record, group=None)
