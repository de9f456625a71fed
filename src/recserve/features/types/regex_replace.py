"""regex_replace_feature: the tokens of one input, rewritten by a regular expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from recserve.features import python_step
from recserve.features.texts.replacement import Replacement
from recserve.features.types.feature_type import FeatureType, Reference

if TYPE_CHECKING:
    from recserve._core import Kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexReplace(FeatureType):
    """The tokens of one input, with what a regular expression matches replaced.

    | expression          | keys                                                        | result             |
    |---------------------|-------------------------------------------------------------|--------------------|
    | `"red-7\\x1dtan-8"` | `"regex_pattern": "-.*"`                                    | `["red", "tan"]`   |
    |                     | `"regex_pattern": "-.*", "value_dim": 1`                    | `["red"]`          |
    |                     | `"regex_pattern": "(.*)-(.*)", "replacement": "\\\\2\\\\1"` | `["7red", "8tan"]` |
    | `"a|b#c(d)"`        | `"regex_pattern": ["[|]", "#", "[(].*[)]"]`                 | `["abc"]`          |
    | `"aXbx"`            | `"regex_pattern": "x", "replacement": "<\\\\0>"`            | `["aXb<x>"]`       |
    |                     | `"regex_pattern": "x", "icase": true`                       | `["ab"]`           |
    |                     | `"regex_pattern": "[Xx]", "replace_all": false`             | `["abx"]`          |
    |                     | `"regex_pattern": ".*", "default_value": "x"`               | `["x"]`            |
    | `null`              | `"regex_pattern": "x", "default_value": "x"`                | `["x"]`            |

    Patterns are RE2's: `.` is a Unicode character, `(?s)` and the like work, there are no backreferences.
    Several are alternatives of one pass, in which groups are counted through all of them. A default is not
    rewritten.

    Ours: a token that becomes empty is dropped; without `replacement` matches are deleted; with `replace_all`
    false a replacement names groups up to `\\7`; patterns have at most 16384 characters together.
    Source: docs/reference/features.md.
    """

    single_input: ClassVar[bool] = True
    sequence_key: ClassVar[str] = "is_sequence"
    python_step: ClassVar[bool] = True

    expression: str
    regex_pattern: str | tuple[str, ...]
    replacement: str = ""
    replace_all: bool = True
    icase: bool = False

    def check(self) -> None:
        FeatureType.check(self)
        self._replace()

    @property
    def discrete(self) -> bool:
        return True

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.expression),)

    def kernel(self, *, sequence: bool) -> Kernel:
        return python_step.kernel(self._replace(), python_step.Unit.TOKEN, separator=self.separator)

    def _replace(self) -> Replacement:
        return Replacement.of(
            self.regex_pattern, self.replacement, replace_all=self.replace_all, icase=self.icase
        )
