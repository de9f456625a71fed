"""Regular expressions: what is replaced, and what is refused before anything runs."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest

from recserve.errors import ConfigError
from recserve.features.texts.replacement import MAX_PATTERN_CHARACTERS, Replacement


def replaced(text: str, patterns: list[str], replacement: str = "", **keys: Any) -> str:
    found: str = Replacement.of(patterns, replacement, **keys)(pa.array([text]))[0].as_py()
    return found


@pytest.mark.parametrize(
    ("text", "patterns", "replacement", "expected"),
    [
        ("a|b#c(d)", [r"\|", "#", r"\(.*\)"], "", "abc"),
        ("aab", ["a"], "x", "xxb"),
        ("汉字x", ["."], "_", "___"),
        ("a\nb", ["a.b"], "x", "a\nb"),
        ("a\nb", ["(?s)a.b"], "x", "x"),
        ("a-b", ["(a)-(b)"], r"\2-\1", "b-a"),
        ("ab", ["b"], r"[\0]", "a[b]"),
        ("ab", ["b"], r"\\0", r"a\0"),
        ("ab cd", ["a(b)", "c(d)"], r"\1\2", "b d"),
        ("ab", ["a", "ab"], "x", "xb"),  # alternatives in their order, not the longest
        ("Ab", ["(?i)a", "B"], "x", "xb"),  # a flag holds for its own pattern
        ("abb", [r"\Bb"], "x", "axx"),
    ],
)
def test_patterns_are_alternatives_of_one_pass(
    text: str, patterns: list[str], replacement: str, expected: str
) -> None:
    assert replaced(text, patterns, replacement) == expected


@pytest.mark.parametrize(
    ("text", "pattern", "replacement", "expected"),
    [
        ("aab", "a", "x", "xab"),
        ("baab", "a+", r"[\0]", "b[aa]b"),
        ("a-b c-d", r"(\w)-(\w)", r"\2-\1", "b-a c-d"),
        ("ab", "b", r"\\0", r"a\0"),
        ("abb", r"\Bb", "x", "axb"),
        ("bab", "b$", "x", "bax"),
        ("bab", "^b", "x", "xab"),
        ("x\nb\nb", "(?m)^b", "y", "x\ny\nb"),
        ("ab", "c", "x", "ab"),
        ("ab", "c*", "x", "xab"),
        ("", "c*", "x", "x"),
    ],
)
def test_the_first_match_alone(text: str, pattern: str, replacement: str, expected: str) -> None:
    assert replaced(text, [pattern], replacement, replace_all=False) == expected
    python = re.sub(r"\\0", r"\\g<0>", replacement) if r"\\0" not in replacement else replacement
    assert re.sub(pattern, python, text, count=1) == expected


def test_broken_utf8_hides_no_match() -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfeb\xff"]).buffers())
    for replace_all in (True, False):
        result = Replacement.of(["b"], "x", replace_all=replace_all)(broken)

        assert result.cast(pa.binary()).to_pylist() == [b"\xff\xfex\xff"]


def test_case_is_ignored_in_every_pattern() -> None:
    assert replaced("aAbB", ["a", "B"], "x", icase=True) == "xxxx"
    assert replaced("aAbB", ["a", "B"], "x", icase=True, replace_all=False) == "xAbB"


@pytest.mark.parametrize("replace_all", [True, False])
def test_a_pattern_that_backtracks_for_years_elsewhere_is_linear(replace_all: bool) -> None:
    text = "a" * 1_000_000 + "!"

    assert replaced(text, ["(a+)+$", "(a*)*b"], "x", replace_all=replace_all) == text


@pytest.mark.parametrize(
    ("patterns", "replacement", "message"),
    [
        ([], "", "regex_pattern is empty"),
        ([""], "", "regex_pattern is empty"),
        (["a", ""], "", "regex_pattern is empty"),
        (["a("], "", r"regex_pattern 'a\(' is not what RE2 takes: missing \)"),
        (["a(", "b)"], "", r"regex_pattern 'a\(' is not what RE2 takes"),
        ([r"a\Q", "b"], "", "regex_pattern 'a.*' is not what RE2 takes: missing"),
        ([r"(a)\1"], "", r"invalid escape sequence: \\1"),
        (["a{1001}"], "", r"invalid repetition size: \{1001\}"),
        (["((a{100}){100}){100}"], "", "invalid repetition size"),
        (["a"], r"\1", r"replacement '\\1' is not what RE2 takes: .*only has 0 parenthesized"),
        (["a"], r"\x", r"replacement '\\x' is not what RE2 takes"),
        (["a" * (MAX_PATTERN_CHARACTERS + 1)], "", "regex_pattern has over 16384 characters"),
    ],
)
def test_what_cannot_be_compiled_is_refused(patterns: list[str], replacement: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Replacement.of(patterns, replacement)


def test_the_first_match_has_seven_groups() -> None:
    pattern = "(a)" * 8
    assert replaced("a" * 8, [pattern], r"<\7>", replace_all=False) == "<a>"
    assert replaced("a" * 8, [pattern], r"<\8>") == "<a>"

    with pytest.raises(ConfigError, match=r"with replace_all false groups go up to \\7"):
        Replacement.of([pattern], r"\8", replace_all=False)
