"""The expression language of features, over doubles: a number is a scalar, a list is a vector."""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, reduce

import numpy as np
from tests.features.referee.cells import UnspecifiedError

Value = float | list[float]
Run = Callable[[Mapping[str, Value], float], Value]

CONSTANTS = {"_pi": math.pi, "_e": math.e}
EARTH_RADIUS_KM = 6371.0

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<symbol><=|>=|!=|==|&&|\|\||[-+*/^<>&|?:(),]))"
)

# Binary operators by level, loosest first; all associate to the left (^ and ?: are parsed apart).
LEVELS = [["||"], ["&&"], ["|"], ["&"], ["<=", ">=", "!=", "==", "<", ">"], ["+", "-"], ["*", "/"]]


class Formula:
    """A parsed formula: `formula(variables, fill_missing)` gives a number or a vector."""

    def __init__(self, text: str, variables: Sequence[str]) -> None:
        self._tokens = _tokenize(text)
        self._at = 0
        self._variables = set(variables)
        self._run = self._choice()
        if self._at < len(self._tokens):
            raise ValueError(f"formula '{text}': {self._tokens[self._at]} is left over")

    def __call__(self, variables: Mapping[str, Value], fill_missing: float) -> Value:
        """Evaluate; `fill_missing` pads the shorter of two vectors."""
        return self._run(variables, fill_missing)

    def _choice(self) -> Run:
        condition = self._binary(0)
        if not self._take("?"):
            return condition
        first = self._choice()
        self._expect(":")
        second = self._choice()
        return _apply(lambda c, a, b: a if c != 0 else b, [condition, first, second])

    def _binary(self, level: int) -> Run:
        if level == len(LEVELS):
            return self._signed()
        left = self._binary(level + 1)
        while (symbol := self._peek()) in LEVELS[level]:
            self._at += 1
            left = _apply(BINARY[symbol], [left, self._binary(level + 1)])
        return left

    def _signed(self) -> Run:
        if self._take("-"):
            return _apply(lambda x: -x, [self._signed()])
        if self._take("+"):
            return self._signed()
        base = self._primary()
        if not self._take("^"):
            return base
        return _apply(lambda x, y: libm("pow", x, y), [base, self._signed()])

    def _primary(self) -> Run:
        token = self._peek()
        self._at += 1
        if token == "(":
            inside = self._choice()
            self._expect(")")
            return inside
        if token[:1].isdigit() or token[:1] == ".":
            number = float(token)
            return lambda _, __: number
        if self._take("("):
            return self._call(token)
        if token in CONSTANTS:
            constant = CONSTANTS[token]
            return lambda _, __: constant
        if token not in self._variables:
            raise ValueError(f"unknown name '{token}'")
        return lambda variables, _: variables[token]

    def _call(self, name: str) -> Run:
        arguments = [self._choice()]
        while self._take(","):
            arguments.append(self._choice())
        self._expect(")")
        if name in ELEMENTWISE:
            return _apply(ELEMENTWISE[name], arguments)
        if name in REDUCTIONS:
            return _reduce(REDUCTIONS[name], arguments)
        raise ValueError(f"unknown function '{name}'")

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, symbol: str) -> bool:
        found = self._peek() == symbol
        self._at += found
        return found

    def _expect(self, symbol: str) -> None:
        if not self._take(symbol):
            raise ValueError(f"'{symbol}' expected before '{self._peek()}'")


def libm(name: str, *arguments: float) -> float:
    """Call the C library, which answers inf and NaN where Python's `math` raises."""
    return float(_libm_function(name, len(arguments))(*arguments))


@cache
def _libm_function(name: str, arity: int) -> Callable[..., float]:
    function = getattr(ctypes.CDLL(ctypes.util.find_library("m")), name)
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * arity
    return function  # type: ignore[no-any-return]


def _tokenize(text: str) -> list[str]:
    result, at, text = list[str](), 0, text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"formula '{text}': '{text[at:]}' cannot be read")
        result.append(match[0].strip())
        at = match.end()
    return result


def _apply(function: Callable[..., float], arguments: list[Run]) -> Run:
    """Element by element; scalars and vectors of length 1 stand for all, shorter vectors are padded."""

    def run(variables: Mapping[str, Value], fill_missing: float) -> Value:
        values = [argument(variables, fill_missing) for argument in arguments]
        lengths = [len(value) for value in values if isinstance(value, list)]
        if not lengths:
            return function(*values)
        size = max(lengths)
        spread = [_spread(value, size, fill_missing) for value in values]
        return [function(*(column[at] for column in spread)) for at in range(size)]

    return run


def _reduce(function: Callable[..., float], arguments: list[Run]) -> Run:
    """Whole vectors to one number."""

    def run(variables: Mapping[str, Value], fill_missing: float) -> Value:
        values = [argument(variables, fill_missing) for argument in arguments]
        size = max(len(value) if isinstance(value, list) else 1 for value in values)
        return function(*(_spread(value, size, fill_missing) for value in values))

    return run


def _spread(value: Value, size: int, fill_missing: float) -> list[float]:
    entries = value if isinstance(value, list) else [value]
    if len(entries) == 1:
        return entries * size
    return entries + [fill_missing] * (size - len(entries))


def _divide(x: float, y: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.float64(x) / np.float64(y))


def _whole(x: float) -> int:
    if not abs(x) < 2.0**63:
        raise UnspecifiedError(f"bitwise operand {x}")
    return math.trunc(x)


def _rounded(x: float) -> float:
    """Half away from zero; the sign of zero stays."""
    return libm("round", x)


def _round_to(x: float, digits: float) -> float:
    scale = libm("pow", 10.0, digits)
    shifted = x * scale
    return _divide(_rounded(shifted), scale) if math.isfinite(shifted) else x


def _sign(x: float) -> float:
    return float(x > 0) - float(x < 0)


def _minimum(*values: float) -> float:
    """As C++'s std::min from the left, which is what muParser does with NaN."""
    return reduce(lambda a, b: b if b < a else a, values)


def _maximum(*values: float) -> float:
    return reduce(lambda a, b: b if a < b else a, values)


def _total(*values: float) -> float:
    return reduce(lambda a, b: a + b, values, 0.0)


def _average(*values: float) -> float:
    return _total(*values) / len(values)


def _great_circle(lng1: float, lat1: float, lng2: float, lat2: float) -> float:
    """Kilometres between two points given in degrees, by the haversine formula."""
    radians = math.pi / 180
    sin_lat = libm("sin", (lat2 - lat1) * radians / 2)
    sin_lng = libm("sin", (lng2 - lng1) * radians / 2)
    cosines = libm("cos", lat1 * radians) * libm("cos", lat2 * radians)
    chord = sin_lat * sin_lat + cosines * sin_lng * sin_lng
    chord = 1.0 if chord > 1 else chord  # rounding, at points opposite to one another
    return 2 * EARTH_RADIUS_KM * libm("asin", libm("sqrt", chord))


def _squares(x: list[float]) -> float:
    return _total(*(entry * entry for entry in x))


def _spread_about_mean(x: list[float], divisor: int) -> float:
    mean = _average(*x)
    return _divide(_squares([entry - mean for entry in x]), divisor)


def _correlation(x: list[float], y: list[float]) -> float:
    dx = [entry - _average(*x) for entry in x]
    dy = [entry - _average(*y) for entry in y]
    # Two roots: the product of two sums of squares leaves the range of doubles early.
    return _divide(_dot(dx, dy), libm("sqrt", _squares(dx)) * libm("sqrt", _squares(dy)))


def _dot(x: list[float], y: list[float]) -> float:
    return _total(*(a * b for a, b in zip(x, y, strict=True)))


BINARY: dict[str, Callable[[float, float], float]] = {
    "||": lambda x, y: float(x != 0 or y != 0),
    "&&": lambda x, y: float(x != 0 and y != 0),
    "|": lambda x, y: float(_whole(x) | _whole(y)),
    "&": lambda x, y: float(_whole(x) & _whole(y)),
    "<=": lambda x, y: float(x <= y),
    ">=": lambda x, y: float(x >= y),
    "!=": lambda x, y: float(x != y),
    "==": lambda x, y: float(x == y),
    "<": lambda x, y: float(x < y),
    ">": lambda x, y: float(x > y),
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": _divide,
}

LIBM_NAMES = (
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    *("log2", "log10", "log", "exp", "sqrt", "floor", "ceil", "trunc"),
)


def _from_libm(name: str) -> Callable[[float], float]:
    return lambda x: libm(name, x)


ELEMENTWISE: dict[str, Callable[..., float]] = {
    **{name: _from_libm(name) for name in LIBM_NAMES},
    "isnan": lambda x: float(math.isnan(x)),
    "ln": lambda x: libm("log", x),
    "sign": _sign,
    "abs": abs,
    "rint": lambda x: libm("floor", x + 0.5),
    "round": _rounded,
    "sigmoid": lambda x: _divide(1.0, 1.0 + libm("exp", -x)),
    "roundp": _round_to,
    "mod": lambda x, y: libm("fmod", x, y),
    "sphere_dist": _great_circle,
    "haversine": _great_circle,
    "min": _minimum,
    "max": _maximum,
    "sum": _total,
    "avg": _average,
}

REDUCTIONS: dict[str, Callable[..., float]] = {
    "len": lambda x: float(len(x)),
    "l2_norm": lambda x: libm("sqrt", _squares(x)),
    "squared_norm": _squares,
    "std_dev": lambda x: libm("sqrt", _spread_about_mean(x, len(x))),
    "variance": lambda x: _spread_about_mean(x, len(x)),
    "pop_std_dev": lambda x: libm("sqrt", _spread_about_mean(x, len(x) - 1)),
    "pop_variance": lambda x: _spread_about_mean(x, len(x) - 1),
    "reduce_min": lambda x: _minimum(*x),
    "reduce_max": lambda x: _maximum(*x),
    "reduce_sum": lambda x: _total(*x),
    "reduce_mean": lambda x: _average(*x),
    "reduce_prod": lambda x: reduce(lambda a, b: a * b, x),
    "dot": _dot,
    "euclid_dist": lambda x, y: libm("sqrt", _squares([a - b for a, b in zip(x, y, strict=True)])),
    "corr": _correlation,
}
