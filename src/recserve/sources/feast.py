"""Rows from a Feast repository: the newest row of each key of a feature service, from its offline store.

    FeastSource ──starts──▶ feast_reader.py, Feast ──Arrow IPC──▶ batches

Bulk reads only, never on the path of a request. Ours: Feast runs in a process of its own for each of them. It
takes seconds to import and holds a whole table in pandas: the server keeps its memory and its interpreter for
requests. That process may be the Python of another environment, as repositories have one often.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pyarrow as pa

from recserve.errors import ConfigError, DataError, LoadError, SourceError
from recserve.sources import feast_reader
from recserve.sources.moment import NoMoment
from recserve.sources.table import check_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from recserve.source import Ability, Moment, TableSpec

# Threads that read Feast's file store at once wait for one another for ever, inside of dask.
_ONE_AT_A_TIME = threading.Lock()


class FeastSource:
    """The feature service, or feature view, `name` of the repository in a folder.

    `python` is the interpreter that has Feast; None: it is imported into this process.
    """

    abilities: frozenset[Ability] = frozenset()

    def __init__(
        self, repository: str | Path, name: str, key: str, *, python: str | None = sys.executable
    ) -> None:
        self.key = key
        self.name = name
        self.origin = str(repository)
        self._python = python
        self._asked = {"repository": str(repository), "name": name, "key": key}
        self._where = f"Feast '{name}' of {repository}"

    @classmethod
    def open(cls, spec: TableSpec) -> FeastSource:
        """Open the repository in the folder `url`, which is relative to the service file.

        Ours: `?python=/path/to/python` behind it names the interpreter of another environment.
        """
        folder, _, options = spec.url.removeprefix("file://").partition("?")
        if not folder:
            raise ConfigError(f"Feast '{spec.name}': url is missing; it is the folder of the repository")
        if spec.condition:
            raise ConfigError(
                f"Feast '{spec.name}': a condition is SQL; put it into the feature view's source"
            )
        [python] = parse_qs(options).get("python", [sys.executable])[-1:]
        return cls(spec.base_dir / folder, spec.name, spec.key, python=python)

    def __repr__(self) -> str:
        return f"FeastSource({self.origin!r}, {self.name!r})"

    def moment(self) -> NoMoment:
        """Offline stores are read as they are."""
        return NoMoment(self.origin)

    def close(self) -> None:
        """Nothing is held."""

    def schema(self) -> pa.Schema:
        """The key and the features, as the registry declares them."""
        if self._python is None:
            with self._told():
                return feast_reader.open_repository(**self._asked).schema()
        with self._reader(self._asked) as reader:
            return reader.schema

    def rows(self) -> int:
        """Nobody knows without reading them."""
        return 0

    def snapshot(
        self, columns: Collection[str] | None = None, *, at: Moment | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The newest row of each key, within the `ttl` of its feature view."""
        wanted = None if columns is None else sorted(columns)
        if self._python is None:
            with self._told():
                table = feast_reader.open_repository(**self._asked).table(wanted)
            yield from self._checked(table.to_batches(feast_reader.BATCH_ROWS))
            return
        with self._reader({**self._asked, "columns": wanted}) as reader:
            yield from self._checked(reader)

    def _checked(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            check_keys(batch, self.key, self._where)
            yield batch

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong in this process, as an error of ours."""
        try:
            with _ONE_AT_A_TIME:
                yield
        except Exception as error:
            wrong = isinstance(error, feast_reader.WrongRepositoryError)
            raise self._error(wrong, feast_reader.text_of(error)) from error

    @contextmanager
    def _reader(self, asked: Mapping[str, Any]) -> Iterator[pa.RecordBatchReader]:
        """What the reader's process writes; it ends with the block."""
        command = [str(self._python), "-I", feast_reader.__file__, json.dumps(asked)]
        with tempfile.TemporaryFile() as messages:
            try:
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages)
            except OSError as error:
                raise ConfigError(f"{self._where}: no Python '{self._python}': {error}") from error
            assert process.stdout is not None
            try:
                yield pa.ipc.open_stream(process.stdout)
                if process.wait() != 0:  # rows that end early may look whole
                    raise self._ended(messages, process.returncode)
            except (pa.ArrowException, OSError) as error:
                raise self._ended(messages, process.wait()) from error
            finally:
                process.kill()  # it has written all, or nobody reads on
                process.stdout.close()
                process.wait()

    def _ended(self, messages: IO[bytes], code: int) -> LoadError:
        """The error that the process told last, if it could."""
        messages.seek(0)
        last = messages.read().decode(errors="replace").strip().rpartition("\n")[2]
        try:
            told = json.loads(last)
            return self._error(bool(told["wrong"]), str(told["text"]))
        except (ValueError, KeyError, TypeError):
            return SourceError(f"{self._where}: its reader ended with {code}: {_redacted(last)}")

    def _error(self, wrong: bool, text: str) -> LoadError:
        if "No module named 'feast'" in text:
            return ConfigError(
                f"{self._where}: {self._python or 'this Python'} has no Feast; "
                'try: pip install "recserve[feast]", or url "REPOSITORY?python=/path/to/python"'
            )
        return (DataError if wrong else SourceError)(f"{self._where}: {_redacted(text)}")


def _redacted(text: str) -> str:
    """One line, without the passwords of URLs: offline stores put theirs into errors."""
    return re.sub(r"://[^@/\s]*@", "://***@", " ".join(text.split()))
