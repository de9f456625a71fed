"""Models that were registered: <home>/models.db, one row per name and version."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from recserve.sdk.exception import PAIException

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TABLE = """
CREATE TABLE IF NOT EXISTS models (
    name TEXT, version TEXT, at REAL, uri TEXT, spec TEXT, about TEXT, PRIMARY KEY (name, version)
)
"""


@dataclass(frozen=True)
class Kept:
    """One version of one model."""

    version: str
    uri: str
    spec: dict[str, Any]
    about: dict[str, Any]


class Registry:
    """Open for a `with` block, which is one transaction."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = home / "models.db"

    def __enter__(self) -> Self:
        self._connection = sqlite3.connect(self._path, timeout=10)
        self._connection.execute(_TABLE)
        self._path.chmod(0o600)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._connection.commit()
        self._connection.close()

    def add(
        self,
        name: str,
        version: str | None,
        uri: str,
        spec: Mapping[str, Any],
        about: Mapping[str, Any],
    ) -> str:
        """Keep a version, by default the next 0.<n>.0; gives it."""
        known = self.versions(name)
        if version is None:
            version = next(
                made for made in (f"0.{n}.0" for n in range(1, len(known) + 2)) if made not in known
            )
        row = (name, version, time.time(), uri, json.dumps(spec), json.dumps(about, default=str))
        try:
            self._connection.execute("INSERT INTO models VALUES (?, ?, ?, ?, ?, ?)", row)
        except sqlite3.IntegrityError:
            raise PAIException(f"model {name} has version {version} already; register another one") from None
        return version

    def get(self, name: str, version: str | None) -> Kept:
        """One version, or that which was added last."""
        found = self._connection.execute(
            "SELECT version, uri, spec, about FROM models WHERE name = ? AND (? IS NULL OR version = ?)"
            " ORDER BY at DESC, rowid DESC LIMIT 1",
            (name, version, version),
        ).fetchone()
        if found is None:
            known = ", ".join(self.versions(name)) or "none"
            raise PAIException(f"there is no model {name} {version or ''}; versions: {known}")
        return Kept(found[0], found[1], json.loads(found[2]), json.loads(found[3]))

    def names(self) -> list[str]:
        """All models."""
        return [row[0] for row in self._connection.execute("SELECT DISTINCT name FROM models ORDER BY name")]

    def versions(self, name: str) -> list[str]:
        """Those of one model, oldest first."""
        rows = self._connection.execute("SELECT version FROM models WHERE name = ? ORDER BY rowid", (name,))
        return [row[0] for row in rows]

    def remove(self, name: str, version: str | None) -> None:
        """One version, or (None) all."""
        self._connection.execute(
            "DELETE FROM models WHERE name = ? AND (? IS NULL OR version = ?)", (name, version, version)
        )
