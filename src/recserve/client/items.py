"""A client of the admin port: looks at the items of a running service, and changes them.

with ItemsClient("http://127.0.0.1:8001", token="…") as items:
    items.change(upsert=[{"item_id": "i1", "price": 2.5}], delete=["i2"])
    items.get("i1")     # {"raw": {"price": 2.5, …}, "finished": {…}}
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import pyarrow as pa
import urllib3

from recserve.client.answered import answered
from recserve.client.errors import RefusedError
from recserve.wire.item_rows import ARROW_STREAM, JSON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ItemsClient:
    """The items of one service; safe for threads. `url` is that of the admin port.

    What is read or written may take long: `timeout_s` is for one answer.
    """

    def __init__(self, url: str, token: str = "", *, timeout_s: float = 60.0) -> None:
        server = url.rstrip("/").removesuffix("/items")
        self.url = (server if "://" in server else f"http://{server}") + "/items"
        self._headers = {"Authorization": token} if token else {}
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=timeout_s))

    def status(self) -> dict[str, Any]:
        """How fresh each table is, alarms, memory."""
        return self._ask("GET", "/status")

    def get(self, item_id: str | int) -> dict[str, Any] | None:
        """The raw and finished columns of an item; None if there is no such item."""
        try:
            return self._ask("GET", f"/{_escaped(str(item_id))}")
        except RefusedError as error:
            if error.code == 404 and "no such item" in str(error):
                return None
            raise

    def change(
        self, *, upsert: Sequence[Mapping[str, Any]] = (), delete: Sequence[str | int] = ()
    ) -> dict[str, Any]:
        """Write rows, which keep the columns that they do not bring, and forget items."""
        body = json.dumps({"upsert": [dict(row) for row in upsert], "delete": list(delete)})
        return self._ask("POST", "", body.encode(), JSON)

    def upsert_table(self, rows: pa.Table) -> dict[str, Any]:
        """Write the rows of a table, the key among its columns."""
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows)
        return self._ask("POST", "", sink.getvalue(), ARROW_STREAM)

    def refresh(self) -> dict[str, Any]:
        """Read all tables again; tells what became of each."""
        return self._ask("POST", "/refresh")

    def save(self) -> dict[str, Any]:
        """Write the snapshot file."""
        return self._ask("POST", "/snapshot")

    def diff(self, limit: int = 100) -> dict[str, Any]:
        """Compare the items with their tables; at most `limit` differences are told."""
        return self._ask("GET", f"/diff?limit={limit}")

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self, method: str, path: str, body: bytes | None = None, content_type: str = ""
    ) -> dict[str, Any]:
        headers = {**self._headers, **({"Content-Type": content_type} if content_type else {})}
        _, answer = answered(self._pool, method, self.url + path, body=body, headers=headers)
        told: dict[str, Any] = json.loads(answer)
        return told


def _escaped(item_id: str) -> str:
    """No id is taken for a path of the port's own, and none for a dot segment, which clients remove."""
    first, rest = item_id[:1], item_id[1:]
    return "".join(f"%{byte:02X}" for byte in first.encode()) + quote(rest, safe="")
