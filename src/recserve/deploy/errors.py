"""What can go wrong with deployments, beside what recserve.errors has.

RecserveError
├── ConflictError                409  the name is taken, or the service is locked or changing
├── RefusedError                 400  a document that cannot be deployed, with all that is wrong with it
├── ForbiddenError               403  the token is not the control plane's
└── BackendError                 503  where instances run cannot be reached
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Sequence


class ConflictError(RecserveError):
    """It cannot be done in the state that things are in; the message says what to do first."""

    status = 409


class RefusedError(RecserveError):
    """A service document that cannot be deployed."""

    status = 400

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class BackendError(RecserveError):
    """Where instances run cannot be reached; it is tried again."""

    status = 503
