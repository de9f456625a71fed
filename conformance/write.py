"""Writes the test vectors of this folder: `python -m conformance.write` from the root of the project.

Every expected value comes from the plain Python of `conformance/plain`, those of `features` from the referee
in tests/features/referee; none from the native core.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from conformance.plain.bucketize import bucket, float32
from conformance.plain.expression import evaluate
from conformance.plain.hash import fingerprint64, hash_double, hash_float, murmur64a
from conformance.plain.normalize import normalize

from conformance import vectors as features

FOLDER = Path(__file__).resolve().parent

Case = dict[str, Any]

TEXTS = [
    "",
    "0",
    "1",
    "abc",
    "hij",
    "xyz",
    "ua_ia",
    "12345678",
    "123456789",
    "中文",
    "a\0b",
    "\0",
    "match_feat_1",
]
FLOATS = [0.0, -0.0, 10.0, 20.0, 30.0, -1.5, 0.1, 1e-45, 3.4028234663852886e38, math.inf, math.nan]

BUCKETIZERS: list[tuple[Case, list[tuple[str, Any]]]] = [
    (
        {"hash_bucket_size": 100},
        [
            *(("text", text) for text in TEXTS),
            *(("integer", number) for number in (0, 1, -5, 12345678, 2**63 - 1, -(2**63))),
            *(("float32", float32(number)) for number in FLOATS),
            *(("float64", number) for number in FLOATS),
            *(("int64", number) for number in (0, 7, 107, -1, -(2**63))),
        ],
    ),
    (
        {"hash_bucket_size": 100, "farm": True},
        [*(("text", text) for text in TEXTS), ("float32", 10.0), ("integer", 1)],
    ),
    (
        {"hash_bucket_size": 2**63 - 1},
        [("text", "abc"), ("text", "xyz"), ("integer", 1), ("int64", -1), ("int64", -2), ("float32", 10.0)],
    ),
    ({"hash_bucket_size": 1}, [("text", "abc"), ("float32", 10.0)]),
    (
        {"num_buckets": 100},
        [
            *(
                ("text", text)
                for text in (
                    "0",
                    "99",
                    "100",
                    "-1",
                    "+01",
                    "00099",
                    " 7 ",
                    "-0",
                    "7.0",
                    "1|2",
                    "",
                    "+",
                    "+-1",
                )
            ),
            *(
                ("text", text)
                for text in ("9223372036854775807", "9223372036854775808", "-99999999999999999999", "1e1")
            ),
            *(("integer", number) for number in (0, 5, 99, 100, -1, 2**63 - 1)),
            *(
                ("float32", number)
                for number in (1.5, 0.5, -0.5, -1.0, 99.5, 100.0, math.nan, math.inf, -math.inf)
            ),
            *(("float64", number) for number in (1.9999999999999998, 99.99999999999999, 1e300)),
            *(("int64", number) for number in (99, 100, -1)),
        ],
    ),
    (
        {
            "vocab": [
                ["default", 0],
                ["<OOV>", 1],
                ["a", 2],
                ["b", 3],
                ["a", 4],
                ["1", 5],
                ["", 6],
                ["1.5", 7],
            ],
            "default": 1,
        },
        [
            *(("text", text) for text in ("default", "a", "b", "c", "<OOV>", "", "a ", "A")),
            ("integer", 1),
            ("integer", 2),
            ("float32", 1.0),
            ("float32", 1.5),
            ("float64", 1.5000001),
            ("int64", 1),
        ],
    ),
    (
        {"vocab": [["x", 7], ["y", 7], ["z", -1]], "default": -3},
        [("text", "x"), ("text", "y"), ("text", "z"), ("text", "?")],
    ),
    (
        {"boundaries": [float32(0.1), 5.0, 10.5]},
        [
            *(
                ("float32", float32(x))
                for x in (0.0, 0.1, 5.0, 4.9999995, 10.5, 11.0, -1e30, math.inf, -math.inf, math.nan)
            ),
            *(("float64", x) for x in (0.1, 0.09999999999999999, 10.500000001, 4.99999999999)),
            *(
                ("text", text)
                for text in ("0.1", " 5 ", "+10.5", "abc", "", "nan", "1e400", "-1e400", "1_0", "0x10")
            ),
            ("integer", 5),
            ("int64", 11),
        ],
    ),
    ({"boundaries": [3.0]}, [("float32", 2.0), ("float32", 3.0)]),
]

NORMALIZERS: list[tuple[str, list[float], list[float]]] = [
    ("method=log10", [1.0, 2.0, 0.0, -1.0, 1000.0, 3.0, 1e30], [1.0, 2.0, 1.0000000001, 1e300]),
    (
        "method=log10,threshold=1e-10,default=-10",
        [0.0, 1e-11, 1e-9, 5.0],
        [1e-10, 1e-9, 1.00000000000001e-10],
    ),
    ("method=zscore,mean=0.1,standard_deviation=0.3", [0.1, 0.2, -5.0, 1e20], [0.1, 0.2, -5.0]),
    ("method=zscore,mean=0,standard_deviation=10", [1.0, 25.0, -3.3], [1.0, 25.0, -3.3]),
    ("method=minmax,min=2.1,max=2.2", [2.1, 2.2, 2.15, 0.0, 9.0], [2.1, 2.2, 2.15, 0.0, 9.0]),
    ("method=minmax,min=0,max=0", [0.0, 1.0, -1.0], [0.0, 1.0, -1.0]),
    ("method=expression,expr=sign(x)", [-2.0, 0.0, 3.0], [-2.0, 0.0, 3.0]),
    ("method=expression,expr=x > 0.1 ? min(x, 1) : -1", [0.1, 0.2, 7.0, 0.0], [0.1, 0.2, 7.0, 0.0]),
]

V = [1.0, 2.0, 3.0, 4.0]

FORMULAS: list[tuple[str, dict[str, Any], float]] = [
    *(
        (formula, {"a": 7.0, "b": -2.0, "c": 0.0}, math.nan)
        for formula in (
            "a + b * 3",
            "(a + b) * 3",
            "a - b - 1",
            "a / b / 2",
            "2 ^ 3 ^ 2",
            "-2 ^ 2",
            "2 ^ -1",
            "-a + b",
            "2 * -a",
            "--a",
            "1 + 2 < 4",
            "1 < 2 == 1",
            "5 & 3 == 3",
            "6 | 1 & 3",
            "1 || 0 && 0",
            "a & 5.9",
            "-1 & 255",
            "1e300 & 1",
            "a > 0 ? 1 : 2",
            "c ? 1 : b ? 2 : 3",
            "a > 0 ? b > 0 ? 1 : 2 : 3",
            "a > b && c",
            "a / c",
            "b / c",
            "c / c",
            "1e-3 + .5 + 1.",
            "_pi",
            "_e * 1",
            "isnan(c / c)",
            "isnan(a)",
            "c / c == c / c",
            "c / c != c / c",
            "c / c ? 1 : 2",
            "sqrt(b)",
            "log(c)",
            "log(b)",
            "ln(a)",
            "log2(8)",
            "log10(1000)",
            "exp(1000)",
            "sign(b)",
            "sign(c)",
            "sign(c / c)",
            "round(2.5)",
            "round(-2.5)",
            "rint(-2.5)",
            "rint(2.5)",
            "trunc(-2.7)",
            "floor(-2.1)",
            "ceil(-2.9)",
            "abs(b)",
            "roundp(2.345, 2)",
            "roundp(-2.5, 0)",
            "roundp(1250, -2)",
            "roundp(a, 400)",
            "roundp(a, -400)",
            "mod(a, 3)",
            "mod(-7, 3)",
            "mod(7, -3)",
            "mod(a, 0)",
            "sigmoid(0)",
            "sigmoid(-1000)",
            "sigmoid(a)",
            "min(a, b, 3)",
            "max(a, b, 3)",
            "sum(a, b, 3)",
            "avg(a, b, 3)",
            "-sum(-0, -0)",
            "-avg(-0, -0)",
            "min(c / c, a)",
            "min(a, c / c)",
            "sin(a)",
            "cos(a)",
            "tan(a)",
            "asin(2)",
            "acos(.5)",
            "atan(b)",
            "sinh(b)",
            "cosh(b)",
            "tanh(b)",
            "asinh(b)",
            "acosh(a)",
            "atanh(.5)",
            "acosh(c)",
            "sphere_dist(0, 0, 90, 0)",
            "haversine(116.4, 39.9, 121.5, 31.2)",
            "haversine(0, 0, 180, 0)",
            "len(a)",
            "std_dev(a)",
        )
    ),
    *(
        (f"{function}(v)", {"v": V}, math.nan)
        for function in (
            "len",
            "l2_norm",
            "squared_norm",
            "std_dev",
            "variance",
            "pop_std_dev",
            "pop_variance",
            "reduce_min",
            "reduce_max",
            "reduce_sum",
            "reduce_mean",
            "reduce_prod",
        )
    ),
    ("pop_variance(v)", {"v": [5.0]}, math.nan),
    ("dot(v, w)", {"v": [float32(0.2), float32(0.3)], "w": [float32(0.2), float32(0.2)]}, math.nan),
    ("euclid_dist(v, w)", {"v": V, "w": [4.0, 3.0, 2.0, 1.0]}, math.nan),
    ("corr(v, w)", {"v": V, "w": [2.0, 4.0, 6.0, 8.5]}, math.nan),
    ("corr(v, w)", {"v": V, "w": [3.0, 3.0, 3.0, 3.0]}, math.nan),
    ("dot(v, w)", {"v": V, "w": [2.0]}, math.nan),
    ("dot(v, w)", {"v": V, "w": [2.0, 3.0]}, 10.0),
    ("a * reduce_sum(v) + len(v)", {"a": 2.0, "v": V}, math.nan),
    ("v + w", {"v": V, "w": [10.0, 20.0]}, math.nan),
    ("v + w", {"v": V, "w": [10.0, 20.0]}, 0.0),
    ("u + v + w", {"u": [1.0, 1.0], "v": [1.0, 1.0, 1.0], "w": V}, 100.0),
    ("v * w + a", {"v": V, "w": [2.0], "a": 1.0}, math.nan),
    ("v > 2", {"v": V}, math.nan),
    ("v > 2 ? v : -w", {"v": V, "w": [5.0]}, math.nan),
    ("max(v, w)", {"v": V, "w": [9.0, 0.0]}, -1.0),
    ("avg(v, w, a)", {"v": V, "w": [2.0, 4.0, 6.0, 8.0], "a": 3.0}, math.nan),
    ("roundp(v / 3, 2)", {"v": V}, math.nan),
    ("1 + 2", {"v": V}, math.nan),
]

REJECTED: list[tuple[str, list[str]]] = [
    ("", ["a"]),
    ("a +", ["a"]),
    ("a b", ["a", "b"]),
    ("(a", ["a"]),
    ("a)", ["a"]),
    ("c", ["a"]),
    ("foo(a)", ["a"]),
    ("sin", ["a"]),
    ("sin()", ["a"]),
    ("sin(a, a)", ["a"]),
    ("min()", ["a"]),
    ("rnd(1)", ["a"]),
    ("a ? 1", ["a"]),
    ("a = 1", ["a"]),
    ("a % 2", ["a"]),
    ("!a", ["a"]),
    ("2a", ["a"]),
    ("1..2", ["a"]),
    (".", ["a"]),
    ("'x'", ["a"]),
    ("a,a", ["a"]),
    ("a", ["a", "a"]),
    ("(" * 10000 + "a" + ")" * 10000, ["a"]),
]


def hashes() -> dict[str, list[Case]]:
    """Texts, every prefix of 1024 bytes, and numbers."""
    state, noise = 1, bytearray()
    for _ in range(1024):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        noise.append(state >> 56)
    prefixes = [bytes(noise[:length]) for length in range(1025)]
    return {
        "texts": [{"bytes": text.encode().hex(), **_hashes_of(text.encode())} for text in TEXTS],
        "prefix_bytes": [{"bytes": noise.hex()}],
        "prefixes": [{"length": len(prefix), **_hashes_of(prefix)} for prefix in prefixes],
        "float32": [{"number": encode(float32(x)), "hash": f"{hash_float(float32(x)):016x}"} for x in FLOATS],
        "float64": [{"number": encode(x), "hash": f"{hash_double(x):016x}"} for x in FLOATS],
    }


def _hashes_of(data: bytes) -> Case:
    return {"murmur64a": f"{murmur64a(data):016x}", "fingerprint64": f"{fingerprint64(data):016x}"}


def bucketizers() -> dict[str, list[Case]]:
    """Every bucketizer with values of every kind that it takes."""
    cases = [
        {"bucketizer": number, kind: encode(value), "id": bucket(bucketizer, kind, value)}
        for number, (bucketizer, values) in enumerate(BUCKETIZERS)
        for kind, value in values
    ]
    return {"bucketizers": [bucketizer for bucketizer, _ in BUCKETIZERS], "cases": cases}


def normalizers() -> dict[str, list[Case]]:
    """Every method, with numbers and with numbers that were text."""
    return {
        "cases": [
            {"normalizer": config, kind: encode(x), "expected": encode(normalize(config, kind, x))}
            for config, numbers, texts in NORMALIZERS
            for kind, values in (("float32", map(float32, numbers)), ("text", texts))
            for x in values
        ]
    }


def expressions() -> dict[str, list[Case]]:
    """Formulas with their results, and formulas that must be rejected."""
    return {
        "cases": [
            {
                "formula": formula,
                "variables": {name: encode(value) for name, value in variables.items()},
                "fill_missing": encode(fill),
                "expected": encode(evaluate(formula, vectors(variables), fill)),
            }
            for formula, variables, fill in FORMULAS
        ],
        "rejected": [{"formula": formula, "variables": names} for formula, names in REJECTED],
    }


def vectors(variables: dict[str, Any]) -> dict[str, list[float]]:
    """Every variable as a list."""
    return {name: value if isinstance(value, list) else [value] for name, value in variables.items()}


def encode(value: Any) -> Any:
    """JSON has no NaN and no infinity: they are the texts that the numbers print as."""
    if isinstance(value, list):
        return [encode(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def decode(value: Any) -> Any:
    """The other way round, for a number or a list of them."""
    if isinstance(value, list):
        return [decode(entry) for entry in value]
    return float(value) if isinstance(value, str) else value


def write(name: str, document: dict[str, list[Case]]) -> None:
    """One case a line, so that a change shows which."""
    lists = (
        json.dumps(key) + ": [\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]"
        for key, cases in document.items()
    )
    (FOLDER / name).write_text("{" + ",\n".join(lists) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    write("hash.json", hashes())
    write("bucketize.json", bucketizers())
    write("normalize.json", normalizers())
    write("expression.json", expressions())
    features.write()
