"""Tokenizer files: text ──encode──▶ the ids of its tokens, as the library that made the file gives them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from recserve.errors import ConfigError
from recserve.features.python_step import texts_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokenizers import Tokenizer


class TokenizerFile:
    """A tokenizer file that was read. `size` is the number of its ids, added tokens among them.

    It can be pickled, the file's content with it: features are made on other machines, too.
    """

    def __init__(self, size: int, encode: Callable[[str], list[int]]) -> None:
        self.size = size
        self._encode = encode

    def __call__(self, texts: pa.Array) -> pa.Array:
        """Encode every text, without the special tokens that frame a model's input."""
        # One by one: padded "to the longest of the batch", a text would depend on its neighbours.
        return pa.array([self._encode(text) for text in texts_of(texts)], pa.list_(pa.int64()))


def load(path: Path, tokenizer_type: str) -> TokenizerFile:
    """Read a file of one of TOKENIZER_TYPES; ConfigError says what is wrong with it."""
    library, read = TOKENIZER_TYPES[tokenizer_type]
    try:
        return read(path)
    except ImportError as e:
        raise ConfigError(
            f"tokenizer_type '{tokenizer_type}' needs the library {library}, which is not installed: "
            "pip install 'recserve[text]'"
        ) from e
    except ConfigError:
        raise
    except Exception as e:  # the libraries raise nothing narrower
        raise ConfigError(f"vocab_file '{path}' is not a file of {library}: {e}") from e


def _read_bpe(path: Path) -> TokenizerFile:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    ids = [*tokenizer.get_vocab(with_added_tokens=True).values(), (tokenizer.padding or {}).get("pad_id", 0)]
    if max(ids) >= size:  # a model has a row for each token, and none for this one
        raise ConfigError(f"vocab_file '{path}' has {size} tokens, but an id {max(ids)}")
    return TokenizerFile(size, partial(_encode_bpe, tokenizer))


def _encode_bpe(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def _read_sentencepiece(path: Path) -> TokenizerFile:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(path))
    return TokenizerFile(processor.vocab_size(), partial(processor.encode, out_type=int))


class _Read(Protocol):
    def __call__(self, path: Path, /) -> TokenizerFile: ...


#: `tokenizer_type` → the library that its files are of, and what reads one.
TOKENIZER_TYPES: dict[str, tuple[str, _Read]] = {
    "bpe": ("tokenizers", _read_bpe),
    "sentencepiece": ("sentencepiece", _read_sentencepiece),
}
