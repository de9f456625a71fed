"""What callers see of the torchrec messages: casts, alignment, refusals, and the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.gil import beside_others
from tests.wire.random_messages import message, tag, varint

from recserve.columns import Batch, Column, column_from_arrow, to_arrow
from recserve.errors import DataError, RequestError
from recserve.messages import InputSchema, ScoreRequest, ScoreResponse
from recserve.wire.descriptors import message_class
from recserve.wire.torchrec import Decoder, decode_response, encode, encode_request

PBFeature = message_class("com.alibaba.pairec.processor.PBFeature")
PBRequest = message_class("com.alibaba.pairec.processor.PBRequest")
PBResponse = message_class("com.alibaba.pairec.processor.PBResponse")


def cell(**members: Any) -> Any:
    """A PBFeature: cell(int_feature=3), cell(string_list=["a"]), cell(string_float_map={"a": 1.5}), ..."""
    feature = PBFeature()
    for member, value in members.items():
        if member.endswith("_feature"):
            setattr(feature, member, value)
        elif member.endswith("_map"):
            getattr(feature, member).SetInParent()
            for k, v in value.items():
                getattr(feature, member).map_field[k] = v
        elif member.endswith("_list"):
            getattr(feature, member).SetInParent()
            getattr(feature, member).features.extend(value)
        else:
            getattr(feature, member).SetInParent()
            for inner in value:
                getattr(feature, member).lists.add().features.extend(inner)
    return feature


def request(ids: int = 0, context: list[Any] | None = None, user: Any = None) -> bytes:
    """A request whose columns are all called `x`."""
    pb = PBRequest(item_ids=[f"item{i}" for i in range(ids)])
    if user is not None:
        pb.user_features["x"].CopyFrom(user)
    if context is not None:
        pb.context_features["x"].features.extend(context)
    return bytes(pb.SerializeToString())


def user_column(feature: Any, type_: str | None = None) -> Column:
    schema = InputSchema(user={"x": type_} if type_ else {})
    return Decoder(schema).decode(request(user=feature)).user["x"]


def context_column(features: list[Any], type_: str | None = None) -> Column:
    schema = InputSchema(context={"x": type_} if type_ else {})
    return Decoder(schema).decode(request(ids=len(features), context=features)).context["x"]


EMPTY = [cell(), cell(string_feature=""), cell(string_list=[]), cell(long_float_map={}), cell(float_lists=[])]
KEYS: dict[str, list[Any]] = {"long": [2**40, -1], "int": [2**31 - 1, -1], "string": ["a", "中"]}
VALUES: dict[str, list[Any]] = {
    "string": ["x", ""],
    "int": [0, -7],
    "long": [2**40, 0],
    "float": [1.5, 0.0],
    "double": [0.1, -2.5],
}
MEMBERS: list[tuple[str, Any, Any]] = [
    *((f"{kind}_feature", values[0], values[0]) for kind, values in VALUES.items()),
    *(
        (
            f"{k}_{v}_map",
            dict(zip(KEYS[k], VALUES[v], strict=True)),
            list(zip(KEYS[k], VALUES[v], strict=True)),
        )
        for k in KEYS
        for v in VALUES
    ),
    *((f"{kind}_list", values, values) for kind, values in VALUES.items()),
    *((f"{kind}_lists", [values, [], values], [values, [], values]) for kind, values in VALUES.items()),
]


@pytest.mark.parametrize(("member", "sent", "row"), MEMBERS, ids=[m[0] for m in MEMBERS])
def test_every_member_of_a_feature_is_read_on_every_side(member: str, sent: Any, row: Any) -> None:
    pb = PBRequest(item_ids=["a", "b"])
    pb.user_features["u"].CopyFrom(cell(**{member: sent}))
    for side in (pb.context_features, pb.item_features):
        side["c"].features.extend([cell(**{member: sent}), cell()])

    result = Decoder().decode(pb.SerializeToString())

    def rows(column: Column) -> list[Any]:
        pairs = column.shape == "map"
        return [sorted(r) if pairs and r else r for r in to_arrow(column).to_pylist()]

    expected = sorted(row) if member.endswith("_map") else row
    assert rows(result.user["u"]) == [expected]
    assert rows(result.context["c"]) == rows(result.item_features["c"]) == [expected, None]
    value_type = {
        "string": "string",
        "int": "int32",
        "long": "int64",
        "float": "float32",
        "double": "float64",
    }
    assert result.user["u"].type == value_type[member.split("_")[-2 if member.count("_") == 1 else 1]]


def test_all_thirty_members_are_in_the_table() -> None:
    assert {member for member, _, _ in MEMBERS} == {field.name for field in PBFeature.DESCRIPTOR.fields}
    assert len(MEMBERS) == 30


@pytest.mark.parametrize("empty", EMPTY, ids=repr)
@pytest.mark.parametrize(
    "type_", ["int32", "int64", "float32", "float64", "string", "list<int64>", "map<string,float32>"]
)
def test_an_empty_entry_is_missing_whatever_the_declared_type(empty: Any, type_: str) -> None:
    column = user_column(empty, type_)

    assert to_arrow(column).to_pylist() == [None]
    assert column.missing(0)
    assert column.type in type_.replace("map<string,", "map<")


def test_zero_is_a_value_and_not_missing() -> None:
    assert to_arrow(user_column(cell(int_feature=0))).to_pylist() == [0]
    assert to_arrow(user_column(cell(double_feature=0.0), "int64")).to_pylist() == [0]


@pytest.mark.parametrize("empty", EMPTY, ids=repr)
def test_a_column_of_missing_entries_takes_the_fallback_type(empty: Any) -> None:
    fallback = InputSchema(user={"x": "float32"}, context={"x": "list<int64>"})
    decoder = Decoder(fallback=fallback)

    result = decoder.decode(request(ids=2, user=empty, context=[empty, empty]))

    assert (result.user["x"].shape, result.user["x"].type) == ("scalar", "float32")
    assert (result.context["x"].shape, result.context["x"].type) == ("list", "int64")
    assert decoder.decode(request(user=cell(string_feature="a"))).user["x"].type == "string"


CASTS: list[tuple[Any, str, Any]] = [
    (cell(int_feature=7), "string", "7"),
    (cell(long_feature=-5), "string", "-5"),
    (cell(float_feature=5.2), "string", "5.2"),
    (cell(double_feature=3.0), "string", "3"),
    (cell(double_feature=1234567.0), "string", "1.23457e+06"),
    (cell(string_feature="7"), "int32", 7),
    (cell(string_feature=" +07 "), "int64", 7),
    (cell(string_feature="2.7"), "int64", 2),
    (cell(string_feature="-2.7"), "int32", -2),
    (cell(string_feature="1e3"), "float32", 1000.0),
    (cell(string_feature="x"), "float64", None),
    (cell(string_feature="7 apples"), "int64", None),
    (cell(long_feature=2**40), "int32", None),
    (cell(long_feature=2**31 - 1), "int32", 2**31 - 1),
    (cell(string_feature=str(2**63)), "int64", None),
    (cell(double_feature=2.0**63), "int64", None),
    (cell(double_feature=-(2.0**63)), "int64", -(2**63)),
    (cell(double_feature=float("nan")), "int64", None),
    (cell(double_feature=float("inf")), "int32", None),
    (cell(float_feature=2.9), "int64", 2),
    (cell(int_feature=3), "float64", 3.0),
    (cell(double_feature=0.1), "float32", float(np.float32(0.1))),
    (cell(long_feature=3), "list<string>", ["3"]),
    (cell(string_feature="1\x1d2"), "list<int64>", "1\x1d2"),  # feature generation cuts it
    (cell(string_feature="a:1\x1db:2"), "map<string,float32>", "a:1\x1db:2"),
    (cell(string_list=["a:1", "b:2"]), "map<string,float32>", ["a:1", "b:2"]),
    (cell(string_list=["1", "x", "3"]), "list<int64>", [1, 3]),
    (cell(string_list=["x"]), "list<int64>", None),
    (cell(long_list=[1, 2**40]), "list<int32>", [1]),
    (cell(double_list=[1.5]), "list<float32>", [1.5]),
    (cell(int_list=[1, 2]), "string", ["1", "2"]),
    (cell(long_long_map={1: 2}), "map<string,float32>", [("1", 2.0)]),
    (cell(string_string_map={"1": "2.5"}), "map<int64,float64>", [(1, 2.5)]),
    (cell(string_string_map={"k": "2.5"}), "map<int64,float64>", None),
    (cell(string_string_map={"1": "v"}), "map<int64,float64>", None),
    (cell(long_lists=[[1], [2, 3]]), "list<list<string>>", [["1"], ["2", "3"]]),
    (cell(string_lists=[["1", "x"]]), "list<list<int64>>", [[1]]),
]


@pytest.mark.parametrize(
    ("feature", "type_", "row"), CASTS, ids=[f"{c[0]}->{c[1]}".replace("\n", " ") for c in CASTS]
)
def test_an_entry_is_cast_to_the_type_of_its_column(feature: Any, type_: str, row: Any) -> None:
    assert to_arrow(user_column(feature, type_)).to_pylist() == [row]
    assert to_arrow(context_column([feature], type_)).to_pylist() == [row]


def texts(*values: str) -> list[Any]:
    return [cell(string_feature=value) for value in values]


def ints(*values: int) -> list[Any]:
    return [cell(int_feature=value) for value in values]


LIST, LISTS, MAP = cell(int_list=[3, 4]), cell(int_lists=[[1], [2]]), cell(string_float_map={"b": 2.5})
HALF, BIG = cell(float_feature=0.5), cell(long_feature=2**40)
MIXED: dict[str, tuple[list[Any], str, str, list[Any]]] = {
    # entries, schema ("" = none), shape and type of the column, rows
    "the first entry says text": (texts("a") + ints(2), "", "scalar string", ["a", "2"]),
    "the first says number": (ints(2) + texts("a"), "", "scalar int32", [2, None]),
    "the first that is present": ([cell(), HALF], "", "scalar float32", [None, 0.5]),
    "integers widen": ([*ints(2), BIG], "", "scalar int64", [2, 2**40]),
    "an integer widens to a float": ([*ints(2), HALF], "", "scalar float64", [2, 0.5]),
    "a scalar among lists": ([*ints(2), LIST], "", "list int32", [[2], [3, 4]]),
    "a text among lists is cut": ([LIST, *texts("5\x1d6")], "", "list int32", [[3, 4], [5, 6]]),
    "a list in a scalar column": ([LIST], "int64", "list int64", [[3, 4]]),
    "an empty list among scalars": ([cell(int_list=[]), *ints(1)], "", "scalar int32", [None, 1]),
    "a map among texts": ([*texts("a:1"), MAP], "", "list string", [["a:1"], ["b:2.5"]]),
    "a map among lists": ([LIST, MAP], "list<int64>", "list string", [["3", "4"], ["b:2.5"]]),
    "maps in a text column": ([MAP], "string", "map float32", [[("b", 2.5)]]),
    "a list among lists of lists": ([LISTS, LIST], "", "nested int32", [[[1], [2]], [[3], [4]]]),
    "a scalar among lists of lists": ([LISTS, *ints(3)], "", "nested int32", [[[1], [2]], [[3]]]),
    "a map among lists of lists": ([LISTS, MAP], "", "nested string", [[["1"], ["2"]], [["b:2.5"]]]),
    "numbers and texts for lists": (ints(2) + texts("3"), "list<int64>", "scalar string", ["2", "3"]),
    "numbers for maps": (ints(2), "map<string,int64>", "scalar string", ["2"]),
    "numbers for lists of lists": (ints(2), "list<list<int64>>", "scalar int64", [2]),
}


@pytest.mark.parametrize(("features", "type_", "kind", "rows"), MIXED.values(), ids=MIXED.keys())
def test_entries_of_several_kinds_share_one_column(
    features: list[Any], type_: str, kind: str, rows: list[Any]
) -> None:
    column = context_column(features, type_)

    assert f"{column.shape} {column.type}" == kind
    assert to_arrow(column).to_pylist() == rows


def test_the_same_value_gives_the_same_column_however_it_is_sent() -> None:
    features = [
        cell(int_feature=7),
        cell(long_feature=7),
        cell(float_feature=7),
        cell(double_feature=7),
        cell(string_feature="7"),
    ]
    for type_, row in [("int32", 7), ("int64", 7), ("float32", 7.0), ("float64", 7.0), ("string", "7")]:
        assert to_arrow(context_column(features, type_)).to_pylist() == [row] * 5


def test_what_has_no_equivalent_is_counted() -> None:
    decoder = Decoder(InputSchema(user={"x": "int64"}))
    decoder.decode(request(user=cell(string_feature="x")))
    decoder.decode(request(user=cell(string_feature="")))
    decoder.decode(request(user=cell(string_list=["1", "y", "z"])))

    assert decoder.unparsable == 3


def test_a_request_tells_which_columns_had_it_and_how_many_entries_were_cut() -> None:
    decoder = Decoder(InputSchema(user={"x": "int64"}, context={"x": "int64"}))

    assert decoder.decode(request(user=cell(string_list=["1", "y", "z"]))).oddities == (("user", "x", 2, 0),)
    assert decoder.decode(request(user=cell(string_feature="1"))).oddities == ()
    message = PBRequest(item_ids=["i1"])
    for text in ("y", "1", "z"):
        message.context_features["x"].features.add().string_feature = text
    assert decoder.decode(message.SerializeToString()).oddities == (("context", "x", 1, 2),)


ALIGNED: list[tuple[str, int, int | None, int, int]] = [
    # ids, context entries -> rows of the request, rows of the column
    ("one entry per item", 3, 3, 3, 3),
    ("a surplus is cut", 3, 5, 3, 3),
    ("one id, two entries: the first is used", 1, 2, 1, 1),
    ("one entry stands for all", 3, 1, 3, 1),
    ("without ids the list gives the rows", 0, 4, 4, 4),
    ("without ids or lists there is one user", 0, None, 1, 0),
    ("an empty list without ids says nothing", 0, 0, 1, 1),
]


@pytest.mark.parametrize(
    ("ids", "entries", "rows", "column_rows"), [a[1:] for a in ALIGNED], ids=[a[0] for a in ALIGNED]
)
def test_entries_are_aligned_with_items(ids: int, entries: int | None, rows: int, column_rows: int) -> None:
    context = None if entries is None else [cell(int_feature=i) for i in range(entries)]

    result = Decoder().decode(request(ids=ids, context=context))

    assert result.rows == rows
    assert len(result.item_ids) == ids
    if context is not None:
        sent = list(range(column_rows)) if entries else [None]
        assert to_arrow(result.context["x"]).to_pylist() == sent


@pytest.mark.parametrize(("ids", "entries"), [(3, 2), (3, 0), (1, 0)])
def test_too_few_entries_are_refused_by_name_and_counts(ids: int, entries: int) -> None:
    wanted = f"context feature 'x' has {entries} entries for {ids} items; send one per item, or one for all"
    with pytest.raises(RequestError, match=wanted):
        Decoder().decode(request(ids=ids, context=[cell(int_feature=1)] * entries))


def test_lists_of_several_lengths_without_ids_are_refused() -> None:
    pb = PBRequest()
    pb.context_features["long"].features.extend([cell(int_feature=1)] * 3)
    pb.item_features["short"].features.extend([cell(int_feature=1)] * 2)
    with pytest.raises(RequestError, match="item feature 'short' has 2 entries for 3 items"):
        Decoder().decode(pb.SerializeToString())


def test_duplicate_ids_keep_their_rows() -> None:
    pb = PBRequest(item_ids=["b", "a", "b"])
    assert to_arrow(Decoder().decode(pb.SerializeToString()).item_ids).to_pylist() == ["b", "a", "b"]


def test_meta_data_level_and_neighbours_are_read() -> None:
    pb = PBRequest(debug_level=100, faiss_neigh_num=50, meta_data={"request_id": "r1", "task_id": ""})
    result = Decoder().decode(pb.SerializeToString())

    assert (result.debug_level, result.neighbours) == (100, 50)
    assert result.meta == {"request_id": "r1", "task_id": ""}


def test_of_a_name_that_comes_twice_the_last_wins() -> None:
    body = request(user=cell(int_feature=1)) + request(user=cell(string_feature="b"))
    assert to_arrow(Decoder().decode(body).user["x"]).to_pylist() == ["b"]


def test_an_unknown_field_in_a_map_entry_does_not_lose_the_entry() -> None:
    """The Python classes drop such an entry, Java and Go keep it; we do."""
    entry = message(1, b"x") + message(2, cell(int_feature=1).SerializeToString()) + tag(9, 0) + varint(1)
    assert to_arrow(Decoder().decode(message(2, entry)).user["x"]).to_pylist() == [1]


def test_pieces_of_a_value_are_merged_only_when_each_is_whole() -> None:
    first, second = message(23, message(1, b"a")), message(23, message(1, b"b"))
    assert to_arrow(Decoder().decode(message(2, message(2, first + second))).user[""]).to_pylist() == [
        ["a", "b"]
    ]
    cut = message(23, message(1, b"a") + tag(15, 1))  # eight bytes are missing, which the second piece has
    with pytest.raises(RequestError, match="a number is cut short"):
        Decoder().decode(message(2, message(2, cut + second)))


INVALID = b"\xff\xfe"
NOT_UTF8: dict[str, bytes] = {
    "item id": message(3, INVALID),
    "user feature name": message(2, message(1, INVALID)),
    "context feature name": message(4, message(1, INVALID)),
    "meta data name": message(7, message(1, INVALID)),
    "meta data value": message(7, message(2, INVALID)),
    "text": message(2, message(1, b"x") + message(2, message(3, INVALID))),
    "text in a list": message(2, message(1, b"x") + message(2, message(23, message(1, INVALID)))),
    "text in a list of lists": message(2, message(2, message(28, message(1, message(1, INVALID))))),
    "map key": message(2, message(2, message(12, message(1, message(1, INVALID))))),
    "map value": message(2, message(2, message(6, message(1, message(2, INVALID))))),
    "text of a surplus entry": message(3, b"a")
    + message(4, message(2, message(1, b"") + message(1, message(3, INVALID)))),
    "text that a later entry replaces": message(2, message(2, message(3, INVALID))) + message(2, b""),
    "list that a later member replaces": message(
        2, message(2, message(23, message(1, INVALID)) + tag(1, 0) + b"\x01")
    ),
    "surrogate": message(3, b"\xed\xa0\x80"),
    "overlong": message(3, b"\xc0\xaf"),
    "cut short": message(3, "中文".encode()[:-1]),
    "beyond Unicode": message(3, b"\xf4\x90\x80\x80"),
}


@pytest.mark.parametrize("body", NOT_UTF8.values(), ids=NOT_UTF8.keys())
def test_invalid_utf8_is_refused_wherever_it_stands(body: bytes) -> None:
    with pytest.raises(RequestError, match=r"failed to parse request: .*invalid UTF-8"):
        Decoder().decode(body)


MALFORMED: dict[str, tuple[bytes, str]] = {
    "a length past the end": (b"\x12\x05a", "a length runs past the end"),
    "field number zero": (b"\x00\x01", "a field tag is malformed"),
    "wire type 7": (b"\x0f\x01", "a field tag is malformed"),
    "an endless number": (b"\x08" + b"\xff" * 11, "a number is too long"),
    "a cut number": (b"\x08\xff", "a number is cut short"),
    "a group without an end": (b"\x0b", "a group never ends"),
    "an end without a group": (b"\x0c", "a group ends that never started"),
    "the end of another group": (b"\x0b\x14", "a group ends that never started"),
    "groups in groups": (b"\x0b" * 5000, "groups are nested too deep"),
    "a packed float cut": (
        message(2, message(2, message(24, message(1, b"abc")))),
        "user feature '': a number is cut short",
    ),
}


@pytest.mark.parametrize(("body", "why"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_bytes_are_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(RequestError, match=f"failed to parse request: {why}"):
        Decoder().decode(body)


def test_an_error_quotes_a_long_name_in_part() -> None:
    pb = PBRequest(item_ids=["a", "b", "c"])
    pb.context_features["n" * 5000].features.extend([cell(), cell()])
    with pytest.raises(RequestError) as caught:
        Decoder().decode(pb.SerializeToString())
    assert len(str(caught.value)) < 300


def test_more_columns_than_anybody_has_are_refused() -> None:
    entries = b"".join(message(2, message(1, str(i).encode())) for i in range(40_000))
    with pytest.raises(RequestError, match="more than 16384 user features"):
        Decoder().decode(entries)
    same_name = message(2, message(1, b"x")) * 40_000
    assert Decoder().decode(same_name).user.names == ["x"]


def test_a_map_with_a_million_entries_of_one_key_is_one_pair() -> None:
    entries = message(13, message(1, message(1, b"k") + tag(2, 0) + b"\x01") * 1_000_000)
    body = message(2, message(1, b"x") + message(2, entries))
    assert to_arrow(Decoder().decode(body).user["x"]).to_pylist() == [[("k", 1)]]


def test_an_empty_body_is_a_request_for_one_user_without_features() -> None:
    result = Decoder().decode(b"")
    assert (result.rows, result.user.names, len(result.item_ids)) == (1, [], 0)


def batch(rows: int, **arrays: pa.Array) -> Batch:
    result = Batch(rows)
    for name, array in arrays.items():
        result.add(name, column_from_arrow(array))
    return result


def test_a_client_request_reads_back_and_is_what_the_generated_classes_read() -> None:
    context = batch(
        2,
        price=pa.array([1.5, None], pa.float32()),
        hour=pa.array([7], pa.int32()),
        tags=pa.array([["a", "b"], []], pa.list_(pa.string())),
        vector=pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    )
    sent = ScoreRequest(
        user=batch(
            1, age=pa.array([-3], pa.int64()), kv=pa.array([[("a", 0.5)]], pa.map_(pa.string(), pa.float64()))
        ),
        item_ids=column_from_arrow(pa.array(["i1", "i2"])),
        context=context,
        item_features=batch(2, steps=pa.array([[[1], [2, 3]], None], pa.list_(pa.list_(pa.int64())))),
        rows=2,
        debug_level=3,
        neighbours=9,
        meta={"request_id": "r"},
    )

    body = encode_request(sent)

    pb = PBRequest.FromString(body)
    assert pb.user_features["age"] == cell(long_feature=-3)
    assert pb.user_features["kv"] == cell(string_double_map={"a": 0.5})
    assert list(pb.context_features["price"].features) == [cell(float_feature=1.5), cell(string_feature="")]
    assert list(pb.context_features["hour"].features) == [cell(int_feature=7)]
    assert list(pb.context_features["tags"].features) == [
        cell(string_list=["a", "b"]),
        cell(string_feature=""),
    ]
    assert list(pb.context_features["vector"].features) == [cell(float_list=[1, 2]), cell(float_list=[3, 4])]
    assert list(pb.item_features["steps"].features) == [
        cell(long_lists=[[1], [2, 3]]),
        cell(string_feature=""),
    ]
    assert (list(pb.item_ids), pb.debug_level, pb.faiss_neigh_num) == (["i1", "i2"], 3, 9)
    result = Decoder().decode(body)
    assert result.meta == {"request_id": "r"}
    assert to_arrow(result.context["hour"]).to_pylist() == [7]


def test_an_answer_is_what_the_generated_classes_read() -> None:
    outputs = {
        "probs": np.array([0.25, 0.5], np.float32),
        "wide": np.array([[0.1, 0.2], [0.3, 0.4]]),
        "vector": np.zeros((2, 0), np.float32),
    }
    response = ScoreResponse(
        item_ids=column_from_arrow(pa.array(["i1", "中"])),
        outputs=outputs,
        pass_through={"model_version": "3"},
        generate_features={"i1": "a:1"},
        raw_features={"i1": "b:2", "中": ""},
    )

    body = encode(response)

    pb = PBResponse.FromString(body)
    assert list(pb.item_ids) == ["i1", "中"]
    assert list(pb.map_outputs["probs"].float_val) == [0.25, 0.5]
    assert list(pb.map_outputs["wide"].double_val) == [0.1, 0.2, 0.3, 0.4]
    assert {name: list(tensor.array_shape.dim) for name, tensor in pb.map_outputs.items()} == {
        "probs": [2],
        "wide": [2, 2],
        "vector": [2, 0],
    }
    assert dict(pb.pass_through_data) == {"model_version": "3"}
    assert dict(pb.generate_features) == {"i1": "a:1"}
    assert dict(pb.raw_features) == {"i1": "b:2", "中": ""}
    result = decode_response(body)
    assert to_arrow(result.item_ids).to_pylist() == ["i1", "中"]
    assert result.pass_through == {"model_version": "3"}
    assert (result.generate_features, result.raw_features) == ({"i1": "a:1"}, {"i1": "b:2", "中": ""})
    for name, array in outputs.items():
        np.testing.assert_array_equal(result.outputs[name], array)
        assert result.outputs[name].dtype == array.dtype


def test_ids_that_are_no_texts_cannot_be_answered() -> None:
    with pytest.raises(DataError, match="item_ids must be a scalar column of strings, not scalar of int64"):
        encode(ScoreResponse(column_from_arrow(pa.array([1, 2])), {}))


def test_other_threads_run_while_a_large_body_is_decoded() -> None:
    pb = PBRequest(item_ids=[f"item{i}" for i in range(400_000)])
    pb.context_features["x"].features.extend([cell(string_feature="some text")] * 400_000)
    body = pb.SerializeToString()
    decoder = Decoder()

    beside_others(lambda: decoder.decode(body))
