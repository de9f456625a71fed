from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.features.conftest import tensors_of

from recserve.columns import batch_from_arrow
from recserve.errors import ConfigError, RequestError
from recserve.features import config
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from tests.features.conftest import Generate

MASK = {"feature_type": "bool_mask_feature", "expression": ["user:v", "user:m"], "separator": ","}


@pytest.mark.parametrize(
    ("values", "mask", "kept", "lengths"),
    [
        (["1,2,3,4"], ["true,false,true,false"], [1, 3], [2]),
        (["1", "2", "3", "4"], ["true", "false", "true", "false"], [1, 3], [1, 0, 1, 0]),
        (["1", "2", None], ["true", "false", "true"], [1], [1, 0, 0]),
        (["1,2", "3,4,5"], ["true,false", "true,false,true"], [1, 3, 5], [1, 2]),
    ],
)
def test_the_cases_of_the_training_side(
    generate: Generate, values: list[Any], mask: list[Any], kept: list[int], lengths: list[int]
) -> None:
    result = generate({**MASK, "num_buckets": 10}, {"v": values, "m": mask})
    assert result == {"values": kept, "lengths": lengths}

    hashed = generate({**MASK, "hash_bucket_size": 10}, {"v": values, "m": mask})
    assert hashed == {"values": [{1: 5, 3: 3, 5: 9}[number] for number in kept], "lengths": lengths}


@pytest.mark.parametrize(
    ("values", "mask", "kept"),
    [
        ("1,2,3", "TRUE,False,tRuE", [1, 3]),
        ("1,2,3", "1,0,-2", [1, 3]),
        ([1, 2, 3], [1, 0, 1], [1, 3]),
        ([1, 2, 3], [0.5, 0.0, -0.0], [1]),
        ("1,2,3", "1", [1]),  # values beyond the mask are dropped
        ("1", "1,1,1", [1]),  # masks beyond the values are ignored
        ("1,2", "0,0", []),
        ("1,2", "", []),
        ("1,2", "1,perhaps", []),
        ("", "1", []),
    ],
)
def test_masks_of_one_row(generate: Generate, values: Any, mask: Any, kept: list[int]) -> None:
    cells = {"v": [values], "m": [mask]}
    assert generate({**MASK, "num_buckets": 10}, cells) == {"values": kept, "lengths": [len(kept)]}

    result = generate({**MASK, "num_buckets": 10, "default_value": "9"}, cells)
    assert result == {"values": kept or [9], "lengths": [len(kept) or 1]}


def test_it_is_an_id_feature_otherwise(generate: Generate) -> None:
    cells = {"v": ["a,b,c"], "m": ["1,0,1"]}
    words = {"vocab_list": ["f_a", "f_c"], "default_bucketize_value": 9}

    assert generate({**MASK, **words, "need_prefix": True}, cells)["values"] == [0, 1]
    assert generate({**MASK, **words, "need_prefix": True, "value_dim": 1}, cells)["values"] == [0]


def test_a_mask_or_a_value_may_stand_for_all_rows(generate: Generate) -> None:
    feature = {**MASK, "num_buckets": 10}

    assert generate(feature, {"v": ["1,2", "3,4"], "m": ["0,1"]})["values"] == [2, 4]
    assert generate(feature, {"v": ["1,2"], "m": ["0,1", "1,0"]})["values"] == [2, 1]
    constant = {**feature, "expression": ["user:v", "const:0,1"]}
    assert generate(constant, {"v": ["1,2", "3,4"]})["values"] == [2, 4]


SEQUENCE = {
    **MASK,
    "feature_type": "sequence_bool_mask_feature",
    "expression": ["user:v", "user:m"],
    "sequence_fields": ["v", "m"],
    "default_value": "9",
    "num_buckets": 10,
}


@pytest.mark.parametrize(
    ("values", "mask", "kept"),
    [
        ("1;2;3;4", "1;0;1;0", [[1], [3]]),
        ("1;;3;4", "1;true;0;1", [[1], [9], [4]]),  # a missing element is an element
        ("1,5;2;3,6", "0;1;1", [[2], [3, 6]]),  # all values of an element
        ("1;2;3", "1;0", [[1]]),
        ("1;2", "1;1;1;1", [[1], [2]]),
        ("1;2;3", "1;;1", [[1], [3]]),
        ("1;2;3", "1;x;1", [[1], [3]]),
        ("1;2", "0;0", [[9]]),  # nothing is kept: one default element
        ("1;2", "", [[9]]),
        ("", "1", [[9]]),
    ],
)
def test_a_sequence_shrinks_to_the_elements_that_are_kept(
    generate: Generate, values: str, mask: str, kept: list[list[int]]
) -> None:
    expected = {
        "values": [value for element in kept for value in element],
        "key_lengths": [len(element) for element in kept],
        "lengths": [len(kept)],
    }

    assert generate(SEQUENCE, {"v": [values], "m": [mask]}) == expected
    older = {**SEQUENCE, "feature_type": "bool_mask_feature", "sequence_delim": ";"}
    assert generate(older, {"v": [values], "m": [mask]}) == expected


def test_every_row_shrinks_by_itself(generate: Generate) -> None:
    cells = {"v": ["1;2;3", "4", "", "5;6"], "m": ["0;1;1", "0", "1", "1;0"]}

    result = generate({**SEQUENCE, "value_dim": 1}, cells)

    assert result == {"values": [2, 3, 9, 9, 5], "lengths": [2, 1, 1, 1]}


def test_only_one_side_is_a_sequence(generate: Generate) -> None:
    cells = {"v": ["1,2", "3"], "m": ["1;0;1", "0"]}
    of_mask = generate({**SEQUENCE, "sequence_fields": ["m"]}, cells)
    assert of_mask == {"values": [1, 2, 1, 2, 9], "key_lengths": [2, 2, 1], "lengths": [2, 1]}

    cells = {"v": ["1;2", "3"], "m": ["1", "0"]}
    of_values = generate({**SEQUENCE, "sequence_fields": ["v"]}, cells)
    assert of_values == {"values": [1, 2, 9], "key_lengths": [1, 1, 1], "lengths": [2, 1]}


def test_an_element_with_several_masks_is_refused(generate: Generate) -> None:
    with pytest.raises(
        RequestError, match="feature 'f' reads column 'm', which has 2 values for one element"
    ):
        generate(SEQUENCE, {"v": ["1;2"], "m": ["1,0;1"]})


def test_an_element_of_a_constant_with_several_masks_is_refused_at_load(generate: Generate) -> None:
    constants = {"expression": ["const:1;2", "const:1,0;1"], "sequence_fields": ["1;2", "1,0;1"]}

    with pytest.raises(ConfigError, match="feature 'f' reads column '1,0;1', which has 2 values"):
        generate({**SEQUENCE, **constants}, {})


def test_it_takes_values_and_their_mask() -> None:
    feature = {**MASK, "feature_name": "f", "num_buckets": 2, "expression": ["user:v"]}
    with pytest.raises(ConfigError, match="expression has 1 inputs; it takes values and their mask"):
        config.load({"features": [feature]})


RECENT = {
    "feature_name": "recent",
    "feature_type": "expr_feature",
    "expression": "ago < 5",
    "variables": ["user:ago"],
    "sequence_fields": ["ago"],
    "value_type": "int64",
    "default_value": "0",
    "stub_type": True,
}
CLICKED = {
    "feature_name": "clicked",
    "feature_type": "bool_mask_feature",
    "expression": ["item:id", "feature:s__recent"],
    "default_value": "0",
    "num_buckets": 10,
    "value_dim": 1,
}
READER = {
    "feature_name": "reader",
    "feature_type": "id_feature",
    "expression": "feature:s__clicked",
    "default_value": "0",
    "num_buckets": 10,
    "value_dim": 1,
}
ALL = {**READER, "feature_name": "all", "expression": "item:id"}


def test_a_mask_computed_from_the_sequence_shortens_it_and_what_reads_it() -> None:
    group = {"sequence_name": "s", "features": [RECENT, ALL, CLICKED, READER]}
    generator = Generator(config.load({"features": [group]}), equal_steps=True)
    user = batch_from_arrow({"s": pa.array(["7;8;6"]), "s__ago": pa.array(["1;9;2"])})
    clicked = batch_from_arrow({"id": pa.array([7, 8, 6])})
    finished = generator.finisher.finish(clicked)
    batch = batch_from_arrow({"q": pa.array([1, 1])})

    staged = generator.generate(user, batch, batch, batch, {"s": (clicked, finished)}, rows=2)

    once = {"s__all": [7, 8, 6], "s__clicked": [7, 6], "s__reader": [7, 6]}
    tensors = tensors_of(staged)
    assert {name: tensors[f"{name}.values"] for name in once} == {n: v * 2 for n, v in once.items()}
    joined = batch_from_arrow({"s__id": pa.array(["7;8;6"] * 2), "s__ago": pa.array(["1;9;2"] * 2)})
    assert tensors_of(generator.generate_joined(joined)) == tensors
