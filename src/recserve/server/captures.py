"""Which requests of a service are kept on disk, where, and as what.

| request                                       | kept in                            | as                    |
|-----------------------------------------------|------------------------------------|-----------------------|
| debug_level 100 (`LEVELS.captured`)           | request_log_path, else torch_req   | PBLogData, with texts |
| the same in bypass mode                       | the same                           | the request           |
| slow, with save_long_request                  | torch_req                          | the request           |
| the first warmup_pb_files_count that succeed  | warmup_data_path                   | the request           |

The first line that fits counts. torch_req is a folder of the bundle. Requests are kept as they were sent, but
unpacked; texts are made and files written on the threads of `observe/captures.py`. A request that failed is
kept too if it could be read: those are the ones that people look for.

Ours: the folder of an hour is named in UTC; slow requests are in such folders too, and at most 20 of them per
second are kept, since under overload all are slow; what torch_req holds of chosen requests has its texts.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from recserve.errors import RecserveError
from recserve.observe.capture_files import HourFolders, OneFolder
from recserve.observe.captures import Capture, Captures
from recserve.observe.logs import Throttle
from recserve.observe.retention import Retention
from recserve.server.endpoint import ScoreEndpoint
from recserve.wire import log_data
from recserve.wire.torchrec import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recserve.config.service import ServiceSpec
    from recserve.observe.capture_files import Shelf
    from recserve.observe.trace import Trace
    from recserve.processors.processor import Gauges, Scorer
    from recserve.server.endpoint import Endpoint

logger = logging.getLogger("recserve.captures")

#: The hosted processor's folder for slow requests, under the model's.
TORCH_REQ = "torch_req"
#: How long the end of the process waits for what is to be written.
CLOSE_SECONDS = 3.0


class KeptRequests:
    """Looks at every finished request; on the event loop, except for what it makes `Captures` call."""

    def __init__(self, spec: ServiceSpec, bundle_path: Path | None) -> None:
        settings = spec.captures
        retention = Retention(settings.max_bytes, settings.max_age_h * 3600)
        self.writer = Captures(
            retention,
            threads=settings.threads,
            queue_requests=settings.queue_requests,
            queue_bytes=settings.queue_bytes,
        )
        beside_model = _beside_model(bundle_path, retention)
        self._chosen: Shelf | None = beside_model
        if settings.request_log_path:
            self._chosen = HourFolders(spec.base_dir / settings.request_log_path, retention)
        self._slow: Shelf | None = beside_model if settings.save_long_request else None
        self._slow_ns = spec.model.slow_request_ms * 1_000_000
        self._slow_throttle = Throttle()
        if settings.save_long_request and beside_model is None:
            logger.warning(
                "save_long_request is off: the model's folder cannot be written",
                extra={"folder": str(bundle_path)},
            )
        self._first: OneFolder | None = None
        self._first_left = 0
        if spec.warm_up.data_path:
            self._first = OneFolder(spec.base_dir / spec.warm_up.data_path)
            self._first_left = spec.warm_up.files - sum(1 for _ in self._first.root.glob("*.pb"))
        # Texts cost more than scores, and Python: many threads at it would keep the event loop from running.
        self._one_at_a_time = Lock()
        self._scorer: Scorer | None = None
        self._decoder: Decoder | None = None  # of our own: what it cannot parse has been counted already

    def serve(self, endpoint: Endpoint) -> None:
        """Keep requests of `endpoint` from now on."""
        if isinstance(endpoint, ScoreEndpoint):
            scorer = self._scorer = endpoint.processor
            self._decoder = Decoder(scorer.schema, fallback=scorer.types_if_missing)
        self.writer.open(list(self._shelves()))

    def look_at(self, trace: Trace, body: bytes, status: int, message: Callable[[bytes], bytes]) -> None:
        """Keep a finished request if it is to be kept.

        `body` is as it came, empty if it did not; `message` makes it what the service's own clients send, and
        is called on a thread of `Captures`.
        """
        if trace.captured:
            self._keep(self._chosen, trace, body, message if self._decoder is None else self._texts(message))
        elif self._slow is not None and trace.total_ns >= self._slow_ns > 0:
            if body and self._slow_throttle.admits():
                self._keep(self._slow, trace, body, message)
        elif self._first_left > 0 and status == 200:
            self._first_left -= self._keep(self._first, trace, body, message)

    @property
    def working(self) -> bool:
        """Whether a thread is still inside a capture although all is closed."""
        return self.writer.working

    def close(self) -> None:
        """Write what waits, as far as there is time."""
        self.writer.close(CLOSE_SECONDS)

    def gauges(self) -> Gauges:
        """Plain counts for `/metrics`."""
        return self.writer.gauges()

    def _keep(
        self, shelf: Shelf | None, trace: Trace, body: bytes, content: Callable[[bytes], bytes]
    ) -> bool:
        if shelf is None:
            self.writer.drop("no_folder")
            return False
        name = trace.sent_id or trace.request_id
        return self.writer.offer(Capture(shelf, len(body), lambda: (name, content(body))))

    def _texts(self, message: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        """What makes a PBLogData of a body; called on a thread of `Captures`."""
        return lambda body: self._log_data(message(body))

    def _log_data(self, plain: bytes) -> bytes:
        """The request, and what features read and made of its items."""
        assert self._decoder is not None
        assert self._scorer is not None
        try:
            with self._one_at_a_time:
                raw, generated = self._scorer.item_texts(self._decoder.decode(plain))
        except RecserveError as error:  # the request alone is better than nothing
            logger.info("a request is kept without its features", extra={"reason": str(error)})
            raw, generated = {}, {}
        return log_data.encode(plain, raw, generated)

    def _shelves(self) -> Iterator[Shelf]:
        """Those that are sure to be used, or hold something that an earlier process left."""
        shelves = {id(shelf): shelf for shelf in (self._chosen, self._slow, self._first) if shelf is not None}
        for shelf in shelves.values():
            if shelf.root.name != TORCH_REQ or shelf is self._slow or shelf.root.exists():
                yield shelf


def _beside_model(bundle_path: Path | None, retention: Retention) -> HourFolders | None:
    """The folder under the model's; None if that is read-only, as mounts of models often are."""
    if bundle_path is None or not os.access(bundle_path, os.W_OK):
        return None
    return HourFolders(Path(bundle_path) / TORCH_REQ, retention)
