"""kv_dot_product: the dot product of two maps of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import Kernel, KvDotProductKernel
from recserve.errors import ConfigError
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class KvDotProduct(FeatureType):
    """The sum of query[k] * document[k] over the keys that both sides have.

    """

    zero_default: ClassVar[bool] = True

    query: str
    document: str
    kv_delimiter: str = ":"
    value_type: str = "float"
    value_dim: int = 1

    def check(self) -> None:
        FeatureType.check(self)
        if len(self.kv_delimiter.encode()) != 1:
            raise ConfigError(f"kv_delimiter {self.kv_delimiter!r} is not exactly one byte")

    @property
    def discrete(self) -> bool:
        return False

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.query), Reference.parse(self.document))

    def kernel(self, *, sequence: bool) -> Kernel:
        return KvDotProductKernel(self.separator, self.kv_delimiter)
