"""Requests that took long, or that ask for it (debug level 903), each with the time of every stage."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from recserve.observe.logs import Throttle

if TYPE_CHECKING:
    from recserve.observe.trace import Trace

logger = logging.getLogger("recserve.slow")


class SlowLog:
    """Logs requests slower than `slow_request_ms`, 0 for none of them, and those that ask for it."""

    def __init__(self, slow_request_ms: int) -> None:
        self.slow_request_ms = slow_request_ms
        self._slow_ns = slow_request_ms * 1_000_000
        self._throttle = Throttle()

    def look_at(self, trace: Trace, status: int) -> None:
        """Log a finished request if it was slow or asks for it."""
        slow = self._slow_ns and trace.total_ns >= self._slow_ns
        if not (slow or trace.logged) or not self._throttle.admits():
            return
        logger.log(
            logging.WARNING if slow else logging.INFO,
            "slow request" if slow else "request stages",
            extra={
                **trace.ids(),
                **({"sent_id": trace.sent_id} if trace.sent_id else {}),
                "status": status,
                "rows": trace.rows,
                "total_ms": round(trace.total_ns / 1e6, 3),
                "stages_ms": trace.stages_ms(),
            },
        )
