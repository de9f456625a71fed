"""Plain Python and numpy values ──▶ ScoreRequest.

    build_request(
        user={"user_id": 7, "clicks": ["a", "b"], "age": None},
        item_ids=["i1", "i2"],
        context={"position": [1, 2]},
        item_features={"price": [9.5, None]},
    )

| value                                  | sent as                              |
|----------------------------------------|--------------------------------------|
| str, int, float, numpy scalar          | string, int64, double, its own type  |
| list, tuple, one-dimensional array     | list of the same                     |
| list of lists, two-dimensional array   | list of lists                        |
| dict                                   | map                                  |
| None, "", [], {}                       | missing                              |

`user` has one value per name; `context` and `item_features` have a list with one value per item, or with
one value that stands for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from recserve.columns import Batch, column_from_arrow
from recserve.config.document import parse_json
from recserve.errors import RequestError
from recserve.messages import ScoreRequest
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


Cells: TypeAlias = "Sequence[Any] | NDArray[Any]"  # one value per item, or one for all


def build_request(
    user: Mapping[str, Any] | None = None,
    item_ids: Sequence[Any] = (),
    *,
    context: Mapping[str, Cells] | None = None,
    item_features: Mapping[str, Cells] | None = None,
    debug_level: int = 0,
    meta: Mapping[str, str] | None = None,
) -> ScoreRequest:
    """Make one request; without item_ids the longest list of context and item features says how many rows.

    Raises RequestError naming the feature when the values of a column differ in type, or do not fit the ids.
    """
    lists = {**_lists("context", context), **_lists("item_features", item_features)}
    rows = len(item_ids) or max((len(values) for values in lists.values()), default=1)
    for (side, name), values in lists.items():
        if len(values) not in (1, rows):
            raise RequestError(f"{side} '{name}' has {len(values)} values for {rows} items; send {rows} or 1")
    return ScoreRequest(
        user=_batch(1, "user", {name: [value] for name, value in (user or {}).items()}),
        item_ids=column_from_arrow(pa.array([str(item) for item in item_ids], pa.string())),
        context=_batch(rows, "context", context or {}),
        item_features=_batch(rows, "item_features", item_features or {}),
        rows=rows,
        debug_level=debug_level,
        meta=dict(meta or {}),
    )


def _lists(side: str, features: Mapping[str, Cells] | None) -> dict[tuple[str, str], Cells]:
    for name, values in (features or {}).items():
        if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
            raise RequestError(
                f"{side} '{name}' is a {type(values).__name__}; a list with one value per item is expected"
            )
    return {(side, name): values for name, values in (features or {}).items()}


def _batch(rows: int, side: str, features: Mapping[str, Cells]) -> Batch:
    batch = Batch(rows)
    for name, values in features.items():
        try:
            batch.add(name, column_from_arrow(_array([_cell(value) for value in values]), name))
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise RequestError(f"{side} '{name}': {error}; the values of one column need one type") from error
    return batch


def _cell(value: Any) -> Any:
    """One row's value; empty ones are missing, as clients of the protocol send them."""
    plain = _plain(value)
    return None if isinstance(plain, (list, str, bytes, Mapping)) and not plain else plain


def _plain(value: Any) -> Any:
    """Lists in place of arrays and tuples, whose types Arrow can tell; elements must not be None."""
    if isinstance(value, np.ndarray):
        value = list(value) if value.ndim else value[()]
    if isinstance(value, (list, tuple)):
        if any(part is None for part in value):
            raise TypeError("None inside a list")
        return [_plain(part) for part in value]
    return value


def _array(cells: list[Any]) -> pa.Array:
    if not any(isinstance(cell, Mapping) for cell in cells):
        return pa.array(cells)
    pairs = [None if cell is None else list(cell.items()) for cell in cells]
    flat = [pair for row in pairs if row for pair in row]
    keys = pa.array([key for key, _ in flat]).type
    return pa.array(pairs, pa.map_(keys, pa.array([value for _, value in flat]).type))


# What a request in JSON may hold, and what each is when absent.
_KEYS = ("user", "item_ids", "context", "item_features", "debug_level", "meta")


def from_json(content: Mapping[str, Any]) -> ScoreRequest:
    """Make a request of a JSON object with the arguments of `build_request` as keys."""
    for key, value in content.items():
        if key not in _KEYS:
            raise RequestError(f"unknown key '{key}' in a request; known: {', '.join(_KEYS)}")
        wanted = {"item_ids": list, "debug_level": int}.get(key, dict)
        if not isinstance(value, wanted):
            raise RequestError(f"'{key}' is a {type(value).__name__}; a {wanted.__name__} is expected")
    return build_request(**content)


def read_bodies(path: Path) -> list[bytes]:
    """Encoded requests from a .jsonl file, a .pb file, or the .pb files of a folder by name."""
    files = sorted(path.glob("*.pb")) if path.is_dir() else [path]
    try:
        if path.suffix == ".jsonl":
            lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            bodies = [
                encode_request(from_json(parse_json(line, f"{path}, request {number}")))
                for number, line in lines
                if line.strip()
            ]
        else:
            bodies = [file.read_bytes() for file in files]
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from None
    if not bodies:
        raise RequestError(f"{path} holds no request; a .jsonl file or .pb files are expected")
    return bodies
