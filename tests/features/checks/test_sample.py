"""What a sample says of a feature is counted by hand in small tables."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from tests.features.test_contract import EXAMPLES

from recserve.features import config
from recserve.features.checks.sample import FeatureSample, Sampler, check_columns, missing_cells, remarks

Found = list[tuple[str, bool | None, str]]


def sample(feature: dict[str, Any], columns: dict[str, Any], *, batches: int = 1) -> FeatureSample:
    entry: dict[str, Any] = {"feature_name": "f", **feature}
    group = entry.pop("group", None)
    if group is not None:
        entry = {"sequence_name": "s", **group, "features": [entry]}
    sampler = Sampler(config.load({"features": [entry]}))
    for _ in range(batches):
        sampler.add(pa.RecordBatch.from_pydict(columns))
    assert sampler.failed == {}
    return sampler.samples["f" if group is None else "s__f"]


def notes_of(sampler: Sampler) -> Found:
    found: Found = []
    remarks(sampler, lambda check, ok, detail: found.append((check, ok, detail)))
    return found


ID = {"feature_type": "id_feature", "expression": "item:x"}
RAW = {"feature_type": "raw_feature", "expression": "item:x"}


@pytest.mark.parametrize(
    ("feature", "cells", "defaults"),
    [
        ({**ID, "hash_bucket_size": 9, "default_value": "1"}, ["1", "", None, "a"], 2),
        ({**ID, "hash_bucket_size": 9}, [[], ["a"], None, ["a", "b"]], 2),
        ({**RAW, "default_value": "2"}, ["2", "", None, "x"], 3),
        ({**RAW, "boundaries": [1, 2]}, [1.0, None, 2.0, 5.0], 1),
        ({**RAW, "normalizer": "method=log10"}, [1.0, None, 2.0, 5.0], 1),
        ({**RAW, "value_dim": 2, "separator": ","}, ["1,2", "", "3", "0,0"], 1),
        (
            {"feature_type": "lookup_feature", "map": "const:a:1", "key": "item:x", "default_value": "1"},
            ["a", "b", None, "a"],
            2,
        ),
    ],
)
def test_a_default_is_counted_even_where_it_looks_like_a_value(
    feature: dict[str, Any], cells: list[Any], defaults: int
) -> None:
    result = sample(feature, {"x": cells}, batches=2)

    assert (result.rows, result.units) == (8, 8)
    assert result.defaults == 2 * defaults
    assert result.default_rate == defaults / 4


@pytest.mark.usefixtures("files_of_examples")
@pytest.mark.parametrize("feature_type", sorted(EXAMPLES))
def test_the_last_row_of_every_example_is_a_default(feature_type: str) -> None:
    keys, columns = EXAMPLES[feature_type]
    entry = {"feature_type": feature_type, "feature_name": "f", "default_value": "3", **keys}
    whole, most = (Sampler(config.load({"features": [entry]})) for _ in range(2))
    whole.add(pa.RecordBatch.from_pydict(columns))
    most.add(pa.RecordBatch.from_pydict({name: array.slice(0, 5) for name, array in columns.items()}))

    assert whole.failed == most.failed == {}
    assert whole.samples["f"].defaults == most.samples["f"].defaults + 1
    assert most.samples["f"].defaults < 5


def test_a_rate_of_a_sequence_is_one_of_its_elements() -> None:
    result = sample(
        {**ID, "expression": "user:x", "hash_bucket_size": 9, "default_value": "0", "group": {}},
        {"s__x": ["a;;b", "", "c"]},
    )

    assert (result.rows, result.units, result.defaults) == (3, 5, 2)


def test_random_features_have_no_default_rate() -> None:
    expr = {"feature_type": "expr_feature", "expression": "x + rnd()", "variables": ["item:x"]}

    assert sample(expr, {"x": [1.0, None]}).defaults == -1


def test_words_that_a_vocabulary_lacks_are_counted_but_no_defaults() -> None:
    vocab = {"vocab_list": ["a", "b", "c"], "default_bucketize_value": 1, "default_value": "none"}

    result = sample({**ID, **vocab}, {"x": ["a", "z\x1dy", "", "b", "z"]})

    assert result.unknown_words == 3
    assert result.examples == ["z", "y"]
    assert result.hits is not None
    assert result.hits.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("feature", "cells", "outside", "examples"),
    [
        (ID, ["0", "2", "3", "-1", "99999999999999999999", "x", ""], 2, ["3", "-1"]),
        (ID, [0, 2, 3, -1, 7, None], 3, ["3", "-1", "7"]),
        (RAW, [0.0, 2.9, 3.0, -0.5, -1.0, None], 2, ["3.0", "-1.0"]),
    ],
)
def test_values_outside_of_num_buckets_are_counted(
    feature: dict[str, Any], cells: list[Any], outside: int, examples: list[str]
) -> None:
    result = sample({**feature, "num_buckets": 3}, {"x": cells})

    assert result.out_of_range == outside
    assert result.examples == examples


@pytest.mark.parametrize(
    ("feature", "cells", "cut"),
    [
        ({**ID, "hash_bucket_size": 9, "value_dim": 2}, ["a", "a\x1db", "a\x1db\x1dc", None], 1),
        ({**ID, "hash_bucket_size": 9}, ["a\x1db\x1dc"], 0),
        (RAW, [[1.0], [1.0, 0.0], [], None], 1),
        ({**RAW, "value_dim": 2, "separator": ",", "default_value": "5"}, ["1", "1,2", "1,2,0", ""], 1),
        ({**RAW, "normalizer": "method=zscore,mean=1,standard_deviation=2"}, [[1.0, 2.0], [0.0]], 1),
    ],
)
def test_what_value_dim_cuts_is_counted(feature: dict[str, Any], cells: list[Any], cut: int) -> None:
    assert sample(feature, {"x": cells}).cut_values == cut


def test_what_sequence_length_cuts_is_counted() -> None:
    member = {**ID, "expression": "user:x", "hash_bucket_size": 9, "default_value": "0", "value_dim": 1}

    result = sample({**member, "group": {"sequence_length": 2}}, {"s__x": ["a;b", "a;b;c", "", "a\x1db;c"]})

    assert (result.cut_elements, result.cut_values) == (1, 1)


def test_texts_that_are_no_numbers_are_counted_where_they_are_met() -> None:
    features = [
        {**RAW, "feature_name": "reader", "expression": "feature:f"},
        {**RAW, "feature_name": "f"},
        {**RAW, "feature_name": "other", "expression": "item:y"},
    ]
    sampler = Sampler(config.load({"features": features}))

    sampler.add(pa.RecordBatch.from_pydict({"x": ["1", "two", "three"], "y": [1, 2, 3]}))

    assert {name: s.unparsable for name, s in sampler.samples.items()} == {"reader": 0, "f": 2, "other": 0}
    assert sampler.samples["f"].problem == "feature 'f' reads column 'x': 'two' is not a number"
    assert notes_of(sampler)[1][2].startswith("feature 'f' met 2 texts that are no numbers: ")


def test_buckets_that_are_never_hit_are_named() -> None:
    sampler = Sampler(config.load({"features": [{**RAW, "feature_name": "f", "boundaries": [1, 2, 3]}]}))

    sampler.add(pa.RecordBatch.from_pydict({"x": [0.0, 5.0]}))

    assert notes_of(sampler) == [
        ("types", True, "every column fits what reads it"),
        ("sample", None, "feature 'f' never hits 2 of its 4 buckets: 1, 2"),
    ]


def test_a_column_of_a_wrong_type_fails_its_feature_and_no_other() -> None:
    features = [{**RAW, "feature_name": "f"}, {**RAW, "feature_name": "g", "expression": "item:y"}]
    sampler = Sampler(config.load({"features": features}))

    sampler.add(
        pa.RecordBatch.from_pydict(
            {"x": pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float32())), "y": pa.array([1.0])}
        )
    )

    check, ok, detail = notes_of(sampler)[0]
    assert (check, ok) == ("types", False)
    assert detail.startswith("feature 'f' reads column 'x', which is a map")
    assert sampler.samples["g"].units == 1


def test_columns_are_there_and_can_be_read() -> None:
    records = config.load(
        {
            "features": [
                {**RAW, "feature_name": "f"},
                {**ID, "feature_name": "g", "hash_bucket_size": 2, "expression": "user:city"},
            ]
        }
    )
    found: Found = []

    check_columns(
        records,
        pa.schema({"x": pa.decimal128(5), "citi": pa.string()}),
        lambda check, ok, detail: found.append((check, ok, detail)),
    )

    assert found == [
        ("columns", False, "the data has no column 'city', which 'g' reads; did you mean 'citi'?"),
        (
            "columns",
            False,
            "column 'x': Arrow type decimal128(5, 0) is not taken; cast it to double, or to string to keep "
            "all its digits",
        ),
    ]


@pytest.mark.parametrize(
    ("column", "missing"),
    [
        (pa.array(["a", "", None]), 2),
        (pa.array([[1], [], None]), 2),
        (pa.array([0, 1, None]), 1),
        (pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())), 2),
    ],
)
def test_cells_without_value_are_missing(column: pa.Array, missing: int) -> None:
    assert missing_cells(column) == missing
