"""What callers know ──▶ ScoreRequest ──wire──▶ bytes.

    build_request(
        user={"user_id": 7, "clicks": ["a", "b"], "age": None},
        item_ids=["i1", "i2"],
        context={"position": [1, 2]},
        item_features={"price": [9.5, None]},
    )

`user` has one value per name; `context` and `item_features` have columns with one value per item, or with one
value that stands for all. Which values are taken, and what they are sent as, is the table of `cells.py`.
`builder.py` makes the same step by step, and from tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.client import captures
from recserve.client.cells import Cells, id_column, is_column, single_cells, whole_column
from recserve.columns import Batch
from recserve.config.document import parse_json
from recserve.errors import RequestError
from recserve.messages import ScoreRequest
from recserve.wire.json_scores import from_json
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def build_request(
    user: Mapping[str, Any] | None = None,
    item_ids: Cells = (),
    *,
    context: Mapping[str, Cells] | None = None,
    item_features: Mapping[str, Cells] | None = None,
    debug_level: int = 0,
    neighbours: int = 0,
    meta: Mapping[str, str] | None = None,
) -> ScoreRequest:
    """Make one request; without item_ids the longest list of context and item features says how many rows.

    Raises RequestError naming the feature when the values of a column differ in type, or do not fit the ids.
    """
    if not is_column(item_ids):
        raise RequestError(f"item_ids is a {type(item_ids).__name__}; a list of ids is expected")
    sides = {"context": context or {}, "item_features": item_features or {}}
    lengths = {
        (side, name): _length(side, name, values)
        for side, columns in sides.items()
        for name, values in columns.items()
    }
    rows = len(item_ids) or max(lengths.values(), default=1)
    for (side, name), length in lengths.items():
        if length not in (1, rows):
            raise RequestError(f"{side} '{name}' has {length} values for {rows} items; send {rows} or 1")
    users = Batch(1)
    for name, column in single_cells("user", user or {}).items():
        users.add(name, column)
    return ScoreRequest(
        user=users,
        item_ids=id_column(item_ids),
        context=_batch(rows, "context", sides["context"]),
        item_features=_batch(rows, "item_features", sides["item_features"]),
        rows=rows,
        debug_level=debug_level,
        neighbours=neighbours,
        meta={name: str(value) for name, value in (meta or {}).items()},
    )


def _length(side: str, name: str, values: Cells) -> int:
    if not is_column(values):
        raise RequestError(
            f"{side} '{name}' is a {type(values).__name__}; a list with one value per item is expected"
        )
    return len(values)


def _batch(rows: int, side: str, columns: Mapping[str, Cells]) -> Batch:
    batch = Batch(rows)
    for name, values in columns.items():
        batch.add(name, whole_column(side, name, values))
    return batch


def read_bodies(path: Path) -> list[bytes]:
    """Encoded requests from a .jsonl file, a .pb file, or the .pb files of a folder; they ask for scores."""
    try:
        if path.suffix == ".jsonl":
            lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            bodies = [
                encode_request(from_json(parse_json(line, f"{path}, request {number}")))
                for number, line in lines
                if line.strip()
            ]
        else:
            files = sorted(path.rglob("*.pb")) if path.is_dir() else [path]
            bodies = [captures.read(file).data.without_level() for file in files]
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from None
    if not bodies:
        raise RequestError(f"{path} holds no request; a .jsonl file or .pb files are expected")
    return bodies
