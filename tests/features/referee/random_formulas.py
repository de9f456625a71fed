"""Random formulas of the expression language, over given variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

UNARY = (
    *(
        "isnan",
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
    ),
    *("log2", "log10", "log", "ln", "exp", "sqrt", "sign", "abs", "rint", "floor", "ceil", "trunc", "round"),
    "sigmoid",
)
VECTOR_UNARY = (
    *("len", "l2_norm", "squared_norm", "std_dev", "variance", "pop_std_dev", "pop_variance"),
    *("reduce_min", "reduce_max", "reduce_sum", "reduce_mean", "reduce_prod"),
)
VECTOR_BINARY = ("dot", "euclid_dist", "corr")
ARITHMETIC = ("+", "-", "*", "/")
COMPARISONS = ("<=", ">=", "!=", "==", "<", ">")
NUMBERS = ("1", "0", ".5", "1e-3", "2", "10", "0.1", "100", "_pi", "_e")


def formula(rng: random.Random, variables: Sequence[str]) -> str:
    """A formula that reads every variable."""
    parts = [_expression(rng, [name], 2) for name in variables]
    text = parts[0]
    for part in parts[1:]:
        text = f"{text} {rng.choice(ARITHMETIC)} {part}"
    return f"{text} {rng.choice(COMPARISONS)} {rng.choice(NUMBERS)}" if rng.random() < 0.2 else text


def reduction(rng: random.Random, variables: Sequence[str]) -> str:
    """A formula of whole vectors; `variables` are one or two."""
    if len(variables) == 2:
        call = f"{rng.choice(VECTOR_BINARY)}({variables[0]}, {variables[1]})"
    else:
        call = f"{rng.choice(VECTOR_UNARY)}({variables[0]})"
    return rng.choice((call, f"{call} * 2 + 1", f"-{call}", f"{call} > 1 ? 1 : {call}"))


def _expression(rng: random.Random, variables: Sequence[str], depth: int) -> str:
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(variables)

    def operand() -> str:
        if rng.random() < 0.3:
            return rng.choice(NUMBERS)
        return _expression(rng, variables, depth - 1)

    first = _expression(rng, variables, depth - 1)
    forms = (
        lambda: f"{first} {rng.choice(ARITHMETIC)} {operand()}",
        lambda: f"({first} {rng.choice(ARITHMETIC)} {operand()}) * {operand()}",
        lambda: f"{rng.choice(UNARY)}({first})",
        lambda: f"-{first}",
        lambda: f"({first}) ^ {rng.choice(('2', '0.5', '-1', '3'))}",
        lambda: f"-{operand()} ^ 2 + {first}",
        lambda: f"({first} {rng.choice(COMPARISONS)} {operand()})",
        lambda: f"({first} > {operand()} && {operand()} || {operand()} <= {first})",
        lambda: f"({first} > 1 & {operand()} < 2 | {operand()} == 3)",
        lambda: f"({first} > {operand()} ? {operand()} : {first})",
        lambda: f"{rng.choice(('min', 'max', 'sum', 'avg'))}({first}, {operand()}, {operand()})",
        lambda: f"mod({first}, {operand()})",
        lambda: f"roundp({first}, {rng.choice(('0', '1', '2'))})",
        lambda: f"{rng.choice(('sphere_dist', 'haversine'))}({first}, {operand()}, 10, {operand()})",
    )
    return rng.choice(forms)()
