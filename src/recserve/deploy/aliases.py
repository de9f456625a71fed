"""Where what an object store's URI names is on this machine: a table of buckets and directories.

<state>/aliases.json   {"oss://my-bucket": "/data/my-bucket", "oss://": "/data"}

The longest name that fits wins; `oss://` alone is the parent of all buckets. Without an entry, a bucket is
`<state>/store/<bucket>`, where the SDK also puts what it uploads. Plain paths and file:// are what they are.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from recserve.deploy.errors import RefusedError
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_URI = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<bucket>[^/]*)/?(?P<key>.*)", re.DOTALL)


class Aliases:
    """The table of one control plane; read anew when the file changes."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "aliases.json"
        self._store = folder / "store"
        self._read_at = 0
        self._table: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The absolute path of a URI; RefusedError if it leaves its bucket, or nobody knows the bucket."""
        found = _URI.fullmatch(name)
        if found is None or found["scheme"] == "file":
            path = name if found is None else "/" + found["key"] if not found["bucket"] else ""
            if not path.startswith("/"):
                raise RefusedError(
                    [f"{name!r} is not absolute; write the whole path, or a URI such as oss://bucket/x"]
                )
            return os.path.normpath(path)
        bucket = f"{found['scheme']}://{_without_endpoint(found['bucket'])}"
        table = self._entries()
        if bucket in table:
            root = Path(table[bucket])
        elif f"{found['scheme']}://" in table:
            root = Path(table[f"{found['scheme']}://"]) / _without_endpoint(found["bucket"])
        else:
            root = self._store / _without_endpoint(found["bucket"])
            if not root.exists():
                raise RefusedError(
                    [f'{name}: where is {bucket}? Say so in {self._file}: {{"{bucket}": "/a/folder"}}']
                )
        path = os.path.normpath(root / found["key"])
        if path != str(root) and not path.startswith(f"{root}{os.sep}"):
            raise RefusedError([f"{name} leaves its bucket"])
        return path

    def _entries(self) -> dict[str, str]:
        try:
            changed_at = self._file.stat().st_mtime_ns
            if changed_at != self._read_at:
                self._table = read_table(self._file)
                self._read_at = changed_at
        except FileNotFoundError:
            self._table, self._read_at = {}, 0
        return self._table


def read_table(file: Path) -> dict[str, str]:
    """The table that a file has; empty if there is none."""
    try:
        table = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ConfigError(f"{file}: not JSON: {error}") from error
    if not isinstance(table, dict) or not all(
        isinstance(value, str) and value.startswith("/") for value in table.values()
    ):
        raise ConfigError(f'{file}: {{"oss://bucket": "/a/directory", …}} is expected')
    return {name if name.endswith("://") else name.rstrip("/"): to for name, to in table.items()}


def write_table(file: Path, table: Mapping[str, str]) -> None:
    """Put another table in place, at once; ConfigError if a name is not that of a bucket."""
    for name in table:
        found = _URI.fullmatch(name)
        if found is None or found["key"]:
            raise ConfigError(f"{name!r} is not a bucket; write oss://bucket, or oss:// for all of them")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(table, indent=2) + "\n")
    new.replace(file)


def _without_endpoint(bucket: str) -> str:
    """`bucket.oss-cn-hangzhou.aliyuncs.com` names the bucket and where it is reached."""
    return bucket.partition(".oss-")[0]


def plain(name: str) -> str:
    """Paths alone: where no table is at hand."""
    if not name.startswith("/"):
        raise RefusedError([f"{name!r} is not an absolute path"])
    return os.path.normpath(name)
