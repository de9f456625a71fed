"""A request step by step is the request made at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from recserve.client import RequestBuilder, build_request
from recserve.errors import RequestError
from recserve.wire.torchrec import Decoder, encode_request

ITEMS = pa.table({"id": ["i1", "i2"], "price": [1.5, None], "tags": [["a"], []]})


def test_steps_add_up_to_the_request_made_at_once() -> None:
    built = (
        RequestBuilder()
        .user({"user_id": "u1", "age": 3})
        .user({"age": 33})
        .items(["i1", "i2"], {"price": np.array([1.5, 2.5])})
        .context({"position": [1, 2]})
        .meta(request_id="r-1", shelf=7)
        .debug_level(2)
        .neighbours(50)
    )

    at_once = build_request(
        {"user_id": "u1", "age": 33},
        ["i1", "i2"],
        item_features={"price": [1.5, 2.5]},
        context={"position": [1, 2]},
        meta={"request_id": "r-1", "shelf": "7"},
        debug_level=2,
        neighbours=50,
    )
    assert built.encode() == encode_request(at_once)


@pytest.mark.parametrize("table", [ITEMS, ITEMS.to_batches()[0]])
def test_a_table_gives_its_columns_and_the_ids_if_one_of_them_is(table: pa.Table | pa.RecordBatch) -> None:
    body = RequestBuilder().items(features=table, id_column="id").encode()

    assert body == encode_request(
        build_request(item_ids=["i1", "i2"], item_features={"price": [1.5, None], "tags": [["a"], []]})
    )


def test_without_items_the_context_gives_the_rows() -> None:
    request = Decoder().decode(RequestBuilder().context(ITEMS.select(["price"])).encode())

    assert request.rows == 2


def test_what_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match="no column 'item_id' of ids; there are: id, price, tags"):
        RequestBuilder().items(features=ITEMS, id_column="item_id")
    with pytest.raises(RequestError, match="context 'position' has 3 values for 2 items"):
        RequestBuilder().items(["a", "b"]).context({"position": [1, 2, 3]}).build()
