"""The types that a field of a feature view may have, and the Arrow types that stand for them.

The names are those of the hosted product's SDKs, in lower case: int32, array<string>, map<string,float>, …
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBERS = {"int32": pa.int32(), "int64": pa.int64(), "float": pa.float32(), "double": pa.float64()}
_WORDS = {**_NUMBERS, "string": pa.string()}

TYPES: Mapping[str, pa.DataType] = {
    **_WORDS,
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("ms", "UTC"),
    **{f"array<{name}>": pa.list_(arrow) for name, arrow in _WORDS.items()},
    "array<array<float>>": pa.list_(pa.list_(pa.float32())),
    **{
        f"map<{key},{name}>": pa.map_(_WORDS[key], arrow)
        for key in ("int32", "int64", "string")
        for name, arrow in _WORDS.items()
    },
}
"""All 28 of them, by name."""


def spelled(name: str) -> str:
    """The name as `TYPES` has it, of one in any case and with blanks: "ARRAY<INT32>" is "array<int32>"."""
    return re.sub(r"\s", "", name).lower()


def value_type(name: str) -> pa.DataType:
    """What a feature of this type reaches models as: as it is, but a moment is milliseconds since 1970.

    Ours: so it is one integer, the same in memory, in look-ups and in training sets.
    """
    return pa.int64() if name == "timestamp" else TYPES[name]
