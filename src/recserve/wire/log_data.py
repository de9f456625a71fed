"""PBLogData, a request that was kept with the features of its items, and what else a `.pb` file may hold.

(request bytes, raw, generated) ──encode──▶ one file ──decode──▶ the same

| first bytes of the file                    | it holds                                    | kind       |
|--------------------------------------------|---------------------------------------------|------------|
| field 1, a message                         | PBLogData: its request                      | "features" |
| field 1, a message with a dtype, or empty  | PredictRequest: its positional inputs       | "tensors"  |
| field 3, an entry of a map                 | PredictRequest: its inputs by name          | "tensors"  |
| anything else                              | PBRequest: level, user, item ids, …         | "features" |

Nothing in a file says which message it is; the first field does, since all writers write fields in order. A
dtype is field 1 of a tensor and 1 to 21; field 1 of a kept request is its debug_level, 100.

Plain Python: nobody waits for it. Sources: PBLogData of eas_prediction 0.36; older files are bare requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from recserve.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
#: The last of ArrayDataType.
_LAST_DTYPE = 21
#: The number of debug_level, and the field as 0: of a field that comes twice, the last counts.
_LEVEL = {"features": (1, b"\x08\x00"), "tensors": (100, b"\xa0\x06\x00")}

#: Which message a request is.
Kind = Literal["features", "tensors"]


@dataclass(frozen=True, slots=True)
class LogData:
    """A kept request, and what was known of its items."""

    kind: Kind
    request: bytes  # a PBRequest or a PredictRequest
    raw_features: Mapping[str, str] = field(default_factory=dict)  # item id → what features read
    generate_features: Mapping[str, str] = field(default_factory=dict)  # item id → what they made of it

    def without_level(self) -> bytes:
        """The request, asking for scores and nothing beside: kept ones may ask to be kept."""
        number, as_0 = _LEVEL[self.kind]
        try:
            asks = any(found == number and value for found, value in _fields(self.request))
        except RequestError:  # of a group, say, which is skipped where requests are read for good
            asks = True
        return self.request + as_0 if asks else self.request


def encode(request: bytes, raw: Mapping[str, str], generated: Mapping[str, str]) -> bytes:
    """Write a PBLogData around an encoded PBRequest."""
    parts = [_field(1, request)]
    for number, texts in ((2, raw), (3, generated)):
        for key, text in texts.items():
            entry = _field(1, key.encode("utf-8", "replace")) + _field(2, text.encode("utf-8", "replace"))
            parts.append(_field(number, entry))
    return b"".join(parts)


def decode(content: bytes) -> LogData:
    """Read a file, whichever of the messages it is. Raises RequestError if it is none."""
    first = next(_fields(content), None)
    if first is None:
        return LogData("features", content)  # the default of every field, a user without features
    number, value = first
    if number == 1 and isinstance(value, bytes):
        return LogData("tensors", content) if _is_tensor(value) else _log_data(content)
    if number == 3 and isinstance(value, bytes) and _is_map_entry(value):
        return LogData("tensors", content)
    return LogData("features", content)


def _log_data(content: bytes) -> LogData:
    request = b""
    texts: dict[int, dict[str, str]] = {2: {}, 3: {}}
    for number, value in _fields(content):
        if number == 1 and isinstance(value, bytes):
            request += value  # a message that is sent in parts is all of them
        elif number in texts and isinstance(value, bytes):
            entry = {place: part for place, part in _fields(value) if isinstance(part, bytes)}
            texts[number][_text(entry.get(1, b""))] = _text(entry.get(2, b""))
    return LogData("features", request, texts[2], texts[3])


def _is_tensor(message: bytes) -> bool:
    """Whether a message is an ArrayProto rather than a PBRequest; the gap between two of them is empty."""
    if not message:
        return True
    try:
        number, value = next(_fields(message), (0, b""))
    except RequestError:
        return False
    return number == 1 and isinstance(value, int) and 1 <= value <= _LAST_DTYPE


def _is_map_entry(value: bytes) -> bool:
    """Whether bytes are a name and a tensor; an item id, the other thing that they may be, is not."""
    try:
        entry = list(_fields(value))
    except RequestError:
        return False
    return [number for number, _ in entry] == [1, 2] and all(isinstance(part, bytes) for _, part in entry)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field; fixed-width ones are skipped, no message here has any."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise RequestError(f"failed to parse capture: field number 0 at byte {at}")
        if wire_type == _VARINT:
            value, at = _varint(message, at)
            yield number, value
        elif wire_type == _BYTES:
            size, at = _varint(message, at)
            if size > len(message) - at:
                raise RequestError(f"failed to parse capture: it ends within field {number}")
            yield number, message[at : at + size]
            at += size
        elif wire_type in (_FIXED64, _FIXED32):
            at += 8 if wire_type == _FIXED64 else 4
            if at > len(message):
                raise RequestError(f"failed to parse capture: it ends within field {number}")
        else:
            raise RequestError(f"failed to parse capture: unknown wire type {wire_type} at byte {at}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise RequestError(f"failed to parse capture: a number is cut short at byte {at}")


def _field(number: int, value: bytes) -> bytes:
    return bytes((number << 3 | _BYTES,)) + _as_varint(len(value)) + value


def _as_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
