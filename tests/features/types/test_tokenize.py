"""tokenize_feature: ids as the libraries give them, one text at a time."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pytest
from sentencepiece import SentencePieceProcessor
from tests.features import tokenizer_files
from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing

from recserve.columns import batch_from_arrow, to_arrow
from recserve.errors import ConfigError, RequestError
from recserve.features import config
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.features.conftest import Generate

    from recserve.features.types.tokenize import Tokenize

FEATURE: dict[str, Any] = {
    "feature_type": "tokenize_feature",
    "expression": "item:x",
    "vocab_file": "words.json",
}
pytestmark = pytest.mark.usefixtures("files_of_examples")


@pytest.mark.parametrize(
    ("keys", "cell", "values", "lengths"),
    [
        ({}, pa.array(["red blue", "pink", None, ""]), [0, 2, 3], [2, 1, 0, 0]),
        ({"default_value": "tan red"}, pa.array(["blue", None, ""]), [2, 1, 0, 1, 0], [1, 2, 2]),
        ({"default_value": "tan"}, pa.array(["blue", " "]), [2, 1], [1, 1]),  # no token is no result
        ({"separator": "|"}, pa.array(["red|red\x1dred"]), [0, 3, 0, 3, 0], [5]),  # one text, not several
        ({"value_dim": 2}, pa.array(["red tan blue"]), [0, 1], [2]),
        ({"need_prefix": True}, pa.array(["tan"]), [1], [1]),
        ({}, pa.array([7]), [3], [1]),
    ],
)
def test_ids_of_a_text(
    generate: Generate, keys: dict[str, Any], cell: pa.Array, values: list[int], lengths: list[int]
) -> None:
    assert generate({**FEATURE, **keys}, {"x": cell}) == {"values": values, "lengths": lengths}


@pytest.mark.parametrize("text", ["the red hat", "汉字 hat", "[BOS] the", "unseen letters zq", "a\x1db"])
def test_bpe_gives_what_the_library_gives(generate: Generate, tmp_path: Path, text: str) -> None:
    tokenizer = tokenizer_files.bpe()
    tokenizer.post_processor = TemplateProcessing(single="[BOS] $A", special_tokens=[("[BOS]", 0)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    result = generate({**FEATURE, "vocab_file": "tokenizer.json"}, {"x": [text]})

    expected = tokenizer.encode(text, add_special_tokens=False).ids
    assert (0 in expected) == text.startswith(
        "[BOS]"
    )  # special tokens of the text count, those around it do not
    assert result["values"] == expected


@pytest.mark.parametrize("text", ["the red hat", "汉字 hat", "unseen letters zq"])
def test_sentencepiece_gives_what_the_library_gives(generate: Generate, tmp_path: Path, text: str) -> None:
    tokenizer_files.write_sentencepiece(tmp_path / "pieces.model")
    keys = {"vocab_file": "pieces.model", "tokenizer_type": "sentencepiece"}

    result = generate({**FEATURE, **keys}, {"x": [text]})

    assert result["values"] == SentencePieceProcessor(model_file="pieces.model").encode(text)


def test_truncation_and_padding_of_the_file_hold_for_each_text_alone(
    generate: Generate, tmp_path: Path
) -> None:
    tokenizer = tokenizer_files.words()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(pad_id=2, pad_token="blue", pad_to_multiple_of=2)  # "to the longest of a batch"
    tokenizer.save(str(tmp_path / "words.json"))

    result = generate(FEATURE, {"x": ["red", "red red tan tan tan", "red tan"]})

    assert result == {"values": [0, 2, 0, 0, 1, 2, 0, 1], "lengths": [2, 4, 2]}


def test_added_tokens_are_recognised_and_counted(tmp_path: Path) -> None:
    tokenizer = tokenizer_files.words()
    tokenizer.add_tokens([AddedToken("new york")])
    tokenizer.save(str(tmp_path / "words.json"))
    generator = Generator(config.load({"features": [{"feature_name": "f", **FEATURE}]}))

    batch = batch_from_arrow({"x": pa.array(["red new york"])})

    assert to_arrow(generator.generate_columns(batch)["f"]).to_pylist() == [[0, 4]]
    assert generator.id_limits == {"f": 5}
    assert generator.finished_types == {"=f": "list<int64>"}


@pytest.mark.parametrize(
    ("cells", "default_value", "expected"),
    [
        (["red tan;blue", "", "tan"], "0", ([0, 1, 2, 3, 1], [2, 1, 1], [2, 1, 1, 1])),
        (["red;;blue"], "tan tan", ([0, 1, 1, 2], [3], [1, 2, 1])),
        ([["red tan", "blue"]], "0", ([0, 1, 2], [2], [2, 1])),
    ],
)
def test_a_sequence_of_texts(
    generate: Generate, cells: list[Any], default_value: str, expected: tuple[list[int], ...]
) -> None:
    feature = {**FEATURE, "default_value": default_value}
    tensors = dict(zip(("values", "lengths", "key_lengths"), expected, strict=True))

    assert generate({**feature, "group": {}}, {"s__x": cells}) == tensors
    assert generate({**feature, "feature_type": "sequence_tokenize_feature"}, {"x": cells}) == tensors


@pytest.mark.parametrize("grouped", [False, True])
def test_a_normalizer_before_it_as_the_training_side_writes_it(grouped: bool) -> None:
    norm: dict[str, Any] = {
        "feature_type": "text_normalizer",
        "feature_name": "f__text_norm",
        "expression": "user:x",
        "stub_type": True,
        "parameter": 4,
        "is_gbk_input": False,
        "is_gbk_output": False,
    }
    tokenize: dict[str, Any] = {**FEATURE, "feature_name": "f", "expression": "feature:f__text_norm"}
    features = [norm, tokenize]
    if grouped:
        norm["default_value"] = tokenize["default_value"] = "0"
        tokenize["sequence_fields"] = ["f__text_norm"]
        features = [{"sequence_name": "s", "features": features}]
    prefix = "s__" * grouped

    generator = Generator(config.load({"features": features}))
    cells = {f"{prefix}x": pa.array(["RED Tan;blue" if grouped else "RED Tan", ""])}
    result = to_arrow(generator.generate_columns(batch_from_arrow(cells))[f"{prefix}f"]).to_pylist()

    assert result == ([[[0, 1], [2]], [[3]]] if grouped else [[0, 1], []])


def test_several_texts_are_refused(generate: Generate) -> None:
    with pytest.raises(RequestError, match="feature 'f' reads column 'x', which is a list; a text is wanted"):
        generate(FEATURE, {"x": [["red"]]})

    stub = {"feature_type": "id_feature", "feature_name": "tokens", "expression": "item:x", "stub_type": True}
    reader = {**FEATURE, "feature_name": "f", "expression": "feature:tokens"}
    generator = Generator(config.load({"features": [stub, reader]}))
    one, two = (batch_from_arrow({"x": pa.array([text])}) for text in ("red", "red\x1dtan"))
    assert to_arrow(generator.generate_columns(one)["f"]).to_pylist() == [[0]]
    with pytest.raises(RequestError, match="'tokens', which has 2 values in a row; one text is wanted"):
        generator.generate_columns(two)


def test_a_file_is_read_once_for_all_features() -> None:
    features = config.load({"features": [{"feature_name": name, **FEATURE} for name in "ab"]}).features

    first, second = (cast("Tokenize", feature.type).vocabulary for feature in features)

    assert first is second


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"vocab_file": "none.json"}, "vocab_file 'none.json': there is no such file"),
        ({"vocab_file": "../words.json"}, "lies outside of the folder of fg.json"),
        ({"vocab_file": "broken.json"}, "vocab_file 'broken.json' is not a file of tokenizers: .*line 1"),
        ({"vocab_file": "gap.json"}, "vocab_file 'gap.json' has 4 tokens, but an id 9"),
        ({"vocab_file": "pad.json"}, "vocab_file 'pad.json' has 4 tokens, but an id 7"),
        ({"tokenizer_type": "sentencepiece"}, "vocab_file 'words.json' is not a file of sentencepiece"),
        ({"tokenizer_type": "jieba"}, "unknown tokenizer_type 'jieba'; known: bpe, sentencepiece"),
        ({"output_type": "word"}, "unknown output_type 'word'; known: word_id"),
        ({"hash_bucket_size": 10}, r"has the bucketizers \['hash_bucket_size'\]; its tokens are ids already"),
    ],
)
def test_what_is_refused_at_load(
    generate: Generate, tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    (tmp_path / "broken.json").write_text("red")
    padded = tokenizer_files.words()
    padded.enable_padding(length=3, pad_id=7, pad_token="[PAD]")
    padded.save(str(tmp_path / "pad.json"))
    gap = json.loads((tmp_path / "words.json").read_text())
    gap["model"]["vocab"]["blue"] = 9
    (tmp_path / "gap.json").write_text(json.dumps(gap))

    with pytest.raises(ConfigError, match=rf"feature 'f' \(tokenize_feature\): .*{message}"):
        generate({**FEATURE, **keys}, {"x": ["red"]})


@pytest.mark.parametrize(("kind", "library"), [("bpe", "tokenizers"), ("sentencepiece", "sentencepiece")])
def test_an_absent_library_says_how_to_install_it(
    generate: Generate, monkeypatch: pytest.MonkeyPatch, kind: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(ConfigError, match=rf"needs the library {library}, .*pip install 'recserve\[text\]'"):
        generate({**FEATURE, "tokenizer_type": kind}, {"x": ["red"]})
