"""What operators post: rows typed as the store keeps them, and errors that name row, column and value."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pytest

from recserve.columns import arrow_type
from recserve.errors import ContentTypeError, RequestError, TooLargeError
from recserve.wire.item_rows import ARROW_STREAM, ItemChanges, ItemSchema, decode, encode, key_of

TYPES = {
    "price": "float32",
    "stock": "int32",
    "brand": "string",
    "tags": "list<string>",
    "paths": "list<list<int64>>",
    "weights": "map<int64,float32>",
    "vector": "float32[2]",
}
TEXTS = ItemSchema("item_id", "string", TYPES)
NUMBERS = ItemSchema("item_id", "int64", {"item_id": "int64", "price": "float64"})
ROW: dict[str, Any] = {
    "item_id": "i1",
    "price": 1.5,
    "stock": 7,
    "brand": "käse",
    "tags": ["a", "b"],
    "paths": [[1, 2], []],
    "weights": {"3": 0.5},
    "vector": [1, 2.5],
}


def post(document: Any, schema: ItemSchema = TEXTS) -> ItemChanges:
    return decode(json.dumps(document).encode(), "application/json; charset=utf-8", schema, max_bytes=1 << 20)


def stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def post_table(table: pa.Table, schema: ItemSchema = TEXTS, max_bytes: int = 1 << 20) -> ItemChanges:
    return decode(stream(table), ARROW_STREAM, schema, max_bytes=max_bytes)


def test_rows_have_the_types_of_the_store_and_the_columns_that_they_bring() -> None:
    some = {"item_id": "i2", "price": 2, "colour": "red"}
    none = {"item_id": "i3", "price": None}

    changes = post({"upsert": [ROW, some, none, {"item_id": "i4"}], "delete": ["i5"]})

    whole, prices, nothing = changes.upserts
    assert whole.schema == pa.schema(
        {"item_id": pa.string(), **{name: arrow_type(kind) for name, kind in TYPES.items()}}
    )
    assert whole.to_pylist() == [{**ROW, "weights": [(3, 0.5)]}]
    assert prices.to_pylist() == [{"item_id": "i2", "price": 2.0}, {"item_id": "i3", "price": None}]
    assert nothing.to_pylist() == [{"item_id": "i4"}]
    assert changes.deleted is not None
    assert changes.deleted.to_pylist() == ["i5"]
    assert changes.ignored == ("colour",)


def test_a_key_that_features_read_stands_in_its_own_column() -> None:
    changes = post({"upsert": [{"item_id": "7", "price": 1}], "delete": [9, "0"]}, NUMBERS)

    (rows,) = changes.upserts
    assert rows.to_pydict() == {"item_id": [7], "price": [1.0]}
    assert changes.deleted is not None
    assert changes.deleted.to_pylist() == [9, 0]


def test_nothing_to_do_is_no_error() -> None:
    assert post({}) == post({"upsert": [], "delete": []}) == ItemChanges()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"upserts": []}, "unknown key 'upserts'; did you mean 'upsert'?"),
        ({"upsert": {"item_id": "i1"}}, "upsert is a list of rows, each an object"),
        ({"upsert": ["i1"]}, "upsert is a list of rows, each an object"),
        ({"delete": "i1"}, "delete is a str; a list of ids is expected"),
        ({"delete": ["i1", 7]}, "delete, row 1: 'item_id' is 7; ids are a text that is not empty"),
        ({"upsert": [{}]}, "upsert, row 0: 'item_id' is None; ids are a text that is not empty"),
        ({"upsert": [{"item_id": ""}]}, "'item_id' is ''; ids are a text"),
        ({"upsert": [{"item_id": "\ud800"}]}, "has a text that is not Unicode"),
        ({"upsert": [{"item_id": "i1"}], "delete": ["i1"]}, "'i1' stands in upsert and in delete"),
    ],
)
def test_a_document_that_makes_no_sense_is_refused(document: Any, message: str) -> None:
    with pytest.raises(RequestError) as raised:
        post(document)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("price", "1.5", "column 'price' is '1.5'; float32 is expected"),
        ("price", True, "column 'price' is True"),
        ("stock", 1.5, "column 'stock' is 1.5; int32 is expected"),
        ("stock", 2**31, "column 'stock' is 2147483648; int32 is expected"),
        pytest.param("price", 10**400, "column 'price' is 1000", id="a number beyond all floats"),
        ("brand", 7, "column 'brand' is 7; string is expected"),
        ("brand", "\udfff", "column 'brand' is '\\udfff'"),
        ("tags", "a", "column 'tags' is 'a'; list<string> is expected"),
        ("tags", ["a", 1], "column 'tags' is ['a', 1]"),
        ("paths", [1], "column 'paths' is [1]; list<list<int64>> is expected"),
        ("weights", {"a": 1}, "column 'weights' is {'a': 1}; map<int64,float32> is expected"),
        ("weights", [1], "column 'weights' is [1]"),
        ("vector", [1, 2, 3], "column 'vector' is [1, 2, 3]; float32[2] is expected"),
        ("vector", [1, None], "column 'vector' is [1, None]"),
    ],
)
def test_a_cell_of_another_type_is_named_with_its_row(column: str, cell: Any, message: str) -> None:
    with pytest.raises(RequestError) as raised:
        post({"upsert": [ROW, {**ROW, "item_id": "i2", column: cell}]})
    assert str(raised.value).startswith("upsert, row 1 ('i2'): column ")
    assert message in str(raised.value)


@pytest.mark.parametrize("key", ["007", "7.0", "", " 7", "x", 7.0, True, None, 2**63, str(-(2**63) - 1)])
def test_an_id_that_is_no_integer_is_refused_where_ids_are_integers(key: Any) -> None:
    with pytest.raises(RequestError, match="row 0: 'item_id'"):
        post({"upsert": [{"item_id": key}]}, NUMBERS)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b"\xff", b'{"upsert": [], "upsert": []}', b'{"upsert": [{"item_id": NaN}]}'],
)
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        decode(body, "application/json", TEXTS, max_bytes=1 << 20)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-protobuf", "multipart/form-data; boundary=x"])
def test_a_body_of_another_kind_is_415(kind: str) -> None:
    with pytest.raises(ContentTypeError, match="items come as application/json or"):
        decode(b"{}", kind, TEXTS, max_bytes=1 << 20)


# --- Arrow ---


def test_a_stream_of_batches_is_cast_where_no_value_changes() -> None:
    table = pa.table(
        {
            "item_id": pa.array(["i1", "i2"]).dictionary_encode(),
            "price": pa.array([1, None], pa.int64()),
            "stock": pa.array([True, False]),
            "vector": pa.array([[1.0, 2.0], None], pa.list_(pa.float64())),
            "colour": ["red", "blue"],
        }
    )

    changes = post_table(table)

    (rows,) = changes.upserts
    kinds = {name: arrow_type(TYPES[name]) for name in ("price", "stock", "vector")}
    assert rows.schema == pa.schema({"item_id": pa.string(), **kinds})
    assert rows["price"].to_pylist() == [1.0, None]
    assert rows["vector"].to_pylist() == [[1.0, 2.0], None]
    assert changes.ignored == ("colour",)


def test_a_stream_without_rows_changes_nothing() -> None:
    (rows,) = post_table(pa.table({"item_id": pa.array([], pa.string())})).upserts

    assert rows.num_rows == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["i1"]}, "no key column 'item_id'; columns: id"),
        ({"item_id": ["i1", None]}, "upsert, row 1: 'item_id' is missing"),
        ({"item_id": ["i1", ""]}, "upsert, row 1: 'item_id' is missing"),
        ({"item_id": ["i1", "i2"], "stock": [1, 2**40]}, "row 1: column 'stock' is 1099511627776; int32"),
        ({"item_id": ["i1"], "price": ["x"]}, "upsert, row 0: column 'price' is 'x'; float32 is expected"),
        ({"item_id": ["i1"], "tags": [{"a": 1}]}, "column 'tags': Arrow type struct<a: int64> is not taken"),
        (
            {"item_id": ["i1", "i2"], "vector": [[1.0, 2.0], [1.0]]},
            "row 1: column 'vector' is [1.0]; float32[2]",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_row_and_column(
    columns: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(RequestError) as raised:
        post_table(pa.table(columns))
    assert message in str(raised.value)


@pytest.mark.parametrize("cut", [0, 3, 40, 200, -9])
def test_a_stream_that_ends_too_early_is_refused(cut: int) -> None:
    whole = stream(pa.table({"item_id": ["i1"] * 100}))

    with pytest.raises(RequestError):
        decode(
            whole[:cut] if cut >= 0 else whole[:cut] + b"garbage!!", ARROW_STREAM, TEXTS, max_bytes=1 << 20
        )


def test_a_stream_that_is_larger_in_memory_than_allowed_is_413() -> None:
    sink = io.BytesIO()
    table = pa.table({"item_id": ["i" * 1000] * 10_000})
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    assert len(sink.getvalue()) < 100_000

    with pytest.raises(TooLargeError, match="max_body_bytes"):
        decode(sink.getvalue(), ARROW_STREAM, TEXTS, max_bytes=100_000)


def test_an_id_in_a_path_is_one_of_the_store() -> None:
    assert key_of("a/b", TEXTS).to_pylist() == ["a/b"]
    assert key_of("12", NUMBERS).to_pylist() == [12]
    with pytest.raises(RequestError, match="'item_id' is 'x'; ids are an integer"):
        key_of("x", NUMBERS)


def test_cells_are_written_as_json_has_them() -> None:
    row = {"vector": [1.0, float("nan")], "weights": [(3, 0.5)], "raw": b"\xffa", "name": "ä", "none": None}

    assert encode(row) == {
        "vector": [1.0, "nan"],
        "weights": {"3": 0.5},
        "raw": "\\xffa",
        "name": "ä",
        "none": None,
    }
