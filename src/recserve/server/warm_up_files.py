"""Requests that lie in files, for the warm-up.

| where                                        | file       | holds                                     |
|----------------------------------------------|------------|-------------------------------------------|
| warmup_data_path (a folder)                  | .pb        | a request as it was kept, or a PBLogData  |
| warm_up_data_path (files, folders of files)  | .pb .bin   | the same, maybe compressed by a client    |
|                                              | .txt       | a request per line: as JSON, or as base64 |

What cannot be read is named in one warning, and left out. So is what is too much: a folder may have been
filled for years.

Sources: the hosted product's pages on both keys (bytes in `.bin`, texts in `.txt`); base64 is what pairec
writes.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recserve.errors import RecserveError, RequestError
from recserve.wire import json_scores, json_tensors, log_data, tensors, torchrec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from recserve.config.service import ServiceSpec
    from recserve.server.endpoint import Endpoint

#: More requests, or bytes of them, than these are not replayed.
MOST_REQUESTS = 1000
MOST_BYTES = 512 * 2**20

_SUFFIXES = (".pb", ".bin", ".txt")


@dataclass(frozen=True, slots=True)
class WarmUpRequest:
    """A request of the warm-up: its plain body, asking for scores and nothing beside."""

    name: str  # for people: the file, and the line of it
    body: bytes


@dataclass(slots=True)
class WarmUpFiles:
    """What was found in files."""

    requests: list[WarmUpRequest] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)  # name → what is wrong with it
    left_out: int = 0  # files beyond what is read


def read_requests(spec: ServiceSpec, endpoint: Endpoint) -> WarmUpFiles:
    """Read all requests that the service file names; never fails."""
    found = WarmUpFiles()
    read = 0
    for path in dict.fromkeys(_paths(spec)):  # a folder may be named by both keys
        if len(found.requests) >= MOST_REQUESTS or read >= MOST_BYTES:
            found.left_out += 1
            continue
        try:
            size = path.stat().st_size
            if size > spec.rpc.max_body_bytes:
                raise RequestError(f"{size} bytes; max_body_bytes is {spec.rpc.max_body_bytes}")
            read += size
            _read(path, endpoint, found)
        except OSError as error:
            found.broken[str(path)] = error.strerror or str(error)
        except RecserveError as error:
            found.broken[str(path)] = str(error)
    return found


def _paths(spec: ServiceSpec) -> Iterator[Path]:
    if spec.warm_up.data_path:
        yield from sorted((spec.base_dir / spec.warm_up.data_path).glob("*.pb"))
    for name in spec.warm_up_data_path:
        path = spec.base_dir / name
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        else:
            yield path


def _read(path: Path, endpoint: Endpoint, found: WarmUpFiles) -> None:
    content = path.read_bytes()
    if path.suffix == ".txt":
        for name, line in _lines(path, content):
            try:
                found.requests.append(WarmUpRequest(name, _of_line(line, endpoint)))
            except RecserveError as error:
                found.broken[name] = str(error)
    elif path.suffix in (".pb", ".bin"):
        found.requests.append(WarmUpRequest(str(path), _of_bytes(content, endpoint)))
    else:
        raise RequestError(f"unknown kind of file; known: {', '.join(_SUFFIXES)}")


def _lines(path: Path, content: bytes) -> Iterable[tuple[str, bytes]]:
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


def _of_line(line: bytes, endpoint: Endpoint) -> bytes:
    if line.startswith(b"{"):
        if endpoint.processor.answers == "features":
            return torchrec.encode_request(json_scores.decode(line))
        types = json_tensors.declared((i.name, i.type) for i in endpoint.processor.signature().inputs)
        return tensors.encode_request(json_tensors.decode(line, types))
    try:
        return _of_bytes(base64.b64decode(line, validate=True), endpoint)
    except binascii.Error as error:
        raise RequestError(f"neither JSON nor base64: {error}") from error


def _of_bytes(content: bytes, endpoint: Endpoint) -> bytes:
    """The plain request in a file; kept ones are plain already, whatever clients of the service send."""
    try:
        plain = endpoint.inflate(content)
    except RequestError:
        plain = content
    return log_data.decode(plain).without_level()
