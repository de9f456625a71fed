"""The referee itself against every concrete case that the specification marks [test]."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from conformance.cases.case import COMBO, HASH, ID, LOOKUP, RAW, Case, Columns
from conformance.vectors import cases, check, evaluation_of, stated
from tests.features.referee.cells import is_missing, number_to_text
from tests.features.referee.config import read
from tests.features.referee.evaluate import evaluate
from tests.features.referee.formula import Formula, Value
from tests.features.referee.hashing import fingerprint, hashed, murmur, murmur_float32
from tests.features.referee.online import Request, Table, evaluate_online


def run(features: Any, columns: Columns, name: str = "f", **options: Any) -> dict[str, Any]:
    """The tensors of feature `name` as lists, by kind; `features` is one spec or several."""
    fg = {"features": features if isinstance(features, list) else [{"feature_name": name, **features}]}
    cells = {column: values for column, (_, values) in columns.items()}
    types = {column: column_type for column, (column_type, _) in columns.items()}
    rows = max(map(len, cells.values()))
    tensors = evaluate(fg, cells, types, rows, **options).tensors()
    prefix = f"{name}."
    return {
        key.removeprefix(prefix): tensor.tolist() for key, tensor in tensors.items() if key.startswith(prefix)
    }


@pytest.mark.parametrize(
    ("text", "default", "farm"),
    [
        ("", 0x553E93901E462A6E, 0x9AE16A3B2F90404F),
        ("0", 0x1FE2F4E72B63D536, 0xD2ED96073B81823F),
        ("1", 0x8CFF77ADFACB8EA3, 0x811F023A122D0BE1),
        ("abc", 0x32D82BF8ED3DBA39, 0x24A5B3A074E7F369),
        ("hij", 0xD8469FF58B9E8182, 0x8D16684170DA4A3B),
        ("xyz", 0x91E4C7BD6105C1D9, 0x503C5CDC323530AC),
        ("ua_ia", 0x89D768FB8A3BA9A9, 0x884CBA2D93501C9D),
        ("12345678", 0x8C5B90A33A04DCA5, 0x2F99D2664A0FB6EA),
        ("123456789", 0xAAEB28D3D5F165C0, 0x6290B5B99F49DC6A),
        ("中文", 0x88C3D66952A4013E, 0x54B77AFB85EB4CAB),
    ],
)
def test_hashes_match_the_vectors_of_the_specification(text: str, default: int, farm: int) -> None:
    assert murmur(text.encode()) == default
    assert fingerprint(text.encode()) == farm


@pytest.mark.parametrize(
    ("size", "farm"),
    # Computed with Google's FarmHash over the bytes 0, 1, 2, … 255, 0, 1, …
    [
        (17, 0xBBB6A6F8F20D1F1C),
        (32, 0x1A9D8199972CDF49),
        (33, 0xE8756EC1CB75524E),
        (64, 0xF58504BB53DECC4B),
        (65, 0xC6A3282C3E793DBE),
        (128, 0x1C484C95F0EA5DD3),
        (129, 0xCE8BA3741121083E),
        (1024, 0x8756F6A437668508),
    ],
)
def test_long_texts_take_the_other_branches_of_fingerprint64(size: int, farm: int) -> None:
    assert fingerprint(bytes(at % 256 for at in range(size))) == farm


def test_floats_hash_as_their_four_bytes_and_zero_as_zero() -> None:
    assert [murmur_float32(number) % 100 for number in (10, 20, 30, 0.0, -0.0)] == [39, 63, 46, 0, 0]
    assert murmur_float32(0.5) == murmur(struct.pack("<f", 0.5))


@pytest.mark.parametrize("cell", [None, "", [], ()])
def test_null_and_empty_are_missing(cell: Any) -> None:
    assert is_missing(cell)


@pytest.mark.parametrize("cell", ["0", 0, 0.0])
def test_zero_is_not_missing(cell: Any) -> None:
    assert not is_missing(cell)


@pytest.mark.parametrize(
    ("number", "text"),
    [(-5, "-5"), (0, "0"), (5.2, "5.2"), (3.0, "3"), (1234567.0, "1.23457e+06"), (-0.0, "0")],
)
def test_numbers_become_text(number: float, text: str) -> None:
    assert number_to_text(number) == text


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{name}: {case.name}")
        for name, listed in cases().items()
        for case in listed
        if case.stated is not None
    ],
)
def test_a_case_whose_result_is_stated(case: Case) -> None:
    check(case, stated(evaluation_of(case)))


def test_an_empty_batch_keeps_its_shapes() -> None:
    fg = {"features": [{"feature_name": "f", **ID, **HASH}, {"feature_name": "g", **RAW, "value_dim": 3}]}

    tensors = evaluate(fg, {"x": []}, {"x": "string"}, 0).tensors()

    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "f.values": (0,),
        "f.lengths": (0,),
        "g.values": (0, 3),
    }


def test_a_vocab_file_has_words_and_indices() -> None:
    files = {"words.txt": "a\nb\n", "numbered.txt": "a 5\r\nb 5\r\n"}
    columns = {"x": ("string", ["b", "z"])}

    plain = run({**ID, "vocab_file": "words.txt"}, columns, files=files)
    numbered = run({**ID, "vocab_file": "numbered.txt", "default_bucketize_value": 1}, columns, files=files)

    assert plain["values"] == [1, 0]
    assert numbered["values"] == [5, 1]


def test_farm_hash_replaces_the_text_hash() -> None:
    columns = {"x": ("string", ["abc", "xyz"])}

    assert run({**ID, **HASH}, columns, farm_hash=True)["values"] == [85, 20]


def test_a_stub_delivers_its_strings_and_is_no_output() -> None:
    stub = {"feature_name": "stub", **ID, "expression": "user:u", "stub_type": True}
    combo = {"feature_name": "f", **COMBO, **HASH, "expression": ["feature:stub", "item:x"]}
    columns = {"u": ("string", ["ua\x1dub"]), "x": ("string", ["ia"])}

    assert run([combo, stub], columns)["values"] == hashed("ua_ia", "ub_ia")
    assert run([combo, stub], columns, "stub") == {}


def test_a_lookup_finds_the_bucket_of_its_producer() -> None:
    bucket = {"feature_name": "bucket", **RAW, "boundaries": [1, 2]}
    lookup = {"feature_name": "f", **LOOKUP, "key": "feature:bucket"}
    columns: Columns = {"x": ("float32", [1.5]), "m": ("string", ["1:10\x1d2:20"])}

    assert run([bucket, lookup], columns)["values"] == [[10.0]]


def test_a_vector_lookup_goes_through_a_stub() -> None:
    stub = {
        "feature_name": "f__lookup",
        **LOOKUP,
        "needDiscrete": True,
        "combiner": "",
        "stub_type": True,
    } | {"default_value": "0,0"}
    vector = {"feature_name": "f", **RAW, "expression": "feature:f__lookup", "separator": ",", "value_dim": 2}
    columns = {"m": ("string", ["a:1,2\x1db:3,4"]), "x": ("string", ["b", "z"])}

    assert run([stub, vector], columns)["values"] == [[3.0, 4.0], [0.0, 0.0]]


GROUP: dict[str, Any] = {
    "sequence_name": "click",
    "sequence_length": 3,
    "sequence_pk": "user:clicked",
    "features": [
        {"feature_name": "x", **ID, **HASH, "default_value": "0", "value_dim": 1},
        {"feature_name": "t", **RAW, "expression": "user:t", "default_value": "-1"},
        {"feature_name": "y", **COMBO, **HASH, "default_value": "0", "value_dim": 1}
        | {"expression": ["feature:x", "item:x"], "sequence_fields": ["x"]},
    ],
}


def test_a_group_prefixes_its_outputs_and_sequence_columns() -> None:
    group = {**GROUP, "features": GROUP["features"][:2]}
    flat = {"feature_name": "f", **COMBO, **HASH, "expression": ["feature:click__x", "user:u"]}
    columns: Columns = {
        "click__x": ("string", ["a;b", None]),
        "click__t": ("list<float32>", [[1.0, 2.0], [3.0]]),
        "u": ("string", ["ua"]),
    }
    fg = {"features": [group, flat]}

    tensors = evaluate(
        fg,
        {name: cells for name, (_, cells) in columns.items()},
        {name: kind for name, (kind, _) in columns.items()},
        2,
    ).tensors()
    ids = hashed("a", "b", "0")

    assert tensors["click__x.values"].tolist() == ids
    assert tensors["click__x.lengths"].tolist() == [2, 1]
    assert tensors["click__t.values"].tolist() == [[1.0], [2.0], [3.0]]
    assert tensors["f.values"].tolist() == hashed(*(f"{number}_ua" for number in ids))
    assert tensors["f.lengths"].tolist() == [2, 1]


def test_sequence_fields_name_a_sibling() -> None:
    members = read({"features": [GROUP]}).by_name()

    assert [(source.name, source.sequence) for source in members["click__y"].inputs] == [
        ("click__x", True),
        ("click__x", True),
    ]


TABLE = Table(["i1", "i2"], {"x": ["a", "b"], "p": [1.0, None]}, {"x": "string", "p": "float32"})
REQUEST = Request(
    user={"clicked": "i2;nobody;i1;i1", "click__t": [5.0], "age": 7},
    context={},
    item_ids=["i1", "nobody", "i2"],
    item_features={},
    types={"clicked": "string", "click__t": "list<float32>", "age": "int64"},
)
ONLINE: dict[str, Any] = {
    "features": [
        {**GROUP, "features": GROUP["features"][:2]},
        {"feature_name": "x", **ID, **HASH},
        {"feature_name": "age", **ID, **HASH, "expression": "user:age"},
    ]
}


def test_a_request_is_joined_with_the_item_table() -> None:
    tensors = evaluate_online(ONLINE, REQUEST, TABLE).tensors()

    assert tensors["click__x.values"].tolist() == hashed("b", "0", "a") * 3
    assert tensors["click__t.values"].tolist() == [[5.0]] * 3
    assert tensors["x.lengths"].tolist() == [1, 0, 1]
    assert tensors["age.values"].tolist() == hashed("7") * 3


def test_a_tile_has_user_features_once() -> None:
    tensors = evaluate_online(ONLINE, REQUEST, TABLE).tensors(tile=True)

    assert tensors["click__x.values"].tolist() == hashed("b", "0", "a")
    assert tensors["age.lengths"].tolist() == [1]
    assert tensors["x.lengths"].tolist() == [1, 0, 1]
    assert tensors["batch_size"].tolist() == [3]


def test_item_features_hide_the_table() -> None:
    request = Request(
        REQUEST.user, {}, REQUEST.item_ids, {"x": ["z", None, None]}, {**REQUEST.types, "x": "string"}
    )

    tensors = evaluate_online(ONLINE, request, TABLE).tensors()

    assert tensors["x.values"].tolist() == hashed("z")
    assert tensors["x.lengths"].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2 ^ 2", -4.0),
        ("2 ^ 3 ^ 2", 512.0),
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("1 < 2 == 1", 1.0),
        ("6 & 3 | 8", 10.0),
        ("0 || 1 && 0", 0.0),
        ("0 ? 1 : 0 ? 2 : 3", 3.0),
        ("rint(2.5) + round(-2.5) + trunc(-1.5)", -1.0),
        ("roundp(2.345, 1)", 2.3),
        ("mod(-7, 3)", -1.0),
        ("1 / 0", float("inf")),
        ("log(0)", float("-inf")),
        ("isnan(log(-1))", 1.0),
        ("sign(0) + sign(-3)", -1.0),
        ("max(1, 3, 2) + avg(1, 3)", 5.0),
        ("sigmoid(0)", 0.5),
        ("ln(_e) + _pi * 0", 1.0),
        ("len(v) + reduce_sum(v)", 9.0),
        ("squared_norm(v)", 14.0),
        ("variance(v) * 3", 2.0),
        ("pop_variance(v)", 1.0),
        ("reduce_prod(v) + reduce_mean(v)", 8.0),
        ("dot(v, v) + euclid_dist(v, v)", 14.0),
        ("corr(v, v)", 1.0),
    ],
)
def test_a_formula_has_its_value(text: str, value: float) -> None:
    assert Formula(text, ["v"])({"v": [1.0, 2.0, 3.0]}, float("nan")) == pytest.approx(value)


def test_vectors_go_element_by_element_and_the_shorter_is_padded() -> None:
    variables: dict[str, Value] = {"a": [1.0, 2.0, 3.0], "b": [10.0, 20.0], "c": 5.0, "d": [7.0]}

    assert Formula("a + b", ["a", "b"])(variables, 0.5) == [11.0, 22.0, 3.5]
    assert Formula("a * c", ["a", "c"])(variables, 0.5) == [5.0, 10.0, 15.0]
    assert Formula("a + d", ["a", "d"])(variables, 0.5) == [8.0, 9.0, 10.0]


def test_a_great_circle_is_in_kilometres() -> None:
    result = Formula("sphere_dist(116.4, 39.9, 121.47, 31.23)", [])({}, 0.0)

    assert result == pytest.approx(1068, abs=2)
