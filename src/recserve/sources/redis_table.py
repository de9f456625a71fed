"""A table in Redis as bytes: its three keys, the commands that read and write them, and what can go wrong.

    <table>           hash     key ──▶ packed row           sources/packed_rows.py
    <table>:schema    string   the schema document          JSON
    <table>:changes   stream   one entry per written row    key, op: upsert or delete

The layout is ours; docs/reference/redis.md has all that another program needs to write it. One hash rather
than a key per row: it knows its size, it is scanned without the keys of other tables, and it takes less
memory (benchmarks/redis.py).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from recserve.errors import ConfigError, DataError, LoadError, SourceError
from recserve.sources.redis_stream import Stream

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as missing:
    raise ConfigError('tables in Redis need its client; try: pip install "recserve[redis]"') from missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recserve.source import Cursor

Row = tuple[bytes, bytes, bytes]  # key, the row that it replaces (ANY, NONE), the new row (NONE: deleted)
ANY = b"*"
NONE = b""

PAGE_ENTRIES = 10_000

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0  # a server that is silent for longer hangs
_SCAN_ROWS = 2000  # in one HSCAN: some 3 ms in which the server does nothing else
_BATCH_ROWS = 1 << 15
_BATCH_BYTES = 1 << 26
_GET_KEYS = 5000  # in one HMGET
_WRITE_ROWS = 1000  # in one call of the script
_WRITE_BYTES = 1 << 23

# Writes rows and tells of them, all or nothing: what can fail is asked first. ARGV: the schema document that
# the writer knows, the one that it wants, how many entries are kept; then three for each row. Gives how many
# rows were written, and the numbers of those that replace another row than they should; or nothing at all,
# when the schema is another one.
_WRITE = """
if redis.replicate_commands then redis.replicate_commands() end
redis.call('HLEN', KEYS[1])
redis.call('XLEN', KEYS[3])
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return false end
if ARGV[2] ~= ARGV[1] then redis.call('SET', KEYS[2], ARGV[2]) end
local written, refused = 0, {}
for i = 4, #ARGV, 3 do
  local key, old, row = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local op = row == '' and 'delete' or 'upsert'
  if old ~= '*' and (redis.call('HGET', KEYS[1], key) or '') ~= old then
    refused[#refused + 1] = (i - 4) / 3
  elseif op == 'upsert' and redis.call('HSET', KEYS[1], key, row)
      or op == 'delete' and redis.call('HDEL', KEYS[1], key) == 1 then
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'key', key, 'op', op)
    written = written + 1
  end
end
return {written, refused}
"""


class RedisTable:
    """The bytes of one table. Errors are ours, name the table and the server, and hold no secret."""

    def __init__(self, url: str, name: str, kept_changes: int) -> None:
        self.name = name
        self._hash, self._schema, self._changes = name, f"{name}:schema", f"{name}:changes"
        self._kept = kept_changes
        try:
            # Its methods are typed as answering now or as coroutines, of bytes or of texts.
            self._redis: Any = redis.Redis.from_url(
                url,
                protocol=2,
                socket_connect_timeout=_CONNECT_SECONDS,
                socket_timeout=_ANSWER_SECONDS,
                # A connection that the server has closed meanwhile is opened again, once.
                retry=Retry(NoBackoff(), 1, (redis.ConnectionError,)),
            )
        except ValueError:
            raise ConfigError(
                f"Redis table '{name}': its url is none of Redis; write redis://:password@host:6379/0"
            ) from None
        settings = self._redis.get_connection_kwargs()
        place = settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"
        self.origin = f"redis://{place}/{settings.get('db', 0)}"
        self.where = f"Redis table '{name}' at {self.origin}"
        self._secrets = [str(settings[each]) for each in ("password", "username") if settings.get(each)]
        self._answer_seconds = float(settings["socket_timeout"] or _ANSWER_SECONDS)
        self._script = self._redis.register_script(_WRITE)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def size(self) -> int:
        """How many rows there are."""
        with self._asking():
            return int(self._redis.hlen(self._hash))

    def document(self) -> bytes:
        """The schema document. Raises DataError when there is no table."""
        document = self.document_if_any()
        if document is None:
            raise DataError(f"{self.where} is not there: no key '{self._schema}'")
        return document

    def document_if_any(self) -> bytes | None:
        """The schema document, if the table is there."""
        with self._asking():
            document: bytes | None = self._redis.get(self._schema)
            return document

    def rows(self, keys: Sequence[bytes]) -> tuple[list[bytes | None], bytes]:
        """The rows of the keys, and the schema document, read after them: one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for start in range(0, len(keys), _GET_KEYS):
            pipeline.hmget(self._hash, list(keys[start : start + _GET_KEYS]))
        pipeline.get(self._schema)
        with self._asking():
            *parts, document = pipeline.execute()
        return [row for part in parts for row in part], document or self.document()

    def scan(self) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """All keys and rows, in parts of a bounded size; of a key that a part has twice, the later row."""
        place, found, size = 0, dict[bytes, bytes](), 0
        while True:
            with self._asking():
                place, part = self._redis.hscan(self._hash, place, count=_SCAN_ROWS)
            found.update(part)
            size += sum(map(len, part.values()))
            if found and (place == 0 or len(found) + _SCAN_ROWS > _BATCH_ROWS or size > _BATCH_BYTES):
                yield list(found), list(found.values())
                found, size = {}, 0
            if place == 0:
                return

    def stream(self) -> Stream:
        """What the stream remembers."""
        with self._asking():
            try:
                return Stream.of(self._redis.xinfo_stream(self._changes))
            except redis.ResponseError as error:
                if "no such key" not in str(error):
                    raise
                return Stream.of(None)

    def changed(self, cursor: Cursor, wait_seconds: float) -> tuple[list[bytes], Cursor, bool]:
        """The keys that the stream tells behind the cursor, the next cursor, and whether there are more.

        Raises DataError when the stream may have forgotten some of them.
        """
        milliseconds = int(min(wait_seconds, self._answer_seconds / 2) * 1000)
        block = milliseconds if milliseconds > 0 else None  # to the server, 0 is for ever
        with self._asking():
            read = self._redis.xread({self._changes: cursor}, count=PAGE_ENTRIES, block=block)
        # What it remembers is asked after it was read, so that nothing can be trimmed in between unseen.
        if not self.stream().knows(cursor):
            raise DataError(
                f"{self.where}: cursor '{cursor}' is no longer known: changes behind it were trimmed, or the "
                "server lost its data; read the table as a whole"
            )
        entries = read[0][1] if read else []
        keys = list(dict.fromkeys(self._key_of(*entry) for entry in entries))
        return keys, entries[-1][0].decode() if entries else cursor, len(entries) == PAGE_ENTRIES

    def _key_of(self, entry: bytes, fields: dict[bytes, bytes]) -> bytes:
        if b"key" not in fields:
            raise DataError(f"{self.where}: entry {entry.decode()} of '{self._changes}' has no field 'key'")
        return fields[b"key"]

    def declare(self, known: bytes | None, document: bytes) -> bool:
        """Set the schema document, if it is still the one that is known."""
        return self._write(known, document, []) is not None

    def write(self, rows: Sequence[Row], document: bytes) -> tuple[int, list[int]]:
        """Write rows under the schema that they were packed by.

        Returns how many were written, and the numbers of those that were not, because the old row or the
        schema is another one by now.
        """
        written, refused = 0, list[int]()
        for start, stop in _parts(rows):
            answer = self._write(document, document, rows[start:stop])
            if answer is None:
                refused += range(start, stop)
            else:
                written += answer[0]
                refused += [start + number for number in answer[1]]
        return written, refused

    def _write(
        self, known: bytes | None, document: bytes, rows: Sequence[Row]
    ) -> tuple[int, list[int]] | None:
        arguments: list[Any] = [known or b"", document, self._kept, *(each for row in rows for each in row)]
        with self._asking():
            answer = self._script(keys=[self._hash, self._schema, self._changes], args=arguments)
        return None if answer is None else (answer[0], answer[1])

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise self._told(error) from None  # its text may hold what the url holds

    def _told(self, error: redis.RedisError) -> LoadError:
        text = " ".join(str(error).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        if "WRONGTYPE" in text:
            names = f"'{self._hash}' is a hash, '{self._schema}' a string, '{self._changes}' a stream"
            return DataError(f"{self.where}: a key holds something else; of a table, {names}")
        for kind, words, told in _TOLD:
            if isinstance(error, kind) and words in text:
                return SourceError(f"{self.where}: {told}: {text}")
        return SourceError(f"{self.where}: {text}")


#: What errors are, which words they have, and what that means.
_TOLD: list[tuple[type[redis.RedisError], str, str]] = [
    (redis.RedisError, "OOM ", "it is full, and nothing of this part was written; raise its maxmemory"),
    (redis.OutOfMemoryError, "", "it is full, and nothing of this part was written; raise its maxmemory"),
    (redis.RedisError, "DB index", "it has no such database"),
    (redis.AuthenticationError, "", "it does not take the user or the password of the url"),
    (redis.exceptions.NoPermissionError, "", "it does not let the user of the url do this"),
    (redis.BusyLoadingError, "", "it is loading its data"),
    (redis.ReadOnlyError, "", "it is a replica, which takes no writes; name the primary in the url"),
    (redis.TimeoutError, "", "it does not answer"),
    (redis.ConnectionError, "", "it cannot be reached"),
]


def _parts(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """From where to where rows are sent together."""
    start = size = 0
    for number, row in enumerate(rows):
        size += sum(map(len, row))
        if number + 1 - start == _WRITE_ROWS or size > _WRITE_BYTES or number + 1 == len(rows):
            yield start, number + 1
            start, size = number + 1, 0
