"""Offline runs in memory: which columns come out, in which order, and what bad rows do."""

from __future__ import annotations

import itertools
import pickle
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.dataset
import pytest
from tests.features import test_contract as contract
from tests.features.test_contract import EXAMPLES, TYPES

from recserve.errors import ConfigError, DataError
from recserve.features import config, offline
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = {"feature_type": "id_feature", "expression": "item:x", "num_buckets": 10, "default_value": "0"}
RAW = {"feature_type": "raw_feature", "expression": "item:p", "default_value": "0"}
FG: dict[str, Any] = {
    "features": [
        {**ID, "feature_name": "id"},
        {**ID, "feature_name": "single", "value_dim": 1},
        {**ID, "feature_name": "weighted", "weighted": True},
        {**RAW, "feature_name": "price"},
        {**RAW, "feature_name": "double", "value_type": "double"},
        {**RAW, "feature_name": "pair", "value_dim": 2},
        {**ID, "feature_name": "stub", "stub_type": True},
        {**ID, "feature_name": "const", "expression": "const:7"},
        {
            "sequence_name": "s",
            "features": [
                {**ID, "feature_name": "one", "value_dim": 1},
                {**ID, "feature_name": "many"},
                {**RAW, "feature_name": "price"},
                {**RAW, "feature_name": "pair", "value_dim": 2},
            ],
        },
    ]
}
TABLE = pa.table(
    {
        "x": pa.array(["1\x1d2", None, "3"]),
        "p": pa.array([1.5, None, 2.5], pa.float32()),
        "s__x": pa.array(["1;2\x1d3", "", "4"]),
        "s__p": pa.array([[1.0, 2.0], [], [3.0]]),
        "label": pa.array([0, 1, 0]),
    }
)
EXPECTED = {
    "id": [[1, 2], [0], [3]],
    "single": [[1], [0], [3]],
    "weighted": [[1, 2], [0], [3]],
    "weighted.weights": [[1.0, 1.0], [1.0], [1.0]],
    "price": [1.5, 0.0, 2.5],
    "double": [1.5, 0.0, 2.5],
    "pair": [[1.5, 0.0], [0.0, 0.0], [2.5, 0.0]],
    "const": [[7], [7], [7]],
    "s__one": [[1, 2], [0], [4]],
    "s__many": [[[1], [2, 3]], [[0]], [[4]]],
    "s__price": [[1.0, 2.0], [0.0], [3.0]],
    "s__pair": [[[1.0, 0.0], [2.0, 0.0]], [[0.0, 0.0]], [[3.0, 0.0]]],
}


def generator(**keys: Any) -> Generator:
    return Generator(config.load({**FG, **keys}))


def one(*features: dict[str, Any], **keys: Any) -> Generator:
    named = [{"feature_name": f"f{k}", **feature} for k, feature in enumerate(features)]
    return Generator(config.load({"features": named, **keys}))


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_one_column_per_output_feature(batch_rows: int) -> None:
    result = offline.run(generator(), TABLE, batch_rows=batch_rows)

    assert result.to_pydict() == EXPECTED


def test_column_types_do_not_depend_on_what_a_batch_holds() -> None:
    whole = offline.run(generator(), TABLE)

    for row in range(3):
        assert offline.run(generator(), TABLE.slice(row, 1)).schema == whole.schema
    assert offline.run(generator(), TABLE.slice(0, 0)).schema == whole.schema
    assert whole.schema.field("double").type == pa.float64()
    assert whole.schema.field("pair").type == pa.list_(pa.float32(), 2)
    assert whole.schema.field("single").type == pa.list_(pa.int64())


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.to_batches(max_chunksize=2),
        pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches(max_chunksize=1)),
        pyarrow.dataset.dataset(TABLE),
        iter(TABLE.to_batches()),
    ],
    ids=["table", "list", "reader", "dataset", "iterator"],
)
def test_any_arrow_source_will_do(data: Any) -> None:
    assert offline.run(generator(), data).to_pydict() == EXPECTED


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_rows_come_in_their_order_whatever_the_threads(threads: int) -> None:
    rows = np.arange(10_000)
    table = pa.table({"x": (rows % 10).astype(str), "row": rows})

    done: list[int] = []
    result = offline.run(
        one(ID, reserves=["row"]), table, threads=threads, batch_rows=97, progress=done.append
    )

    assert result["row"].to_pylist() == rows.tolist()
    assert result["f0"].to_pylist() == [[row % 10] for row in rows]
    assert sum(done) == 10_000


def test_reserves_pass_through_unchanged_whatever_their_type() -> None:
    when = pa.array([1, None, 3], pa.timestamp("us"))
    table = TABLE.append_column("when", when).append_column(
        "d", pa.array(["a", "b", "a"]).dictionary_encode()
    )

    result = offline.run(generator(reserves=["when", "d", "label"]), table)

    assert result.column_names[-3:] == ["when", "d", "label"]
    for name in ("when", "d", "label"):
        assert result[name].combine_chunks().equals(table[name].combine_chunks())


def test_columns_name_what_is_written() -> None:
    result = offline.run(generator(reserves=["label"]), TABLE, columns=["label", "stub", "s__one", "p"])

    assert result.column_names == ["stub", "s__one", "label", "p"]
    with pytest.raises(DataError, match=r"columns \['y'\] are to be passed through, and the table has x, p,"):
        offline.run(generator(), TABLE, columns=["y"])
    with pytest.raises(ConfigError, match=r"columns \['price'\] are passed through and generated"):
        offline.run(generator(reserves=["price"]), TABLE.append_column("price", TABLE["p"]))


def test_only_columns_that_are_read_have_to_be_readable() -> None:
    table = TABLE.append_column("when", pa.array([1, 2, 3], pa.duration("s")))

    assert offline.run(generator(), table).to_pydict() == EXPECTED
    assert offline.run(generator(), table.select(["x", "when"]), columns=["id"]).num_rows == 3


def test_a_table_of_which_nothing_is_read_still_has_its_rows() -> None:
    result = offline.run(one({**ID, "expression": "const:4"}), TABLE)

    assert result.to_pydict() == {"f0": [[4], [4], [4]]}


NUMBERS = pa.table({"x": ["1", "one", "2", "2", "three"], "p": ["1", "2", "zwei", "x", "5"]})


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_the_first_bad_row_stops_the_run_whatever_the_batches(batch_rows: int, threads: int) -> None:
    prices_first = one(RAW, ID)

    with pytest.raises(DataError) as error:
        offline.run(prices_first, NUMBERS, batch_rows=batch_rows, threads=threads)

    assert str(error.value) == (
        "row 1: feature 'f1' has the value 'one', which is not a number its bucketizer takes"
    )


def test_bad_rows_are_defaults_if_so_told_and_are_handed_over() -> None:
    rejected: list[pa.RecordBatch] = []
    shared = one(RAW, ID)

    result = offline.run(shared, NUMBERS, on_error="default", rejects=rejected.append, batch_rows=2)

    assert result.to_pydict() == {"f0": [1.0, 2.0, 0.0, 0.0, 5.0], "f1": [[1], [0], [2], [2], [0]]}
    assert shared.counters_by_feature == {("f0", "unparsable_number"): 2, ("f1", "unparsable_number"): 2}
    table = pa.Table.from_batches(rejected)
    assert table.select(["x", "p"]).equals(NUMBERS.select(["x", "p"]).take([1, 2, 3, 4]))
    assert table["fg_error"].to_pylist() == [
        "row 1: feature 'f1' has the value 'one', which is not a number its bucketizer takes",
        "row 2: feature 'f0' reads column 'p': 'zwei' is not a number",
        "row 3: feature 'f0' reads column 'p': 'x' is not a number",
        "row 4: feature 'f1' has the value 'three', which is not a number its bucketizer takes",
    ]


def test_a_bad_element_of_a_sequence_names_the_row_of_the_sequence() -> None:
    member = {"feature_type": "sequence_raw_feature", "expression": "user:x", "default_value": "0"}
    table = pa.table({"x": ["1;2;3", "", "4;five;6;sechs", "7"]})

    with pytest.raises(DataError, match=r"^row 2: feature 'f0' reads column 'x': 'five' is not a number$"):
        offline.run(one(member), table)


def test_a_bad_mask_of_an_element_names_the_row_of_the_sequence() -> None:
    member = {**ID, "feature_type": "sequence_bool_mask_feature", "expression": ["user:x", "user:m"]}
    table = pa.table({"x": ["1;2", "3;4;5"], "m": ["1;0", "1;perhaps;0"]})

    with pytest.raises(DataError, match=r"^row 1: feature 'f0' reads column 'm': 'perhaps' is not a number$"):
        offline.run(one({**member, "sequence_fields": ["x", "m"]}), table)


@TYPES
@pytest.mark.usefixtures("files_of_examples")
def test_a_generator_of_any_type_travels_to_another_process(feature_type: str) -> None:
    shared = contract.generator(feature_type)
    table = pa.table(EXAMPLES[feature_type][1])

    revived = pickle.loads(pickle.dumps(shared))

    expected = offline.run(shared, table, on_error="default")
    assert offline.run(revived, table, on_error="default").equals(expected)


def test_a_long_text_and_one_of_any_bytes_are_shown_and_not_lost() -> None:
    for text, shown in ((b"y" * 10_000, "'" + "y" * 100 + "...'"), (b"\xff\x00", r"'\\xff")):
        with pytest.raises(DataError, match=r"^row 0: feature 'f0' reads column 'p': ") as error:
            offline.run(one(RAW), pa.table({"p": pa.array([text], pa.binary())}))
        assert shown.replace("\\\\", "\\") in str(error.value)


def test_a_column_that_the_table_lacks_is_an_error_unless_told_otherwise() -> None:
    with pytest.raises(
        DataError, match=r"feature 'f0' reads column 'p', which the table does not have; it has x"
    ):
        offline.run(one(RAW), TABLE.select(["x"]))

    assert offline.run(one(RAW), TABLE.select(["x"]), on_error="default").to_pydict() == {"f0": [0.0] * 3}


def test_a_column_of_the_wrong_kind_is_an_error_either_way() -> None:
    table = pa.table({"p": pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float32()))})
    for on_error in ("raise", "default"):
        with pytest.raises(DataError, match="feature 'f0' reads column 'p', which is a map"):
            offline.run(one(RAW), table, on_error=on_error)


def test_memory_does_not_grow_with_the_rows() -> None:
    rows = 4096
    batch = pa.record_batch({"x": np.arange(rows).astype(str), "p": np.ones(rows, np.float32)})
    shared = one({**ID, "num_buckets": 10**6}, RAW)
    process = psutil.Process()
    made = 0
    before = 0

    for count, output in enumerate(offline.stream(shared, endless(batch), threads=2)):
        if count == 100:  # by now all that is kept is there
            before = process.memory_info().rss
        made += output.nbytes
        if count == 600:
            break

    assert process.memory_info().rss - before < made / 5


def endless(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """New memory for each batch, as a file gives it."""
    for _ in itertools.count():
        yield batch.take(pa.array(np.arange(batch.num_rows)))


def test_a_run_that_is_left_early_ends_its_threads() -> None:
    batch = pa.record_batch({"x": ["1"] * 100})
    output = offline.stream(one(ID), endless(batch), threads=3)
    next(output)
    del output

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("features")]
