"""The keys of a random feature of the types that make texts or ids of texts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.features.referee.random_formulas import formula

if TYPE_CHECKING:
    from tests.features.referee.random_features import Features, Spec

# Patterns that RE2 and Python read alike, and what to write for their matches.
PATTERNS = (
    *("b", "[abc]+", r"\d", r"(\w)(\w)", "(a)|(x)", "x_?y", "(?i)A|C", "中.", ".", r"\|", "^a", "c$"),
    *("[^a-z]", "(?:a|b)c?", r"\bab\b"),
)
REPLACEMENTS = ("Z", "", r"<\0>", r"\1", r"\1-\2", "中")

WORD_LEVEL: dict[str, Any] = {
    "model": {
        "type": "WordLevel",
        "vocab": {"the": 0, "cat": 1, "dog": 2, "a": 3, "b": 4, ",": 5, "[UNK]": 6, "中文abc": 7},
        "unk_token": "[UNK]",
    },
    "pre_tokenizer": {"type": "Whitespace"},
}
BPE_VOCAB = ("l", "o", "w", "e", "r", "s", "t", "a", "b", "c", "lo", "low", "er", "es", "est", "lower", "aa")
BPE: dict[str, Any] = {
    "model": {
        "type": "BPE",
        "vocab": {piece: at + 10 for at, piece in enumerate(BPE_VOCAB)},
        "merges": ["l o", "lo w", "e r", "e s", "es t", "low er", "a a"],
    },
    "pre_tokenizer": {"type": "WhitespaceSplit"},
}
ADDED: dict[str, Any] = {"id": 99, "content": "<sep>", "single_word": False, "lstrip": False, "rstrip": False}
ADDED |= {"normalized": False, "special": True}
TRUNCATION: dict[str, Any] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
PADDING: dict[str, Any] = {"strategy": {"Fixed": 3}, "direction": "Right", "pad_to_multiple_of": None}
PADDING |= {"pad_id": 98, "pad_type_id": 0, "pad_token": "[PAD]"}


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


def draw_tokenize(draw: Features) -> Spec:
    """A tokenizer of words or pieces."""
    name = draw.rng.choice(tuple(TOKENIZERS))
    draw.files[name] = TOKENIZERS[name]
    defaults = ("the", "low the") if draw.sequence else ("", "", "the", "low the")
    return {
        "feature_type": "tokenize_feature",
        "expression": draw.input("text"),
        "vocab_file": name,
        "tokenizer_type": "bpe",
        "output_type": "word_id",
        "default_value": draw.rng.choice(defaults),
        "numeric": False,
    }


def draw_text_normalizer(draw: Features) -> Spec:
    """Any steps, but for both cases at once."""
    spec: Spec = {"feature_type": "text_normalizer", "expression": draw.input("text")}
    if draw.rng.random() < 0.8:
        case = draw.rng.choice((0, 2, 4))
        others = [bit for bit in (8, 16, 32, 512) if draw.rng.random() < 0.5]
        spec["parameter"] = case + sum(others)
    if draw.rng.random() < 0.3:
        spec["remove_space"] = draw.rng.random() < 0.8
    if draw.rng.random() < 0.3:
        spec["max_length"] = draw.rng.choice((1, 5, 8, 13, 100))
    return spec | draw.discrete("word")


def draw_regex_replace(draw: Features) -> Spec:
    """One pattern or several."""
    return {
        "feature_type": "regex_replace_feature",
        "expression": draw.input(draw.rng.choice(("word", "word", "text"))),
        **_regex(draw),
        **draw.discrete("word"),
        **draw.value_dim((0, 1, 1, 2)),
    }


def _regex(draw: Features) -> Spec:
    patterns: str | list[str] = draw.rng.choice(PATTERNS)
    if draw.rng.random() < 0.3:
        patterns = draw.rng.sample(PATTERNS[:6], draw.rng.randint(1, 3))
    groups = re.compile("|".join([patterns] if isinstance(patterns, str) else patterns)).groups
    fitting = [text for text in REPLACEMENTS if not any(f"\\{at}" in text for at in range(groups + 1, 10))]
    spec: Spec = {"regex_pattern": patterns, "replacement": draw.rng.choice(fitting)}
    for key in ("replace_all", "icase"):
        if draw.rng.random() < 0.3:
            spec[key] = draw.rng.random() < 0.5
    return spec


def draw_slice(draw: Features) -> Spec:
    """Any part of a list of tokens."""
    spec: Spec = {"feature_type": "slice_feature", "expression": draw.input("word")}
    for key, choices in (
        ("start", (0, 1, 2, 50, -1, -2)),
        ("end", (0, 1, 2, 3, -1, 50)),
        ("step", (1, 2, 3)),
    ):
        if draw.rng.random() < 0.5:
            spec[key] = draw.rng.choice(choices)
    return spec | draw.discrete("word") | draw.value_dim((0, 0, 1, 2))


def draw_custom(draw: Features) -> Spec:
    """One of the operators that are built in."""
    return draw.rng.choice((_edit_distance, _regex_operator, _seq_expr if draw.sequence else _edit_distance))(
        draw
    )


def _edit_distance(draw: Features) -> Spec:
    spec: Spec = {
        "operator_name": "EditDistance",
        "expression": [draw.input("text"), draw.input("text")],
    }
    if draw.rng.random() < 0.7:
        spec["encoding"] = draw.rng.choice(("utf-8", "latin"))
    return _custom(spec) | draw.numeric(1)


def _regex_operator(draw: Features) -> Spec:
    spec = {"operator_name": "RegexReplace", "expression": [draw.input("word")], "value_type": "string"}
    return _custom(spec) | _regex(draw) | draw.discrete("word") | draw.value_dim((0, 1, 1, 2))


def _seq_expr(draw: Features) -> Spec:
    distance = draw.rng.random() < 0.3
    inputs = [draw.input("scalar") for _ in range(4 if distance else draw.rng.choice((1, 2, 3)))]
    names = [reference.split(":", 1)[1] for reference in inputs]
    spec: Spec = {
        "operator_name": "SeqExpr",
        "expression": inputs,
        "formula": "spherical_distance" if distance else formula(draw.rng, names),
    }
    return _custom(spec) | draw.numeric(1)


def _custom(spec: Spec) -> Spec:
    library = {"operator_lib_file": "pyfg/lib/libcustom.so", "is_op_thread_safe": True}
    return {"feature_type": "custom_feature", **spec, **library}
