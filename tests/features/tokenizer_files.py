"""Tokenizer files, made small by the libraries that read them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from sentencepiece import SentencePieceTrainer
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import BpeTrainer

if TYPE_CHECKING:
    from pathlib import Path

SENTENCES = ["the red hat", "the blue hat and the red shoe", "a hat, a shoe", "汉字 和 帽子"] * 8


def words() -> Tokenizer:
    """The words red, tan and blue are 0, 1 and 2, any other is 3: the file of tokenize_feature's table."""
    tokenizer = Tokenizer(WordLevel({"red": 0, "tan": 1, "blue": 2, "?": 3}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def bpe() -> Tokenizer:
    """Byte pairs learnt from SENTENCES; `[BOS]` is a special token."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Whitespace()
    trainer = BpeTrainer(vocab_size=60, special_tokens=["[BOS]"], show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def write_sentencepiece(path: Path) -> None:
    """Write a model learnt from SENTENCES."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_writer=model, vocab_size=25, minloglevel=2
    )
    path.write_bytes(model.getvalue())
