"""The columns that a request must give, read off a parsed message in plain Python by the written rules.

A column is (shape, key type, value type, rows); a map row is a list of pairs sorted by key, a missing row is
None. Shares no code with the native decoder.
"""

from __future__ import annotations

import math
import re
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from recserve.messages import InputSchema

KINDS = {"int": "int32", "long": "int64", "string": "string", "float": "float32", "double": "float64"}
INTEGERS = {"int32": 2**31, "int64": 2**63}


class Kind(NamedTuple):
    """What a column, or one cell, holds."""

    shape: str
    key: str
    value: str


class Refused(Exception):  # noqa: N818 - the reading of a rule, not an error of ours
    """The request breaks the rules of alignment."""


class Counter:
    """Values that could not be cast."""

    unparsable = 0


def kind_of(member: str) -> Kind:
    """What a member of PBFeature's oneof holds, by its name."""
    words = member.split("_")
    if words[-1] == "feature":
        return Kind("scalar", "", KINDS[words[0]])
    if words[-1] == "map":
        return Kind("map", KINDS[words[0]], KINDS[words[1]])
    return Kind("list" if words[-1] == "list" else "nested", "", KINDS[words[0]])


BY_MEMBER: dict[str, Kind] = {}


def read(feature: Any) -> tuple[Kind, Any] | None:
    """Kind and value of a PBFeature; None when it is missing."""
    member = feature.WhichOneof("value")
    if member is None:
        return None
    kind = BY_MEMBER.get(member) or BY_MEMBER.setdefault(member, kind_of(member))
    field = getattr(feature, member)
    if kind.shape == "scalar":
        return None if field == "" else (kind, field)
    if kind.shape == "map":
        content: Any = list(field.map_field.items())
    elif kind.shape == "list":
        content = list(field.features)
    else:
        content = [list(inner.features) for inner in field.lists]
    return (kind, content) if content else None


def declared_kind(text: str) -> Kind:
    """A type of the input schema."""
    if found := re.fullmatch(r"map<(\w+),(\w+)>", text):
        return Kind("map", found[1], found[2])
    if found := re.fullmatch(r"list<list<(\w+)>>", text):
        return Kind("nested", "", found[1])
    if found := re.fullmatch(r"list<(\w+)>", text):
        return Kind("list", "", found[1])
    return Kind("scalar", "", text)


def wider(first: str, second: str) -> str:
    """A type for numbers of both; text or number is what the first entry says."""
    if first == second or "string" in (first, second):
        return first
    return "int64" if {first, second} == {"int32", "int64"} else "float64"


def column_kind(cells: list[tuple[Kind, Any] | None], declared: str | None) -> Kind:
    """The table "What type a column gets" of recserve/wire/torchrec.py."""
    present = [cell[0] for cell in cells if cell]
    wanted = declared_kind(declared) if declared else None
    if not present:
        return wanted or Kind("scalar", "", "string")
    shapes = {kind.shape for kind in present}
    value = reduce(wider, (kind.value for kind in present))
    if shapes == {"map"}:
        sent = Kind("map", reduce(wider, (kind.key for kind in present)), value)
        return wanted if wanted and wanted.shape == "map" else sent
    texts = Kind("scalar", "", "string") in present
    shape = column_shape(shapes, texts, wanted)
    delimited = shape == "scalar" and texts and wanted is not None and wanted.shape != "scalar"
    if "map" in shapes or (wanted and wanted.shape == "map") or delimited:
        return Kind(shape, "", "string")
    return Kind(shape, "", wanted.value if wanted else value)


def column_shape(shapes: set[str], texts: bool, wanted: Kind | None) -> str:
    """The shape of a column that is not all maps; `texts`: some entries are plain texts."""
    if "nested" in shapes:
        return "nested"
    if shapes & {"list", "map"}:
        return "list"
    return "list" if wanted and wanted.shape == "list" and not texts else "scalar"


def text_of(number: Any) -> str:
    """A number, or a text, as text."""
    if isinstance(number, str):
        return number
    if isinstance(number, int):
        return str(number)
    return "%.6g" % (number + 0.0 if number else 0.0)


def cast(value: Any, wanted: str) -> Any:
    """The table "What is cast, and how"; None when there is no equivalent."""
    if wanted == "string":
        return text_of(value)
    number = number_of(value, wanted) if isinstance(value, str) else value
    if number is None:
        return None
    if wanted in INTEGERS:
        return whole(number, INTEGERS[wanted])
    with np.errstate(over="ignore"):
        wide = np.int64(number) if isinstance(number, int) else number
        return float(np.float32(wide) if wanted == "float32" else np.float64(wide))


def whole(number: int | float, end: int) -> int | None:
    """Cut toward zero; None when nothing in [-end, end) is meant."""
    if isinstance(number, float) and not math.isfinite(number):
        return None
    number = math.trunc(number)
    return number if -end <= number < end else None


def number_of(text: str, wanted: str) -> int | float | None:
    text = text.strip(" \t\n\v\f\r")
    if wanted in INTEGERS and re.fullmatch(r"[+-]?\d+", text, re.ASCII) and -(2**63) <= int(text) < 2**63:
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.ASCII | re.IGNORECASE):
        return float(text)
    return None


def values_of(cell: tuple[Kind, Any]) -> list[Any]:
    """The values of a cell that is no list of lists, as a list."""
    kind, content = cell
    if kind.shape == "map":
        return [f"{text_of(key)}:{text_of(value)}" for key, value in content]
    if kind.shape == "list":
        return list(content)
    return [piece for piece in content.split("\x1d") if piece] if kind.value == "string" else [content]


def row_of(cell: tuple[Kind, Any] | None, column: Kind, counter: Counter) -> Any:
    """One row of the column, cast."""

    def cast_all(values: list[Any]) -> list[Any]:
        result = [found for v in values if (found := cast(v, column.value)) is not None]
        counter.unparsable += len(values) - len(result)
        return result

    if cell is None:
        return None
    kind, content = cell
    match column.shape, kind.shape:
        case "scalar", _:
            row: Any = next(iter(cast_all([content])), None)
        case "list", _:
            row = cast_all(values_of(cell)) or None
        case "map", _:
            pairs = [(cast(k, column.key), cast(v, column.value)) for k, v in content]
            kept = sorted(pair for pair in pairs if None not in pair)
            counter.unparsable += len(pairs) - len(kept)
            row = kept or None
        case _, "nested":
            row = [cast_all(inner) for inner in content]
        case _, "scalar":
            row = [cast_all(values_of(cell))]
        case _:
            row = [cast_all([value]) for value in values_of(cell)]
    return row


def side(
    features: dict[str, list[Any]], rows: int, types: dict[str, str], counter: Counter, *, silent: bool
) -> dict[str, tuple[Kind, list[Any]]]:
    """The columns of one side; `silent`: no ids and only empty lists came."""
    columns = {}
    for name, sent in features.items():
        if len(sent) < rows and len(sent) != 1 and not (silent and not sent):
            raise Refused(f"'{name}' has {len(sent)} entries for {rows} items")
        cells = [read(feature) for feature in sent[:rows]] or [None]
        kind = column_kind(cells, types.get(name))
        columns[name] = (kind, [row_of(cell, kind, counter) for cell in cells])
    return columns


def expected(message: Any, schema: InputSchema, counter: Counter) -> dict[str, Any]:
    """Everything that decoding the message must give."""
    context = {name: list(value.features) for name, value in message.context_features.items()}
    item = {name: list(value.features) for name, value in message.item_features.items()}
    longest = max((len(cells) for cells in (*context.values(), *item.values())), default=0)
    rows = len(message.item_ids) or longest or 1
    silent = not message.item_ids and longest == 0
    user = {name: [feature] for name, feature in message.user_features.items()}
    return {
        "user": side(user, 1, dict(schema.user), counter, silent=False),
        "context": side(context, rows, dict(schema.context), counter, silent=silent),
        "item_features": side(item, rows, dict(schema.item), counter, silent=silent),
        "item_ids": list(message.item_ids),
        "rows": rows,
        "debug_level": message.debug_level,
        "neighbours": message.faiss_neigh_num,
        "meta": dict(message.meta_data),
    }
