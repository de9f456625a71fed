"""match_feature: a value out of a nested map, at an outer and an inner key."""

from __future__ import annotations

from dataclasses import dataclass

from recserve._core import Kernel, MatchKernel
from recserve.errors import ConfigError
from recserve.features.types.feature_type import FeatureType, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Match(FeatureType):
    """A value out of `user`, a nested map, at the outer key `category` and the inner key `item`.

    | user             | category | item  | keys                                         | result           |
    |------------------|----------|-------|----------------------------------------------|------------------|
    | `"k^a:1\\|l^b:2"` | `"l"`    | `"b"` |                                              | `["NAME_l_b_2"]` |
    |                  |          |       | `"show_item": false`                         | `["NAME_l_2"]`   |
    |                  |          |       | `"need_prefix": false`                       | `["l_b_2"]`      |
    |                  |          |       | `"num_buckets": 9`                           | `[2]`            |
    |                  |          |       | `"needDiscrete": false`                      | `[2.0]`          |
    |                  |          |       | `"value_type": "int64"`                      | `[2]`            |
    |                  |          |       | `"needDiscrete": false, "boundaries": [2]`   | `[1]`            |
    |                  |          |       | `"category": "ALL", "matchType": "multihit"` | `["NAME_2"]`     |
    |                  |          |       | `"category": "ALL"`                          | `[]`             |
    |                  |          | `"z"` | `"default_value": "9"`                       | `["9"]`          |
    | `{"k":"b:3"}`    | `"k"`    | `"b"` | `"needDiscrete": false`                      | `[3.0]`          |

    num_buckets reads the bare value. A default is never prefixed.

    Ours: needDiscrete absent is true unless value_type is numeric; show_category and show_item absent are
    true for `hit` with an explicit or implied needDiscrete; several keys are taken in all combinations, in
    order; `ALL` under `hit` is the key "ALL"; a vocabulary is asked for the full token, then for the bare
    value; the normalizer's formula is double, as for any text. Source: docs/reference/features.md.
    """

    user: str
    category: str
    item: str
    match_type: str = "hit"
    need_discrete: bool | None = None
    show_category: bool | None = None
    show_item: bool | None = None
    need_prefix: bool = True

    def check(self) -> None:
        if self.match_type not in ("hit", "multihit"):
            raise ConfigError(f"unknown matchType '{self.match_type}'; known: hit, multihit")
        if self.need_discrete and self.value_type not in ("", "string"):
            raise ConfigError("needDiscrete is true and value_type is numeric; give one of them up")

    @property
    def discrete(self) -> bool:
        if self.need_discrete is None:
            return self.value_type in ("", "string")
        return self.need_discrete or self.value_type == "string"

    @property
    def prefix(self) -> str:
        return ""  # the kernel puts the token together: a vocabulary may need it without the name

    def inputs(self) -> tuple[Reference, ...]:
        # ALL is no input, whatever matchType makes of it: a map of the user alone is a user feature.
        keys = [key for key in (self.category, self.item) if key != "ALL"]
        return tuple(Reference.parse(text) for text in (self.user, *keys))

    def kernel(self, *, sequence: bool) -> Kernel:
        shown = self.match_type == "hit" and self.discrete
        return MatchKernel(
            separator=self.separator,
            discrete=self.discrete,
            category_all=self.category == "ALL",
            item_all=self.item == "ALL",
            multihit=self.match_type == "multihit",
            show_category=shown if self.show_category is None else self.show_category,
            show_item=shown if self.show_item is None else self.show_item,
            prefix=f"{self.feature_name}_" if self.need_prefix else "",
        )
