"""Random PBRequests as bytes: every legal way to write one, also those that no library writes.

Numbers packed and unpacked, members and map entries that repeat, unknown fields and groups, known fields with
a wrong wire type, fields in any order. Cells come from a pool, so that a message costs microseconds.
"""

from __future__ import annotations

import random
import struct
from functools import cache

TEXTS = [
    "",
    "a",
    "7",
    "-3.5",
    " 5 ",
    "+4",
    "x:1",
    "a\x1db",
    "\x1d",
    "中文",
    "1e400",
    "2147483648",
    "0",
    "a longer text",
]
INTS = [0, 1, -1, 5, 127, 128, 300, 2**31 - 1, -(2**31), 2**31, 2**40, -(2**63), 2**63 - 1]
REALS = [0.0, -0.0, 1.0, 2.7, -3.5, 0.1, 1e6, 1234567.0, 3e38, float("inf"), float("nan")]
WIDE_REALS = [*REALS, 1e300, 0.1234567890123, 9.3e18]

SCALARS = {1: "int", 2: "long", 3: "string", 4: "float", 5: "double"}
MAPS = dict(
    enumerate(
        ((k, v) for k in ("long", "string", "int") for v in ("string", "int", "long", "float", "double")), 6
    )
)
LISTS = dict(enumerate(("int", "long", "string", "float", "double"), 21))
NESTED = dict(enumerate(("int", "long", "string", "float", "double"), 26))


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(field: int, wire_type: int) -> bytes:
    return varint(field << 3 | wire_type)


def message(field: int, content: bytes) -> bytes:
    return tag(field, 2) + varint(len(content)) + content


def value(kind: str, rng: random.Random) -> bytes:
    """A value without its tag."""
    if kind in {"int", "long"}:
        return varint(rng.choice(INTS))
    if kind == "float":
        return struct.pack("<f", rng.choice(REALS))
    if kind == "double":
        return struct.pack("<d", rng.choice(WIDE_REALS))
    text = rng.choice(TEXTS).encode()
    return varint(len(text)) + text


WIRE_TYPES = {"int": 0, "long": 0, "string": 2, "float": 5, "double": 1}


def single(field: int, kind: str, rng: random.Random) -> bytes:
    return tag(field, WIRE_TYPES[kind]) + value(kind, rng)


def unknown(rng: random.Random) -> bytes:
    """A field that nobody knows; 31 and 200 are free in every message here."""
    field = rng.choice([31, 200, 70000])
    return rng.choice(
        [
            tag(field, 0) + varint(rng.choice(INTS)),
            tag(field, 1) + bytes(8),
            message(field, b"\xff\xfe anything"),
            tag(field, 5) + bytes(4),
            tag(field, 3) + tag(1, 3) + tag(1, 4) + message(2, b"x") + tag(field, 4),
        ]
    )


def elements(kind: str, rng: random.Random) -> bytes:
    """The content of a list: runs of packed and unpacked numbers, or strings."""
    out = b""
    for _ in range(rng.choice([0, 1, 1, 2])):
        count = rng.randrange(4)
        if kind != "string" and rng.random() < 0.7:
            out += message(1, b"".join(value(kind, rng) for _ in range(count)))
        else:
            out += b"".join(single(1, kind, rng) for _ in range(count))
    return out + (unknown(rng) if rng.random() < 0.05 else b"")


def entry(key: str, value_kind: str, rng: random.Random) -> bytes:
    fields = [single(1, key, rng), single(2, value_kind, rng)]
    shape = rng.random()
    if shape < 0.1:
        fields.pop(rng.randrange(2))  # a field that is absent is zero
    elif shape < 0.2:
        fields.reverse()
    elif shape < 0.3:
        fields.append(rng.choice([single(1, key, rng), single(2, value_kind, rng)]))  # the last wins
    return message(1, b"".join(fields))


def member(number: int, rng: random.Random) -> bytes:
    """One member of PBFeature's oneof, with its tag."""
    if number in SCALARS:
        return single(number, SCALARS[number], rng)
    if number in MAPS:
        key, value_kind = MAPS[number]
        return message(number, b"".join(entry(key, value_kind, rng) for _ in range(rng.randrange(4))))
    if number in LISTS:
        return message(number, elements(LISTS[number], rng))
    return message(
        number, b"".join(message(1, elements(NESTED[number], rng)) for _ in range(rng.randrange(4)))
    )


def wrong_wire_type(rng: random.Random) -> bytes:
    """A known field number that is unknown for its wire type."""
    return rng.choice([tag(1, 5) + bytes(4), tag(3, 0) + b"\x07", tag(21, 0) + b"\x07", tag(4, 1) + bytes(8)])


def feature(rng: random.Random) -> bytes:
    """A PBFeature; now and then with several members, of which the last wins, or with none."""
    shape = rng.random()
    first = rng.choice([*range(1, 31), 1, 2, 3, 3, 3, 3, 4, 5, 22, 23])
    if shape < 0.85:
        return member(first, rng)
    if shape < 0.88:
        return b""
    if shape < 0.91:
        return member(first, rng) + unknown(rng) + wrong_wire_type(rng)
    if shape < 0.95:
        return member(first, rng) + member(first, rng)  # merged
    return b"".join(member(rng.choice([first, rng.randrange(1, 31)]), rng) for _ in range(3))


@cache
def pool(seed: int, size: int = 20000) -> list[bytes]:
    rng = random.Random(seed)
    return [feature(rng) for _ in range(size)]


@cache
def alike(seed: int) -> dict[int, list[bytes]]:
    """Pools of features of one member each: columns are mostly of one kind."""
    rng = random.Random(seed)
    return {number: [member(number, rng) for _ in range(300)] for number in range(1, 31)}


NAMES = ["a", "b", "c", "d", "e", "f", "g", "价格"]


def request(rng: random.Random) -> bytes:
    """A PBRequest of a few columns on every side; about one in ten breaks the rules of alignment."""
    features = pool(1)
    rows = rng.randrange(5)
    fields = [message(3, rng.choice([b"", b"i1", b"i2", "商品".encode()])) for _ in range(rows)]
    for _ in range(rng.randrange(4)):
        cell = message(2, rng.choice(features))
        if rng.random() < 0.05:
            cell += message(2, rng.choice(features))  # merged
        fields.append(message(2, message(1, rng.choice(NAMES).encode()) + cell))
    for side in (4, 6):
        for _ in range(rng.randrange(3)):
            fields.append(message(side, cells(rows, rng)))
    if rng.random() < 0.3:
        rng.shuffle(fields)
    if rng.random() < 0.3:
        fields.append(tag(1, 0) + varint(rng.choice([100, -1, 2**40])))
        fields.append(tag(5, 0) + varint(50))
        fields.append(message(7, message(1, b"request_id") + message(2, "r-中".encode())))
        fields.append(unknown(rng))
    return b"".join(fields)


def cells(rows: int, rng: random.Random) -> bytes:
    """An entry of context_features or item_features."""
    lucky = rng.random()
    count = rows if lucky < 0.6 else 1 if lucky < 0.75 else rows + 2 if lucky < 0.9 else rng.randrange(4)
    kind = alike(2)[rng.randrange(1, 31)]
    mixed = rng.random() < 0.4
    features = [rng.choice(pool(1) if mixed else kind) for _ in range(count)]
    content = b"".join(message(1, feature) for feature in features)
    if rng.random() < 0.05:
        half = len(features) // 2  # one value in two pieces
        first = b"".join(message(1, feature) for feature in features[:half])
        second = b"".join(message(1, feature) for feature in features[half:])
        return message(1, rng.choice(NAMES).encode()) + message(2, first) + message(2, second)
    return message(1, rng.choice(NAMES).encode()) + message(2, content)
