"""Requests that are kept on disk, by threads beside the answers: whatever happens here, requests go on.

    event loop: offer ──▶ waiting (bounded in number and bytes) ──▶ threads: make the content, write the file
                  └─ no room ─▶ dropped, counted

`offer` neither waits nor fails. What cannot be written is counted by its reason, and told in the log once a
minute at most.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recserve.observe.capture_files import Shelf
    from recserve.observe.retention import Retention

logger = logging.getLogger("recserve.captures")

#: One line about trouble per so many seconds; a broken disk breaks every capture.
_SILENCE_SECONDS = 60.0
#: Captures grow old also while none are made.
_TIDY_SECONDS = 600.0

#: Why a capture was not written.
REASONS = (
    "queue_full",  # too many wait: the disk is slower than the requests that are to be kept
    "no_folder",  # nowhere to keep it: the model's folder is read-only, and there is no request_log_path
    "too_large",  # more than all captures together may take
    "disk",  # the system refused: full, read-only, gone
    "failed",  # its content could not be made
    "closed",  # the server ended before its turn
)


@dataclass(frozen=True, slots=True)
class Capture:
    """One request that is to be kept."""

    shelf: Shelf
    size: int  # bytes of the request as it came; what a waiting capture counts for
    make: Callable[[], tuple[str, bytes]]  # its id and the content of its file; called on a thread of ours


class Captures:
    """Writes captures. `offer` may be called from any thread.

    threads:         those that write; they start with the first capture
    queue_requests:  captures that may wait
    queue_bytes:     the same in bytes of their requests
    """

    def __init__(self, retention: Retention, *, threads: int, queue_requests: int, queue_bytes: int) -> None:
        self.written = 0
        self.written_bytes = 0
        self.dropped: Counter[str] = Counter()
        self.retention = retention
        self._threads = threads
        self._queue_requests = queue_requests
        self._queue_bytes = queue_bytes
        self._waiting: deque[Capture] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition(threading.Lock())
        self._closed = False
        self._opening: threading.Thread | None = None
        self._writers: list[threading.Thread] = []
        self._told_at = float("-inf")

    def open(self, shelves: Sequence[Shelf]) -> None:
        """Tidy up on the shelves that are in use; in a thread, since there may be many files."""
        if shelves:
            self._opening = threading.Thread(
                target=self._prepare, args=(shelves,), name="recserve-captures-open", daemon=True
            )
            self._opening.start()

    def offer(self, capture: Capture) -> bool:
        """Queue a capture; False if there is no room for it, which is counted."""
        reason = "too_large" if 0 < self.retention.max_bytes < capture.size else ""
        with self._changed:
            if self._closed:
                reason = "closed"
            elif (
                len(self._waiting) >= self._queue_requests
                or self._waiting_bytes + capture.size > self._queue_bytes
            ):
                reason = reason or "queue_full"
            if reason:
                self.dropped[reason] += 1
            else:
                self._waiting.append(capture)
                self._waiting_bytes += capture.size
                if len(self._writers) < self._threads:
                    self._start_writer()
                self._changed.notify()
        if reason:
            self._tell(reason, "")
        return not reason

    def drop(self, reason: str, detail: str = "") -> None:
        """Count a capture that is not written, and tell why unless that was told just now."""
        with self._changed:
            self.dropped[reason] += 1
        self._tell(reason, detail)

    @property
    def working(self) -> bool:
        """Whether a thread has not ended."""
        return any(thread.is_alive() for thread in self._all_threads())

    def close(self, seconds: float) -> None:
        """Tidy up and write what waits, for so many seconds at most; what is left then is dropped."""
        give_up_at = monotonic() + seconds
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._all_threads():
            thread.join(max(0.0, give_up_at - monotonic()))
        with self._changed:
            self.dropped["closed"] += len(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0

    def gauges(self) -> Mapping[str, tuple[str, float | Mapping[tuple[tuple[str, str], ...], float]]]:
        """Plain counts for `/metrics`."""
        dropped: dict[tuple[tuple[str, str], ...], float] = {
            (("reason", reason),): float(self.dropped[reason]) for reason in REASONS
        }
        return {
            "recserve_captures_written_total": ("Requests that were kept on disk.", float(self.written)),
            "recserve_captures_written_bytes_total": ("Their files.", float(self.written_bytes)),
            "recserve_captures_dropped_total": ("Requests that should have been kept and were not.", dropped),
            "recserve_captures_removed_total": (
                "Captures removed for being too many or too old.",
                float(self.retention.removed),
            ),
            "recserve_captures_kept_bytes": ("Captures on disk.", float(max(0, self.retention.kept_bytes))),
            "recserve_captures_waiting": (
                "Captures that no thread has taken yet.",
                float(len(self._waiting)),
            ),
        }

    def _all_threads(self) -> list[threading.Thread]:
        return self._writers if self._opening is None else [self._opening, *self._writers]

    def _start_writer(self) -> None:
        number = len(self._writers) + 1
        writer = threading.Thread(target=self._write_all, name=f"recserve-captures-{number}", daemon=True)
        self._writers.append(writer)
        writer.start()

    def _prepare(self, shelves: Sequence[Shelf]) -> None:
        for shelf in shelves:
            try:
                shelf.prepare()
            except OSError as error:
                self._tell("disk", f"{shelf.root}: {error.strerror}")

    def _write_all(self) -> None:
        while capture := self._next():
            try:
                request_id, content = capture.make()
                if 0 < self.retention.max_bytes < len(content):
                    self.drop("too_large")
                    continue
                capture.shelf.write(request_id, content)
            except OSError as error:
                self.drop("disk", f"{capture.shelf.root}: {error.strerror}")
            except Exception as error:  # one that cannot be made must not end the thread that makes the next
                self.drop("failed", f"{type(error).__name__}: {error}")
            else:
                with self._changed:
                    self.written += 1
                    self.written_bytes += len(content)
            del capture  # a sleeping thread must not hold the memory of its last request

    def _next(self) -> Capture | None:
        """Wait for a capture; None when all are written and no more will come."""
        while True:
            with self._changed:
                if self._waiting:
                    capture = self._waiting.popleft()
                    self._waiting_bytes -= capture.size
                    return capture
                if self._closed:
                    return None
                woken = self._changed.wait(_TIDY_SECONDS)
            if not woken:
                self.retention.tidy()

    def _tell(self, reason: str, detail: str) -> None:
        now = monotonic()
        if now - self._told_at < _SILENCE_SECONDS:
            return
        self._told_at = now
        logger.warning(
            "requests that should be kept are not: %s",
            _WORDS[reason],
            extra={"reason": reason, **({"detail": detail} if detail else {}), "dropped": dict(self.dropped)},
        )


_WORDS = {
    "queue_full": "more come than can be written; send fewer with debug_level 100, or raise "
    "background_feature_thread_num or capture_queue",
    "no_folder": "the model's folder cannot be written; say with request_log_path where they belong",
    "too_large": "a request alone is larger than capture_max_bytes",
    "disk": "their folder cannot be written",
    "failed": "what their files should hold could not be made",
    "closed": "the server is ending",
}
