"""Whatever the bytes, the decoder reads what the generated classes read: over 100,000 random messages."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.message import DecodeError
from tests.wire import random_messages
from tests.wire.expected import Counter, Kind, Refused, expected

from recserve.columns import to_arrow
from recserve.errors import RequestError
from recserve.messages import InputSchema
from recserve.wire.descriptors import message_class
from recserve.wire.torchrec import Decoder, decode_response, encode_request

if TYPE_CHECKING:
    from recserve.columns import Batch, Column
    from recserve.messages import ScoreRequest

MESSAGES = 102_000
PBRequest = message_class("com.alibaba.pairec.processor.PBRequest")
PBResponse = message_class("com.alibaba.pairec.processor.PBResponse")
PLAIN = ["int32", "int64", "float32", "float64", "string"]
TYPES = [
    *PLAIN,
    *(f"list<{plain}>" for plain in PLAIN),
    "map<int32,int64>",
    "map<int64,float32>",
    "map<string,float32>",
    "map<string,string>",
    "list<list<int64>>",
    "list<list<string>>",
]


def random_schema(rng: random.Random) -> InputSchema:
    def side() -> dict[str, str]:
        return {name: rng.choice(TYPES) for name in random_messages.NAMES if rng.random() < 0.5}

    return InputSchema(side(), side(), side())


def column(column: Column) -> tuple[Kind, list[Any]]:
    arrow = to_arrow(column)
    rows = arrow.to_pylist()
    if column.shape == "map":
        rows = [row if row is None else sorted(row) for row in rows]
    key = str(arrow.type.key_type).replace("float", "float32") if column.shape == "map" else ""
    return Kind(column.shape, key, column.type), rows


def columns(batch: Batch) -> dict[str, tuple[Kind, list[Any]]]:
    return {name: column(batch[name]) for name in batch.names}


def everything(request: ScoreRequest) -> dict[str, Any]:
    return {
        "user": columns(request.user),
        "context": columns(request.context),
        "item_features": columns(request.item_features),
        "item_ids": to_arrow(request.item_ids).to_pylist(),
        "rows": request.rows,
        "debug_level": request.debug_level,
        "neighbours": request.neighbours,
        "meta": request.meta,
    }


def text(content: dict[str, Any]) -> str:
    """To compare by: NaN equals itself, -0.0 differs from 0.0, sides are in the order of their names."""
    return repr(
        {k: dict(sorted(v.items())) if isinstance(v, dict) else v for k, v in ordered(content).items()}
    )


def ordered(content: dict[str, Any]) -> dict[str, Any]:
    """Rows of "k:v" texts sorted: the generated classes give the pairs of a map in no order."""
    result = dict(content)
    for side in ("user", "context", "item_features"):
        result[side] = {
            name: (kind, [sorted(row) if is_pairs(row) else row for row in rows])
            for name, (kind, rows) in content[side].items()
        }
    return result


def is_pairs(row: Any) -> bool:
    """Whether a row of a list, or of a list of lists, holds a text with a colon."""
    if not isinstance(row, list):
        return False
    values = [value for inner in row for value in (inner if isinstance(inner, list) else [inner])]
    return any(isinstance(value, str) and ":" in value for value in values)


@pytest.mark.parametrize("seed", range(6))
def test_random_messages_give_the_columns_that_the_generated_classes_say(seed: int) -> None:
    rng = random.Random(seed)
    counter = Counter()
    decoders = [
        (schema, Decoder(schema)) for schema in (InputSchema(), *(random_schema(rng) for _ in range(9)))
    ]
    refused = 0
    for i in range(MESSAGES // 6):
        body = random_messages.request(rng)
        schema, decoder = decoders[i % len(decoders)]
        message = PBRequest.FromString(body)
        try:
            wanted = text(expected(message, schema, counter))
        except Refused:
            refused += 1
            with pytest.raises(RequestError, match="entries for"):
                decoder.decode(body)
            continue
        assert text(everything(decoder.decode(body))) == wanted, body.hex()
    assert 0 < refused < MESSAGES // 6 * 0.3


def test_every_cast_that_fails_is_counted() -> None:
    rng = random.Random(99)
    schema = random_schema(rng)
    decoder, counter = Decoder(schema), Counter()
    for _ in range(2000):
        body = random_messages.request(rng)
        one = Counter()
        try:
            expected(PBRequest.FromString(body), schema, one)
        except Refused:
            continue
        decoder.decode(body)
        counter.unparsable += one.unparsable
    assert decoder.unparsable == counter.unparsable > 0


def test_what_is_encoded_reads_back_equal() -> None:
    rng = random.Random(7)
    decoder = Decoder()
    for _ in range(2000):
        try:
            request = decoder.decode(random_messages.request(rng))
        except RequestError:
            continue
        body = encode_request(request)
        PBRequest.FromString(body)
        # Rows that were declared missing say no type; the others keep theirs.
        assert text(everything(decoder.decode(body))) == text(everything(request))


def reading(cls: Any, body: bytes) -> bool:
    """Whether the generated class can read the bytes."""
    try:
        cls.FromString(body)
    except DecodeError:
        return False
    return True


def test_a_message_cut_anywhere_is_read_or_refused_as_the_generated_classes_do() -> None:
    rng = random.Random(3)
    decoder = Decoder()
    for _ in range(60):
        body = random_messages.request(rng)
        for end in range(len(body)):
            cut = body[:end]
            assert accepts(decoder, cut) in {reading(PBRequest, cut), None}, cut.hex()


def test_a_damaged_message_is_read_or_refused_as_the_generated_classes_do() -> None:
    rng = random.Random(4)
    decoder = Decoder()
    accepted = 0
    for _ in range(20_000):
        body = bytearray(random_messages.request(rng))
        for _ in range(rng.randrange(1, 4)):
            if body:
                body[rng.randrange(len(body))] = rng.randrange(256)
        result = accepts(decoder, bytes(body))
        assert result in {reading(PBRequest, bytes(body)), None}, body.hex()
        accepted += result is True
    assert 1000 < accepted < 19_000


def test_random_bytes_are_refused_by_every_decoder_of_responses() -> None:
    rng = random.Random(5)
    for _ in range(2000):
        body = rng.randbytes(rng.randrange(1, 60))
        if not reading(PBResponse, body):
            with pytest.raises(RequestError, match="failed to parse response"):
                decode_response(body)


def accepts(decoder: Decoder, body: bytes) -> bool | None:
    """None: a column is too short, which is found before the next one is read; or a field has the number 0,
    which some builds of the generated classes let pass.
    """
    try:
        decoder.decode(body)
    except RequestError as e:
        if str(e).endswith("a field tag is malformed"):
            return None
        return False if str(e).startswith("failed to parse request") else None
    return True
