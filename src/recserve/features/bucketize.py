"""The bucketizer keys of a feature, and the files that they name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve._core import Bucketizer, Vocabulary
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recserve.features.assets import Assets

KEYS = ("hash_bucket_size", "num_buckets", "vocab_list", "vocab_dict", "vocab_file", "boundaries")


@dataclass(frozen=True, slots=True)
class Buckets:
    """How a value becomes an id; `key` is the fg.json key that says so, "" for none.

    | key              | id                                                                         |
    |------------------|----------------------------------------------------------------------------|
    | hash_bucket_size | hash mod n; 2^63-1 (zch) keeps nearly the whole hash                       |
    | num_buckets      | the integer itself; 0 when it is out of range, or no integer               |
    | vocab_list       | place in the list, of a word listed twice the last                         |
    | vocab_dict       | the given index                                                            |
    | vocab_file       | a word's line, from 0 (blank lines count, and name nothing), or `word index` |
    | boundaries       | how many boundaries are <= the number                                      |
    """

    key: str = ""
    size: int = 0
    vocabulary: Vocabulary | None = None
    unknown: int = 0
    boundaries: tuple[float, ...] = ()

    @property
    def words(self) -> list[str]:
        """The words of a vocabulary, made anew with every call: ask `vocabulary` where a million may be."""
        return [] if self.vocabulary is None else self.vocabulary.words

    @property
    def indices(self) -> list[int]:
        """The id of each word."""
        return [] if self.vocabulary is None else self.vocabulary.indices

    @classmethod
    def parse(cls, keys: Mapping[str, Any], assets: Assets) -> Buckets:
        """Read the one bucketizer key that a feature has; `assets` has the files that it may name."""
        found = [key for key in KEYS if keys.get(key) is not None]
        if not found:
            return cls()
        if len(found) > 1:
            raise ConfigError(f"has the bucketizers {found}; a feature takes at most one")
        key, value = found[0], keys[found[0]]
        unknown = keys.get("default_bucketize_value")
        unknown = 0 if unknown is None else _integer("default_bucketize_value", unknown)
        if key in ("hash_bucket_size", "num_buckets"):
            return cls(key, size=_integer(key, value))
        if key == "boundaries":
            return cls(key, boundaries=_numbers(key, value))
        if key == "vocab_file":
            path = assets.find("vocab_file", str(value))
            vocabulary = assets.once(("vocab_file", path), lambda: _read_vocab(path))
        elif key == "vocab_dict":
            if not isinstance(value, dict):
                raise ConfigError(f"vocab_dict is {value!r}; an object of word to index is wanted")
            indices = [_integer(f"vocab_dict['{word}']", index) for word, index in value.items()]
            vocabulary = Vocabulary.of(list(value), indices)
        else:
            if not isinstance(value, list):
                raise ConfigError(f"vocab_list is {value!r}; a list of words is wanted")
            words = [word if isinstance(word, str) else str(word) for word in value]
            vocabulary = Vocabulary.of(words, list(range(len(words))))
        return cls(key, vocabulary=vocabulary, unknown=unknown)

    def native(self, *, farm_hash: bool) -> Bucketizer:
        """Build the bucketizer; `farm_hash` hashes text by FarmHash instead of MurmurHash."""
        match self.key:
            case "":
                return Bucketizer()
            case "hash_bucket_size":
                if self.size < 1:
                    raise ConfigError(f"hash_bucket_size {self.size} is not between 1 and 2^63-1")
                return Bucketizer.hash(self.size, farm_hash)
            case "num_buckets":
                return Bucketizer.num_buckets(self.size)
            case "vocab_file" if self.size > 0:  # of a tokenizer, whose tokens are ids already
                return Bucketizer.num_buckets(self.size)
            case "boundaries":
                return Bucketizer.boundaries(list(self.boundaries))
        assert self.vocabulary is not None
        return Bucketizer.vocab(self.vocabulary, self.unknown)


def _integer(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ConfigError(f"{key} is {value!r}; an integer is wanted")
    return value


def _numbers(key: str, values: object) -> tuple[float, ...]:
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{key} is {values!r}; a list of numbers is wanted")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(f"{key} holds {value!r}; a list of numbers is wanted")
    return tuple(float(value) for value in values)


def _read_vocab(path: Path) -> Vocabulary:
    """Words and their indices: `word` is its line number, `word<blank>index` says its own."""
    try:
        content = path.read_bytes()
        content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"vocab_file '{path}' cannot be read: {e}") from e
    try:
        return Vocabulary.parse(content)
    except ConfigError as e:
        raise ConfigError(f"vocab_file '{path}', {e}") from e
