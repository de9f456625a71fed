"""Generated without bucketizers and bucketized later: the ids of generating at once."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from tests.features.test_contract import EXAMPLES, TYPES

from recserve.features import config, offline
from recserve.features.bucketize import KEYS
from recserve.features.bucketize_only import bucketize_only, without_bucketizers
from recserve.features.generator import Generator
from recserve.features.types import FEATURE_TYPES

pytestmark = pytest.mark.usefixtures("files_of_examples")

#: Types whose tokens are ids of their own: they take no bucketizer.
IDS_ALREADY = {"tokenize_feature"}


def both(features: dict[str, Any], table: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """In between, in two steps, at once."""
    whole = config.load(features)
    bare = Generator(without_bucketizers(whole), texts=True)
    between = offline.run(bare, table, on_error="default")
    bucketized = offline.run(Generator(bucketize_only(whole)), between, on_error="default")
    return between, bucketized, offline.run(Generator(whole), table, on_error="default")


def example(feature_type: str, **keys: Any) -> tuple[dict[str, Any], pa.Table]:
    own, columns = EXAMPLES[feature_type]
    if feature_type in IDS_ALREADY:
        keys = {key: value for key, value in keys.items() if key not in KEYS}
    else:
        own = {key: value for key, value in own.items() if key not in KEYS}
    feature = {"feature_type": feature_type, "feature_name": "f", **own, **keys}
    return {"features": [feature]}, pa.table(columns)


@TYPES
@pytest.mark.parametrize(
    "bucketizer",
    [
        {"hash_bucket_size": 1000},
        {"num_buckets": 50},
        {"vocab_list": ["3", "1", "a", "p_1", "d"]},
        {"boundaries": [0.5, 2, 4.5]},
    ],
    ids=lambda keys: next(iter(keys)),
)
@pytest.mark.parametrize("default", ["", "3"])
@pytest.mark.parametrize("value_dim", [0, 1, 2])
def test_two_steps_give_what_one_gives(
    feature_type: str, bucketizer: dict[str, Any], default: str, value_dim: int
) -> None:
    if next(iter(bucketizer)) in FEATURE_TYPES[feature_type].refused_buckets:
        return
    keys = {"need_prefix": True, "default_value": default, "value_dim": value_dim}
    features, table = example(feature_type, **bucketizer, **keys)

    _, bucketized, at_once = both(features, table)

    assert bucketized.equals(at_once)


@TYPES
def test_two_steps_give_what_one_gives_in_a_sequence(feature_type: str) -> None:
    if "hash_bucket_size" in FEATURE_TYPES[feature_type].refused_buckets:
        return
    features, table = example(feature_type, hash_bucket_size=1000, default_value="3")
    member = {**features["features"][0], "sequence_fields": table.column_names}
    for value_dim in (0, 1):
        group = {"features": [{"sequence_name": "s", "features": [{**member, "value_dim": value_dim}]}]}
        cells = {
            f"s__{name}": pa.array([[_cell(value, feature_type) for value in table[name].to_pylist()], None])
            for name in table.column_names
        }

        _, bucketized, at_once = both(group, pa.table(cells))

        assert bucketized.equals(at_once)
        assert bucketized.column_names == ["s__f"]


def _cell(value: Any, feature_type: str) -> str:
    """A cell as an element of a sequence: a map is text there, and a mask has one value."""
    if isinstance(value, list):
        return "\x1d".join(f"{key}:{number}" for key, number in value)
    text = "" if value is None else str(value)
    return text.partition("\x1d")[0] if feature_type == "bool_mask_feature" else text


RAW = {"feature_type": "raw_feature", "feature_name": "n", "expression": "item:n", "boundaries": [1]}
ID = {"feature_type": "id_feature", "feature_name": "f", "expression": "item:x", "hash_bucket_size": 100}


@pytest.mark.usefixtures("files_of_examples")
def test_the_ids_of_a_tokenizer_stand_in_between_as_texts() -> None:
    keys = {"expression": "item:x", "vocab_file": "words.json", "default_value": "tan tan"}
    features = {"features": [{"feature_type": "tokenize_feature", "feature_name": "f", **keys}]}

    between, bucketized, at_once = both(features, pa.table({"x": ["red blue", ""]}))

    assert between.to_pydict() == {"f": [["0", "2"], ["1", "1"]]}
    assert bucketized.equals(at_once)


def test_in_between_are_texts_and_numbers() -> None:
    group = {"sequence_name": "s", "features": [{**ID, "value_dim": 1, "default_value": "0"}]}
    features = {"features": [ID, {**ID, "feature_name": "w", "weighted": True}, RAW, group]}
    table = pa.table({"x": ["a\x1db:2", ""], "n": ["1.5", "2"], "s__x": ["c;;d", ""]})

    between, _, _ = both(features, table)

    assert between.to_pydict() == {
        "f": [["a", "b:2"], []],
        "w": [[("a", 1.0), ("b", 2.0)], []],  # a map
        "n": [[1.5], [2.0]],
        "s__f": [["c", "0", "d"], ["0"]],
    }


def test_weights_come_through() -> None:
    table = pa.table({"x": ["a:0.5\x1db:2", "", "c"]})

    _, bucketized, at_once = both({"features": [{**ID, "weighted": True}]}, table)

    assert bucketized.equals(at_once)
    assert bucketized.column_names == ["f", "f.weights"]


def test_a_token_may_hold_separators() -> None:
    combo = {"feature_type": "combo_feature", "expression": ["item:x", "item:y"], "hash_bucket_size": 9999}
    table = pa.table({"x": [["a\x1db"], ["c"]], "y": [["1;2"], ["3"]]})

    _, bucketized, at_once = both({"features": [{"feature_name": "f", **combo}]}, table)

    assert bucketized.equals(at_once)


def test_normalizer_and_prefix_have_been_at_work_already() -> None:
    features = {"features": [{**ID, "need_prefix": True}, {**RAW, "normalizer": "method=log10"}]}
    table = pa.table({"x": ["a", "b"], "n": [100.0, 1.0]})

    between, bucketized, at_once = both(features, table)

    assert between.to_pydict() == {"f": [["f_a"], ["f_b"]], "n": [[2.0], [0.0]]}
    assert bucketized.equals(at_once)


def test_what_another_feature_reads_stays_the_final_result() -> None:
    bucket = {**RAW, "boundaries": [1, 5]}
    cross = {"feature_type": "combo_feature", "feature_name": "c", "expression": ["item:x", "feature:n"]}
    features = {"features": [bucket, {**cross, "hash_bucket_size": 100}]}

    between, bucketized, at_once = both(features, pa.table({"x": ["a", "b"], "n": [3.0, 7.0]}))

    assert between.to_pydict() == {"n": [[3.0], [7.0]], "c": [["a_1"], ["b_2"]]}
    assert bucketized.equals(at_once)


def test_an_fg_json_whose_bucketizers_were_deleted_gives_the_same_where_every_row_has_a_value() -> None:
    whole: list[dict[str, Any]] = [{**ID, "default_value": "0"}, {**RAW, "default_value": "0"}]
    features = {"features": whole}
    deleted = {"features": [{k: v for k, v in f.items() if k not in KEYS} for f in whole]}
    table = pa.table({"x": ["a\x1db", "", None], "n": [1.5, None, 0.0]})

    between = offline.run(Generator(config.load(deleted), texts=True), table)

    assert between.schema.field("n").type == pa.float32()
    bucketized = offline.run(Generator(bucketize_only(config.load(features))), between)
    assert bucketized.equals(offline.run(Generator(config.load(features)), table))


def test_each_output_is_read_from_the_column_of_its_name_and_stubs_from_none() -> None:
    features = [
        {**ID, "feature_name": "stub", "stub_type": True},
        {**ID, "expression": "feature:stub"},
        {"sequence_name": "s", "features": [{**ID, "default_value": "0"}]},
    ]
    only = Generator(bucketize_only(config.load({"features": features})))

    assert [feature.name for feature in only.plan.features] == ["f", "s__f"]
    assert only.plan.context_inputs == {"f", "s__f"}
    assert only.plan.user_inputs == only.plan.item_inputs == frozenset()


def test_text_is_cut_as_in_raw_data() -> None:
    features = [ID, {**ID, "feature_name": "one", "value_dim": 1}]
    group = {"sequence_name": "s", "features": [{**ID, "default_value": "0"}]}
    only = Generator(bucketize_only(config.load({"features": [*features, group]})))
    text = pa.table({"f": ["a\x1db", ""], "one": ["a", None], "s__f": ["a;b\x1dc", ""]})
    lists = pa.table({"f": [["a", "b"], []], "one": [["a"], []], "s__f": [[["a"], ["b", "c"]], [["0"]]]})

    assert offline.run(only, text).equals(offline.run(only, lists))
