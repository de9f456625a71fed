"""The formula language: as in its table, and bit for bit as plain Python evaluates it."""

from __future__ import annotations

import json
import math
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from conformance.plain.expression import ELEMENTS, LEVELS, REDUCTIONS, evaluate
from conformance.write import FOLDER, Case, decode, vectors
from hypothesis import given, settings
from hypothesis import strategies as st

from recserve._core import Expression
from recserve.errors import ConfigError

VECTORS: dict[str, list[Case]] = json.loads((FOLDER / "expression.json").read_text())

Variables = dict[str, list[float]]


def native(formula: str, variables: Variables, fill_missing: float) -> list[float]:
    return Expression.parse(formula, list(variables)).evaluate(list(variables.values()), fill_missing)


def bits(numbers: list[float]) -> list[bytes]:
    """One NaN stands for all."""
    return [struct.pack("<d", math.nan if math.isnan(x) else x) for x in numbers]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["formula"])
def test_the_vectors_hold(case: Case) -> None:
    variables = vectors({name: decode(value) for name, value in case["variables"].items()})
    fill = decode(case["fill_missing"])

    result = native(case["formula"], variables, fill)

    # The last digits of log, sin, … are the C library's own.
    assert result == pytest.approx(decode(case["expected"]), rel=1e-14, abs=0, nan_ok=True)
    assert bits(result) == bits(evaluate(case["formula"], variables, fill))


@pytest.mark.parametrize("case", VECTORS["rejected"], ids=lambda case: case["formula"][:20] or "empty")
def test_a_wrong_formula_is_refused(case: Case) -> None:
    with pytest.raises(ConfigError, match=r"^expression '.*', position [0-9]+: expected "):
        Expression.parse(case["formula"], case["variables"])


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("a + (b", "expression 'a + (b', position 7: expected ')', found the end"),
        ("a + c", "expression 'a + c', position 5: expected a variable, found 'c'; known: a, b"),
        ("a + sinn(b)", "position 5: expected a function, found 'sinn'; known: abs, acos, "),
        ("mod(a)", "position 1: expected 2 argument(s) of 'mod', found 1"),
        ("1 + max()", "position 5: expected at least 1 argument(s) of 'max', found 0"),
        ("a b", "position 3: expected an operator, found 'b'"),
        ("a ? b", "position 6: expected ':', found the end"),
        ("sin + 1", "position 5: expected '(' after the function 'sin'"),
        ("min(a, b", "position 9: expected ',' or ')', found the end"),
        ("a + * b", "position 5: expected a number, a name or '(', found '*'"),
        ("1 + .", "position 5: expected a digit after '.'"),
        (" " * 70000 + "a", "position 1: expected at most 65536 bytes, not 70001"),
        ("(" * 300 + "a" + ")" * 300, "expected at most 256 levels of nesting"),
        ("-" * 10000 + "a", "levels of nesting"),
        ("a^" * 10000 + "a", "levels of nesting"),
        ("sum(" + "a," * 600 + "a)", "expected at most 512 operands"),
    ],
    ids=lambda text: text[:30],
)
def test_an_error_says_where_and_what_was_expected(formula: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Expression.parse(formula, ["a", "b"])

    assert message in str(error.value)
    assert len(str(error.value)) < 1000


def test_formulas_of_everyday_size_are_within_the_limits() -> None:
    nested = "(" * 200 + "a" + ")" * 200
    ladder = "".join(f"a < {i} ? {i} : " for i in range(200)) + "-1"
    long = " + ".join(["a"] * 5000)

    assert Expression.parse(nested, ["a"]).scalar([2.0]) == 2
    assert Expression.parse(ladder, ["a"]).scalar([41.5]) == 42
    assert Expression.parse(long, ["a"]).scalar([1.0]) == 5000


def test_a_variable_may_be_called_like_a_function_or_a_constant() -> None:
    assert Expression.parse("len + _pi * max(len, 2)", ["len", "_pi"]).scalar([3.0, 10.0]) == 33


@pytest.mark.parametrize(
    ("formula", "random", "scalar", "elementwise"),
    [
        ("a + b", False, False, True),
        ("reduce_sum(a) + 1", False, True, False),
        ("reduce_sum(a) + b", False, False, False),
        ("3 * _pi", False, True, True),
        ("a + rnd()", True, False, False),
        ("rnd()", True, True, False),
    ],
)
def test_a_formula_knows_what_it_is(formula: str, random: bool, scalar: bool, elementwise: bool) -> None:
    parsed = Expression.parse(formula, ["a", "b"])

    assert (parsed.uses_random, parsed.returns_scalar, parsed.elementwise) == (random, scalar, elementwise)


def test_random_numbers_are_uniform_and_differ() -> None:
    rnd = Expression.parse("rnd()", [])

    drawn = [rnd.scalar([]) for _ in range(2000)]

    assert len(set(drawn)) == len(drawn)
    assert 0 <= min(drawn) < 0.05
    assert 0.95 < max(drawn) < 1
    assert 0.45 < sum(drawn) / len(drawn) < 0.55


def test_one_draw_serves_all_entries_of_a_vector() -> None:
    result = Expression.parse("a * 0 + rnd()", ["a"]).evaluate([[1.0, 2.0, 3.0]], 0.0)

    assert len(result) == 3
    assert len(set(result)) == 1


@pytest.mark.parametrize("values", [[], [1.0, 2.0, 3.0]])
def test_as_many_values_as_variables_are_needed(values: list[float]) -> None:
    parsed = Expression.parse("a + b", ["a", "b"])

    with pytest.raises(ValueError, match="one value for each variable"):
        parsed.scalar(values)
    with pytest.raises(ValueError, match="one vector for each variable"):
        parsed.evaluate([[value] for value in values], 0.0)


@pytest.mark.parametrize("formula", ["-sum(x, x)", "-avg(x, x)", "-sum(x)", "-reduce_sum(x)"])
@pytest.mark.parametrize("entries", [[-0.0], [-0.0, -0.0]])
def test_every_sum_begins_at_zero(formula: str, entries: list[float]) -> None:
    result = native(formula, {"x": entries}, 0.0)

    assert bits(result) == bits([-0.0] * len(result))


def test_a_variable_that_the_formula_does_not_read_has_no_say() -> None:
    assert native("a + 1", {"a": [1.0], "b": [1.0, 2.0, 3.0]}, 0.0) == [2]


def test_a_whole_column_gives_what_its_rows_give() -> None:
    parsed = Expression.parse("a > 0.5 ? log(a) * b : sigmoid(a) ^ b / 3", ["a", "b"])
    column = [i / 7 - 20 for i in range(5000)]

    result = parsed.evaluate([column, [1.7]], 0.0)

    assert bits(result) == bits([parsed.scalar([a, 1.7]) for a in column])


def test_threads_may_share_a_formula() -> None:
    parsed = Expression.parse("sum(a, 1, 2) * dot(v, v) - a", ["a", "v"])
    calls = [([float(i)], [float(i % 7)] * (i % 50 + 1)) for i in range(400)]
    expected = [parsed.evaluate(list(call), 0.0) for call in calls]

    with ThreadPoolExecutor(8) as pool:
        result = list(pool.map(lambda call: parsed.evaluate(list(call), 0.0), calls * 4))

    assert result == expected * 4


# --- any formula --------------------------------------------------------------------------------------------

OPERATORS = [operator for level in LEVELS for operator in level] + ["^"]
ANY_COUNT = ("min", "max", "sum", "avg")
FUNCTIONS = {
    name: {"mod": 2, "roundp": 2, "sphere_dist": 4, "haversine": 4}.get(name, 1)
    for name in ELEMENTS
    if name.isidentifier() and name not in (*ANY_COUNT, "negate")
}
ENTRIES = st.floats() | st.integers(-5, 5).map(float) | st.floats(-3, 3)
VARIABLES = st.fixed_dictionaries({name: st.lists(ENTRIES, max_size=5) for name in ("a", "b", "_c1")})


def calls(inner: st.SearchStrategy[str], arities: dict[str, int]) -> st.SearchStrategy[str]:
    def call(name: str) -> st.SearchStrategy[str]:
        count = arities[name]
        return st.lists(inner, min_size=count, max_size=count).map(
            lambda terms: f"{name}({', '.join(terms)})"
        )

    return st.sampled_from(sorted(arities)).flatmap(call)


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(OPERATORS), inner),
        st.builds("{}{}{}".format, inner, st.sampled_from(OPERATORS), inner),
        st.builds("{} ? {} : {}".format, inner, inner, inner),
        st.builds("({})".format, inner),
        st.builds("-{}".format, inner),
        st.builds("+ {}".format, inner),
        calls(inner, FUNCTIONS),
        calls(inner, {name: 2 if name in ("dot", "corr", "euclid_dist") else 1 for name in REDUCTIONS}),
        st.builds(
            lambda name, terms: f"{name}({','.join(terms)})",
            st.sampled_from(ANY_COUNT),
            st.lists(inner, min_size=1, max_size=4),
        ),
    )


ATOMS = st.sampled_from(["a", "b", "_c1", "1", "0", "2.5", ".5", "3.", "1e-3", "1E+2", "_pi", "_e"])
FORMULAS = st.recursive(ATOMS, compound, max_leaves=12)


@settings(max_examples=400)
@given(FORMULAS, VARIABLES, st.sampled_from([math.nan, 0.0, -1.5]))
def test_any_formula_gives_the_bits_of_plain_python(formula: str, variables: Variables, fill: float) -> None:
    assert bits(native(formula, variables, fill)) == bits(evaluate(formula, variables, fill))


@settings(max_examples=200)
@given(FORMULAS, st.fixed_dictionaries(dict.fromkeys(("a", "b", "_c1"), ENTRIES)))
def test_the_scalar_path_gives_the_bits_of_plain_python(formula: str, variables: dict[str, float]) -> None:
    result = Expression.parse(formula, list(variables)).scalar(list(variables.values()))

    assert bits([result]) == bits(evaluate(formula, vectors(variables), math.nan))


def accepted(formula: str) -> bool:
    try:
        evaluate(formula, {"a": [1.0], "e": [2.0]}, 0.0)
    except (SyntaxError, KeyError, ValueError):
        return False
    return True


@settings(max_examples=400)
@given(st.text("ae1.+-*/^<>=!&|?:(), ", max_size=12) | st.text(max_size=12))
def test_any_text_is_a_formula_just_where_plain_python_reads_one(text: str) -> None:
    try:
        Expression.parse(text, ["a", "e"])
        result = True
    except ConfigError:
        result = False

    assert result == accepted(text)
