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

    | query                | document           | keys                                    | result   |
    |----------------------|--------------------|-----------------------------------------|----------|
    | `{"a": 0.5, "b": 2}` | `["a:0.5", "b:3"]` |                                         | `[6.25]` |
    |                      | `"a\\x1dc"`         |                                         | `[0.5]`  |
    |                      |                    | `"boundaries": [0.5, 1]`                | `[1]`    |
    |                      | `"c"`              |                                         | `[0.0]`  |
    | `"1#2,2#4"`          | `[2, 1]`           | `"separator": ",", "kv_delimiter": "#"` | `[6.0]`  |
    | `"a:x"`              | `"a"`              | `"default_value": "9"`                  | `[9.0]`  |
    |                      | `null`             | `"default_value": "9"`                  | `[9.0]`  |
    |                      |                    | `"boundaries": [0]`                     | `[1]`    |

    Each side is a native map, an array of `k:v` or text; a key without value has 1.0. Missing without
    default_value is 0.0, also before a bucketizer.

    Ours: pairs are cut at the first kv_delimiter; keys compare as text, and of a repeated one the last
    counts; a value that is no number makes the cell missing; the products are added as doubles in the order
    of the query's keys; the normalizer's formula is float32. Source: docs/reference/features.md.
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
