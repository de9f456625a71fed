"""expr_feature: formulas over numbers and vectors. The language itself is in ../expression.json."""

from conformance.cases.case import EXPR, HASH, NAN, Case, Columns, rule

TWO = {"variables": ["user:u", "item:x"]}
SCALARS: Columns = {"u": ("float32", [2.0]), "x": ("float64", [0.1, -3.5, None, NAN, 7.0])}
VECTORS: Columns = {
    "u": ("list<float32>", [[0.1, 0.2, 0.3]]),
    "x": ("string", ["1\x1d2\x1d3", "4", "5\x1d6"]),
}
FORMULAS = (
    "u + x * 2 - -x / u",
    "-x ^ 2 + u ^ -1",
    "x > 0 && u > 1 || x == -3.5",
    "(x > 0) & (u > 1) | (x <= -3.5)",
    "x > 0 ? log(x) : x < -1 ? exp(u) : 0",
    "min(x, u, 1) + max(x, u) + avg(x, u) + sum(x, u)",
    "round(x) + rint(x) * 10 + trunc(x) * 100 + floor(x) + ceil(x) + roundp(x / 3, 2)",
    "mod(x, u) + sign(x) + abs(x)",
    "sigmoid(x) + sqrt(abs(x)) + log10(u) + log2(u) + ln(u)",
    "sin(x) + cos(x) + tan(x) + atan(x) + sinh(u) + cosh(u) + tanh(x) + asinh(x) + acosh(u)",
    "isnan(x) + isnan(asin(u)) + isnan(x / 0)",
    "sphere_dist(x, u, 116.4, 39.9)",
    "_pi * x + _e",
)
REDUCTIONS = (
    *("len", "l2_norm", "squared_norm", "std_dev", "variance", "pop_std_dev", "pop_variance"),
    *("reduce_min", "reduce_max", "reduce_sum", "reduce_mean", "reduce_prod"),
)

CASES: list[Case] = [
    *rule(
        "2.5, 6.6 A formula over the variables, each called as its input behind the side; a column of one "
        "row stands for every row.",
        "test",
        {
            "a one-row column is repeated": (
                {**EXPR, **TWO, "expression": "u + x"},
                {"u": ("float64", [1.0]), "x": ("float64", [1.0, 2.0])},
                {"values": [[2.0], [3.0]]},
            ),
            "text and numbers": (
                {**EXPR, **TWO, "expression": "u * x"},
                {"u": ("string", ["2.5"]), "x": ("int64", [2, -4])},
                {"values": [[5.0], [-10.0]]},
            ),
            "one variable of several rows": (
                EXPR,
                {"x": ("int32", [1, 2, 3])},
                {"values": [[1.0], [2.0], [3.0]]},
            ),
        },
    ),
    *rule(
        "5.2, 6.6 A numeric result with a float value_type hashes as its four bytes; both zeros are 0.",
        "test",
        {
            "numbers hash as float32": (
                {**EXPR, **HASH},
                {"x": ("float32", [10.0, 20.0, 30.0, 0.0])},
                {"values": [39, 63, 46, 0], "lengths": [1] * 4},
            ),
        },
        recorded=True,
    ),
    *rule(
        "8 Numeric columns give float32 values; the result is float32 before it is bucketized.",
        "test",
        {
            "a dot product reaches a float32 boundary": (
                {**EXPR, **TWO, "expression": "dot(u, x)", "boundaries": [0.1]},
                {"u": ("list<float32>", [[0.2, 0.3]]), "x": ("list<float32>", [[0.2, 0.2], [0.2, 0.1]])},
                {"values": [1, 0], "lengths": [1, 1]},
            ),
        },
        recorded=True,
    ),
    *rule(
        "6.6 A comparison is 1 or 0, and with an integer value_type a mask.",
        "test",
        {
            "a comparison is 1 or 0": (
                {**EXPR, "expression": "x > 1", "value_type": "int64", "num_buckets": 2},
                {"x": ("string", ["0.5", "2"])},
                {"values": [0, 1], "lengths": [1, 1]},
            ),
            "of two variables": (
                {**EXPR, **TWO, "value_type": "int64", "num_buckets": 2, "expression": "x > u"},
                SCALARS,
            ),
        },
    ),
    *rule(
        "6.6 Where a variable is missing so is the result; text that is no number is missing.",
        "test",
        {
            "null has no bucket": (
                {**EXPR, "boundaries": [0.5]},
                {"x": ("float32", [None, 1.0])},
                {"values": [1], "lengths": [0, 1]},
            ),
            "a default": (
                {**EXPR, **TWO, "default_value": "-9", "expression": "u * x"},
                {"u": ("float32", [2.0]), "x": ("string", ["3", "", "z", None])},
                {"values": [[6.0], [-9.0], [-9.0], [-9.0]]},
            ),
            "dense without default": (
                {**EXPR, **TWO, "expression": "u + 1 + x"},
                {"u": ("list<float32>", [[], None, [1.0]]), "x": ("int64", [1])},
                {"values": [[0.0], [0.0], [3.0]]},
            ),
        },
    ),
    *rule(
        "8 The language of formulas, on numbers. (Values of functions of the C library differ by platform in "
        "their last bit, which float32 hides.)",
        "ours",
        {text: ({**EXPR, **TWO, "expression": text}, SCALARS) for text in FORMULAS},
    ),
    *rule(
        "8 Functions of whole vectors give one number; `variance` divides by n, `pop_variance` by n - 1.",
        "doc",
        {
            **{
                f"{call}(u, x)": ({**EXPR, **TWO, "expression": f"{call}(u, x)"}, VECTORS)
                for call in ("dot", "euclid_dist")
            },
            **{
                f"{call}(x)": ({**EXPR, "expression": f"{call}(x)"}, {"x": VECTORS["x"]})
                for call in REDUCTIONS
            },
            "corr(u, x)": (
                {**EXPR, **TWO, "expression": "corr(u, x)"},
                {"u": ("string", ["1\x1d2\x1d3"]), "x": ("list<int64>", [[2, 4, 6], [3, 2, 1]])},
                {"values": [[1.0], [-1.0]]},
            ),
        },
    ),
    *rule(
        "6.6, 8 Vectors are computed entry by entry; one entry stands for all, a shorter vector goes on as "
        "fill_missing. A dense result has value_dim numbers, or 1.",
        "doc",
        {
            "vectors of equal length": (
                {**EXPR, **TWO, "expression": "u * x", "value_dim": 3},
                {"u": ("string", ["1\x1d2\x1d3"]), "x": ("list<int64>", [[2, 2, 2], [10], [1, 1]])},
                {"values": [[2.0, 4.0, 6.0], [10.0, 20.0, 30.0], [1.0, 2.0, NAN]]},
            ),
            "the shorter vector is padded": (
                {**EXPR, **TWO, "expression": "u + x", "value_dim": 3, "fill_missing": 0.5},
                VECTORS,
            ),
            "the first of a vector": ({**EXPR, **TWO, "expression": "u * x"}, VECTORS),
            "boundaries of every entry": (
                {**EXPR, **TWO, "expression": "u * x", "boundaries": [0.25, 1]},
                VECTORS,
            ),
            "num_buckets of the result": ({**EXPR, **TWO, "num_buckets": 9, "expression": "u * x"}, SCALARS),
        },
    ),
]
