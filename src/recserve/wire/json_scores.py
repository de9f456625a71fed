"""The request and the answer of a service with feature generation, in JSON.

    {"user": {"user_id": "u1", "age": 33, "clicks": ["a", "b"]},        one value per name
     "item_ids": ["i1", "i2"],                                          texts or whole numbers
     "context": {"position": [1, 2]}, "item_features": {"price": [9.5]},   per item, or one for all
     "debug_level": 0, "neighbours": 0, "meta": {"request_id": "r1"}}

    {"item_ids": ["i1", "i2"], "outputs": {"probs_ctr": [0.25, 0.5]}, "pass_through": …,
     "raw_features": …, "generate_features": …}                         the last three where there are any

| value                  | column            |
|------------------------|-------------------|
| text, number           | string, int64 or float64 |
| boolean                | int32             |
| list                   | list              |
| list of lists          | list of lists     |
| object                 | map with texts as keys |
| null, "", [], {}       | missing           |

It is readable, not fast: a server translates to and from the protobuf messages (torchrec.py), so that types,
rows and what is missing are the same by construction. A list longer than `item_ids` is cut there, a shorter
one refused.

Ours: all of it. Numbers in an answer have as few digits as tell them from their neighbours of the same
type. What is no finite number is `null` there; JSON has no NaN, and a request that writes one is refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recserve.columns import Batch, Column, column_from_arrow
from recserve.config.document import parse_json
from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError, DataError, RequestError
from recserve.messages import ScoreRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from recserve.messages import ScoreResponse

#: Key of a request → what it holds.
KEYS: dict[str, type] = {
    "user": dict,
    "item_ids": list,
    "context": dict,
    "item_features": dict,
    "debug_level": int,
    "neighbours": int,
    "meta": dict,
}
_SHOWN = {
    dict: "an object",
    list: "a list",
    int: "a whole number",
    str: "a text",
    float: "a number",
    bool: "a boolean",
}
_INT32 = 2**31


def decode(body: bytes) -> ScoreRequest:
    """Read the body of a request. Raises RequestError that names key, feature and value."""
    return from_json(parse_body(body))


def parse_body(body: bytes) -> dict[str, Any]:
    """Read a JSON object strictly. Raises RequestError: "failed to parse request: ..."."""
    try:
        return parse_json(body.decode(), "request")
    except UnicodeDecodeError as error:
        raise RequestError(f"failed to parse request: byte {error.start} is not UTF-8") from error
    except ConfigError as error:
        raise RequestError(f"failed to parse request: {error}") from error


def from_json(content: Mapping[str, Any]) -> ScoreRequest:
    """Make a request of a JSON object; see the head of this file."""
    for key, value in content.items():
        if key not in KEYS:
            raise RequestError(
                f"unknown key '{key}' in a request{did_you_mean(key, KEYS)}; known: {', '.join(KEYS)}"
            )
        if not isinstance(value, KEYS[key]) or isinstance(value, bool):
            raise RequestError(f"'{key}' is {kind_of(value)}; {_SHOWN[KEYS[key]]} is expected")
    item_ids = [_item_id(place, value) for place, value in enumerate(content.get("item_ids", ()))]
    sides = {side: content.get(side, {}) for side in ("context", "item_features")}
    rows = len(item_ids) or max((len(_listed(side, *pair)) for side, pair in _pairs(sides)), default=1)
    return ScoreRequest(
        user=_batch(1, "user", {name: [value] for name, value in content.get("user", {}).items()}),
        item_ids=column_from_arrow(_array("item_ids", "", item_ids, pa.string())),
        context=_batch(rows, "context", sides["context"]),
        item_features=_batch(rows, "item_features", sides["item_features"]),
        rows=rows,
        debug_level=_int32(content, "debug_level"),
        neighbours=_int32(content, "neighbours"),
        meta={name: _text(name, value) for name, value in content.get("meta", {}).items()},
    )


def encode(response: ScoreResponse) -> bytes:
    """Write the body of an answer."""
    ids = pa.array(response.item_ids).to_pylist()
    outputs = ", ".join(
        f"{json.dumps(name, ensure_ascii=False)}: {numbers(values)}"
        for name, values in response.outputs.items()
    )
    rest = {
        "pass_through": response.pass_through,
        "raw_features": response.raw_features,
        "generate_features": response.generate_features,
    }
    more = "".join(
        f', "{name}": {json.dumps(dict(texts), ensure_ascii=False)}' for name, texts in rest.items() if texts
    )
    return f'{{"item_ids": {json.dumps(ids, ensure_ascii=False)}, "outputs": {{{outputs}}}{more}}}'.encode()


def numbers(values: NDArray[Any]) -> str:
    """An array as nested lists of JSON; what is not finite is null."""
    if values.dtype.kind == "f":
        texts = np.where(np.isfinite(values), values.astype(str), "null")
    else:
        texts = np.char.lower(values.astype(str))  # true, false
    return _nested(texts)


def _nested(texts: NDArray[Any]) -> str:
    if texts.ndim == 0:
        return str(texts)
    entries: Iterable[str] = texts.tolist() if texts.ndim == 1 else map(_nested, texts)
    return f"[{', '.join(entries)}]"


# --- cells ------------------------------------------------------------------------------------------------


def _pairs(sides: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, tuple[str, Any]]]:
    return ((side, pair) for side, columns in sides.items() for pair in columns.items())


def _listed(side: str, name: str, values: Any) -> list[Any]:
    if isinstance(values, list):
        return values
    raise RequestError(f"{side} '{name}' is {kind_of(values)}; a list with one value per item is expected")


def _batch(rows: int, side: str, columns: Mapping[str, Any]) -> Batch:
    batch = Batch(rows)
    for name, values in columns.items():
        count = len(_listed(side, name, values))
        if count < rows and count != 1:
            raise RequestError(f"{side} '{name}' has {count} values for {rows} items; send {rows} or 1")
        batch.add(name, _column(side, name, values[:rows]))
    return batch


def _column(side: str, name: str, values: list[Any]) -> Column:
    cells = [_cell(side, name, value) for value in values]
    if any(isinstance(cell, dict) for cell in cells):
        return _maps(side, name, cells)
    try:
        return column_from_arrow(_array(side, name, cells), name)
    except DataError as error:
        raise _unfit(side, name, error) from error


def _cell(side: str, name: str, value: Any) -> Any:
    """One row's value; empty ones are missing, as clients of the protocol send them."""
    if isinstance(value, (str, list, dict)) and not value:
        return None
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if any(entry is None or (isinstance(entry, list) and None in entry) for entry in entries):
        raise RequestError(f"{side} '{name}': null inside a list or an object; leave it out")
    return value


def _maps(side: str, name: str, cells: list[Any]) -> Column:
    if not all(cell is None or isinstance(cell, dict) for cell in cells):
        raise RequestError(
            f"{side} '{name}': objects beside other values; the values of one column need one type"
        )
    entries = [entry for cell in cells if cell for entry in cell.values()]
    pairs = [None if cell is None else list(cell.items()) for cell in cells]
    kind = pa.map_(pa.string(), _array(side, name, entries).type)
    try:
        return column_from_arrow(_array(side, name, pairs, kind), name)
    except DataError as error:
        raise _unfit(side, name, error) from error


def _array(side: str, name: str, cells: list[Any], kind: pa.DataType | None = None) -> pa.Array:
    try:
        return pa.array(cells, kind)
    except (pa.ArrowException, TypeError, OverflowError, UnicodeError) as error:
        raise _unfit(side, name, error) from error


def _unfit(side: str, name: str, error: Exception) -> RequestError:
    where = f"{side} '{name}'" if name else f"'{side}'"
    return RequestError(f"{where}: {error}; the values of one column need one type")


# --- single values ----------------------------------------------------------------------------------------


def _item_id(place: int, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RequestError(f"item_ids[{place}] is {kind_of(value)}; a text or a whole number is expected")


def _int32(content: Mapping[str, Any], key: str) -> int:
    value: int = content.get(key, 0)
    if not -_INT32 <= value < _INT32:
        raise RequestError(f"'{key}' is {str(value)[:50]}; it has no more than 32 bits")
    return value


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise RequestError(f"meta '{name}' is {kind_of(value)}; a text is expected")


def kind_of(value: Any) -> str:
    """What a value of JSON is called."""
    return "null" if value is None else _SHOWN.get(type(value), type(value).__name__)
