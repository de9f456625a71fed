"""text_normalizer: each step, their order, and what is left alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from recserve.columns import batch_from_arrow, to_arrow
from recserve.errors import ConfigError
from recserve.features import config
from recserve.features.generator import Generator
from recserve.features.texts.text_normalizer import FILTER, HALF_WIDTH, LOWER, SIMPLIFIED, SPLIT, UPPER

if TYPE_CHECKING:
    from pathlib import Path


def wide(text: str) -> str:
    """ASCII in full width."""
    return "".join("\u3000" if c == " " else chr(ord(c) + 0xFEE0) for c in text)


def normalized(cell: Any, folder: Path | None = None, **keys: Any) -> Any:
    feature = {"feature_type": "text_normalizer", "feature_name": "f", "expression": "user:x", **keys}
    generator = Generator(config.load({"features": [feature]}, folder=folder), texts=True)
    array = cell if isinstance(cell, pa.Array) else pa.array([cell])
    return to_arrow(generator.generate_columns(batch_from_arrow({"x": array}))["f"]).to_pylist()


@pytest.mark.parametrize(
    ("keys", "text", "expected"),
    [
        ({"parameter": UPPER}, "aBcß", "ABCSS"),
        ({"parameter": LOWER}, "ABcΣ", "abcς"),
        ({"parameter": HALF_WIDTH}, wide("Ab 1!~") + "￥カ", "Ab 1!~¥カ"),
        ({"parameter": SIMPLIFIED}, "漢字後面abc", "汉字后面abc"),
        ({"parameter": FILTER}, "a-b_c，d！e $f+g 1.5", "abcde fg 15"),
        ({"parameter": SPLIT}, "ab汉字c d", "ab 汉 字 c d"),
        ({"parameter": SPLIT}, "汉 字", "汉 字"),
        ({"parameter": 0, "remove_space": True}, " a\tb\u3000c ", "abc"),
        ({"parameter": 0}, " a! ", " a! "),
        ({}, wide("a!") + " 漢a", "A 汉A"),  # 2 + 8 + 16 + 32
        ({"parameter": SPLIT, "remove_space": True}, "汉 字 a b", "汉 字 ab"),
        ({"parameter": HALF_WIDTH | UPPER | FILTER}, wide("a.b"), "AB"),  # width first
    ],
)
def test_steps_and_their_order(keys: dict[str, Any], text: str, expected: str) -> None:
    assert normalized(text, **keys) == [[expected]]


def test_a_text_over_max_length_stays_as_it_is() -> None:
    assert normalized("汉字!", max_length=3) == [["汉字"]]
    assert normalized("汉字!a", max_length=3) == [["汉字!a"]]
    assert normalized("汉字!a", max_length=0) == [["汉字A"]]


def test_a_text_is_not_cut_and_an_empty_result_is_the_default() -> None:
    assert normalized("a\x1db", parameter=UPPER, separator="b") == [["A\x1dB"]]
    assert normalized("?!") == [[]]
    assert normalized("?!", default_value="no Text!") == [["no Text!"]]
    assert normalized(pa.array([None], pa.string()), default_value="no Text!") == [["no Text!"]]
    assert normalized(7) == [["7"]]


def test_stop_characters_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "stop.txt").write_text("\ufeffx\r\n， \n", encoding="utf-8")

    result = normalized("a x，!b", tmp_path, parameter=FILTER, stop_char_file="stop.txt")

    assert result == [["a !b"]]


def test_a_sequence_normalizes_each_element() -> None:
    keys: dict[str, Any] = {"feature_type": "sequence_text_normalizer", "default_value": "0"}

    assert normalized("ab!;;c", **keys) == [[["AB"], ["0"], ["C"]]]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"parameter": 3}, "parameter 3 is not a sum of 2, 4, 8, 16, 32, 512"),
        ({"parameter": -2}, "parameter -2 is not a sum of"),
        ({"parameter": 6}, "upper case .* and for lower case"),
        ({"max_length": -1}, "max_length -1 is negative"),
        ({"stop_char_file": "none.txt"}, "stop_char_file 'none.txt': there is no such file"),
        ({"stop_char_file": "../none.txt"}, "lies outside of the folder of fg.json"),
        ({"stop_char_file": "latin.txt"}, "stop_char_file .* cannot be read"),
        ({"stop_char_file": "empty.txt"}, "stop_char_file .* has no characters"),
    ],
)
def test_what_is_refused_at_load(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    (tmp_path / "latin.txt").write_bytes(b"\xe9")
    (tmp_path / "empty.txt").write_bytes(b" \n\n")

    with pytest.raises(ConfigError, match=rf"feature 'f' \(text_normalizer\): .*{message}"):
        normalized("a", tmp_path, **keys)


def test_without_opencc_all_but_its_step_works(monkeypatch: pytest.MonkeyPatch) -> None:
    from recserve.features.texts import text_normalizer

    text_normalizer._simplified.cache_clear()
    monkeypatch.setitem(sys.modules, "opencc", None)

    assert normalized("a", parameter=UPPER) == [["A"]]
    with pytest.raises(ConfigError, match=r"needs OpenCC, .* pip install 'recserve\[text\]'"):
        normalized("a")
