"""overlap_feature: how much of a query is in a title."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recserve._core import Kernel, OverlapKernel
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap(FeatureType):
    """How much of the tokens of `query` is among those of `title`, by `method`.

    | query           | title               | keys                                         | result        |
    |-----------------|---------------------|----------------------------------------------|---------------|
    | `"b\\x1dc"`      | `["a","b","c","b"]` | `"method": "query_common_ratio"`             | `[1.0]`       |
    |                 |                     | `"method": "title_common_ratio"`             | `[0.5]`       |
    |                 |                     | `"method": "is_contain"`                     | `[1.0]`       |
    |                 |                     | `"method": "is_equal"`                       | `[0.0]`       |
    |                 |                     | `"method": "index_of"`                       | `[1.0]`       |
    |                 |                     | `"method": "proximity_min_cover"`            | `[2.0]`       |
    |                 |                     | `"method": "proximity_min_dist"`             | `[1.0]`       |
    | `["c","a","z"]` |                     | `"method": "query_common_ratio"`             | `[0.6666667]` |
    |                 |                     | `"method": "is_contain"`                     | `[0.0]`       |
    |                 |                     | `"method": "index_of"`                       | `[-1.0]`      |
    |                 |                     | `"method": "proximity_min_cover"`            | `[0.0]`       |
    |                 |                     | `"method": "proximity_max_dist"`             | `[2.0]`       |
    |                 |                     | `"method": "proximity_avg_dist"`             | `[2.0]`       |
    | `"z"`           |                     | `"method": "proximity_min_dist"`             | `[5.0]`       |
    | `null`          |                     | `"method": "is_equal"`                       | `[0.0]`       |
    |                 |                     | `"method": "is_equal", "default_value": "9"` | `[9.0]`       |
    |                 |                     | `"method": "is_equal", "boundaries": [0]`    | `[1]`         |

    query_common_ratio: share of the query's tokens that are in the title. title_common_ratio: distinct common
    tokens by tokens of the title. is_contain, index_of: the query stands in the title whole and in order, and
    where. proximity_min_cover: tokens of the shortest part of the title with all tokens of the query, 0 if
    there is none. proximity_min_dist, _max_dist, _avg_dist: of the smallest distances of all pairs of
    distinct tokens of the query that are in the title. Missing without default_value is 0.0, also before a
    bucketizer.

    Ours: query_common_ratio counts a repeated token of the query each time; without two tokens that are in
    the title, a distance is the number of the title's tokens + 1, or 0 if the query is one token, which is
    there; the normalizer's formula is float32; an unknown method is an error.
    Source: docs/reference/features.md.
    """

    zero_default: ClassVar[bool] = True

    query: str
    title: str
    method: str
    value_type: str = "float"
    value_dim: int = 1

    @property
    def discrete(self) -> bool:
        return False

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.query), Reference.parse(self.title))

    def kernel(self, *, sequence: bool) -> Kernel:
        return OverlapKernel(self.separator, self.method)
