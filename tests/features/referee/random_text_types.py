"""The keys of a random feature of the types that make texts or ids of texts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.features.referee.random_formulas import formula
from tests.features.referee.tokenizers import TOKENIZERS

if TYPE_CHECKING:
    from tests.features.referee.random_features import Features, Spec

# Patterns that RE2 and Python read alike, and what to write for their matches.
PATTERNS = (
    *("b", "[abc]+", r"\d", r"(\w)(\w)", "(a)|(x)", "x_?y", "(?i)A|C", "中.", ".", r"\|", "^a", "c$"),
    *("[^a-z]", "(?:a|b)c?", r"\bab\b"),
)
REPLACEMENTS = ("Z", "", r"<\0>", r"\1", r"\1-\2", "中")


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
