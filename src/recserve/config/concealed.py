"""Values that come from elsewhere: `${NAME}` from the environment, `file:path` from a file. All are secrets.

    "token": "${RANK_TOKEN}"                          the environment variable RANK_TOKEN
    "url": "postgresql://rank:${DB_PASSWORD}@db/shop" also as a part, and more than one
    "access_key_secret": "file:/run/secrets/key"      what is in the file, without the line end
    "condition": "name = '$${x}'"                     $${ is a plain ${

Ours. A relative path starts where the service file is; `file://` begins a URL and is left alone. A variable
that is not set, or is empty, is an error: an empty token would let everybody in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

BLOT = "***"
#: What is shorter is not taken out of logs: a "1" hides nothing, and would take every digit with it.
LEAST_SECRET = 4

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_]\w*)\}|\$\{")
_FILE = re.compile(r"file:(?!//)(.+)", re.DOTALL)
_MOST_BYTES = 64 * 2**10


class Concealed(str):
    """A text of which something came from elsewhere: whole when it is used, blotted when it is shown."""

    secrets: tuple[str, ...]

    @classmethod
    def of(cls, text: str, secrets: Iterable[str]) -> Concealed:
        """The text, and which parts of it nobody may see."""
        made = cls(text)
        made.secrets = tuple(secrets)
        return made

    def __repr__(self) -> str:
        return repr(shown(self))


def kept(text: str, origin: str) -> str:
    """`text`, which was made of `origin`, as secret as that was."""
    return Concealed.of(text, origin.secrets) if isinstance(origin, Concealed) else text


def shown(text: str) -> str:
    """A text as messages may show it: what came from elsewhere is blotted out, however short it is."""
    return blotted(str(text), text.secrets) if isinstance(text, Concealed) else text


def blotted(text: str, secrets: Iterable[str]) -> str:
    """The text without its secrets; the longest first, since one may be the beginning of another."""
    for secret in sorted({secret for secret in secrets if secret}, key=len, reverse=True):
        text = text.replace(secret, BLOT)
    return text


@dataclass(frozen=True, slots=True)
class Found:
    """One value that came from elsewhere."""

    secret: str = field(repr=False)
    origin: str  # "${TOKEN}", "file:/run/secrets/token"


@dataclass(slots=True)
class Elsewhere:
    """Fills values in, and remembers by the path of the key what came from where."""

    variables: Mapping[str, str] = field(repr=False)
    base_dir: Path
    found: dict[str, list[Found]] = field(default_factory=dict)

    def fill(self, value: Any, where: str) -> Any:
        """The value, or object or list of values, filled in. Raises ConfigError naming key and variable."""
        if isinstance(value, dict):
            return {key: self.fill(entry, f"{where}.{key}" if where else key) for key, entry in value.items()}
        if isinstance(value, list):
            return [
                self.fill(entry, f"{where}[{place}]" if isinstance(entry, dict) else where)
                for place, entry in enumerate(value)
            ]
        if not isinstance(value, str):
            return value
        parts = list(self._parts(value, where))
        found = [part for part in parts if isinstance(part, Found)]
        text = "".join(part.secret if isinstance(part, Found) else part for part in parts)
        if not found:
            return text
        self.found.setdefault(where, []).extend(found)
        return Concealed.of(text, (part.secret for part in found))

    def _parts(self, text: str, where: str) -> Iterator[str | Found]:
        named = _FILE.fullmatch(text)
        if named is not None:
            yield self._of_file(named[1], where)
            return
        end = 0
        for match in _VARIABLE.finditer(text):
            yield text[end : match.start()]
            end = match.end()
            if match[0] == "$${":
                yield "${"
            elif match[1] is None:
                raise ConfigError(
                    f"{where}: {match[0]} names no variable; write ${{NAME}}, or $${{ for a plain ${{"
                )
            else:
                yield self._of_environment(match[1], where)
        yield text[end:]

    def _of_environment(self, name: str, where: str) -> Found:
        value = self.variables.get(name, "")
        if not value:
            state = "empty" if name in self.variables else "not set"
            raise ConfigError(
                f"{where}: the environment variable {name} is {state}; "
                f"set it, or write $${{{name}}} for the text"
            )
        return Found(value, f"${{{name}}}")

    def _of_file(self, name: str, where: str) -> Found:
        path = self.base_dir / name
        try:
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"{where}: the file {path} cannot be read: {reason}") from None
        try:
            text = content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise ConfigError(f"{where}: the file {path} is not UTF-8") from None
        if not text or len(content) > _MOST_BYTES:
            state = f"larger than {_MOST_BYTES:,} bytes" if text else "empty"
            raise ConfigError(f"{where}: the file {path} is {state}; a value is expected in it")
        return Found(text, f"file:{path}")
