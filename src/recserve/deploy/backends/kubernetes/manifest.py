"""A manifest as YAML text: plain where nobody can misread it, quoted as in JSON elsewhere."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Manifest = dict[str, Any]


class Verbatim(str):
    """A text that stands in YAML as it is: an expression of a template."""

    __slots__ = ()


#: Not what YAML 1.1 or 1.2 takes for a number, a date, a truth value or nothing.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
#: What YAML takes only escaped, or reads as the end of a line.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\U00010000-\U0010ffff]")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def yaml_of(manifest: Mapping[str, Any]) -> str:
    """One document, without its separator."""
    return "\n".join(_lines(manifest, "")) + "\n"


def stream_of(manifests: Sequence[Mapping[str, Any]]) -> str:
    """Several documents, as `kubectl apply -f -` reads them."""
    return "".join(f"---\n{yaml_of(one)}" for one in manifests)


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _entry(f"{indent}{_scalar(str(key))}:", below, f"{indent}  ")
    elif isinstance(value, list | tuple) and value:
        for below in value:
            lines = list(_lines(below, f"{indent}  "))
            yield f"{indent}- {lines[0].lstrip(' ')}"
            yield from lines[1:]
    else:
        yield indent + _scalar(value)


def _entry(head: str, below: Any, indent: str) -> Iterator[str]:
    if isinstance(below, dict | list | tuple) and below:
        yield head
        yield from _lines(below, indent)
    else:
        yield f"{head} {_scalar(below)}"


def _scalar(value: Any) -> str:
    if isinstance(value, Verbatim):
        return str(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return _ESCAPED.sub(lambda found: f"\\U{ord(found[0]):08x}", json.dumps(value, ensure_ascii=False))
