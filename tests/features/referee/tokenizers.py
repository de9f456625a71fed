"""Tiny tokenizers, as tokenizer.json has them."""

from __future__ import annotations

import json
from typing import Any

WORD_LEVEL: dict[str, Any] = {
    "model": {
        "type": "WordLevel",
        "vocab": {"the": 0, "cat": 1, "dog": 2, "a": 3, "b": 4, ",": 5, "[UNK]": 6, "中文abc": 7, "[PAD]": 8},
        "unk_token": "[UNK]",
    },
    "pre_tokenizer": {"type": "Whitespace"},
}
BPE_VOCAB = ("l", "o", "w", "e", "r", "s", "t", "a", "b", "c", "lo", "low", "er", "es", "est", "lower", "aa")
BPE: dict[str, Any] = {
    "model": {
        "type": "BPE",
        "vocab": {piece: at for at, piece in enumerate(BPE_VOCAB)},
        "merges": ["l o", "lo w", "e r", "e s", "es t", "low er", "a a"],
    },
    "pre_tokenizer": {"type": "WhitespaceSplit"},
}
ADDED: dict[str, Any] = {"id": 9, "content": "<sep>", "single_word": False, "lstrip": False, "rstrip": False}
ADDED |= {"normalized": False, "special": True}
TRUNCATION: dict[str, Any] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
PADDING: dict[str, Any] = {"strategy": {"Fixed": 3}, "direction": "Right", "pad_to_multiple_of": None}
PADDING |= {"pad_id": 8, "pad_type_id": 0, "pad_token": "[PAD]"}


def tokenizer_json(model: dict[str, Any], **keys: object) -> str:
    """A tokenizer.json with everything that the library asks for."""
    empty = {"truncation": None, "padding": None, "normalizer": None, "post_processor": None}
    content = {"version": "1.0", **empty, "added_tokens": [], "decoder": None, **model, **keys}
    return json.dumps(content, ensure_ascii=False)


TOKENIZERS = {
    "words.json": tokenizer_json(WORD_LEVEL),
    "words_added.json": tokenizer_json(WORD_LEVEL, added_tokens=[ADDED]),
    "words_cut.json": tokenizer_json(WORD_LEVEL, truncation=TRUNCATION),
    "words_padded.json": tokenizer_json(WORD_LEVEL, padding=PADDING),
    "pieces.json": tokenizer_json(BPE),
}
