"""lookup_feature: the values of a map at the tokens of a key."""

from __future__ import annotations

from dataclasses import dataclass

from recserve._core import Kernel, LookupKernel
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup(FeatureType):
    """The values of a map at the tokens of a key, in key order.

    | map                | key        | keys                                    | result            |
    |--------------------|------------|-----------------------------------------|-------------------|
    | `{"a": 1, "b": 2}` | `"b\\x1da"` |                                         | `[3.0]`           |
    |                    |            | `"combiner": "mean"`                    | `[1.5]`           |
    |                    |            | `"combiner": "gap_max"`                 | `[1.0]`           |
    |                    |            | `"combiner": "", "value_dim": 3`        | `[2.0, 1.0, 0.0]` |
    |                    |            | `"boundaries": [2, 4]`                  | `[1]`             |
    |                    |            | `"needDiscrete": true`                  | `["2", "1"]`      |
    |                    |            | `"needDiscrete": true, "needKey": true` | `["b_2", "a_1"]`  |
    | `"1:5\\x1d2:x"`     | `[1, 3]`   |                                         | `[5.0]`           |
    |                    | `2`        | `"default_value": "9"`                  | `[9.0]`           |
    | `["k:v:w", "z"]`   | `"k"`      | `"value_type": "string"`                | `["v:w"]`         |
    |                    | `"z"`      | `"value_type": "string"`                | `[]`              |
    |                    | `null`     | `"default_value": "9"`                  | `[9.0]`           |

    Combiners: sum, mean (or avg), min, max, count, gap_min, gap_max, or "" for none. The map is native, an
    array of `k:v` or text; pairs part at \\x1d whatever `separator` is. value_dim does not cut the values
    (but see FeatureType.limit for sequences); it is the width of dense results.

    Ours: a value that is no number is as if it were not found; gaps are those between neighbours of the
    sorted values, 0 for fewer than two; sums are doubles, rounded once to value_type; the normalizer's
    formula is double where the map's values are text (also under `count`), float32 where they are numbers.
    Source: docs/reference/features.md.
    """

    map: str
    key: str
    need_discrete: bool = False
    need_key: bool = False
    combiner: str = "sum"

    @property
    def discrete(self) -> bool:
        return self.need_discrete or self.value_type == "string"

    def limit(self, *, sequence: bool) -> int:
        combined = not self.discrete and self.bucketized and self.combiner != ""
        one_default = self.value_dim <= 1 and not {self.separator, "\x1d"} & set(self.default_value)
        return 1 if combined and one_default and not sequence else 0

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.map), Reference.parse(self.key))

    def kernel(self, *, sequence: bool) -> Kernel:
        need_key = self.need_key and self.value_type in ("", "string")
        return LookupKernel(self.separator, self.discrete, need_key, "" if self.discrete else self.combiner)
