"""Normalizers: float32 for numbers, double for numbers that were text."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from conformance.plain.bucketize import float32
from conformance.plain.normalize import normalize
from conformance.write import FOLDER, Case, decode
from hypothesis import given
from hypothesis import strategies as st

from recserve._core import Normalizer
from recserve.errors import ConfigError

VECTORS: list[Case] = json.loads((FOLDER / "normalize.json").read_text())["cases"]


def run(config: str, kind: str, x: float) -> float:
    normalizer = Normalizer.parse(config)
    return normalizer.number(x) if kind == "float32" else normalizer.text(x)


def same(a: float, b: float) -> bool:
    """The same bits, but any NaN is any other."""
    return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))


@pytest.mark.parametrize("case", VECTORS, ids=str)
def test_the_vectors_hold(case: Case) -> None:
    kind = "float32" if "float32" in case else "text"
    x, expected = decode(case[kind]), decode(case["expected"])

    result = run(case["normalizer"], kind, x)

    # One unit in the last place of float32 where another C library made the vectors.
    assert result == pytest.approx(expected, rel=2**-23, abs=0, nan_ok=True)
    assert same(result, normalize(case["normalizer"], kind, x))


def test_text_is_normalized_in_double_and_numbers_in_float32() -> None:
    zscore = Normalizer.parse("method=zscore,mean=0.1,standard_deviation=0.3")

    assert zscore.text(0.1) == pytest.approx(-4.967e-09, rel=1e-3)
    assert zscore.number(0.1) == 0


def test_a_value_at_the_threshold_takes_the_default() -> None:
    log10 = Normalizer.parse("method=log10")

    assert [log10.number(1), log10.text(1)] == [0, 0]
    assert log10.number(2) == float32(math.log10(2))


@pytest.mark.parametrize("config", ["", "  "])
def test_an_empty_text_is_no_normalizer(config: str) -> None:
    normalizer = Normalizer.parse(config)

    assert normalizer.none
    assert normalizer.number(1.5) == 1.5
    assert normalizer.text(0.1) == float32(0.1)


def test_blanks_around_keys_and_values_do_not_matter() -> None:
    assert Normalizer.parse(" method = zscore , mean = 1 , standard_deviation = 2 ").number(5) == 2


def test_a_formula_may_contain_commas_and_equals_signs() -> None:
    normalizer = Normalizer.parse("method=expression,expr=x==2 ? max(x, 5) : mod(x,2)")

    assert [normalizer.number(x) for x in (2, 3, 4)] == [5, 1, 0]
    assert not normalizer.uses_random


def test_a_random_formula_is_known_as_random() -> None:
    assert Normalizer.parse("method=expression,expr=x+rnd()").uses_random


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("log10", "'log10' is not key=value"),
        ("mean=1,method=zscore", "expected key 'method' first, found 'mean'"),
        ("method=", "unknown method ''; known: log10, zscore, minmax, expression"),
        ("method=zscores,mean=1", "unknown method 'zscores'"),
        ("method=zscore,mean=1", "'zscore': key 'standard_deviation' is missing"),
        ("method=minmax", "'minmax': key 'min' is missing"),
        ("method=minmax,min=1,max=2,mid=3", "'minmax': key 'mid' is unknown; known: min, max"),
        ("method=minmax,min=1,max=two", "'minmax': key 'max': 'two' is not a number"),
        ("method=minmax,min=1,min=1,max=2", "'minmax': key 'min' is given twice"),
        ("method=log10,threshold", "'threshold' is not key=value"),
        ("method=expression", "'expression': expected key 'expr'"),
        ("method=expression,formula=x", "'expression': expected key 'expr'"),
        ("method=expression,expr=", "'expr': expression '', position 1: expected a number"),
        ("method=expression,expr=x+y", "position 3: expected a variable, found 'y'; known: x"),
        ("method=expression,expr=" + "(" * 10000, "levels of nesting"),
    ],
)
def test_a_wrong_normalizer_names_its_method_and_key(config: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Normalizer.parse(config)


NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
CONFIGS = st.one_of(
    st.builds(lambda a, b: f"method=log10,threshold={a!r},default={b!r}", NUMBERS, NUMBERS),
    st.builds(lambda a, b: f"method=zscore,mean={a!r},standard_deviation={b!r}", NUMBERS, NUMBERS),
    st.builds(lambda a, b: f"method=minmax,min={a!r},max={b!r}", NUMBERS, NUMBERS),
    st.just("method=expression,expr=x / (1 + abs(x)) - 0.1"),
)


@given(
    CONFIGS,
    st.one_of(st.tuples(st.just("float32"), st.floats(width=32)), st.tuples(st.just("text"), st.floats())),
)
def test_any_number_is_normalized_as_in_plain_python(config: str, value: tuple[str, Any]) -> None:
    assert same(run(config, *value), normalize(config, *value))
