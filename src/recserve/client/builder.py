"""A request, step by step, from whole columns and tables.

    request = (
        RequestBuilder()
        .user({"user_id": "u1", "age": 33})
        .items(["i1", "i2", "i3"], {"price": prices})     # a numpy or Arrow array, a list
        .context(impressions)                              # or a whole table: its columns
        .meta(request_id="r-1")
        .build()
    )

`user` and `meta` can be called again and add; what is given twice counts as given last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeAlias

import pyarrow as pa

from recserve.client.request import build_request
from recserve.errors import RequestError
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.client.cells import Cells
    from recserve.messages import ScoreRequest

    #: Columns by name, or a table: one value per item, in the order of the ids.
    Columns: TypeAlias = "Mapping[str, Cells] | pa.Table | pa.RecordBatch"


class RequestBuilder:
    """Collects what one request says; `build` makes it, `encode` gives its bytes."""

    def __init__(self) -> None:
        self._user: dict[str, Any] = {}
        self._item_ids: Cells = ()
        self._context: dict[str, Cells] = {}
        self._item_features: dict[str, Cells] = {}
        self._meta: dict[str, str] = {}
        self._debug_level = 0
        self._neighbours = 0

    def user(self, features: Mapping[str, Any]) -> Self:
        """Features of the user, one value per name."""
        self._user |= features
        return self

    def items(self, item_ids: Cells = (), features: Columns | None = None, *, id_column: str = "") -> Self:
        """Candidates, and features of them that win over those that the service knows.

        `id_column` takes the ids from a column of `features`, which is then no feature.
        """
        columns = _columns(features)
        if id_column:
            if id_column not in columns:
                raise RequestError(f"no column '{id_column}' of ids; there are: {', '.join(columns)}")
            item_ids = columns.pop(id_column)
        self._item_ids = item_ids
        self._item_features |= columns
        return self

    def context(self, features: Columns) -> Self:
        """Features of each item in this request: its position, what was searched for."""
        self._context |= _columns(features)
        return self

    def meta(self, **texts: object) -> Self:
        """What is told beside: `request_id` names the request in logs and in files of captures."""
        self._meta |= {name: str(text) for name, text in texts.items()}
        return self

    def debug_level(self, level: int) -> Self:
        """What to answer beside or instead of scores; 0: scores alone."""
        self._debug_level = level
        return self

    def neighbours(self, count: int) -> Self:
        """How many items a recall shall find."""
        self._neighbours = count
        return self

    def build(self) -> ScoreRequest:
        """Make the request. Raises RequestError naming the column that does not fit."""
        return build_request(
            self._user,
            self._item_ids,
            context=self._context,
            item_features=self._item_features,
            debug_level=self._debug_level,
            neighbours=self._neighbours,
            meta=self._meta,
        )

    def encode(self) -> bytes:
        """The request as it is sent."""
        return encode_request(self.build())


def _columns(columns: Columns | None) -> dict[str, Cells]:
    if isinstance(columns, (pa.Table, pa.RecordBatch)):
        return {name: columns.column(name) for name in columns.schema.names}
    return dict(columns or {})
