"""Random cells of every kind and type: words, numbers, texts of them, maps, and everything missing or odd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.features.referee.cells import Cell, Scalar

WORDS = ("a", "b", "c", "1", "2", "3", "ab c", "x_y", "中文", "é", "ua", "0", "1|2", "a,b")
KV_WORDS = ("a", "b", "c", "d", "1", "2", "中文", "x=2")
SEPARATORS = ("\x1d", "\x1d", "|", ",")
ODD_FLOATS = (0.0, -0.0, 1.0, 2.0, -1.5, 0.1, 0.3, 2.5, 10.0, 100.0, 1e-3, 1e6, 1234567.0, 16777217.0)
ODDER_FLOATS = (float("nan"), float("inf"), float("-inf"), 1e39, -1e39, 1e-40, 5e-324, 1e300)
ODD_INTEGERS = (0, 1, 2, 3, -1, 5, 10, 99, 100, 101, 2**31 - 1, -(2**31))
ODDER_INTEGERS = (2**53 + 1, 2**63 - 1, -(2**63))
INTEGER_TEXTS = ("0", "1", "5", "+01", "00099", "-1", "99", "100", " 7", "7 ", "-0")
ODDER_INTEGER_TEXTS = (
    "9223372036854775807",
    "9223372036854775808",
    "-99999999999999999999",
    "1.5",
    "abc",
    "+",
)
NUMBER_TEXTS = ("0.1", "0.3", "1e-3", " 2.5 ", ".5", "-0", "+1.25", "10", "3.", "0", "2", "-7.5E1")
ODDER_NUMBER_TEXTS = ("nan", "inf", "-inf", "1e39", "abc", "1,5", "0x10", "1e", "--1", "123456789.123")

# What a column of each kind may be declared as.
SCALAR_NUMBERS = ("int32", "int64", "float32", "float64")
MASK_WORDS = ("true", "false", "1", "0", "TRUE", "False", "1.0", "-2")
TEXTS = (
    *(
        "Hello, World!",
        "a-b_c d",
        "ＡＢＣ１２３，ｘ",
        "國漢 abc 學愛",
        "中文abc",
        "...",
        "x",
        "  a  b ",
        "A1b2C3",
    ),
    *("the cat", "the the dog", "<sep>cat", "low lower lowest", "　全角　", "aaa bbb", "3.14%"),
)
NUMBER_LISTS = ("list<int32>", "list<int64>", "list<float32>", "list<float64>")
TYPES = {
    "word": ("string", "string", "list<string>", *SCALAR_NUMBERS, *NUMBER_LISTS),
    "integer": ("string", "list<string>", "int32", "int64", "list<int64>", "list<int32>", "float64"),
    "number": (*SCALAR_NUMBERS, *SCALAR_NUMBERS, "string", "string", "list<string>", *NUMBER_LISTS),
    "scalar": (*SCALAR_NUMBERS, "string"),
    "weighted": ("string", "list<string>", "map<string,float32>", "map<int64,float64>", "map<string,int32>"),
    "pairs": ("string", "list<string>", "map<string,string>", "map<int64,string>"),
    "number pairs": (
        *("string", "list<string>", "map<string,float32>", "map<string,float64>", "map<int32,float32>"),
        *("map<int64,int64>", "map<string,string>"),
    ),
    "kv": (
        *("string", "list<string>", "map<string,float32>", "map<string,float64>", "map<int64,int32>"),
        *("list<int64>", "int32"),
    ),
    "mask": ("string", "list<string>", "int32", "list<int64>", "float32", "list<float64>"),
    "one mask": ("string", "int64", "float32"),
    "text": ("string",),
    "nested": ("string", "map<string,string>", "map<int64,string>"),
    "number nested": ("string", "map<string,string>", "map<int64,string>"),
}


class Data:
    """Draws cells; `odd` is how often a value is a strange one."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.odd = rng.choice((0.0, 0.05, 0.3))
        self.missing = rng.choice((0.0, 0.15, 0.5))

    def cell(self, kind: str, column_type: str) -> Cell:
        """One cell of a column, missing now and then."""
        if self.rng.random() < self.missing:
            return self.nothing(column_type)
        if column_type.startswith("map<"):
            return self._map(kind, column_type)
        if column_type.startswith("list<"):
            entry_type = column_type[5:-1]
            return [self._entry(kind, entry_type) for _ in range(self._size())]
        if column_type == "string":
            return self._text(kind)
        return self.scalar(kind, column_type)

    def sequence(self, kind: str, column_type: str, delimiter: str) -> Cell:
        """One cell of a sequence column: text cut at `delimiter`, an array, or an array of arrays."""
        if self.rng.random() < self.missing:
            return self.nothing(column_type)
        size = self._size(8)
        if column_type == "string":
            return delimiter.join(self._element_text(kind) for _ in range(size))
        entry_type = column_type[5:-1]
        if entry_type == "string":
            return [self._element_text(kind) for _ in range(size)]
        if entry_type.startswith("list<"):
            return [self.cell(kind, entry_type) for _ in range(size)]
        return [self.scalar(kind, entry_type) for _ in range(size)]

    def nothing(self, column_type: str) -> Cell:
        """Null, or the empty value of the type."""
        if self.rng.random() < 0.5:
            return None
        if column_type.startswith("map<"):
            return ()
        if column_type.startswith("list<"):
            return []
        return "" if column_type == "string" else None

    def scalar(self, kind: str, column_type: str) -> Scalar:
        """One value of a scalar type."""
        if column_type == "string":
            return self._word(kind)
        if column_type.startswith("int"):
            return self.integer(column_type)
        return self.number(column_type)

    def integer(self, column_type: str) -> int:
        """A small, a random or an odd integer."""
        if column_type == "int64" and self.rng.random() < self.odd:
            return self.rng.choice(ODDER_INTEGERS)
        return self.rng.choice(
            (self.rng.choice(ODD_INTEGERS), self.rng.randint(1, 3), self.rng.randint(-50, 1000))
        )

    def number(self, column_type: str) -> float:
        """A float that the column can hold."""
        if self.rng.random() < self.odd:
            value = self.rng.choice(ODDER_FLOATS)
        else:
            value = self.rng.choice(
                (self.rng.choice(ODD_FLOATS), float(self.rng.randint(1, 3)), self.rng.gauss(0, 10))
            )
        with np.errstate(over="ignore"):
            return float(np.float32(value)) if column_type == "float32" else value

    def _size(self, most: int = 4) -> int:
        return self.rng.randint(1, 40 if self.rng.random() < 0.03 else most)

    def _entry(self, kind: str, entry_type: str) -> Cell:
        if entry_type == "string" and self.rng.random() < self.missing / 3:
            return self.rng.choice(("", None))
        return self.scalar(kind, entry_type)

    def _element_text(self, kind: str) -> str:
        return "" if self.rng.random() < self.missing else self._text(kind)

    def _text(self, kind: str) -> str:
        """Several values in one text, cut by any separator, now and then with empty pieces."""
        if kind in ("nested", "number nested"):
            keys = self.rng.sample(WORDS, self.rng.randint(1, 3))
            return "|".join(f"{key}^{self._inner(kind)}" for key in keys)
        if kind in ("one mask", "text"):
            return self._word(kind)
        size = self._size()
        if kind in ("pairs", "number pairs"):
            return "\x1d".join(self._word(kind) for _ in range(size))
        if kind in ("number", "scalar", "integer") and self.rng.random() < 0.5:
            size = 1
        separator = self.rng.choice(SEPARATORS)
        pieces = [self._word(kind) for _ in range(size)]
        if self.rng.random() < 0.1:
            pieces.insert(self.rng.randint(0, size), "")
        return separator.join(pieces)

    def _word(self, kind: str) -> str:
        """One piece of text of a kind."""
        words: dict[str, Callable[[], str]] = {
            "word": lambda: self.rng.choice(WORDS),
            "integer": lambda: self._odd_text(INTEGER_TEXTS, ODDER_INTEGER_TEXTS),
            "number": lambda: self._odd_text(NUMBER_TEXTS, ODDER_NUMBER_TEXTS),
            "scalar": lambda: self._odd_text(NUMBER_TEXTS, ODDER_NUMBER_TEXTS),
            "weighted": lambda: self.rng.choice(
                (f"{self.rng.choice(WORDS)}:{self._weight()}", self.rng.choice(WORDS))
            ),
            "kv": lambda: self._kv(self.rng.choice(KV_WORDS)),
            "mask": lambda: self._odd_text(MASK_WORDS, ("maybe", "nan", "")),
            "one mask": lambda: self._odd_text(MASK_WORDS, ("maybe", "nan", "")),
            "text": lambda: self.rng.choice(TEXTS),
            "pairs": lambda: f"{self.rng.choice(WORDS)}:{self._value(kind)}",
            "number pairs": lambda: f"{self.rng.choice(WORDS)}:{self._weight()}",
        }
        return words[kind]()

    def _kv(self, key: str) -> str:
        return key if self.rng.random() < 0.4 else f"{key}:{self._weight()}"

    def _odd_text(self, usual: tuple[str, ...], odd: tuple[str, ...]) -> str:
        return self.rng.choice(odd if self.rng.random() < self.odd else usual)

    def _weight(self) -> str:
        return self.rng.choice(("1", "0.5", "2", "0.1", "-3", "1e-2", "100", f"{self.rng.gauss(0, 3):.4f}"))

    def _value(self, kind: str) -> str:
        if kind in ("number pairs", "number nested"):
            return self._weight()
        return self.rng.choice((*WORDS, "1,2", "v:w"))

    def _inner(self, kind: str) -> str:
        keys = self.rng.sample((*WORDS, "ALL"), self.rng.randint(1, 3))
        value = self._weight if kind == "number nested" else lambda: self.rng.choice(WORDS)
        return ",".join(f"{key}:{value()}" for key in keys)

    def _map(self, kind: str, column_type: str) -> Cell:
        key_type, value_type = column_type[4:-1].split(",")
        keys: list[Scalar] = (
            list(self.rng.sample(WORDS, self.rng.randint(1, 4)))
            if key_type == "string"
            else list(self.rng.sample((1, 2, 3, 0, -1, 100), self.rng.randint(1, 4)))
        )
        return tuple((key, self._map_value(kind, value_type)) for key in keys)

    def _map_value(self, kind: str, value_type: str) -> Scalar:
        if value_type != "string":
            return self.scalar("number", value_type)
        return self._inner(kind) if kind in ("nested", "number nested") else self._value(kind)
