"""Whole tables to Arrow, over ADBC: parts of a table are read side by side and handed on in their order.

part 0 ──▶ ▓▓▓▓ ─┐                     each connection reads one part after the other, all of them as of
part 1 ──▶ ▓▓▓▓ ─┼─▶ batches in order  one exported snapshot; one that is ahead waits, so memory holds
part 2 ──▶ ▓▓   ─┘                     a few batches per connection and no more
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve.errors import ConfigError, SourceError
from recserve.sources.postgres_errors import failure, sqlstate_of
from recserve.sources.postgres_moment import BEGIN
from recserve.sources.postgres_session import GRACE_SECONDS, connection_text, set_statement, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from recserve.sources.postgres_url import Address

try:
    from adbc_driver_postgresql import StatementOptions, dbapi
except ImportError as e:
    raise ConfigError(
        "PostgreSQL and Hologres need ADBC, which is not installed: pip install 'recserve[postgres]'"
    ) from e

logger = logging.getLogger("recserve.postgres")

_BATCHES_AHEAD = 3  # of a part, that wait to be taken
#: Refusals of COPY itself: the query under it was understood before.
_COPY_REFUSED = ("0A000", "42501", "42601")


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read, and how."""

    address: Address
    where: str
    statements: Sequence[str]  # one per part
    batch_bytes: int
    snapshot: str | None = None  # an exported one
    connections: int = 1
    is_alive: Callable[[], object] = lambda: None  # raises SourceError when the server does not answer


def stream(reading: Reading) -> Iterator[pa.RecordBatch]:
    """The batches of all parts in their order. Raises DataError or SourceError, at whatever row it comes."""
    readers = _Readers(reading)
    try:
        yield from readers.batches()
    finally:
        readers.stop()


@dataclass(slots=True)
class _Part:
    statement: str
    batches: deque[pa.RecordBatch] = field(default_factory=deque)
    ended: bool = False


class _Readers:
    """Threads with a connection each. They are daemons: one that hangs in a dead server holds up nobody."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._parts = [_Part(statement) for statement in reading.statements]
        self._changed = threading.Condition()
        self._taken = 0  # parts that a thread reads or has read
        self._current = 0  # the part whose batches are handed on
        self._error: BaseException | None = None
        self._stopped = False
        self._use_copy = True
        for _ in range(min(reading.connections, len(self._parts))):
            threading.Thread(target=self._run, name="postgres", daemon=True).start()

    def batches(self) -> Iterator[pa.RecordBatch]:
        for number, part in enumerate(self._parts):
            with self._changed:
                self._current = number
                self._changed.notify_all()
            while (batch := self._next(part)) is not None:
                yield batch

    def stop(self) -> None:
        """Tell the threads; they close their connections themselves."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _next(self, part: _Part) -> pa.RecordBatch | None:
        """Take a batch; None behind the last."""
        limits = self._reading.address.limits
        end = time.monotonic() + limits.load_timeout + GRACE_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: part.batches or part.ended or self._error, limits.answer_timeout
                )
                if part.batches:
                    self._changed.notify_all()
                    return part.batches.popleft()
                if self._error is not None:
                    raise self._error
                if part.ended:
                    return None
            self._reading.is_alive()  # a server that sorts is silent too, but answers
            if time.monotonic() > end:
                raise SourceError(
                    f"{self._reading.where}: {self._reading.address.origin} sent no rows for "
                    f"{limits.load_timeout:g} s (load_timeout)"
                )

    def _run(self) -> None:
        try:
            connection = self._connect()
            try:
                while (part := self._take()) is not None:
                    self._read(connection, part)
            finally:
                with suppress(Exception):
                    connection.close()
        except _StoppedError:
            pass
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _take(self) -> _Part | None:
        """The next part; not further ahead of the current one than there are connections."""
        with self._changed:
            self._wait(
                lambda: (
                    self._taken >= len(self._parts)
                    or self._taken <= self._current + self._reading.connections
                )
            )
            if self._taken >= len(self._parts):
                return None
            self._taken += 1
            return self._parts[self._taken - 1]

    def _read(self, connection: dbapi.Connection, part: _Part) -> None:
        if self._use_copy:
            try:
                self._send(connection, part)
                return
            except dbapi.Error as error:
                text = str(error)
                if error.sqlstate not in _COPY_REFUSED or "could not begin COPY" not in text:
                    raise self._failed(error) from None
                if self._use_copy:
                    logger.warning(
                        "%s: COPY is refused (%s); reading without it, which is slower",
                        self._reading.where,
                        self._reading.address.redacted(_primary(error)),
                    )
                self._use_copy = False
            with suppress(dbapi.Error):
                _execute(connection, "ROLLBACK")
            self._begin(connection)
        try:
            self._send(connection, part)
        except dbapi.Error as error:
            raise self._failed(error) from None

    def _batches(self, cursor: dbapi.Cursor) -> Iterator[pa.RecordBatch]:
        """Between rows errors come through Arrow, which passes the text on and not the SQLSTATE."""
        with cursor.fetch_record_batch() as batches:
            while True:
                try:
                    batch = batches.read_next_batch()
                except StopIteration:
                    return
                except (pa.ArrowException, OSError) as error:
                    reading, text = self._reading, str(error)
                    raise failure(text, sqlstate_of(text), reading.where, reading.address) from None
                yield batch

    def _send(self, connection: dbapi.Connection, part: _Part) -> None:
        """Run a part's statement and offer its batches."""
        with connection.cursor() as cursor:
            cursor.adbc_statement.set_options(
                **{
                    StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(self._reading.batch_bytes),
                    StatementOptions.USE_COPY.value: str(self._use_copy).lower(),
                }
            )
            cursor.execute(part.statement)
            for batch in self._batches(cursor):
                self._offer(part, batch)
        with self._changed:
            part.ended = True
            self._changed.notify_all()

    def _offer(self, part: _Part, batch: pa.RecordBatch) -> None:
        with self._changed:
            self._wait(lambda: len(part.batches) < _BATCHES_AHEAD)
            if batch.num_rows:
                part.batches.append(batch)
                self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._stopped or self._error or condition())
        if self._stopped or self._error:
            raise _StoppedError

    def _connect(self) -> dbapi.Connection:
        reading = self._reading
        try:
            connection = dbapi.connect(connection_text(reading.address), autocommit=True)
        except dbapi.Error as error:
            raise self._failed(error) from None
        try:
            values = settings(timeout=reading.address.limits.load_timeout, read_only=True)
            try:
                _execute(connection, set_statement(values))
            except dbapi.Error:  # a database that only talks like PostgreSQL
                for name, value in values.items():
                    with suppress(dbapi.Error):
                        _execute(connection, set_statement({name: value}))
            self._begin(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: dbapi.Connection) -> None:
        try:
            _execute(connection, BEGIN)
            if self._reading.snapshot is not None:
                _execute(connection, f"SET TRANSACTION SNAPSHOT '{self._reading.snapshot}'")
        except dbapi.Error as error:
            raise self._failed(error) from None

    def _failed(self, error: Any) -> Exception:
        return failure(_primary(error), error.sqlstate, self._reading.where, self._reading.address)


class _StoppedError(Exception):
    """Nobody wants more rows."""


def _execute(connection: dbapi.Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        if statement.startswith("SELECT"):
            cursor.fetchall()


def _primary(error: Any) -> str:
    """What the server said; else what the driver makes of it, without the statement."""
    for name, value in getattr(error, "details", None) or []:
        if name in {"PG_DIAG_MESSAGE_PRIMARY", b"PG_DIAG_MESSAGE_PRIMARY"}:
            return bytes(value).decode(errors="replace")
    return str(error).partition("\nQuery was:")[0]
