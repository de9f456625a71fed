"""The torchrec messages (PBRequest, PBResponse) of a service with feature generation.

bytes ──Decoder.decode──▶ ScoreRequest ── … ──▶ ScoreResponse ──encode──▶ bytes

`encode_request` and `decode_response` are the client's side of the same. All four work on columns in the
native core, need no protobuf library and let other threads run.

What type a column gets
-----------------------
Its *value type* is the one that the bundle's input schema declares, else that of the first entry that is not
missing, else (all entries missing) the declared `value_type` of the feature, else string. Without a schema,
numbers of several types take one that holds them all: int32 with int64 is int64, float32 with float64 or an
integer with a float is float64; whether they are text is what the first entry says.

Its *shape* is what was sent. T is the value type; a column that the schema lacks counts as T:

| entries that are not missing        | schema           | column                                          |
|-------------------------------------|------------------|-------------------------------------------------|
| numbers, texts                      | T                | T                                               |
| numbers                             | list<T>          | list<T>, one value each                         |
| numbers                             | list<list<T>>    | T                                               |
| texts, maybe with numbers           | list, lists      | string: feature generation knows where to cut   |
| numbers, texts                      | map<K,V>         | string, as above                                |
| lists, maybe with numbers or texts  | all but map      | list<T>; a text is cut at \\x1d                 |
| lists, maybe with numbers or texts  | map<K,V>         | list<string>                                    |
| maps                                | map<K,V>         | map<K,V>                                        |
| maps                                | all but map      | a map of the types that were sent               |
| maps with numbers, texts or lists   | any              | list<string>; a map gives its pairs as "k:v"    |
| lists of lists, maybe with others   | all but map      | list<list<T>>; of a list each value, and of a   |
|                                     |                  | map each pair as "k:v", becomes a list of one   |
| lists of lists, maybe with others   | map<K,V>         | list<list<string>>                              |

Where a map is among other entries, T is string.

What is cast, and how
---------------------
| from \\ to | int32, int64                        | float32, float64 | string                            |
|-----------|-------------------------------------|------------------|-----------------------------------|
| integer   | itself, if it fits                  | rounded          | decimal: "-5"                     |
| float     | cut toward zero, if finite and fits | rounded          | six significant digits: "5.2"     |
| text      | parsed; "2.7" as a float            | parsed           | itself                            |

A value without an equivalent is missing: a null in a scalar column, left out of lists and maps.
`Decoder.unparsable` counts them. An unset feature, an empty text, an empty list and an empty map are missing,
whatever the column's type, and a missing row is always a null.

Which row an entry belongs to
-----------------------------
| sent                      | entries of a context or item feature   | rows of the column    |
|---------------------------|----------------------------------------|-----------------------|
| N item ids                | N, or more                             | N, the surplus is cut |
| N > 1 item ids            | 1                                      | 1, stands for all     |
| N item ids                | fewer, none included                   | refused               |
| no ids                    | the longest list gives N               | as above              |
| no ids, no lists          |                                        | one user, N = 1       |

Source: the oneof of 30 members and the alignment of the client packages eas_prediction 0.36, eas-sdk 2.0.32
and pairec; broadcasting one entry and refusing fewer is ours.
"""

from __future__ import annotations

from recserve._core import (
    TorchrecDecoder,
    decode_torchrec_response,
    encode_torchrec_request,
    encode_torchrec_response,
)
from recserve.messages import InputSchema, ScoreRequest, ScoreResponse


class Decoder:
    """Decodes requests for one model; may be used by many threads at once."""

    def __init__(self, schema: InputSchema | None = None, *, fallback: InputSchema | None = None) -> None:
        """`fallback` types a column that `schema` lacks and that is all missing (fg.json's value_type)."""
        declared, missing = schema or InputSchema(), fallback or InputSchema()
        self._native = TorchrecDecoder(
            user=declared.user,
            context=declared.context,
            item=declared.item,
            user_fallback=missing.user,
            context_fallback=missing.context,
            item_fallback=missing.item,
        )

    def decode(self, body: bytes) -> ScoreRequest:
        """Read a PBRequest. Raises RequestError: "failed to parse request: ...", or the column too short."""
        return ScoreRequest(*self._native.decode(body))

    @property
    def unparsable(self) -> int:
        """Values so far that had no equivalent in their column's type."""
        return self._native.unparsable


def encode_request(request: ScoreRequest) -> bytes:
    """Write the PBRequest that `Decoder.decode` reads back; a null is sent as an empty text."""
    return encode_torchrec_request(
        user=request.user,
        item_ids=request.item_ids,
        context=request.context,
        item_features=request.item_features,
        debug_level=request.debug_level,
        neighbours=request.neighbours,
        meta=request.meta,
    )


def encode(response: ScoreResponse) -> bytes:
    """Write a PBResponse. Outputs are sent as `tensors` says; item ids are echoed in their order."""
    return encode_torchrec_response(
        item_ids=response.item_ids,
        outputs=dict(response.outputs),
        pass_through=response.pass_through,
        generate_features=response.generate_features,
        raw_features=response.raw_features,
    )


def decode_response(body: bytes) -> ScoreResponse:
    """Read a PBResponse. Raises RequestError: "failed to parse response: ..."."""
    return ScoreResponse(*decode_torchrec_response(body))
