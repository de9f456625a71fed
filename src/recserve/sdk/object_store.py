"""Where models and code are put, and what is read of there: a directory, or an object store.

<root>/pai/<category>/<time>/…     what one upload left: whole or not at all, never written again

A URI is looked up in the control plane's alias table first (`oss://bucket` → a directory, deploy/aliases.py);
a bucket that the table has not, and that is not our own, is reached by fsspec (extra `object-store`).
"""

from __future__ import annotations

import shutil
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.deploy.errors import RefusedError
from recserve.sdk.exception import PAIException

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.deploy.aliases import Aliases

#: What running code leaves beside itself; never part of an upload.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".git")


def is_uri(source: str) -> bool:
    """Whether it names a place in a store rather than one on this machine."""
    return "://" in source


def file_uri(path: Path) -> str:
    """file:// and the path as it is: the alias table, unlike browsers, knows no %20."""
    return f"file://{path.absolute()}"


class ObjectStore:
    """`root` is where uploads go: a directory, or a URI such as oss://bucket or s3://bucket/prefix."""

    def __init__(self, root: str, aliases: Aliases, own: Path) -> None:
        """`own` is the folder of buckets that nobody has to name: uploads may make one there."""
        self._root = root if is_uri(root) else file_uri(Path(root))
        self._aliases = aliases
        self._own = own

    def put(self, source: str | Path, category: str = "model_data") -> str:
        """Copy a file or a directory; gives its URI, which ends in "/" for a directory."""
        source = Path(source)
        if not source.exists():
            raise ValueError(f"{source} does not exist: there is nothing to upload")
        stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S_%f")
        uri = f"{self._root.rstrip('/')}/pai/{category}/{stamp}/"
        place = self.path(uri) or self._new_bucket(uri)
        if place is None:
            filesystem, key = _filesystem(uri)
            if source.is_dir():
                filesystem.put(f"{source}/", key, recursive=True)
            else:
                filesystem.put_file(str(source), f"{key.rstrip('/')}/{source.name}")
        else:
            _copied(source, place)
        return uri if source.is_dir() else uri + source.name

    def path(self, uri: str) -> Path | None:
        """Where a URI is on this machine; None if only fsspec may know."""
        try:
            return Path(self._aliases(uri))
        except RefusedError:
            if uri.startswith("file:"):
                raise
            return None

    def folder(self, uri: str) -> str:
        """The URI of the directory that is meant: the one around it, if it is known to be a file."""
        found = self.path(uri)
        if found is not None and found.is_file():
            return uri.rpartition("/")[0] + "/"
        return uri if uri.endswith("/") else f"{uri}/"

    def files(self, uri: str) -> Iterator[str]:
        """Paths of the files below a URI, relative to it; of a file, its name."""
        found = self.path(uri)
        if found is None:
            filesystem, key = _filesystem(uri)
            start = key.rstrip("/")
            for name in sorted(filesystem.find(start)):
                yield str(name).removeprefix(start).lstrip("/") or start.rpartition("/")[2]
        elif found.is_file():
            yield found.name
        else:
            if not found.is_dir():
                raise PAIException(f"{uri} does not exist ({found})")
            yield from sorted(str(one.relative_to(found)) for one in found.rglob("*") if one.is_file())

    def fetch(self, uri: str, target: Path) -> Path:
        """Copy what a URI names into a directory; gives that directory."""
        target.mkdir(parents=True, exist_ok=True)
        found = self.path(uri)
        if found is None:
            filesystem, key = _filesystem(uri)
            for name in self.files(uri):
                place = target / name
                if ".." in Path(name).parts:
                    raise PAIException(f"{uri} has an object named {name!r}, which would leave {target}")
                place.parent.mkdir(parents=True, exist_ok=True)
                alone = filesystem.isfile(key.rstrip("/"))
                filesystem.get_file(key if alone else f"{key.rstrip('/')}/{name}", str(place))
        elif found.is_dir():
            shutil.copytree(found, target, dirs_exist_ok=True)
        elif found.is_file():
            shutil.copy2(found, target)
        else:
            raise PAIException(f"{uri} does not exist ({found})")
        return target

    def _new_bucket(self, uri: str) -> Path | None:
        """Our own store's bucket is made by its first upload."""
        bucket = uri.partition("://")[2].partition("/")[0]
        if not uri.startswith("oss://") or not bucket or bucket in (".", ".."):
            return None
        (self._own / bucket).mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.path(uri)


def unpacked(archive: Path, target: Path) -> None:
    """Unpack a tar archive; nothing in it gets out of `target`."""
    try:
        with tarfile.open(archive) as file:
            file.extractall(target, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise PAIException(f"{archive} cannot be unpacked: {error}") from error


def _copied(source: Path, place: Path) -> None:
    """Into a folder beside it first: who looks finds all of it, or nothing."""
    if place.is_relative_to(source.resolve()):
        raise ValueError(
            f"{source} holds the store itself ({place}), with all that was uploaded; choose another directory"
        )
    part = place.with_name(f"{place.name}.part")
    try:
        if source.is_dir():
            shutil.copytree(source, part, ignore=_LEFT_OUT)
        else:
            part.mkdir(parents=True)
            shutil.copy2(source, part)
        part.rename(place)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise PAIException(f"{source} cannot be copied to {place}: {str(error)[:300]}") from error


def _filesystem(uri: str) -> tuple[Any, str]:
    try:
        import fsspec

        filesystem, key = fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        scheme, _, rest = uri.partition("://")
        bucket = f"{scheme}://{rest.partition('/')[0]}"
        raise PAIException(
            f"{uri} cannot be reached: give {bucket} a directory with `recserve alias`, or install"
            f" recserve[object-store] ({error})"
        ) from error
    return filesystem, key
