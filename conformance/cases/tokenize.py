"""tokenize_feature: ids by a tokenizer.json; the tokenizers are tiny, and the referee reads them itself."""

from conformance.cases.case import NORMALIZE, TOKENIZE, Case, rule
from tests.features.referee.tokenizers import ADDED, BPE, PADDING, TRUNCATION, WORD_LEVEL, tokenizer_json

NAME = "tokenizer.json"

CASES: list[Case] = [
    *rule(
        "6.8 The ids of the text, without special tokens around it; a word that is unknown has the "
        "tokenizer's own unknown id.",
        "test",
        {
            "words": (
                TOKENIZE,
                {"x": ("string", ["the cat", "the unicorn", "a, b"])},
                {"values": [0, 1, 0, 6, 3, 5, 4], "lengths": [2, 2, 3]},
            ),
            "missing": (
                TOKENIZE,
                {"x": ("string", ["", None, "dog"])},
                {"values": [2], "lengths": [0, 0, 1]},
            ),
        },
        files={NAME: tokenizer_json(WORD_LEVEL)},
    ),
    *rule(
        "6.8 Pieces of words, merged as the tokenizer's list of merges says.",
        "test",
        {
            "pieces": (
                TOKENIZE,
                {"x": ("string", ["low lower", "test", "aaa"])},
                {"values": [11, 15, 6, 14, 16, 7], "lengths": [2, 2, 2]},
            )
        },
        files={NAME: tokenizer_json(BPE)},
    ),
    *rule(
        "6.8 Added tokens are found wherever they stand in the text.",
        "seen",
        {
            "added": (
                TOKENIZE,
                {"x": ("string", ["the<sep>cat", "<sep>"])},
                {"values": [0, 9, 1, 9], "lengths": [3, 1]},
            )
        },
        files={NAME: tokenizer_json(WORD_LEVEL, added_tokens=[ADDED])},
    ),
    *rule(
        "6.8 The tokenizer's truncation is heeded.",
        "seen",
        {
            "truncated to two": (
                TOKENIZE,
                {"x": ("string", ["the cat dog", "the"])},
                {"values": [0, 1, 0], "lengths": [2, 1]},
            )
        },
        files={NAME: tokenizer_json(WORD_LEVEL, truncation=TRUNCATION)},
    ),
    *rule(
        "6.8 So is its padding; a missing text is not padded.",
        "seen",
        {
            "padded to three": (
                TOKENIZE,
                {"x": ("string", ["the", "", "the cat a b"])},
                {"values": [0, 8, 8, 0, 1, 3, 4], "lengths": [3, 0, 4]},
            )
        },
        files={NAME: tokenizer_json(WORD_LEVEL, padding=PADDING)},
    ),
    *rule(
        "4.1 The default is tokenized too.",
        "test",
        {
            "a default of two words": (
                {**TOKENIZE, "default_value": "the cat"},
                {"x": ("string", ["", "dog"])},
                {"values": [0, 1, 2], "lengths": [2, 1]},
            )
        },
        files={NAME: tokenizer_json(WORD_LEVEL)},
    ),
    *rule(
        "6.8 TorchEasyRec puts a text_normalizer, a stub, before it.",
        "json",
        {
            "normalized first": (
                [
                    {**NORMALIZE, "feature_name": "f__text_norm", "parameter": 4, "stub_type": True},
                    {**TOKENIZE, "feature_name": "f", "expression": "feature:f__text_norm"},
                ],
                {"x": ("string", ["THE Cat", ""])},
                {"values": [0, 1], "lengths": [2, 0]},
            ),
        },
        files={NAME: tokenizer_json(WORD_LEVEL)},
    ),
    *rule(
        "7.1 In a sequence every element is a text of its own.",
        "ours",
        {
            "a sequence of texts": (
                {**TOKENIZE, "feature_type": "sequence_tokenize_feature", "default_value": "a"},
                {"x": ("string", ["the cat;;dog", ""])},
                {"values": [0, 1, 3, 2, 3], "lengths": [3, 1], "key_lengths": [2, 1, 1, 1]},
            ),
        },
        files={NAME: tokenizer_json(WORD_LEVEL)},
    ),
]
