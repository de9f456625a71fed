"""The checklist of the wire protocol: what every server has to do for the clients that exist.

A test of an item carries its number in its name: `test_08_…`, or `test_27_35_…` for two.
"""

from __future__ import annotations

import re

ITEMS = {
    1: "a plain token lets in",
    2: "so does a signature over the headers as received",
    3: "a signature with a date hours or years off",
    4: "a signature whose Content-MD5 lost its leading zero",
    5: "a signature whose Content-MD5 is of another body",
    6: "no token, a wrong one, Bearer, half a signature: 401 with a text",
    7: "a signature of another path: 401; the query may be signed or not",
    8: "paths below the service, and a last slash, reach it",
    9: "no Content-Type is needed",
    10: "an unknown service is 404 with a text, PUT is 405",
    11: "connections are kept, and survive a minute without a request",
    12: "an answer is 200, its length is known, it is not encoded unless asked",
    13: "GET describes inputs and outputs",
    14: "while it loads: 503, no healthy upstream",
    15: "a full queue is 450, too high a rate 429, too long 408 and the end of the connection",
    16: "garbage is 400, a failing model 500; no message parses their texts",
    17: "both paths of discovery list an endpoint, without a token",
    18: "gzip, zlib, snappy, zstd and lz4 frames are recognised, raw lz4 is configured",
    19: "snappy bodies score as plain ones",
    20: "a bomb is refused within bounded memory",
    21: "each dtype is taken by position and by name",
    22: "half, bfloat16 and bool outputs are sent as types that clients read; shapes fit",
    23: "output_filter chooses and orders outputs",
    24: "inputs by name are answered by name; outputs may be restricted",
    25: "shapes that do not fit and gaps are 400 by the input's name",
    26: "unpacked repeated fields are read",
    27: "a row per item id, in order, duplicates too",
    28: "an unknown id scores item_empty_score and disturbs no other",
    29: "all 30 kinds of value, on every side",
    30: "an empty text and an unset value are missing",
    31: "a value scores the same in every type",
    32: "more entries than ids: the first ones count",
    33: "without ids the lists give the rows, without lists there is one",
    34: "item features win over the table; unknown names are ignored",
    35: "ids are echoed, meta_data is taken, pass_through_data returned",
    36: "levels 1, 2 and 3 answer features as texts, by item id",
    37: "level 100 keeps the request on disk",
    38: "other levels score as level 0",
    39: "texts of features are UTF-8; a table has a value per feature",
    40: "scores are float or double, one per item",
    51: "the real clients complete their documented samples",
    52: "64 busy connections see no error, thousands of idle ones are tolerated",
}


def items_of(test: str) -> list[int]:
    """The items that a test is about, by its name."""
    found = re.match(r"test_((?:\d\d_)+)", test)
    return [int(number) for number in found[1].split("_")[:-1]] if found else []
