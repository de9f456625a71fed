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

from recserve.deploy.errors import RefusedError
from recserve.errors import ConfigError

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
                table = json.loads(self._file.read_text())
                if not isinstance(table, dict) or not all(
                    isinstance(value, str) and value.startswith("/") for value in table.values()
                ):
                    raise ConfigError(f'{self._file}: {{"oss://bucket": "/a/directory", …}} is expected')
                self._table = {
                    name if name.endswith("://") else name.rstrip("/"): to for name, to in table.items()
                }
                self._read_at = changed_at
        except FileNotFoundError:
            self._table, self._read_at = {}, 0
        except ValueError as error:
            raise ConfigError(f"{self._file}: not JSON: {error}") from error
        return self._table


def _without_endpoint(bucket: str) -> str:
    """`bucket.oss-cn-hangzhou.aliyuncs.com` names the bucket and where it is reached."""
    return bucket.partition(".oss-")[0]


def plain(name: str) -> str:
    """Paths alone: where no table is at hand."""
    if not name.startswith("/"):
        raise RefusedError([f"{name!r} is not an absolute path"])
    return os.path.normpath(name)
