from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.features.conftest import tensors_of

from recserve.columns import Batch, batch_from_arrow
from recserve.errors import ConfigError
from recserve.features import config
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from tests.features.conftest import Generate

CUSTOM = {"feature_type": "custom_feature", "operator_lib_file": "pyfg/lib/libop.so", "value_type": "float"}
EDIT = {**CUSTOM, "operator_name": "EditDistance", "expression": ["user:a", "item:b"], "encoding": "utf-8"}


# --- EditDistance ------------------------------------------------------------------------------------------


def levenshtein(a: str | bytes, b: str | bytes) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        above, row = row, [i + 1]
        for j, y in enumerate(b):
            row.append(min(above[j + 1] + 1, row[j] + 1, above[j] + (x != y)))
    return row[-1]


def test_the_cases_of_the_training_side(generate: Generate) -> None:
    cells = {"a": ["裙子"], "b": ["连衣裙"]}

    assert generate(EDIT, cells) == {"values": [3.0]}
    assert generate({**EDIT, "boundaries": [0, 5, 10]}, cells) == {"values": [1], "lengths": [1]}


@pytest.mark.parametrize(
    ("keys", "a", "b", "expected"),
    [
        ({"encoding": "latin"}, "裙子", "连衣裙", levenshtein("裙子".encode(), "连衣裙".encode())),
        ({"encoding": None}, "é", "e", 2.0),
        ({"encoding": "UTF-8"}, "é", "e", 1.0),
        ({}, "same", "same", 0.0),
        ({}, "a\x1db", "a,b", 1.0),  # not cut
        ({}, ["a", "b"], "a\x1db", 0.0),
        ({}, 123, "1234", 1.0),
        ({"default_value": "9"}, "", "b", 9.0),
        ({"default_value": "9"}, "a", None, 9.0),
        ({"value_type": "double", "normalizer": "method=minmax,min=0,max=4"}, "abc", "c", 0.5),
    ],
)
def test_a_distance_of_one_row(
    generate: Generate, keys: dict[str, Any], a: Any, b: Any, expected: float
) -> None:
    cells = {"a": [a], "b": pa.array([b], pa.string())}

    assert generate({**EDIT, **keys}, cells) == {"values": [expected]}


@pytest.mark.parametrize("sizes", [(5, 9), (63, 64), (64, 65), (64, 128), (130, 200), (1, 300)])
def test_texts_of_any_length(generate: Generate, sizes: tuple[int, int]) -> None:
    random.seed(sizes[0])
    texts = [["".join(random.choices("ab裙é", k=size)) for _ in range(20)] for size in sizes]
    close = [list(text) for text in texts[0]]
    for text in close:
        text[random.randrange(len(text))] = "x"
    for others in (texts[1], ["".join(text) for text in close]):
        expected = [float(levenshtein(a, b)) for a, b in zip(texts[0], others, strict=True)]
        assert generate(EDIT, {"a": texts[0], "b": others}) == {"values": expected}

        one = texts[0][0]
        expected = [float(levenshtein(one, b)) for b in others]
        for a, b in itertools.permutations([[one], others]):
            assert generate(EDIT, {"a": a, "b": b}) == {"values": expected}


@pytest.mark.parametrize("broken", [b"\xff", b"\xe4\xb8", b"\xc0\xaf", b"a\x80", b"\xf0\x9f\x98"])
def test_a_byte_that_is_not_utf8_is_a_character(generate: Generate, broken: bytes) -> None:
    column = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.array([0, len(broken)], pa.int32()).buffers()[1], pa.py_buffer(broken)]
    )

    # Nothing in common: the longer text counts.
    assert generate(EDIT, {"a": column, "b": ["xyzuvw"]}) == {"values": [6.0]}
    assert generate(EDIT, {"a": column, "b": ["x"]}) == {"values": [float(len(broken))]}


def test_a_distance_may_be_a_token(generate: Generate) -> None:
    keys = {"value_type": "string", "vocab_list": ["0", "3", "f_3"], "default_bucketize_value": 9}
    cells = {"a": ["裙子", "裙子"], "b": ["连衣裙", ""]}

    assert generate({**EDIT, **keys}, cells) == {"values": [1], "lengths": [1, 0]}
    assert generate({**EDIT, **keys, "default_value": "0"}, cells)["values"] == [1, 0]
    assert generate({**EDIT, **keys, "need_prefix": True}, cells)["values"] == [2]


@pytest.mark.parametrize("buckets", [2**63 - 1, 1000])
def test_a_distance_may_be_hashed_as_text(generate: Generate, buckets: int) -> None:
    distance = {**EDIT, "value_type": "string", "hash_bucket_size": buckets}
    token = {"feature_type": "id_feature", "expression": "item:b", "hash_bucket_size": buckets}

    assert generate(distance, {"a": ["裙子"], "b": ["连衣裙"]}) == generate(token, {"b": ["3"]})


def test_elements_of_a_sequence(generate: Generate) -> None:
    alone = {**EDIT, "is_sequence": True, "default_value": "9"}
    assert generate(alone, {"a": ["abc"], "b": ["abd;;b"]}) == {"values": [1.0, 9.0, 2.0], "lengths": [3]}

    member = {**alone, "group": {"sequence_delim": "|"}}
    assert generate(member, {"a": ["abc"], "s__b": ["abd|b"]}) == {"values": [1.0, 2.0], "lengths": [2]}


# --- SeqExpr -----------------------------------------------------------------------------------------------

AGO = {
    **CUSTOM,
    "operator_name": "SeqExpr",
    "expression": ["user:cur_time", "user:clk_time_seq"],
    "formula": "cur_time-clk_time_seq",
    "default_value": "0",
}
GROUP = {"sequence_delim": "|", "sequence_length": 50}
DISTANCE = {
    **CUSTOM,
    "operator_name": "SeqExpr",
    "formula": "spherical_distance",
    "boundaries": [0, 150, 1500],
    "default_value": "0",
    "group": GROUP,
}


def test_a_formula_over_sequences_of_the_user(generate: Generate) -> None:
    result = generate({**AGO, "group": GROUP}, {"cur_time": ["10", "10"], "clk_time_seq": ["2|3", "4"]})
    assert result == {"values": [8.0, 7.0, 6.0], "lengths": [2, 1]}

    alone = {**AGO, "is_sequence": True, **GROUP}
    result = generate(alone, {"cur_time": ["10", None, None], "clk_time_seq": ["2|3", "4", None]})
    assert result == {"values": [8.0, 7.0, 0.0, 0.0], "lengths": [2, 1, 1]}


@pytest.mark.parametrize(
    "keys",
    [
        {"expression": ["item:ilng", "item:ilat", "user:ulng", "user:ulat"]},
        {
            "expression": ["user:ilng", "user:ilat", "user:ulng", "user:ulat"],
            "sequence_fields": ["ilng", "ilat"],
        },
    ],
)
def test_distances_between_points(generate: Generate, keys: dict[str, Any]) -> None:
    cells = {
        "s__ilng": ["113.728|116.4074", "121.4737", None],
        "s__ilat": ["23.002|39.9042", "31.2304", None],
        "ulng": ["113.1057", "116.4074", None],
        "ulat": ["22.5614", "39.9042", None],
    }

    assert generate({**DISTANCE, **keys}, cells) == {"values": [1, 3, 2, 1], "lengths": [2, 1, 1]}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("1|2|3", "10", [11.0, 12.0, 13.0]),  # one element stands for all
        ("1", "10|20", [11.0, 21.0]),
        ("1|2|3", "10|20", [11.0, 22.0, 9.0]),  # two do not
        ("1||3", "10", [11.0, 9.0, 13.0]),
        ("1|2", "x", [9.0, 9.0]),
        ("1|2", "", [9.0, 9.0]),
        ("", "", [9.0]),
        (5, [10, 20], [15.0, 25.0]),
    ],
)
def test_every_input_is_cut(generate: Generate, a: Any, b: Any, expected: list[float]) -> None:
    keys = {"expression": ["user:a", "context:b"], "formula": "a + b", "default_value": "9"}
    feature = {**AGO, **keys, "is_sequence": True, **GROUP}

    assert generate(feature, {"a": [a], "b": [b]}) == {"values": expected, "lengths": [len(expected)]}


def test_a_constant_is_cut_too(generate: Generate) -> None:
    feature = {**DISTANCE, "expression": ["const:0", "const:0", "const:0|20", "user:a"]}

    assert generate(feature, {"a": ["0"]}) == {"values": [1, 3], "lengths": [2]}


def test_only_the_first_elements_are_read(generate: Generate) -> None:
    feature = {**AGO, "is_sequence": True, **GROUP, "sequence_length": 2}

    result = generate(feature, {"cur_time": ["10"], "clk_time_seq": ["1|2|3"]})

    assert result == {"values": [9.0, 8.0], "lengths": [2]}


def test_results_may_be_tokens(generate: Generate) -> None:
    keys = {"value_type": "string", "vocab_list": ["0", "8", "7.5"], "default_bucketize_value": 9}
    feature = {**AGO, **keys, "group": GROUP, "value_dim": 1}

    result = generate(feature, {"cur_time": ["10"], "clk_time_seq": ["2|2.5||3"]})

    assert result == {"values": [1, 2, 0, 9], "lengths": [4]}


def test_members_that_read_item_columns_are_finished_with_the_items() -> None:
    keys = {"expression": ["item:x", "item:y"], "formula": "x * y", "feature_name": "f"}
    entry = {"sequence_name": "s", "features": [{**AGO, **keys}]}
    generator = Generator(config.load({"features": [entry]}))
    items = batch_from_arrow({"x": pa.array([1, 2, None]), "y": pa.array([5, 6, 7])})
    finished = generator.finisher.finish(items)

    assert set(generator.finished) == {"=s__f"}
    user = batch_from_arrow({"s": pa.array(["1;2;3"])})
    staged = generator.generate(user, user, Batch(1), Batch(1), {"s": (items, finished)}, rows=1)
    joined = batch_from_arrow({"s__x": pa.array(["1;2;"]), "s__y": pa.array(["5;6;7"])})
    expected = {"s__f.values": [5.0, 12.0, 0.0], "s__f.lengths": [3]}
    assert tensors_of(staged) == tensors_of(generator.generate_joined(joined)) == expected


def test_great_circles_are_km(generate: Generate) -> None:
    feature = {**DISTANCE, "boundaries": None, "expression": ["item:a", "item:b", "item:c", "item:d"]}
    quarter = {f"s__{name}": [value] for name, value in zip("abcd", ["0", "0", "90", "0"], strict=True)}

    assert generate(feature, quarter)["values"] == [pytest.approx(math.pi / 2 * 6371, rel=1e-6)]


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({**EDIT, "operator_name": "Magic"}, "unknown operator_name 'Magic'; known: EditDistance, "),
        ({**EDIT, "operator_name": None}, "missing keys ['operator_name']"),
        ({**EDIT, "encoding": "utf-16"}, "unknown encoding 'utf-16'; known: utf-8, latin"),
        ({**EDIT, "expression": ["user:a"]}, "expression has 1 inputs; EditDistance takes two"),
        ({**EDIT, "expression": "user:a"}, "expression is 'user:a'; a list of texts is wanted"),
        ({**EDIT, "feature_type": "sequence_custom_feature"}, "give the type without prefix and is_sequence"),
        ({**EDIT, "is_sequence": True}, "a sequence needs a default_value"),
        ({**AGO, "formula": None}, "missing keys ['formula']"),
        ({**AGO, "formula": "cur_time -"}, "position"),
        (AGO, "SeqExpr makes sequences; give is_sequence true"),
        ({**AGO, "expression": ["user:a", "item:a"]}, "inputs ['a'] are there twice"),
        ({**DISTANCE, "expression": ["item:a"]}, "spherical_distance takes lng1, lat1, lng2, lat2"),
    ],
)
def test_wrong_keys_are_refused(generate: Generate, feature: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        generate(feature, {})

    assert message in str(error.value)
