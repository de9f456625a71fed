"""tokenize_feature (6.8): the parts of a tokenizer.json that the tests write, read naively.

Models WordLevel and BPE; pre-tokenizers Whitespace and WhitespaceSplit; added tokens, truncation and padding
to a fixed length. Nothing else, and no special tokens around the text.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.features.referee.cells import Cell, UnspecifiedError
from tests.features.referee.outcome import Cells, Ids, Outcome

if TYPE_CHECKING:
    from tests.features.referee.config import Feature

WORDS = {"Whitespace": r"\w+|[^\w\s]+", "WhitespaceSplit": r"\S+"}


class Tokenizer:
    """A tokenizer.json: `encode(text)` gives the ids."""

    def __init__(self, text: str) -> None:
        content = json.loads(text)
        self.model: dict[str, Any] = content["model"]
        self.vocab: dict[str, int] = self.model["vocab"]
        self.ranks = {tuple(_pair(merge)): rank for rank, merge in enumerate(self.model.get("merges", ()))}
        self.added = {entry["content"]: int(entry["id"]) for entry in content.get("added_tokens") or ()}
        self.word = re.compile(WORDS[content["pre_tokenizer"]["type"]])
        self.truncation, self.padding = content.get("truncation"), content.get("padding")

    @property
    def size(self) -> int:
        """How many ids there are, added tokens among them."""
        return len({*self.vocab, *self.added})

    def encode(self, text: str) -> list[int]:
        """Added tokens first, wherever they stand; the rest word by word."""
        result: list[int] = []
        pieces = re.split(f"({'|'.join(map(re.escape, self.added))})", text) if self.added else [text]
        for piece in pieces:
            if piece in self.added:
                result.append(self.added[piece])
            else:
                for word in self.word.findall(piece):
                    result += self._word(word)
        if self.truncation:
            result = result[: self.truncation["max_length"]]
        if self.padding:
            result += [self.padding["pad_id"]] * (self.padding["strategy"]["Fixed"] - len(result))
        return result

    def _word(self, word: str) -> list[int]:
        if self.model["type"] == "WordLevel":
            parts = [word]
        else:  # letters that the vocabulary lacks are gone before any merge
            parts = self._merged([letter for letter in word if letter in self.vocab])
        return [number for part in parts if (number := self._id(part)) is not None]

    def _merged(self, parts: list[str]) -> list[str]:
        """Merge the pair of the lowest rank, leftmost first, until none is left."""
        while True:
            ranked = [
                (self.ranks[pair], at)
                for at in range(len(parts) - 1)
                if (pair := (parts[at], parts[at + 1])) in self.ranks
            ]
            if not ranked:
                return parts
            _, at = min(ranked)
            parts = [*parts[:at], parts[at] + parts[at + 1], *parts[at + 2 :]]

    def _id(self, part: str) -> int | None:
        unknown = self.model.get("unk_token")
        return self.vocab.get(part, self.vocab.get(unknown) if unknown else None)


def _pair(merge: str | list[str]) -> list[str]:
    return merge.split(" ") if isinstance(merge, str) else merge


@cache
def tokenizer_of(text: str) -> Tokenizer:
    """The tokenizer that a file describes."""
    return Tokenizer(text)


def run_tokenize(feature: Feature, cells: Cells) -> Outcome:
    """The ids of a text; nothing when there is no text or none of it has an id."""
    ids = encode(feature, cells["value"])
    return Ids(ids) if ids else None


def encode(feature: Feature, cell: Cell) -> list[int]:
    """The ids of one cell under the feature's tokenizer."""
    if cell is None or cell == "":
        return []
    if not isinstance(cell, str):
        raise UnspecifiedError("tokenizing what is no text")
    if feature.spec.get("tokenizer_type", "bpe") != "bpe":
        raise UnspecifiedError("another tokenizer than tokenizer.json")
    return tokenizer_of(feature.files[feature.spec["vocab_file"]]).encode(cell)
