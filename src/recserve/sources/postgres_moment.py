"""One state of all tables of a database: a transaction that is held, and the snapshot that it exports."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from recserve.errors import DataError, LoadError, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Any

    from recserve.sources.postgres_session import Session, Sessions
    from recserve.sources.postgres_url import Address

logger = logging.getLogger("recserve.postgres")

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_said: set[str] = set()  # origins of which a warning was given


class PostgresMoment:
    """Its own context manager; inside, any thread may ask."""

    def __init__(self, sessions: Sessions, address: Address) -> None:
        self.origin = address.origin
        self.snapshot: str | None = None  # its name; None: the database exports none
        self._sessions = sessions
        self._address = address
        self._session: Session | None = None

    def __enter__(self) -> PostgresMoment:
        session = self._sessions.new(where=self.origin, timeout=self._address.limits.load_timeout)
        try:
            try:
                session.query(BEGIN)
                self.snapshot = session.query("SELECT pg_export_snapshot()")[0][0]
            except DataError as error:
                self._warn(error)
                session.query("ROLLBACK")
                with suppress(DataError):  # what is asked of the moment itself is still of one state
                    session.query(BEGIN)
                    session.query("SELECT 1")
        except BaseException:
            session.close()
            raise
        self._session = session
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask as of the moment."""
        if self._session is None:
            raise SourceError(f"the moment of {self.origin} is over")
        return self._session.query(statement, parameters)

    def _warn(self, error: LoadError) -> None:
        if self.origin not in _said:
            _said.add(self.origin)
            logger.warning(
                "%s exports no snapshots (%s): tables are read one after the other, each as it is then",
                self.origin,
                error,
            )
