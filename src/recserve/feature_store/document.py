"""A YAML or JSON document in which every value knows its line and column, so that errors can say them.

YAML is read plainly: `yes`, `no`, `on` and dates are texts, numbers are JSON's; anchors, tags and merge keys,
which make a file say something elsewhere than where it stands, are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.config.document import parse_json
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}
_TOKEN = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+)')
_SCALARS = {"str", "int", "float", "bool", "null", "timestamp"}
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it begins; an object maps names to nodes, a list holds nodes."""

    value: Any  # None, bool, int, float, str, list[Node] or dict[str, Node]
    line: int  # from 1
    column: int
    keys: dict[str, tuple[int, int]]  # of an object: where its names stand

    @property
    def place(self) -> tuple[int, int]:
        """Line and column."""
        return self.line, self.column

    def plain(self) -> Any:
        """The value without places, as `json.loads` gives it."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read_document(path: Path) -> Node:
    """Read a `.json`, `.yaml` or `.yml` file that holds an object."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: byte {error.start} is not UTF-8; save the file with UTF-8 encoding"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    node = _of_json(text, str(path)) if path.suffix == ".json" else _of_yaml(text, str(path))
    if not isinstance(node.value, dict):
        raise ConfigError(f"{path}: an object (names and values) is expected at the top")
    return node


def _of_json(text: str, where: str) -> Node:
    """Parsed twice: strictly for its values, and by its tokens for their places."""
    value = parse_json(text, where)
    tokens = list(_TOKEN.finditer(text))
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    line = 0

    def place(at: int) -> tuple[int, int]:
        nonlocal line  # tokens come in order
        while line + 1 < len(starts) and starts[line + 1] <= at:
            line += 1
        return line + 1, at - starts[line] + 1

    at = 0

    def node(value: Any, depth: int) -> Node:
        nonlocal at
        if depth > _DEEPEST:
            raise ConfigError(f"{where}: nested more than {_DEEPEST} deep")
        begins = place(tokens[at].start(1))
        at += 1
        if isinstance(value, dict):
            keys, inner = {}, {}
            for name, entry in value.items():
                keys[name] = place(tokens[at].start(1))
                at += 2  # the name and its colon
                inner[name] = node(entry, depth + 1)
                at += 1  # a comma or the end
            at += not value
            return Node(inner, *begins, keys)
        if isinstance(value, list):
            entries = []
            for entry in value:
                entries.append(node(entry, depth + 1))
                at += 1
            at += not value
            return Node(entries, *begins, {})
        return Node(value, *begins, {})

    return node(value, 0)


def _of_yaml(text: str, where: str) -> Node:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ConfigError(
            f"{where}: YAML is read by PyYAML, which is not installed; pip install 'recserve[store]', "
            "or write the file as JSON"
        ) from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{where}: nested more than {_DEEPEST} deep") from None
    if root is None:
        raise ConfigError(f"{where}: the file is empty; `recserve store init` writes an example")
    return _node_of_yaml(root, where, set(), 0)


def _node_of_yaml(node: Any, where: str, seen: set[int], depth: int) -> Node:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    at = f"{where}, line {line}, column {column}"
    if id(node) in seen:
        raise ConfigError(f"{at}: anchors and aliases are not read; write it out again")
    seen.add(id(node))
    if depth > _DEEPEST:
        raise ConfigError(f"{at}: nested more than {_DEEPEST} deep")
    if node.id == "sequence":
        return Node([_node_of_yaml(e, where, seen, depth + 1) for e in node.value], line, column, {})
    if node.id == "scalar":
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind not in _SCALARS:
            raise ConfigError(f"{at}: tags such as {node.tag} are not read")
        plain = node.style is None and kind != "str"
        return Node(_scalar(node.value, plain=plain), line, column, {})
    keys: dict[str, tuple[int, int]] = {}
    inner = {}
    for name, entry in node.value:
        begins = (name.start_mark.line + 1, name.start_mark.column + 1)
        here = f"{where}, line {begins[0]}, column {begins[1]}"
        if name.id != "scalar":
            raise ConfigError(f"{here}: a name is expected before the colon")
        if name.value == "<<":
            raise ConfigError(f"{here}: merge keys (<<) are not read; write it out again")
        if name.value in keys:
            raise ConfigError(f"{here}: '{name.value}' stands twice, first in line {keys[name.value][0]}")
        keys[name.value] = begins
        inner[name.value] = _node_of_yaml(entry, where, seen, depth + 1)
    return Node(inner, line, column, keys)


def _scalar(text: str, *, plain: bool) -> Any:
    if not plain:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    number = _NUMBER.fullmatch(text)
    if not number or len(text) > 400:  # more digits than any number of ours has
        return text
    return float(text) if number[2] or number[3] else int(text)
