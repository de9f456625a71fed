"""Requests that a service has kept, read back from their files.

    <folder>/2026032015/r1_0a1b2c.pb ──read──▶ Kept ──request──▶ the columns that were sent

Whatever is given, files or folders, is looked through for `.pb`. What a file holds is told by its content
(`wire/log_data.py`): a request with the features of its items, or a request alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve.columns import to_arrow
from recserve.errors import RequestError
from recserve.wire import log_data, tensors
from recserve.wire.torchrec import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from recserve.columns import Column
    from recserve.messages import InputSchema, ScoreRequest, TensorRequest
    from recserve.wire.log_data import LogData


@dataclass(frozen=True, slots=True)
class Kept:
    """One file."""

    path: Path
    request_id: str  # as far as it may stand in a file's name
    written: datetime
    size: int  # bytes
    data: LogData

    def request(self, schema: InputSchema | None = None) -> ScoreRequest:
        """What was sent to a service with features; `schema` gives columns the types of its bundle."""
        if self.data.kind != "features":
            raise RequestError(f"{self.path}: holds tensors for a model, not features")
        return Decoder(schema).decode(self.data.request)

    def tensors(self) -> TensorRequest:
        """What was sent to a service in bypass mode."""
        return tensors.decode(self.data.request)


def find(paths: Iterable[Path]) -> list[Path]:
    """All files, those of folders by name, and so by the hour in which they were kept."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise RequestError(f"{path} does not exist; give a capture or a folder of them")
        found += sorted(path.rglob("*.pb")) if path.is_dir() else [path]
    if not found:
        raise RequestError(f"no captures in {', '.join(map(str, paths))}; .pb files are expected")
    return found


def read(path: Path) -> Kept:
    """Read a file. Raises RequestError that names it."""
    try:
        content, status = path.read_bytes(), path.stat()
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        data = log_data.decode(content)
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from error
    name = path.stem.rpartition("_")[0] or path.stem
    return Kept(path, name, datetime.fromtimestamp(status.st_mtime, UTC), len(content), data)


def cells(column: Column) -> list[Any]:
    """The values of a column as JSON can have them: maps as dicts, what is no number as its text."""
    array = to_arrow(column)
    return [_plain(value, pa.types.is_map(array.type)) for value in array.to_pylist()]


def _plain(value: Any, is_map: bool) -> Any:
    if is_map and value is not None:
        return {str(key): _plain(part, False) for key, part in value}
    if isinstance(value, list):
        return [_plain(part, False) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
