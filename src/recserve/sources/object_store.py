"""Files behind a URL, through fsspec: `s3://`, `oss://`, `memory://` and what else has a driver there.

Credentials and endpoints are those libraries' own: their environment variables and files, such as
`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` and `FSSPEC_S3_ANON=true`. The extra `object-store` installs fsspec
and the drivers of s3 and oss.
"""

from __future__ import annotations

import re
import tempfile
import threading
from contextlib import contextmanager
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa

from recserve.errors import ConfigError, SourceError
from recserve.sources.storage import Entry, reason

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG_WINDOW_BYTES = 8 << 20
_SHORT_WINDOW_BYTES = 64 << 10


class ObjectStore:
    """One file system of fsspec. What it is asked is never answered from a listing that it kept.

    The listings are dropped, not switched off: the driver of OSS does not work without.
    """

    # Drivers raise errors of their own that have no root in common.
    failures: tuple[type[Exception], ...] = (Exception,)
    far = True

    def __init__(self, files: Any, scheme: str, secrets: list[str]) -> None:
        self._files = files
        self._scheme = scheme
        self._secrets = secrets

    def shown(self, path: str) -> str:
        """The URL without user, password and query."""
        url = path if "://" in path else f"{self._scheme}://{path.lstrip('/')}"
        return without_secrets(url, self._secrets)

    def told(self, error: Exception) -> str:
        """The driver's words, and what kind of error it has."""
        return without_secrets(f"{type(error).__name__}: {reason(error)}", self._secrets)

    def entry(self, path: str) -> Entry | None:
        """Look at an object or a prefix."""
        with self._asking(path):
            self._files.invalidate_cache()
            try:
                return self._entry(self._files.info(path))
            except FileNotFoundError:
                return None

    def entries(self, folder: str) -> list[Entry]:
        """List a prefix."""
        with self._asking(folder):
            self._files.invalidate_cache()
            found = [self._entry(info) for info in self._files.ls(folder, detail=True)]
        return sorted((e for e in found if e.path.rstrip("/") != folder.rstrip("/")), key=lambda e: e.name)

    def open(self, entry: Entry, *, in_order: bool) -> pa.NativeFile:
        """Open an object; what is read in order is fetched in long pieces."""
        # Never without a window: the driver of OSS gives a byte too many, which only a window cuts off.
        window = _LONG_WINDOW_BYTES if in_order else _SHORT_WINDOW_BYTES
        with self._asking(entry.path):
            opened = self._files.open(entry.path, "rb", block_size=window, cache_type="readahead")
        return pa.PythonFile(opened, mode="r")

    def content(self, path: str) -> bytes | None:
        """Fetch a small object."""
        with self._asking(path):
            try:
                return bytes(self._files.cat_file(path))
            except FileNotFoundError:
                return None

    @contextmanager
    def replacing(self, path: str) -> Iterator[IO[bytes]]:
        """Write a file of this machine and send it: an object is there when it is complete."""
        with tempfile.NamedTemporaryFile(prefix="recserve-") as file:
            yield file
            file.flush()
            self._files.put_file(file.name, path)

    def remove(self, path: str) -> None:
        """Delete an object."""
        if self.entry(path) is not None:
            with self._asking(path):
                self._files.rm_file(path)

    @contextmanager
    def writing_alone(self, folder: str) -> Iterator[None]:
        """Keep the threads of this process apart; an object store has no locks between processes."""
        with _LOCKS.setdefault(self.shown(folder), threading.Lock()):
            yield

    def _entry(self, info: dict[str, Any]) -> Entry:
        path, size = str(info["name"]), int(info.get("size") or 0)
        modified = next((info[k] for k in ("LastModified", "mtime", "created") if info.get(k)), 0.0)
        seconds = modified.timestamp() if isinstance(modified, datetime) else _number(modified)
        version = f"{info.get('ETag') or modified}-{size}"
        return Entry(path, self.shown(path), info["type"] == "directory", size, version, seconds)

    @contextmanager
    def _asking(self, path: str) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise SourceError(f"{self.shown(path)}: access is denied: {self.told(error)}") from None
        except Exception as error:
            raise SourceError(f"{self.shown(path)} cannot be reached: {self.told(error)}") from None


_LOCKS: dict[str, threading.Lock] = {}


def open_url(url: str) -> tuple[ObjectStore, str]:
    """Find the driver of a URL. Raises ConfigError when it, or fsspec, is not installed."""
    scheme = url.partition("://")[0]
    try:
        import fsspec
    except ImportError:
        raise ConfigError(
            f"{scheme}:// needs fsspec, which is not installed: pip install 'recserve[object-store]'"
        ) from None
    secrets = secrets_of(url)
    try:
        files, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ConfigError(
            f"{scheme}:// needs a driver that is not installed: pip install 'recserve[object-store]' "
            f"has those of s3 and oss: {without_secrets(str(error), secrets)}"
        ) from None
    except ValueError as error:
        raise ConfigError(without_secrets(f"{url}: {error}", secrets)) from None
    return ObjectStore(files, scheme, secrets), path


def secrets_of(url: str) -> list[str]:
    """The parts of a URL that are nobody's business: the password and what stands behind the "?"."""
    parts = urlsplit(url)
    return [text for text in (parts.password, parts.query) if text]


def without_secrets(text: str, secrets: list[str]) -> str:
    """The text with *** for secrets."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return re.sub(r"(://[^/@\s:]*):[^/@\s]+@", r"\1:***@", text)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
