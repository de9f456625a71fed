"""What goes wrong, under the names that users of `pai.exception` catch.

RecserveError
└── PAIException
    ├── PredictionException            a service answered with something else than 2xx; `code`, `message`
    ├── UnexpectedStatusException      a service is not what was waited for; `status` (a RuntimeError, too)
    ├── DuplicatedMountException       one source at two mount paths
    └── MountPathIsOccupiedException   one mount path for two sources
"""

from __future__ import annotations

from recserve.errors import RecserveError


class PAIException(RecserveError):
    """The root of what the SDK raises beside ValueError and TypeError."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class PredictionException(PAIException):
    """A service answered with something else than 2xx; `code` is 0 where there was no answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.code else self.message


class UnexpectedStatusException(PAIException, RuntimeError):
    """A service ended up in another state than the one that was waited for."""

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status  # type: ignore[assignment]  # a word; nothing here becomes an HTTP status


class DuplicatedMountException(PAIException):
    """A source is mounted already, at another path."""


class MountPathIsOccupiedException(PAIException):
    """Two sources of one spec want the same path."""
