"""Requests for tests, written as Python values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from recserve.columns import Batch, batch_from_arrow, column_from_arrow
from recserve.messages import ScoreRequest


def batch(rows: int, **columns: list[Any]) -> Batch:
    if not columns:
        return Batch(rows)
    return batch_from_arrow({name: pa.array(values) for name, values in columns.items()})


def request(
    ids: list[str],
    *,
    user: dict[str, Any] | None = None,
    context: dict[str, list[Any]] | None = None,
    item_features: dict[str, list[Any]] | None = None,
    rows: int | None = None,
) -> ScoreRequest:
    count = len(ids) if rows is None else rows
    return ScoreRequest(
        batch(1, **{name: [value] for name, value in (user or {}).items()}),
        column_from_arrow(pa.array(ids, pa.string())),
        batch(count, **(context or {})),
        batch(count, **(item_features or {})),
        count,
    )
