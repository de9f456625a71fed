"""Where files lie: disks here, or what `object_store.py` reaches. They are listed, opened, replaced whole."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from recserve.errors import DataError, LoadError, RecserveError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder, as it was when it was looked at."""

    path: str
    shown: str  # for messages; no secrets
    is_folder: bool
    size: int
    version: str  # changes whenever the content does
    modified: float  # seconds since 1970; 0 when nobody knows

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]


class Storage(Protocol):
    """What is asked of a place for files. Paths are its own, with "/" between their parts."""

    failures: tuple[type[Exception], ...]  # what its methods, and reading its files, may raise
    far: bool  # every read is a round trip: few long ones are better than many short ones

    def shown(self, path: str) -> str:
        """The path for messages, without secrets."""

    def told(self, error: Exception) -> str:
        """What an error says, in one line, without secrets."""

    def entry(self, path: str) -> Entry | None:
        """Look at one path; None if there is nothing."""

    def entries(self, folder: str) -> list[Entry]:
        """What is in a folder, sorted by name."""

    def open(self, entry: Entry, *, in_order: bool) -> pa.NativeFile:
        """Open a file for reading; `in_order` from its beginning to its end, else in ranges."""

    def content(self, path: str) -> bytes | None:
        """A small file as it is now, as a whole; None if there is none."""

    def replacing(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """A file to write, which is there as a whole at the end of the block, or not at all."""

    def remove(self, path: str) -> None:
        """Delete a file; nothing happens if it is gone."""

    def writing_alone(self, folder: str) -> AbstractContextManager[None]:
        """Wait until no other writer is in this block for the folder."""


class LocalStorage:
    """Files of this machine, or of what is mounted there."""

    failures: tuple[type[Exception], ...] = (OSError,)
    far = False

    def shown(self, path: str) -> str:
        """A path has no secrets."""
        return path

    def told(self, error: Exception) -> str:
        """The system's own words."""
        return reason(error)

    def entry(self, path: str) -> Entry | None:
        """Look at a file or folder."""
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        is_folder = os.path.isdir(path)
        version = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
        return Entry(path, path, is_folder, found.st_size, version, found.st_mtime)

    def entries(self, folder: str) -> list[Entry]:
        """List a folder; what vanishes meanwhile is not in it."""
        found = [self.entry(os.path.join(folder, name)) for name in sorted(os.listdir(folder))]
        return [entry for entry in found if entry is not None]

    def open(self, entry: Entry, *, in_order: bool) -> pa.NativeFile:
        """Open without mapping: of a mapped file that is cut off, reading would end the process."""
        return pa.OSFile(entry.path)

    def content(self, path: str) -> bytes | None:
        """Read a small file."""
        try:
            return Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    @contextmanager
    def replacing(self, path: str) -> Iterator[IO[bytes]]:
        """Write beside it under a hidden name, to the disk, and rename."""
        target = Path(path)
        written = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            with written.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(written, target)
        finally:
            written.unlink(missing_ok=True)
        _sync_folder(target.parent)

    def remove(self, path: str) -> None:
        """Delete a file."""
        Path(path).unlink(missing_ok=True)

    @contextmanager
    def writing_alone(self, folder: str) -> Iterator[None]:
        """Lock a file in the folder; the system lets go of it when a writer dies."""
        import fcntl

        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, ".lock"), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _sync_folder(folder: Path) -> None:
    """A rename outlives a power cut only when the folder is on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_storage(name: str, base_dir: Path = Path()) -> tuple[Storage, str]:
    """Find the storage for a file name or URL, and the path there; relative names start at `base_dir`."""
    if "://" not in name:
        return LocalStorage(), str(base_dir / name)
    if name.startswith("file://"):
        return LocalStorage(), str(base_dir / name.removeprefix("file://"))
    from recserve.sources.object_store import open_url

    return open_url(name)


@contextmanager
def reading(storage: Storage, shown: str, doing: str = "cannot be read to its end") -> Iterator[None]:
    """Turn what goes wrong with a file into a DataError when it is wrong, a SourceError when it is away."""
    try:
        yield
    except RecserveError:
        raise
    except (pa.ArrowException, *storage.failures) as error:
        raise _read_error(error, storage.told(error), shown, doing) from None


@contextmanager
def writing(storage: Storage, shown: str) -> Iterator[None]:
    """Turn what goes wrong while writing into a SourceError."""
    try:
        yield
    except RecserveError:
        raise
    except (pa.ArrowException, *storage.failures) as error:
        raise SourceError(
            f"{shown} cannot be written: {storage.told(error)}; the table is as it was before"
        ) from None


def _read_error(error: Exception, told: str, shown: str, doing: str) -> LoadError:
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{shown} vanished while it was read; read the table again")
    if isinstance(error, PermissionError):
        return DataError(f"{shown} may not be read: {told}")
    # Arrow calls damaged content an OSError too, but one without the system's number.
    damaged = isinstance(error, pa.ArrowException) or (
        isinstance(error, OSError) and error.errno is None and type(error) is OSError
    )
    if damaged or isinstance(error, IsADirectoryError):
        return DataError(f"{shown} {doing}: {told}; write it again")
    return SourceError(f"{shown} cannot be reached: {told}")


def reason(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    text: Any = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(str(text).split()) or type(error).__name__
