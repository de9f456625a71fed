"""tokenize_feature: the ids of a text's tokens, by a tokenizer file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from recserve.errors import ConfigError
from recserve.features import python_step
from recserve.features.bucketize import KEYS, Buckets
from recserve.features.keys import canonical, read_fields
from recserve.features.texts.tokenizer_file import TOKENIZER_TYPES, TokenizerFile, load
from recserve.features.types.feature_type import FeatureType, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve._core import Kernel, Rules
    from recserve.features.assets import Assets


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenize(FeatureType):
    """The ids of a text's tokens, as the tokenizer of `vocab_file` cuts and numbers them.

    With a tokenizer.json of the words red 0, tan 1 and blue 2, anything else 3:

    | expression       | keys                                                         | result      |
    |------------------|--------------------------------------------------------------|-------------|
    | `"red blue"`     | `"vocab_file": "words.json"`                                 | `[0, 2]`    |
    |                  | `"vocab_file": "words.json", "value_dim": 1`                 | `[0]`       |
    | `"pink red"`     | `"vocab_file": "words.json"`                                 | `[3, 0]`    |
    | `null`           | `"vocab_file": "words.json"`                                 | `[]`        |
    |                  | `"vocab_file": "words.json", "default_value": "tan tan"`     | `[1, 1]`    |

    `tokenizer_type` is `bpe`, a tokenizer.json of the library tokenizers, whatever model it holds, or
    `sentencepiece`, a .model. Special tokens that frame a text are left out, those in the text are
    recognised; the truncation and padding of a tokenizer.json hold. There are as many ids as the file has
    tokens, added ones too. The default is a text like any other.

    Ours: the text is not cut at the separator; a list is an error, also one of several texts that another
    feature gives; a text without tokens is missing; output_type is word_id and nothing else; needs
    `recserve[text]`.
    Source: docs/reference/features.md.
    """

    single_input: ClassVar[bool] = True
    python_step: ClassVar[bool] = True
    refused_buckets: ClassVar[tuple[str, ...]] = tuple(key for key in KEYS if key != "vocab_file")

    expression: str
    vocab_file: str
    tokenizer_type: str = "bpe"
    output_type: str = "word_id"
    vocabulary: TokenizerFile

    @classmethod
    def parse(cls, keys: Mapping[str, Any], assets: Assets) -> Self:
        keys = canonical(keys)
        fields = read_fields(cls, keys, but=("buckets", "vocabulary"))
        if found := [key for key in cls.refused_buckets if key in keys]:
            raise ConfigError(f"has the bucketizers {found}; its tokens are ids already")
        kind = fields.get("tokenizer_type", "bpe")
        if kind not in TOKENIZER_TYPES:
            raise ConfigError(f"unknown tokenizer_type '{kind}'; known: {', '.join(TOKENIZER_TYPES)}")
        path = assets.find("vocab_file", fields["vocab_file"])
        words = assets.once(("tokenizer", kind, path), lambda: load(path, kind))
        return cls(vocabulary=words, buckets=Buckets("vocab_file", size=words.size), **fields)

    def check(self) -> None:
        FeatureType.check(self)
        if self.output_type != "word_id":
            raise ConfigError(f"unknown output_type '{self.output_type}'; known: word_id")

    @property
    def discrete(self) -> bool:
        return True

    def inputs(self) -> tuple[Reference, ...]:
        return (Reference.parse(self.expression),)

    def kernel(self, *, sequence: bool) -> Kernel:
        return python_step.kernel(self.vocabulary, python_step.Unit.TEXT, stand_in=self.default_value)

    def rules(self, *, sequence: bool, farm_hash: bool) -> Rules:
        # A default is one token to the rules; here the kernel gives all of its tokens.
        plain = dataclasses.replace(self, default_value="")
        return FeatureType.rules(plain, sequence=sequence, farm_hash=farm_hash)
