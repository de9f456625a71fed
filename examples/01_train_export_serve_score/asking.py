"""Requests as a shop would send them: one user, the items that recall found, and the moment."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from clicks import SHOWN
from rich.progress import track

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHERS = 40  # candidates beside the ones whose clicks we know
USER = {
    "user_id": "STRING",
    "age": "BIGINT",
    "gender": "STRING",
    "city": "STRING",
    "device": "STRING",
    "level": "BIGINT",
    "avg_paid": "FLOAT",
    "taste": "MAP<STRING,FLOAT>",
    "taste_by_device": "STRING",
    "liked_tags": "LIST<STRING>",
    "tag_weights": "LIST<STRING>",
    "click_seq": "STRING",
    "click_seq__ago_hours": "STRING",
}
CONTEXT = {"hour": "BIGINT", "now": "BIGINT", "scene": "STRING"}

Request = dict[str, Any]


def requests(log: pa.Table, items: pa.Table) -> list[Request]:
    """One request per session of the log: the items shown, then others. One id of the first is unknown."""
    rng = np.random.default_rng(5)
    sessions = [log.slice(start, SHOWN).to_pylist() for start in range(0, log.num_rows, SHOWN)]
    others = rng.integers(0, items.num_rows, (len(sessions), OTHERS))
    asked = [request(rows, [f"i{i}" for i in more]) for rows, more in zip(sessions, others, strict=True)]
    asked[0]["item_ids"][-1] = "no-such-item"
    return asked


def request(rows: list[dict[str, Any]], others: list[str]) -> Request:
    """The rows of one session as a request; `clicks` is what really happened, for the report."""
    item_ids = [row["item_id"] for row in rows] + others
    user = {name: [kind, plain(rows[0][name], kind)] for name, kind in USER.items()}
    context = {name: [kind, [rows[0][name]] * len(item_ids)] for name, kind in CONTEXT.items()}
    return {"user": user, "item_ids": item_ids, "context": context, "clicks": [row["click"] for row in rows]}


def plain(value: Any, kind: str) -> Any:
    """Arrow gives maps as pairs; the client takes a dict."""
    return dict(value) if kind.startswith("MAP") else value


def score(
    asked: list[Request], python: Path, client: Path, server: tuple[str, str, str]
) -> list[dict[str, list[float]]]:
    """Send every request through the EAS client, a process of its own; `server` is url, service and token."""
    command = [str(python), str(client), *server]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        scores = []
        for line in track([json.dumps(one) for one in asked], description="scoring             "):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            if not answer:
                raise SystemExit("the EAS client stopped; its message is above")
            scores.append(json.loads(answer))
        process.stdin.close()
    return scores


def as_log(asked: list[Request]) -> pa.Table:
    """The same users and items as rows, for offline prediction."""
    return pa.concat_tables(
        [pa.Table.from_batches(chunk(asked[i : i + 500])) for i in range(0, len(asked), 500)]
    )


def chunk(asked: list[Request]) -> Iterator[pa.RecordBatch]:
    """One batch of rows; the user's columns are taken once per candidate."""
    owner = pa.array(np.repeat(np.arange(len(asked)), [len(one["item_ids"]) for one in asked]))
    columns = {"item_id": pa.array([item_id for one in asked for item_id in one["item_ids"]])}
    for name, kind in USER.items():
        columns[name] = pa.array([stored(one["user"][name][1], kind) for one in asked], ARROW[kind]).take(
            owner
        )
    for name, kind in CONTEXT.items():
        columns[name] = pa.array([value for one in asked for value in one["context"][name][1]], ARROW[kind])
    yield pa.RecordBatch.from_pydict(columns)


def stored(value: Any, kind: str) -> Any:
    """The reverse of `plain`."""
    return list(value.items()) if kind.startswith("MAP") else value


ARROW = {
    "STRING": pa.string(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "LIST<STRING>": pa.list_(pa.string()),
    "MAP<STRING,FLOAT>": pa.map_(pa.string(), pa.float32()),
}


def schema(items: pa.Table) -> dict[str, dict[str, str]]:
    """The types of request and item columns, as input_schema.json says them."""
    return {
        "user": {name: type_name(ARROW[kind]) for name, kind in USER.items()},
        "context": {name: type_name(ARROW[kind]) for name, kind in CONTEXT.items()},
        "item": {field.name: type_name(field.type) for field in items.schema},
    }


def type_name(arrow: pa.DataType) -> str:
    """`float32`, `list<string>`, `map<string,float32>`."""
    if pa.types.is_map(arrow):
        return f"map<{type_name(arrow.key_type)},{type_name(arrow.item_type)}>"
    if pa.types.is_list(arrow):
        return f"list<{type_name(arrow.value_type)}>"
    return {"float": "float32", "double": "float64"}.get(str(arrow), str(arrow))
