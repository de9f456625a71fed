"""Nodes of a document become records; what is wrong is noted with its place, and reading goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from recserve.config.nearest import did_you_mean
from recserve.config.settings import checked, settings
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from recserve.feature_store.document import Node

R = TypeVar("R")
Place = tuple[int, int]

_MOST_SHOWN = 20


@dataclass(slots=True)
class Problems:
    """What is wrong with a file, in the order of its lines."""

    path: Path
    found: list[tuple[Place, str]] = field(default_factory=list)

    def note(self, place: Place, message: str) -> None:
        """Remember one."""
        self.found.append((place, message))

    def unknown(self, place: Place, what: str, name: str, known: Collection[str]) -> None:
        """A name that is none of the known ones; the nearest is told, or all where they are few."""
        near = did_you_mean(name, known)
        listed = f"; known: {', '.join(known) or 'none'}" if len(known) <= _MOST_SHOWN else ""
        self.note(place, f"{what} '{name}'{near or listed}")

    def raise_all(self) -> None:
        """Raise one ConfigError that says all of them, if there are any."""
        if not self.found:
            return
        lines = [f"line {line}, column {column}: {said}" for (line, column), said in sorted(self.found)]
        if len(lines) == 1:
            raise ConfigError(f"{self.path}, {lines[0]}")
        more = [f"and {len(lines) - _MOST_SHOWN} more"] if len(lines) > _MOST_SHOWN else []
        raise ConfigError("\n  ".join([f"{self.path}: {len(lines)} problems", *lines[:_MOST_SHOWN], *more]))


def record(
    node: Node,
    kind: type[R],
    where: str,
    problems: Problems,
    inner: Mapping[str, Callable[[Node, str], Any]] | None = None,
    **known: Any,
) -> R | None:
    """Read an object into a record; None when something of it is wrong.

    `inner` reads the keys that are no settings, each into the field of its name; `known` fields come from
    the caller.
    """
    inner = inner or {}
    if not isinstance(node.value, dict):
        problems.note(node.place, f"{where}: an object is expected, not {shown(node)}")
        return None
    before = len(problems.found)
    own = settings(kind)
    values = dict(known)
    for key, entry in node.value.items():
        name = f"{where}.{key}"
        if key in inner:
            values[key] = inner[key](entry, name)
        elif key not in own:
            problems.unknown(node.keys[key], f"{where}: unknown key", key, [*own, *inner])
        elif entry.value is not None:
            setting, dataclass_field = own[key]
            try:
                values[dataclass_field.name] = checked(name, entry.plain(), setting, dataclass_field)
            except ConfigError as error:
                problems.note(entry.place, str(error))
    for key, (setting, _) in own.items():
        if setting.required and (key not in node.value or node.value[key].value in (None, "")):
            problems.note(node.place, f"{where}: '{key}' is missing: {setting.sentence}")
    return None if len(problems.found) > before else kind(**values)


def objects(
    node: Node, where: str, problems: Problems, read: Callable[[Node, str, str], R | None]
) -> dict[str, R]:
    """Read an object of objects by name; `read` gets node, where and name."""
    if node.value is None:
        return {}
    if not isinstance(node.value, dict):
        problems.note(node.place, f"{where}: names and their objects are expected, not {shown(node)}")
        return {}
    found = {}
    for name, entry in node.value.items():
        check_name(name, node.keys[name], where, problems)
        made = read(entry, f"{where}.{name}", name)
        if made is not None:
            found[name] = made
    return found


def check_name(name: str, place: Place, where: str, problems: Problems) -> None:
    """Names become columns, metrics and parts of messages: no blanks around them, no line ends."""
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > 256:
        problems.note(place, f"{where}: {name!r} is no name; write one line without blanks around it")
    elif name.startswith("#"):
        problems.note(place, f"{where}: '{name}': names that begin with # are taken")


def shown(node: Node) -> str:
    """A value as an error shows it."""
    if isinstance(node.value, dict):
        return "an object"
    return "a list" if isinstance(node.value, list) else repr(node.value)
