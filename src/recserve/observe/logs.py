"""JSON logs: one object per line, secrets blotted out, the request id where there is one.

{"time": "2026-01-31T12:00:00.123Z", "level": "warning", "logger": "recserve.slow",
 "message": "slow request: 512.3 ms", "request_id": "3f9a-1c", "stages_ms": {"run": 498.1}}
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What a LogRecord always has; all else was given by `extra=` and belongs into the line.
_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
}
_BLOT = "***"


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON. `secrets` never appear in it, wherever they came from."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets: list[str] = []
        self.hide(secrets)

    def hide(self, secrets: Iterable[str]) -> None:
        """Take these out of all lines to come, too."""
        every = {*self._secrets, *(secret for secret in secrets if secret)}
        # The longest first: a token may be the beginning of another one. A new list, for lines under way.
        self._secrets = sorted(every, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """One line; values that JSON does not know are written as their text."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        # What begins with an underscore is some library's own, such as Ray's, which marks every record.
        more = {key: value for key, value in vars(record).items() if key not in _STANDARD and key[0] != "_"}
        line.update(more)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(self._blotted(line), default=str, ensure_ascii=False)

    def _blotted(self, value: Any) -> Any:
        """Take secrets out of all texts; a number is none, and half of one would not be JSON."""
        if isinstance(value, dict):
            return {key: self._blotted(entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._blotted(entry) for entry in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        text = str(value)
        for secret in self._secrets:
            text = text.replace(secret, _BLOT)
        return text


class Throttle:
    """Lets a few lines per second through: logging a flood must not cost the answers."""

    def __init__(self, per_second: int = 20) -> None:
        self.per_second = per_second
        self._second = 0
        self._asked = 0

    def admits(self) -> bool:
        """Whether one more line may be written in this second."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._asked = second, 0
        self._asked += 1
        return self._asked <= self.per_second


def hide(secrets: Iterable[str]) -> None:
    """Take secrets that are found later, in files that the service file names, out of this process's logs."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter):
            handler.formatter.hide(secrets)


def configure(
    *, level: str = "info", secrets: Iterable[str] = (), stream: TextIO | None = None
) -> logging.Handler:
    """Send all logs of this process to `stream` (stderr) as JSON; returns the handler, for its removal."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(secrets))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)  # of other libraries only what may need somebody's attention
    logging.getLogger("recserve").setLevel(level.upper())
    # What uvicorn's protocol would say of broken requests is counted and logged by recserve itself.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    return handler
