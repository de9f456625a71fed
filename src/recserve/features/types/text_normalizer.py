"""text_normalizer: a text, written one way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from recserve.errors import ConfigError
from recserve.features import python_step
from recserve.features.bucketize import Buckets
from recserve.features.keys import canonical, read_fields
from recserve.features.texts import text_normalizer
from recserve.features.types.feature_type import FeatureType, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve._core import Kernel
    from recserve.features.assets import Assets


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNormalizer(FeatureType):
    """A text written one way, mostly for a `tokenize_feature` that reads it.

    | expression    | keys                                   | result            |
    |---------------|----------------------------------------|-------------------|
    | `"Abc！漢字"` |                                        | `["ABC汉字"]`     |
    |               | `"parameter": 2`                       | `["ABC！漢字"]`   |
    |               | `"parameter": 4`                       | `["abc！漢字"]`   |
    |               | `"parameter": 8`                       | `["Abc!漢字"]`    |
    |               | `"parameter": 16`                      | `["Abc！汉字"]`   |
    |               | `"parameter": 32`                      | `["Abc漢字"]`     |
    |               | `"parameter": 512`                     | `["Abc！ 漢 字"]` |
    |               | `"max_length": 5`                      | `["Abc！漢字"]`   |
    | `"a b"`       | `"parameter": 0, "remove_space": true` | `["ab"]`          |
    | `"a\\x1db"`   | `"parameter": 2`                       | `["A\\x1dB"]`     |
    | `"?!"`        | `"default_value": "no text"`           | `["no text"]`     |
    | `null`        | `"default_value": "no text"`           | `["no text"]`     |

    `parameter` is a sum of 2 (upper case), 4 (lower case), 8 (full to half width), 16 (traditional to
    simplified Chinese), 32 (drop special characters) and 512 (a blank around each Chinese character); 58 if
    absent. A text of more than `max_length` characters stays as it is. A default is not normalized.

    Ours: the order is width, case, simplified, drop, `remove_space`, 512; the text is not cut at the
    separator; an empty result is missing; other bits, and 2 together with 4, are errors. Dropped are the
    characters of `stop_char_file` (UTF-8; blanks and line ends do not count), or else all of Unicode's
    punctuation and symbols; `remove_space` drops whatever Unicode calls white space. 16 is OpenCC's t2s and
    needs `recserve[text]`.
    Source: docs/reference/features.md.
    """

    single_input: ClassVar[bool] = True
    python_step: ClassVar[bool] = True

    expression: str
    parameter: int = (
        text_normalizer.UPPER
        | text_normalizer.HALF_WIDTH
        | text_normalizer.SIMPLIFIED
        | text_normalizer.FILTER
    )
    remove_space: bool = False
    max_length: int = 0
    stop_char_file: str = ""
    stop_characters: str = ""  # what the file says

    @classmethod
    def parse(cls, keys: Mapping[str, Any], assets: Assets) -> Self:
        keys = canonical(keys)
        fields = read_fields(cls, keys, but=("buckets", "stop_characters"))
        characters = ""
        if name := fields.get("stop_char_file"):
            path = assets.find("stop_char_file", name)
            try:
                characters = "".join(sorted(set(path.read_text(encoding="utf-8")) - set(" \t\r\n\ufeff")))
            except (OSError, UnicodeDecodeError) as e:
                raise ConfigError(f"stop_char_file '{path}' cannot be read: {e}") from e
            if not characters:
                raise ConfigError(f"stop_char_file '{path}' has no characters")
        return cls(buckets=Buckets.parse(keys, assets), stop_characters=characters, **fields)

    def check(self) -> None:
        FeatureType.check(self)
        text_normalizer.check_parameter(self.parameter)
        if self.max_length < 0:
            raise ConfigError(f"max_length {self.max_length} is negative")

    @property
    def discrete(self) -> bool:
        return True

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.expression),)

    def kernel(self, *, sequence: bool) -> Kernel:
        normalizer = text_normalizer.TextNormalizer(
            self.parameter,
            remove_space=self.remove_space,
            max_length=self.max_length,
            stop_characters=self.stop_characters,
        )
        return python_step.kernel(normalizer, python_step.Unit.TEXT)
