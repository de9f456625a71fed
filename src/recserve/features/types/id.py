"""id_feature: the tokens of one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import IdKernel, Kernel
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Id(FeatureType):
    """The tokens of one input, as ids.

    | expression         | keys                        | result                 |
    |--------------------|-----------------------------|------------------------|
    | `"a\\x1db"`         |                             | `["a", "b"]`           |
    |                    | `"value_dim": 1`            | `["a"]`                |
    |                    | `"need_prefix": true`       | `["NAME_a", "NAME_b"]` |
    |                    | `"vocab_list": ["b", "a"]`  | `[1, 0]`               |
    | `["a", "", "b,c"]` | `"separator": ","`          | `["a", "b,c"]`         |
    | `7`                |                             | `["7"]`                |
    |                    | `"num_buckets": 10`         | `[7]`                  |
    |                    | `"num_buckets": 5`          | `[0]`                  |
    | `5.2`              |                             | `["5.2"]`              |
    | `["abc", "hij"]`   | `"hash_bucket_size": 100`   | `[33, 66]`             |
    | `"a:0.5\\x1db"`     | `"weighted": true`          | `{"a": 0.5, "b": 1.0}` |
    | `{"a": 0.5}`       | `"weighted": true`          | `{"a": 0.5}`           |
    |                    |                             | `["a"]`                |
    | `null`             |                             | `[]`                   |
    | `""`               | `"default_value": "x\\x1dy"` | `["x\\x1dy"]`           |

    Ours: a weighted token is cut at its last colon, and one without has weight 1; a weight that is no number
    makes the cell missing; a native map gives its keys, in their order; strings inside an array are not cut;
    num_buckets reads the bare token, without prefix. Source: docs/reference/features.md.
    """

    single_input: ClassVar[bool] = True

    expression: str
    weighted: bool = False

    @property
    def discrete(self) -> bool:
        return True

    @property
    def is_weighted(self) -> bool:
        return self.weighted

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.expression),)

    def kernel(self, *, sequence: bool) -> Kernel:
        return IdKernel(self.separator, self.weighted)
