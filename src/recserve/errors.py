"""Every error that recserve raises on purpose, each with the HTTP status it becomes.

RecserveError                    500  something of ours failed
├── RequestError                 400  what a caller sent cannot be answered
│   ├── TooLargeError            413  a body, or what it inflates to, is over the limit
│   ├── ContentTypeError         415  a body of a kind that this path does not take
│   └── UnauthorizedError        401  no token, a wrong token or a wrong signature
├── NotFoundError                404  no such service or path
├── MethodNotAllowedError        405  the path exists, the method does not
├── DeadlineError                408  the time budget of a request is spent
├── QueueFullError               450  too many requests wait already
├── RateLimitError               429  more requests per second than the service allows
├── UnavailableError             503  not ready: loading or warming
├── ModelError                   500  the model failed on inputs that we thought were right
└── LoadError                    500  something cannot be loaded; never leaves the process as an answer
    ├── ConfigError                   fg.json or the service file is wrong
    ├── BundleError                   the exported model directory is incomplete or does not fit
    ├── DataError                     a table or an Arrow array is not what was declared
    └── SourceError                   where rows come from cannot be reached; asking again may help

`status` is the HTTP status. 450 is the protocol's own number for a full queue.
"""

from __future__ import annotations


class RecserveError(Exception):
    """The root: catch it to catch all of ours and nothing else."""

    status = 500


class RequestError(RecserveError):
    """What a caller sent cannot be answered; the message names the thing, the value and the way out."""

    status = 400


class TooLargeError(RequestError):
    """A body, or what it inflates to, is over `max_body_bytes`; or it asks for more rows than `max_items`."""

    status = 413


class ContentTypeError(RequestError):
    """The body is of a kind that this path does not take; `Content-Type` says which."""

    status = 415


class UnauthorizedError(RequestError):
    """The token or the signature is missing or wrong."""

    status = 401


class NotFoundError(RecserveError):
    """No service or path of that name."""

    status = 404


class MethodNotAllowedError(RecserveError):
    """The path exists, the method does not."""

    status = 405


class DeadlineError(RecserveError):
    """The time budget of a request (`keepalive`) is spent."""

    status = 408


class QueueFullError(RecserveError):
    """`max_queue_size` requests wait already."""

    status = 450


class RateLimitError(RecserveError):
    """More requests per second than `rate_limit`."""

    status = 429


class UnavailableError(RecserveError):
    """The service is loading or warming; while it drains, predictions are still answered."""

    status = 503


class ModelError(RecserveError):
    """The model failed on inputs that passed every check."""


class LoadError(RecserveError):
    """Something cannot be loaded; raised at `check` and at start."""


class ConfigError(LoadError):
    """fg.json or the service file is wrong."""


class BundleError(LoadError):
    """The exported model directory is incomplete or does not fit together."""


class DataError(LoadError):
    """A table or an Arrow array is not what was declared."""


class SourceError(LoadError):
    """A database, a file or a stream cannot be reached, or failed; asking again may help."""
