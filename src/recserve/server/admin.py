"""The admin port: what operators see of the items, and what they change by hand.

    POST   /items               {"upsert": [{…}], "delete": ["id"]}, or a stream of Arrow batches to upsert
    GET    /items/<id>          one item, raw and finished columns
    DELETE /items/<id>          forget one item
    GET    /items/status        how fresh each table is, alarms, memory
    POST   /items/refresh       read all tables again, and tell what became of each
    POST   /items/snapshot      write the snapshot file now
    GET    /items/diff?limit=   compare the items with their tables

A port of its own (`rpc.admin_port`), so that a gateway never leads there. A change is visible to every
request that begins after its answer. Work runs on threads of its own, beside those that score. Ours: an item
whose id is "status", "refresh", "snapshot" or "diff" is asked for with a letter percent-encoded.
"""

from __future__ import annotations

import json
import logging
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote_to_bytes

from recserve.errors import (
    LoadError,
    MethodNotAllowedError,
    NotFoundError,
    RequestError,
    SourceError,
    UnavailableError,
)
from recserve.server.door import ClientGoneError, Door
from recserve.server.error_body import CONTENT_TYPE as TEXT
from recserve.server.error_body import error_body
from recserve.wire import item_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.config.service import ServiceSpec
    from recserve.processors.kept_items import KeptItems
    from recserve.server.door import Exchange, Message, Receive, Send
    from recserve.server.lifecycle import Lifecycle
    from recserve.server.workers import WorkerPool
    from recserve.wire.auth import Authorizer

logger = logging.getLogger("recserve.admin")

#: What one piece of work may take, in seconds; a full refresh of a large table takes hours.
PATIENCE_SECONDS = 24 * 3600.0
_DIFFERENCES = 100
_MOST_DIFFERENCES = 100_000
_ITEMS = b"/items"


class AdminApp:
    """The ASGI application of the admin port. All methods run on the event loop, but `_do…`."""

    def __init__(
        self, spec: ServiceSpec, *, lifecycle: Lifecycle, pool: WorkerPool, authorizer: Authorizer
    ) -> None:
        self.door = Door(spec.rpc, lifecycle=lifecycle, authorizer=authorizer)
        self.limits = self.door.limits
        self._lifecycle = lifecycle
        self._pool = pool
        self._max_body_bytes = spec.rpc.max_body_bytes
        self._loaded = False
        self._kept: KeptItems | None = None
        #: path → method → what is done; any other path below /items/ is an item
        self._routes: dict[bytes, dict[str, Callable[[Exchange, bytes], Any]]] = {
            _ITEMS: {"POST": self._do_change},
            _ITEMS + b"/status": {"GET": self._do_status},
            _ITEMS + b"/diff": {"GET": self._do_diff},
            _ITEMS + b"/refresh": {"POST": self._do_refresh},
            _ITEMS + b"/snapshot": {"POST": self._do_save},
        }
        self._of_item: dict[str, Callable[[Exchange, bytes], Any]] = {
            "GET": self._do_get,
            "DELETE": self._do_delete,
        }

    def serve(self, items: KeptItems | None) -> None:
        """Answer for these items from now on; None: the service keeps none."""
        self._kept, self._loaded = items, True

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = self.door.open(scope, receive, send)
        try:
            await self._answer(exchange)
        except ClientGoneError:
            pass
        except Exception as error:
            await self._fail(exchange, error)

    def refuse(self, status: int, message: str) -> tuple[bytes, bytes]:
        """Word the answer to bytes that never became a request (see protocol.py)."""
        body = error_body(message)
        return b"content-type: %s\r\ncontent-length: %d\r\n" % (TEXT, len(body)), body

    async def _answer(self, exchange: Exchange) -> None:
        work = self._work_of(exchange.scope)
        self.door.admit(exchange)
        if not self._loaded:
            raise UnavailableError(
                f"not ready: {self._lifecycle.state.value}; GET /readyz tells how far it is"
            )
        body = await self.door.read_body(exchange)
        deadline = monotonic() + PATIENCE_SECONDS
        answer = await self._pool.submit(_told, work, exchange, body, deadline=deadline)
        await self.door.answer(exchange, 200, answer, [(b"content-type", b"application/json")])

    def _work_of(self, scope: Message) -> Callable[[Exchange, bytes], Any]:
        path, method = scope["raw_path"], scope["method"]
        methods = self._routes.get(path)
        if methods is None and path.startswith(_ITEMS + b"/") and len(path) > len(_ITEMS) + 1:
            methods = self._of_item
        if methods is None:
            raise NotFoundError(f"no such path: {path.decode('latin-1')}; this port answers /items")
        if method not in methods:
            raise MethodNotAllowedError(
                f"not allowed: {method} on {path.decode('latin-1')}; use {' or '.join(methods)}"
            )
        return methods[method]

    async def _fail(self, exchange: Exchange, error: Exception) -> None:
        status, message = self.door.as_answer(exchange.trace, error)
        headers: list[tuple[bytes, bytes]] = []
        if isinstance(error, MethodNotAllowedError):
            methods = self._routes.get(exchange.scope["raw_path"], self._of_item)
            headers.append((b"allow", ", ".join(methods).encode()))
        await self.door.refuse(exchange, status, (TEXT, error_body(message)), headers)

    # --- on a thread of the pool ---

    @property
    def _items(self) -> KeptItems:
        if self._kept is None:
            raise NotFoundError("this service keeps no items: its fg_mode is bypass")
        return self._kept

    def _do_status(self, exchange: Exchange, body: bytes) -> Any:
        return self._items.status()

    def _do_change(self, exchange: Exchange, body: bytes) -> Any:
        kind = exchange.headers.get(b"content-type", b"").decode("latin-1")
        changes = item_rows.decode(body, kind, self._schema(), max_bytes=self._max_body_bytes)
        done = self._items.change(changes.upserts, changes.deleted)
        logger.info("items were changed by hand", extra={"request_id": exchange.trace.request_id, **done})
        return {**done, "ignored_columns": list(changes.ignored)}

    def _do_get(self, exchange: Exchange, body: bytes) -> Any:
        key = self._key(exchange)
        (item,) = self._items.get(key)
        if item is None:
            raise NotFoundError(f"no such item: {key[0].as_py()!r:.200}")
        return item

    def _do_delete(self, exchange: Exchange, body: bytes) -> Any:
        return self._items.change((), self._key(exchange))

    def _do_refresh(self, exchange: Exchange, body: bytes) -> Any:
        return self._items.refresh()

    def _do_save(self, exchange: Exchange, body: bytes) -> Any:
        return self._items.save()

    def _do_diff(self, exchange: Exchange, body: bytes) -> Any:
        return self._items.diff(_limit(exchange.scope["query_string"]))

    def _schema(self) -> item_rows.ItemSchema:
        items = self._items
        return item_rows.ItemSchema(items.key_column, items.key_type, items.types)

    def _key(self, exchange: Exchange) -> Any:
        raw = unquote_to_bytes(exchange.scope["raw_path"][len(_ITEMS) + 1 :])
        try:
            return item_rows.key_of(raw.decode(), self._schema())
        except UnicodeDecodeError as error:
            raise RequestError(f"the id in the path is not UTF-8: {raw!r:.200}") from error


def _told(work: Callable[[Exchange, bytes], Any], exchange: Exchange, body: bytes) -> bytes:
    """Do it and write what it gives as JSON; a table or a source that is to blame is no failure of ours."""
    try:
        return json.dumps(
            item_rows.encode(work(exchange, body)), ensure_ascii=False, allow_nan=False
        ).encode()
    except SourceError as error:
        raise UnavailableError(str(error)) from error
    except LoadError as error:
        raise RequestError(str(error)) from error


def _limit(query: bytes) -> int:
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    text = values.get("limit", [str(_DIFFERENCES)])[-1]
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:7]) <= _MOST_DIFFERENCES:
        raise RequestError(f"limit: {text!r:.50} is not a number from 1 to {_MOST_DIFFERENCES}")
    return int(text)
