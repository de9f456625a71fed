"""What a client raises, by the status that the service answered.

ClientError            a request that was not answered with scores
├── UnreachableError   no connection, or it broke
├── TimedOutError      no answer in time, ours or the service's (408)
├── RefusedError       400, 404, 405, 413, 415: sending it again will not help
├── NotAuthorizedError 401
├── OverloadedError    429, 450: try later
├── NotReadyError      503: try later
└── ServiceError       other 5xx, or an answer that is no response
"""

from __future__ import annotations

import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Mapping


class ClientError(RecserveError):
    """A request that was not answered with scores; `code` is the HTTP status, 0 if there was none."""

    def __init__(
        self, message: str, code: int = 0, request_id: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id
        self.retry_after_s = retry_after_s  # what the answer asked us to wait, if it did


class UnreachableError(ClientError):
    """No connection, or it broke before the answer was complete."""


class TimedOutError(ClientError):
    """No answer within the client's timeout (code 0) or the service's time budget (408)."""


class RefusedError(ClientError):
    """The service cannot answer this request, and never will (400, 404, 405, 413, 415)."""


class NotAuthorizedError(ClientError):
    """The token is missing or wrong (401)."""


class OverloadedError(ClientError):
    """Too many requests wait (450) or come per second (429); try later."""


class NotReadyError(ClientError):
    """The service is loading or draining (503); try later."""


class ServiceError(ClientError):
    """The service failed on this request (5xx)."""


_ERRORS: dict[int, type[ClientError]] = {
    401: NotAuthorizedError,
    408: TimedOutError,
    429: OverloadedError,
    450: OverloadedError,
    503: NotReadyError,
}


def error_of(url: str, code: int, body: bytes, headers: Mapping[str, str]) -> ClientError:
    """The error of a status other than 200, with the text that the service gave."""
    text = body.decode("utf-8", "replace").strip() or "(no text)"
    known = _ERRORS.get(code, RefusedError if code < 500 else ServiceError)
    return known(
        f"{url} answered {code}: {text}",
        code,
        headers.get("X-Request-Id", ""),
        retry_after_s(headers.get("Retry-After", "")),
    )


def retry_after_s(header: str) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or as a date; None where it says nothing clear."""
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000": a moment without a place
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - time.time())
