"""The formula language in plain Python: text → tokens → tree → list of numbers.

Every value is a list; a number is a list of one. Functions of mathematics come from the C library by
ctypes, as IEEE defines them: Python's `math` raises where C gives inf or NaN.
"""

from __future__ import annotations

import ctypes
import math
import operator
import re
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Vector = list[float]
Tree = tuple[Any, ...]

TOKEN = re.compile(
    r"""\s*(?: (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?
          | [A-Za-z_]\w*
          | <=|>=|!=|==|&&|\|\||[-+*/^<>&|?:(),] )\s*""",
    re.ASCII | re.VERBOSE,
)
LEVELS = [("||",), ("&&",), ("|",), ("&",), ("<=", ">=", "!=", "==", "<", ">"), ("+", "-"), ("*", "/")]

_C = ctypes.CDLL(None)


def _c(name: str, arguments: int) -> Callable[..., float]:
    function = getattr(_C, name)
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * arguments
    return lambda *values: float(function(*values))


def evaluate(formula: str, variables: dict[str, Vector], fill_missing: float) -> Vector:
    """The value of a formula; `fill_missing` continues the shorter of two operands."""
    return _value(parse(formula), variables, fill_missing)


def parse(formula: str) -> Tree:
    """A tree of ("number", x), ("name", n) and (operation, *operands)."""
    tokens: list[str] = []
    at = 0
    while at < len(formula):
        match = TOKEN.match(formula, at)
        if match is None:
            raise SyntaxError(f"{formula!r} at {at}")
        tokens.append(match[0].strip())
        at = match.end()
    tree, rest = _choice([*tokens, "end"])
    if rest != ["end"]:
        raise SyntaxError(f"{formula!r} before {rest}")
    return tree


def _expect(token: str, tokens: list[str]) -> list[str]:
    if tokens[0] != token:
        raise SyntaxError(f"{token!r} before {tokens}")
    return tokens[1:]


def _choice(tokens: list[str]) -> tuple[Tree, list[str]]:
    condition, tokens = _level(0, tokens)
    if tokens[0] != "?":
        return condition, tokens
    yes, tokens = _choice(tokens[1:])
    no, tokens = _choice(_expect(":", tokens))
    return ("?:", condition, yes, no), tokens


def _level(level: int, tokens: list[str]) -> tuple[Tree, list[str]]:
    if level == len(LEVELS):
        return _sign(tokens)
    left, tokens = _level(level + 1, tokens)
    while tokens[0] in LEVELS[level]:
        right, rest = _level(level + 1, tokens[1:])
        left, tokens = (tokens[0], left, right), rest
    return left, tokens


def _sign(tokens: list[str]) -> tuple[Tree, list[str]]:
    if tokens[0] in ("-", "+"):
        operand, rest = _sign(tokens[1:])
        return (("negate", operand) if tokens[0] == "-" else operand), rest
    base, tokens = _atom(tokens)
    if tokens[0] != "^":
        return base, tokens
    exponent, tokens = _sign(tokens[1:])
    return ("^", base, exponent), tokens


def _atom(tokens: list[str]) -> tuple[Tree, list[str]]:
    token, tokens = tokens[0], tokens[1:]
    if token == "(":
        tree, tokens = _choice(tokens)
        return tree, _expect(")", tokens)
    if re.match(r"[\d.]", token):
        return ("number", float(token)), tokens
    if not re.match(r"[A-Za-z_]", token) or token == "end":
        raise SyntaxError(f"{token!r} before {tokens}")
    if tokens[0] != "(":
        return ("name", token), tokens
    operands: list[Tree] = []
    if tokens[1] == ")":
        return (token,), tokens[2:]
    while True:
        operand, tokens = _choice(tokens[1:])
        operands.append(operand)
        if tokens[0] != ",":
            return (token, *operands), _expect(")", tokens)


def _value(tree: Tree, variables: dict[str, Vector], fill: float) -> Vector:
    operation, *operands = tree
    if operation == "number":
        return list(operands)
    if operation == "name":
        name = operands[0]
        return variables[name] if name in variables else [{"_pi": math.pi, "_e": math.e}[name]]
    values = _aligned([_value(operand, variables, fill) for operand in operands], fill)
    if operation in REDUCTIONS:
        return [REDUCTIONS[operation](*values)]
    return [ELEMENTS[operation](*entry) for entry in zip(*values, strict=True)]


def _aligned(values: list[Vector], fill: float) -> list[Vector]:
    longest = max(map(len, values))
    return [v * longest if len(v) == 1 else v + [fill] * (longest - len(v)) for v in values]


def divide(x: float, y: float) -> float:
    """IEEE division: by zero too."""
    if y != 0:
        return x / y
    return math.nan if x == 0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1, y)


def _int64(x: float) -> int:
    return 0 if math.isnan(x) else max(-(2**63), min(math.trunc(max(-1e300, min(x, 1e300))), 2**63 - 1))


def _roundp(x: float, digits: float) -> float:
    if math.isnan(digits):
        return digits
    power = _pow(10.0, abs(_trunc(digits)))
    if _trunc(digits) < 0:
        units = _round(divide(x, power))
        return units if units == 0 else units * power
    return _round(x * power) / power if math.isfinite(x * power) else x


def _great_circle(longitude1: float, latitude1: float, longitude2: float, latitude2: float) -> float:
    degree = math.pi / 180
    north, east = _sin((latitude2 - latitude1) * degree / 2), _sin((longitude2 - longitude1) * degree / 2)
    chord = north * north + _cos(latitude1 * degree) * _cos(latitude2 * degree) * east * east
    return 2 * 6371.0 * _asin(_sqrt(1.0 if chord > 1 else chord))


def _sum(x: Vector) -> float:
    return reduce(operator.add, x, 0.0)


def _dot(x: Vector, y: Vector) -> float:
    return _sum([a * b for a, b in zip(x, y, strict=True)])


def _spread(x: Vector, y: Vector) -> float:
    mean_x, mean_y = divide(_sum(x), len(x)), divide(_sum(y), len(y))
    return _dot([a - mean_x for a in x], [b - mean_y for b in y])


def _distance(x: Vector, y: Vector) -> float:
    differences = [a - b for a, b in zip(x, y, strict=True)]
    return _sqrt(_dot(differences, differences))


def _lesser(x: float, y: float) -> float:
    return y if y < x else x


def _greater(x: float, y: float) -> float:
    return y if x < y else x


_sin, _cos, _asin, _sqrt, _floor, _trunc, _round, _exp = (
    _c(name, 1) for name in ("sin", "cos", "asin", "sqrt", "floor", "trunc", "round", "exp")
)
_pow = _c("pow", 2)

ELEMENTS: dict[str, Callable[..., float]] = {
    "||": lambda x, y: float(x != 0 or y != 0),
    "&&": lambda x, y: float(x != 0 and y != 0),
    "|": lambda x, y: float(_int64(x) | _int64(y)),
    "&": lambda x, y: float(_int64(x) & _int64(y)),
    "<=": lambda x, y: float(x <= y),
    ">=": lambda x, y: float(x >= y),
    "!=": lambda x, y: float(x != y),
    "==": lambda x, y: float(x == y),
    "<": lambda x, y: float(x < y),
    ">": lambda x, y: float(x > y),
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "^": _pow,
    "negate": operator.neg,
    "?:": lambda condition, yes, no: yes if condition != 0 else no,
    **{
        name: _c(name, 1)
        for name in [
            "sin",
            "cos",
            "tan",
            "asin",
            "acos",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "acosh",
            "atanh",
            "log2",
            "log10",
            "log",
            "exp",
            "sqrt",
            "floor",
            "ceil",
            "trunc",
            "round",
        ]
    },
    "ln": _c("log", 1),
    "abs": abs,
    "isnan": lambda x: float(math.isnan(x)),
    "sign": lambda x: float((x > 0) - (x < 0)),
    "rint": lambda x: _floor(x + 0.5),
    "sigmoid": lambda x: divide(1.0, 1 + _exp(-x)),
    "roundp": _roundp,
    "mod": _c("fmod", 2),
    "sphere_dist": _great_circle,
    "haversine": _great_circle,
    "min": lambda *x: reduce(_lesser, x),
    "max": lambda *x: reduce(_greater, x),
    "sum": lambda *x: _sum(list(x)),
    "avg": lambda *x: _sum(list(x)) / len(x),
}

REDUCTIONS: dict[str, Callable[..., float]] = {
    "len": lambda x: float(len(x)),
    "l2_norm": lambda x: _sqrt(_dot(x, x)),
    "squared_norm": lambda x: _dot(x, x),
    "variance": lambda x: divide(_spread(x, x), len(x)),
    "std_dev": lambda x: _sqrt(divide(_spread(x, x), len(x))),
    "pop_variance": lambda x: divide(_spread(x, x), len(x) - 1),
    "pop_std_dev": lambda x: _sqrt(divide(_spread(x, x), len(x) - 1)),
    "reduce_min": lambda x: reduce(_lesser, x) if x else math.nan,
    "reduce_max": lambda x: reduce(_greater, x) if x else math.nan,
    "reduce_sum": _sum,
    "reduce_mean": lambda x: divide(_sum(x), len(x)),
    "reduce_prod": lambda x: reduce(operator.mul, x, 1.0),
    "dot": _dot,
    "euclid_dist": _distance,
    "corr": lambda x, y: divide(_spread(x, y), _sqrt(_spread(x, x)) * _sqrt(_spread(y, y))),
}
