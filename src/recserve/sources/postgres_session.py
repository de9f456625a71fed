"""Connections for short statements, over psycopg: each statement has an end, and each failure a name.

A server that is alive ends a statement itself (`statement_timeout`). One that hangs cannot: then the
connection is shut from our side a little later, which wakes whoever waits on it.
"""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from recserve.errors import ConfigError, DataError, SourceError
from recserve.sources.postgres_errors import failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recserve.sources.postgres_url import Address

try:
    import psycopg
    from psycopg import conninfo
except ImportError as e:
    raise ConfigError(
        "PostgreSQL and Hologres need psycopg, which is not installed: pip install 'recserve[postgres]'"
    ) from e

logger = logging.getLogger("recserve.postgres")

GRACE_SECONDS = 2.0  # that the server has to end a statement itself
_IDLE_SESSIONS = 4
_UNKNOWN_SETTING = "42704"
_VALUE_IS_WRONG = "22000"


def connection_text(address: Address) -> str:
    """The address as drivers over libpq take it."""
    return conninfo.make_conninfo(**address.parameters)


def set_statement(values: dict[str, str]) -> str:
    """One statement that sets them all."""
    return "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in values.items())


def settings(*, timeout: float, read_only: bool) -> dict[str, str]:
    """What is set in every session, so that texts and orders do not depend on the server's configuration."""
    return {
        "default_transaction_read_only": "on" if read_only else "off",
        "statement_timeout": str(round(timeout * 1000)),
        "idle_in_transaction_session_timeout": "0",
        "TimeZone": "UTC",
        "DateStyle": "ISO, YMD",
        "standard_conforming_strings": "on",
        "synchronize_seqscans": "off",  # a table is read from its start: later rows count
    }


class Session:
    """One connection; one statement at a time, whoever asks."""

    def __init__(self, address: Address, where: str, *, timeout: float, read_only: bool = True) -> None:
        self._address = address
        self._where = where
        self._timeout = timeout
        self._lock = threading.Lock()
        try:
            self._connection = psycopg.connect(
                connection_text(address), autocommit=True, cursor_factory=psycopg.RawCursor
            )
        except psycopg.Error as error:
            raise self._failed(error) from None
        self.timed_out = False
        self._set(settings(timeout=timeout, read_only=read_only))

    @property
    def server_version(self) -> int:
        """As the server says."""
        return self._connection.info.server_version

    @property
    def broken(self) -> bool:
        """Whether nothing more can be asked."""
        return self._connection.closed

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask; the parameters stand in the statement as $1, $2, ..."""
        with self._lock, self._watched():
            cursor = self._connection.cursor(binary=True)
            # Prepared, the statement would be planned once, for any cursor; each is worth its own plan.
            cursor.execute(statement.encode(), parameters or None, prepare=False)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside, or none."""
        with self._failing(), self._connection.transaction():
            yield

    def copy(self, statement: str, rows: Iterator[tuple[Any, ...]]) -> None:
        """Send rows by COPY."""
        with self._lock, self._watched(), self._connection.cursor().copy(statement.encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def close(self) -> None:
        """Part; what is open is rolled back."""
        with suppress(psycopg.Error):
            self._connection.close()

    def _set(self, values: dict[str, str]) -> None:
        try:
            with self._lock, self._watching():
                self._connection.execute(set_statement(values).encode())
        except psycopg.Error as error:
            if error.sqlstate != _UNKNOWN_SETTING or len(values) == 1:
                raise self._failed(error) from None
            for name, value in values.items():  # a database that only talks like PostgreSQL
                with suppress(DataError):
                    self._set({name: value})

    @contextmanager
    def _watched(self) -> Iterator[None]:
        with self._failing(), self._watching():
            yield

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self._failed(error) from None

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Shut the connection when the server is silent for longer than it may."""
        seconds = self._timeout + GRACE_SECONDS
        timer = threading.Timer(seconds, self._shut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except psycopg.Error as error:
            if not self.timed_out:
                raise
            raise SourceError(
                f"{self._where}: {self._address.origin} gave no answer for {seconds:g} s"
            ) from error
        finally:
            timer.cancel()

    def _shut(self) -> None:
        self.timed_out = True
        with suppress(OSError, psycopg.Error), socket.fromfd(self._connection.fileno(), 0, 0) as shared:
            shared.shutdown(socket.SHUT_RDWR)

    def _failed(self, error: psycopg.Error) -> Exception:
        parts = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
        message = "; ".join(part for part in parts if part) or str(error)
        sqlstate = error.sqlstate
        if sqlstate is None and isinstance(error, (psycopg.DataError, psycopg.ProgrammingError)):
            sqlstate = _VALUE_IS_WRONG  # said by the driver itself
        return failure(message, sqlstate, self._where, self._address)


class Sessions:
    """Connections of one source: threads borrow them, and a few are kept for the next."""

    def __init__(self, address: Address, where: str) -> None:
        self._address = address
        self._where = where
        self._idle: list[Session] = []
        self._closed = False
        self._server_version = 0

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask over any connection; over a new one, if the kept one broke while nobody used it."""
        kept = self._take()
        if kept is not None:
            try:
                return self._ask(kept, statement, parameters)
            except SourceError:
                if kept.timed_out or not kept.broken:
                    raise
        return self._ask(self.new(), statement, parameters)

    @property
    def server_version(self) -> int:
        """As PostgreSQL numbers them: 150018; a database that only talks like one names one, too."""
        if not self._server_version:
            self.query("SELECT 1")
        return self._server_version

    def new(self, *, where: str = "", timeout: float | None = None, read_only: bool = True) -> Session:
        """A connection of the caller's own."""
        timeout = self._address.limits.answer_timeout if timeout is None else timeout
        session = Session(self._address, where or self._where, timeout=timeout, read_only=read_only)
        self._server_version = session.server_version
        return session

    def close(self) -> None:
        """Part from the kept ones; those in use are parted from when they are given back."""
        self._closed = True
        while session := self._take():
            session.close()

    def _ask(self, session: Session, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            rows = session.query(statement, parameters)
        except BaseException:
            self._give(session)
            raise
        self._give(session)
        return rows

    def _take(self) -> Session | None:
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def _give(self, session: Session) -> None:
        if session.broken or self._closed or len(self._idle) >= _IDLE_SESSIONS:
            session.close()
        else:
            self._idle.append(session)
