"""Rows of bytes: those of the examples were written by hand, byte for byte."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import example, given, settings

from recserve.errors import DataError
from recserve.sources.packed_rows import FIELD_TYPES, Field, PackedSchema, field_type

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = Field("id", "string")

#: type, value, its bytes behind the null flag
EXAMPLES: list[tuple[str, Any, str]] = [
    ("int32", -2, "fe ff ff ff"),
    ("int64", 258, "02 01 00 00 00 00 00 00"),
    ("float", 1.5, "00 00 c0 3f"),
    ("double", -2.0, "00 00 00 00 00 00 00 c0"),
    ("string", "", "00 00 00 00"),
    ("string", "é!", "03 00 00 00  c3 a9 21"),
    ("boolean", True, "01"),
    ("boolean", False, "00"),
    ("array<int32>", [], "00 00 00 00"),
    ("array<int32>", [1, -1], "02 00 00 00  01 00 00 00  ff ff ff ff"),
    ("array<int64>", [3], "01 00 00 00  03 00 00 00 00 00 00 00"),
    ("array<float>", [1.0, 2.0], "02 00 00 00  00 00 80 3f  00 00 00 40"),
    ("array<double>", [1.0], "01 00 00 00  00 00 00 00 00 00 f0 3f"),
    ("array<string>", [], "00 00 00 00"),
    ("array<string>", ["ab", "", "c"], "03 00 00 00  00000000 02000000 02000000 03000000  61 62 63"),
    ("array<array<float>>", [], "00 00 00 00"),
    ("array<array<float>>", [[], []], "02 00 00 00  00 00 00 00"),
    (
        "array<array<float>>",
        [[1.0], [], [2.0, 1.0]],
        "03000000  03000000  01000000 00000000 02000000  0000803f 00000040 0000803f",
    ),
    ("map<int32,float>", [], "00 00 00 00"),
    ("map<int32,float>", [(1, 2.0), (5, 1.0)], "02000000  01000000 05000000  00000040 0000803f"),
    ("map<int64,string>", [(9, "xy")], "01000000  0900000000000000  00000000 02000000  78 79"),
    ("map<string,int64>", [("a", 7)], "01000000  00000000 01000000 61  0700000000000000"),
    ("map<string,string>", [("a", "b")], "01000000  00000000 01000000 61  00000000 01000000 62"),
]


def schema_of(*types: str) -> PackedSchema:
    return PackedSchema(KEY, tuple(Field(f"f{i}", name) for i, name in enumerate(types)))


def batch_of(schema: PackedSchema, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    columns = {
        each.name: pa.array([row[i] for row in rows], FIELD_TYPES[each.type])
        for i, each in enumerate(schema.fields)
    }
    return pa.record_batch({"id": pa.array([f"k{i}" for i in range(len(rows))]), **columns})


def unpacked(schema: PackedSchema, *rows: bytes | None) -> list[list[Any]]:
    keys = [f"k{i}".encode() for i in range(len(rows))]
    return [column.to_pylist() for column in schema.unpack(keys, rows, where="table t")]


@pytest.mark.parametrize(("name", "value", "behind"), EXAMPLES)
def test_values_are_these_bytes(name: str, value: Any, behind: str) -> None:
    schema = schema_of(name)
    row = b"F1\x00" + bytes.fromhex(behind)

    assert schema.pack(batch_of(schema, [[value]])) == [row]
    assert unpacked(schema, row) == [[value]]


def test_timestamps_are_milliseconds_of_utc() -> None:
    schema = schema_of("timestamp")
    moment = pa.array([1_700_000_000_123], pa.timestamp("ms", "UTC"))
    row = b"F1\x00" + struct.pack("<q", 1_700_000_000_123)

    assert schema.pack(pa.record_batch({"f0": moment})) == [row]
    assert schema.unpack([b"k"], [row], where="t")[0].equals(moment)


def test_fields_stand_in_the_order_of_the_schema_each_behind_its_null_flag() -> None:
    schema = schema_of("int32", "string", "int32")
    row = b"F1" + b"\x00\x07\x00\x00\x00" + b"\x01" + b"\x00\x08\x00\x00\x00"

    assert schema.pack(batch_of(schema, [[7, None, 8]])) == [row]
    assert unpacked(schema, row) == [[7], [None], [8]]


def test_a_row_that_ends_early_has_no_value_in_the_fields_behind() -> None:
    short = schema_of("int32")
    [row] = short.pack(batch_of(short, [[7]]))
    longer = short.extended(pa.schema([("f1", pa.list_(pa.string())), ("f2", pa.bool_())]), "t")

    assert unpacked(longer, row, b"F1") == [[7, None], [None, None], [None, None]]


def test_no_row_is_null_everywhere() -> None:
    assert unpacked(schema_of("int32", "map<int32,int32>"), None) == [[None], [None]]


def test_only_the_columns_asked_for_are_unpacked() -> None:
    schema = schema_of("string", "int32", "array<array<float>>", "int64")
    rows = schema.pack(batch_of(schema, [["a", 1, [[1.0]], 2], [None, None, None, 3]]))
    result = schema.unpack([b"a", b"b"], rows, {"f1", "f3", "absent"}, where="t")

    assert [column.to_pylist() for column in result] == [[1, None], [2, 3]]


def test_columns_that_a_batch_lacks_are_null() -> None:
    schema = schema_of("int32", "int32")
    batch = pa.record_batch({"f1": pa.array([5], pa.int32())})

    assert unpacked(schema, *schema.pack(batch)) == [[None], [5]]


def cells(name: str) -> st.SearchStrategy[Any]:
    """Values of a type, as `to_pylist` gives them back."""
    scalars: dict[str, st.SearchStrategy[Any]] = {
        "int32": st.integers(-(2**31), 2**31 - 1),
        "int64": st.integers(-(2**63), 2**63 - 1),
        "float": st.floats(width=32, allow_nan=False),
        "double": st.floats(allow_nan=False),
        "string": st.text(max_size=6),
        "boolean": st.booleans(),
        "timestamp": st.integers(0, 2**40),
    }
    if name in scalars:
        return scalars[name]
    if name == "array<array<float>>":
        return st.lists(st.lists(scalars["float"], max_size=3), max_size=3)
    of = name[name.index("<") + 1 : -1].split(",")
    if len(of) == 1:
        return st.lists(scalars[of[0]], max_size=4)
    return st.lists(st.tuples(scalars[of[0]], scalars[of[1]]), max_size=4, unique_by=lambda pair: pair[0])


@st.composite
def tables(draw: st.DrawFn) -> tuple[PackedSchema, pa.RecordBatch]:
    schema = schema_of(*draw(st.lists(st.sampled_from(sorted(FIELD_TYPES)), min_size=1, max_size=6)))
    row = st.tuples(*(st.none() | cells(each.type) for each in schema.fields))
    return schema, batch_of(schema, draw(st.lists(row, max_size=5)))


@settings(deadline=None)
@given(tables())
def test_what_is_packed_is_unpacked(drawn: tuple[PackedSchema, pa.RecordBatch]) -> None:
    schema, batch = drawn
    keys = [key.encode() for key in batch.column("id").to_pylist()]
    result = schema.unpack(keys, schema.pack(batch), where="t")

    for each, column in zip(schema.fields, result, strict=True):
        assert column.equals(batch.column(each.name))
        column.validate(full=True)


@settings(deadline=None)
@given(tables(), st.integers(0, 40))
def test_slices_are_packed_as_what_they_show(drawn: tuple[PackedSchema, pa.RecordBatch], start: int) -> None:
    schema, batch = drawn

    assert schema.pack(batch.slice(start)) == schema.pack(batch)[start:]


@settings(deadline=None)
@given(tables(), st.data())
def test_hostile_bytes_are_refused_or_read_and_never_more(
    drawn: tuple[PackedSchema, pa.RecordBatch], data: st.DataObject
) -> None:
    """A byte changed, added or lost: either it is a row still, or the error names table and key."""
    schema, batch = drawn
    for row in schema.pack(batch):
        changed = bytearray(row)
        place = data.draw(st.integers(0, len(changed) - 1))
        match data.draw(st.sampled_from(["change", "cut", "add"])):
            case "change":
                changed[place] = data.draw(st.sampled_from([0, 1, 2, 127, 128, 255]))
            case "cut":
                del changed[place:]
            case _:
                changed[place:place] = data.draw(st.binary(min_size=1, max_size=5))
        try:
            columns = schema.unpack([b"the key"], [bytes(changed)], where="table t")
        except DataError as error:
            assert str(error).startswith("table t, key 'the key': ")  # noqa: PT017
        else:
            for column in columns:
                column.validate(full=True)


@settings(deadline=None)
@given(st.sampled_from(sorted(FIELD_TYPES)), st.binary(max_size=60))
@example("array<array<float>>", struct.pack("<II", 2**32 - 1, 0))
@example("array<array<float>>", struct.pack("<III", 2**31, 1, 1))
def test_any_bytes_behind_the_mark_are_refused_or_read(name: str, behind: bytes) -> None:
    try:
        columns = schema_of(name).unpack([b"k"], [b"F1\x00" + behind], where="t")
    except DataError:
        return
    for column in columns:
        column.validate(full=True)


@pytest.mark.parametrize(
    ("types", "row", "message"),
    [
        (["int32"], b"", "the row does not begin with F1, so it is not a packed row"),
        (["int32"], b"F2\x00\x01\x00\x00\x00", "the row does not begin with F1, so it is not a packed row"),
        (["int32"], b"F1\x00\x01\x00", "field 'f0' (int32) needs 4 bytes for its value, and 2 are left"),
        (["int32"], b"F1\x02\x01\x00\x00\x00", "field 'f0' (int32) has as null flag 2, not 0 or 1"),
        (["boolean"], b"F1\x00\x05", "field 'f0' (boolean) has as value 5, not 0 or 1"),
        (["int32"], b"F1\x01\x01\x01", "the row has 2 bytes more than its 1 fields"),
        (
            ["int32", "array<int64>"],
            b"F1\x01\x00\xff\xff\xff\xff",
            "field 'f1' (array<int64>) needs 34359738360 bytes for its values, and 0 are left",
        ),
        (
            ["array<string>"],
            b"F1\x00\x01\x00\x00\x00" + struct.pack("<II", 1, 1) + b"a",
            "field 'f0' (array<string>) has a first text at 1, not 0",
        ),
        (
            ["array<string>"],
            b"F1\x00\x02\x00\x00\x00" + struct.pack("<III", 0, 9, 1) + b"a",
            "field 'f0' (array<string>) has offsets 0, 9 that do not lie in its 1 bytes of text",
        ),
        (
            ["array<array<float>>"],
            b"F1\x00" + struct.pack("<IIIf", 1, 1, 2, 0.5),
            "field 'f0' (array<array<float>>) has lists of another size than its 1 values",
        ),
        (
            ["array<array<float>>"],
            b"F1\x00" + struct.pack("<II", 2**32 - 1, 0),
            "field 'f0' (array<array<float>>) has 4294967295 lists that are all empty, more than 4096",
        ),
        (["string"], b"F1\x00\x01\x00\x00\x00\xff", "field 'f0' (string) holds text that is not UTF-8"),
        (
            ["map<string,string>"],
            b"F1\x00\x01\x00\x00\x00" + struct.pack("<II", 0, 1) + b"\xff" + struct.pack("<II", 0, 0),
            "field 'f0' (map<string,string>) holds text that is not UTF-8",
        ),
    ],
)
def test_what_is_no_row_is_named(types: list[str], row: bytes, message: str) -> None:
    schema = schema_of(*types)
    with pytest.raises(DataError) as raised:
        schema.unpack([b"good", b"bad \xff"], [b"F1", row], where="table t")

    assert str(raised.value) == f"table t, key 'bad \\xff': {message}"


def test_nulls_inside_of_cells_are_refused() -> None:
    for name, value in [
        ("array<int32>", [1, None]),
        ("array<array<float>>", [[1.0], None]),
        ("array<array<float>>", [[None]]),
        ("map<string,int32>", [("a", None)]),
    ]:
        schema = schema_of(name)
        with pytest.raises(DataError, match=r"column 'f0' \(.*\) has nulls inside of its cells"):
            schema.pack(batch_of(schema, [[value]]))


@pytest.mark.parametrize(
    ("arrow", "name"),
    [
        (pa.uint8(), "int32"),
        (pa.uint32(), "int64"),
        (pa.float16(), "float"),
        (pa.large_string(), "string"),
        (pa.null(), "string"),
        (pa.dictionary(pa.int8(), pa.string()), "string"),
        (pa.timestamp("us"), "timestamp"),
        (pa.list_(pa.float32(), 4), "array<float>"),
        (pa.large_list(pa.int16()), "array<int32>"),
        (pa.list_(pa.list_(pa.float32(), 2)), "array<array<float>>"),
        (pa.map_(pa.int16(), pa.large_string()), "map<int32,string>"),
        *((arrow, name) for name, arrow in FIELD_TYPES.items()),
    ],
    ids=str,
)
def test_arrow_types_have_their_field_type(arrow: pa.DataType, name: str) -> None:
    assert field_type(arrow, "c") == name


@pytest.mark.parametrize(
    "arrow",
    [
        pa.binary(),
        pa.date32(),
        pa.decimal128(5, 2),
        pa.struct([("a", pa.int32())]),
        pa.list_(pa.list_(pa.int64())),
        pa.list_(pa.list_(pa.list_(pa.float32()))),
        pa.list_(pa.timestamp("ms")),
        pa.map_(pa.float32(), pa.int32()),
        pa.map_(pa.string(), pa.list_(pa.int32())),
    ],
    ids=str,
)
def test_other_arrow_types_are_refused(arrow: pa.DataType) -> None:
    with pytest.raises(DataError, match="column 'c': packed rows do not hold"):
        field_type(arrow, "c")


def test_a_schema_is_read_as_it_was_written() -> None:
    schema = PackedSchema(Field("item id", "int64"), (Field("Größe", "float"), Field("t", "array<string>")))

    assert PackedSchema.read(schema.document(), "t") == schema
    assert schema.arrow().names == ["item id", "Größe", "t"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "the schema document is not"),
        (b"\xff", "the schema document is not"),
        (b"[]", "the schema document is not"),
        (b'{"version": 1, "key": {"name": "id"}, "fields": []}', "KeyError: 'type'"),
        (
            b'{"version": 2, "key": {"name": "id", "type": "string"}, "fields": []}',
            "has version 2, known is 1",
        ),
        (b'{"version": 1, "key": {"name": "id", "type": "float"}, "fields": []}', "the key 'id' is float"),
        (
            b'{"version": 1, "key": {"name": "k", "type": "int32"}, "fields": [{"name": "a", "type": "u8"}]}',
            "field 'a': packed rows have no type 'u8'",
        ),
        (
            b'{"version": 1, "key": {"name": "a", "type": "int32"}, "fields": [{"name": "a", "type": "u8"}]}',
            "two columns 'a'",
        ),
    ],
)
def test_a_document_that_is_no_schema_is_refused(document: bytes, message: str) -> None:
    with pytest.raises(DataError) as raised:
        PackedSchema.read(document, "table t")

    assert str(raised.value).startswith("table t: ")
    assert message in str(raised.value)


def test_a_field_keeps_its_type_for_ever() -> None:
    with pytest.raises(DataError, match="table t: column 'f0' is int64, the table has int32"):
        schema_of("int32").extended(pa.schema([("f0", pa.int64())]), "table t")


def test_integer_keys_are_plain_decimals() -> None:
    schema = PackedSchema(Field("id", "int64"), ())

    assert schema.key_array([b"7", b"-9223372036854775808"], "t").to_pylist() == [7, -(2**63)]
    for bad in (b"007", b"7.0", b" 7", b"", b"\xff", b"9223372036854775808", b"x"):
        with pytest.raises(DataError, match="an integer in plain decimals, as the key column 'id' is"):
            schema.key_array([b"1", bad], "t")
    with pytest.raises(DataError, match="is not UTF-8"):
        PackedSchema(KEY, ()).key_array([b"\xff"], "t")
