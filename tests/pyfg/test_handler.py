from __future__ import annotations

import json
import multiprocessing
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from recserve import pyfg
from recserve.errors import ConfigError
from recserve.pyfg import FgArrowHandler
from recserve.pyfg.handler import SHARE_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recserve.pyfg import FeatureOutput

ID = {"feature_type": "id_feature", "expression": "item:x", "num_buckets": 100}
RAW = {"feature_type": "raw_feature", "expression": "user:p", "default_value": "0"}
#: One feature of every kind of output.
KINDS: dict[str, Any] = {
    "features": [
        {**ID, "feature_name": "id"},
        {**ID, "feature_name": "weighted", "expression": "item:w", "weighted": True},
        {**ID, "feature_name": "text", "num_buckets": None},
        {**RAW, "feature_name": "price"},
        {**RAW, "feature_name": "pair", "expression": "user:v", "value_dim": 2},
        {**RAW, "feature_name": "binned", "boundaries": [1.0, 2.0]},
        {
            "sequence_name": "s",
            "sequence_pk": "user:clicked",
            "features": [
                {**ID, "feature_name": "one", "value_dim": 1, "default_value": "0"},
                {**ID, "feature_name": "many", "default_value": "0"},
                {**RAW, "feature_name": "price"},
                {**RAW, "feature_name": "pair", "expression": "user:v", "value_dim": 2},
            ],
        },
    ]
}
COLUMNS = {
    "x": pa.array(["1\x1d2", None, "3"]),
    "w": pa.array([{"1": 0.5, "2": 0.25}, None, {"3": 1.0}], pa.map_(pa.string(), pa.float32())),
    "p": pa.array([1.5, None, 2.5], pa.float32()),
    "v": pa.array([[1.0, 2.0], [], [3.0, 4.0]]),
    "s__x": pa.array(["1;2\x1d3", "", "4"]),
    "s__p": pa.array([[1.0, 2.0], [], [3.0]]),
    "s__v": pa.array([[[1.0, 2.0], [3.0, 4.0]], [], [[5.0, 6.0]]]),
}
#: Those of COLUMNS, so often that several threads get a share.
MANY = {name: pa.concat_arrays([column] * SHARE_ROWS) for name, column in COLUMNS.items()}


@pytest.fixture(autouse=True)
def default_hash() -> Iterator[None]:
    yield
    pyfg.unset_env("USE_FARM_HASH_TO_BUCKETIZE")


def process(handler: FgArrowHandler, columns: dict[str, Any]) -> dict[str, FeatureOutput]:
    outputs, status = handler.process_arrow(columns)
    assert status.ok(), status.message()
    assert status.message() == ""
    return outputs


def arrays_of(output: FeatureOutput) -> dict[str, tuple[str, Any]]:
    """The arrays that an output has: name → dtype and values."""
    names = ("np_values", "np_lengths", "np_key_lengths", "np_weights", "dense_values")
    arrays = {name: getattr(output, name) for name in names}
    return {name: (str(array.dtype), array.tolist()) for name, array in arrays.items() if array is not None}


def bytes_of(outputs: dict[str, FeatureOutput]) -> dict[str, Any]:
    return {name: arrays_of(output) for name, output in outputs.items()}


def test_each_kind_of_output_has_its_arrays() -> None:
    outputs = process(FgArrowHandler(KINDS, 1), COLUMNS)

    assert bytes_of(outputs) == {
        "id": {"np_values": ("int64", [1, 2, 3]), "np_lengths": ("int32", [2, 0, 1])},
        "weighted": {
            "np_values": ("int64", [1, 2, 3]),
            "np_lengths": ("int32", [2, 0, 1]),
            "np_weights": ("float32", [0.5, 0.25, 1.0]),
        },
        "text": {"np_values": ("object", ["1", "2", "3"]), "np_lengths": ("int32", [2, 0, 1])},
        "price": {"dense_values": ("float32", [[1.5], [0.0], [2.5]])},
        "pair": {"dense_values": ("float32", [[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]])},
        "binned": {"np_values": ("int64", [1, 0, 2]), "np_lengths": ("int32", [1, 1, 1])},
        "s__one": {
            "np_values": ("int64", [1, 2, 0, 4]),
            "np_lengths": ("int32", [2, 1, 1]),
            "np_key_lengths": ("int32", [1, 1, 1, 1]),
        },
        "s__many": {
            "np_values": ("int64", [1, 2, 3, 0, 4]),
            "np_lengths": ("int32", [2, 1, 1]),
            "np_key_lengths": ("int32", [1, 2, 1, 1]),
        },
        "s__price": {
            "dense_values": ("float32", [[1.0], [2.0], [0.0], [3.0]]),
            "np_lengths": ("int32", [2, 1, 1]),
        },
        "s__pair": {
            "dense_values": ("float32", [[1.0, 2.0], [3.0, 4.0], [0.0, 0.0], [5.0, 6.0]]),
            "np_lengths": ("int32", [2, 1, 1]),
        },
    }


def test_arrays_may_be_written_to_as_torch_wants_them() -> None:
    outputs = process(FgArrowHandler(KINDS, 1), COLUMNS)

    for output in (outputs["id"], outputs["s__many"]):
        assert output.np_values is not None
        assert output.np_values.flags.writeable
    assert outputs["pair"].dense_values is not None
    assert outputs["pair"].dense_values.flags.writeable


def test_texts_without_bucketizer_come_in_every_shape() -> None:
    text = {"feature_type": "id_feature", "expression": "item:x", "default_value": "-"}
    weighted = {**text, "feature_name": "weighted", "expression": "item:w", "weighted": True}
    constant = {**text, "feature_name": "constant", "expression": "const:c"}
    sequence = {**text, "feature_name": "sequence", "feature_type": "sequence_id_feature"}
    handler = FgArrowHandler({"features": [weighted, constant, {**sequence, "expression": "item:s__x"}]})

    outputs = process(handler, COLUMNS)

    assert bytes_of(outputs) == {
        "weighted": {
            "np_values": ("object", ["1", "2", "-", "3"]),
            "np_lengths": ("int32", [2, 1, 1]),
            "np_weights": ("float32", [0.5, 0.25, 1.0, 1.0]),
        },
        "constant": {"np_values": ("object", ["c", "c", "c"]), "np_lengths": ("int32", [1, 1, 1])},
        "sequence": {
            "np_values": ("object", ["1", "2", "3", "-", "4"]),
            "np_lengths": ("int32", [2, 1, 1]),
            "np_key_lengths": ("int32", [1, 2, 1, 1]),
        },
    }


def test_a_stub_feeds_others_and_is_no_output() -> None:
    stub = {**ID, "feature_name": "stub", "stub_type": True, "num_buckets": None}
    reader = {**ID, "feature_name": "reader", "expression": "feature:stub"}

    outputs = process(FgArrowHandler({"features": [reader, stub]}, 1), {"x": pa.array(["7"])})

    assert bytes_of(outputs) == {"reader": {"np_values": ("int64", [7]), "np_lengths": ("int32", [1])}}


def test_an_empty_batch_gives_empty_arrays() -> None:
    outputs = process(FgArrowHandler(KINDS, 2), {name: column[:0] for name, column in COLUMNS.items()})

    assert outputs["pair"].dense_values is not None
    assert outputs["pair"].dense_values.shape == (0, 2)
    for output in outputs.values():
        assert all(values == [] for _, values in arrays_of(output).values())


def test_an_element_of_a_lookup_keeps_all_its_values_whatever_value_dim_is() -> None:
    lookup = {
        "feature_type": "sequence_lookup_feature",
        "feature_name": "f",
        "map": "user:m",
        "key": "item:k",
        "combiner": "",
        "value_dim": 1,
        "boundaries": [1.5],
        "default_value": "0",
    }
    columns = {"m": pa.array(["a:1\x1db:2"]), "k": pa.array(["a\x1db;a"])}

    output = process(FgArrowHandler({"features": [lookup]}), columns)["f"]

    assert arrays_of(output) == {
        "np_values": ("int64", [0, 1, 0]),
        "np_lengths": ("int32", [2]),
        "np_key_lengths": ("int32", [2, 1]),
    }


# -- rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_share_the_rows_and_change_no_byte(threads: int) -> None:
    columns = {**MANY, "v": COLUMNS["v"][:1]}  # one row stands for all, in every share

    assert bytes_of(process(FgArrowHandler(KINDS, threads), columns)) == bytes_of(
        process(FgArrowHandler(KINDS, 1), columns)
    )


def test_a_slice_of_columns_is_read_from_its_own_start() -> None:
    handler = FgArrowHandler(KINDS, 1)

    outputs = process(handler, {name: column[2:] for name, column in COLUMNS.items()})

    assert bytes_of(outputs) == bytes_of(
        process(handler, {name: column.take(pa.array([2])) for name, column in COLUMNS.items()})
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_a_feature_has_as_many_rows_as_its_own_columns(threads: int) -> None:
    """A sampler adds negative candidates to the item columns only."""
    item = {name: pa.concat_arrays([MANY[name], COLUMNS[name]]) for name in ("x", "w", "s__x")}
    handler = FgArrowHandler(KINDS, threads)

    outputs = process(handler, {**MANY, **item})

    same = bytes_of(process(handler, MANY))
    longer = bytes_of(
        process(handler, {name: pa.concat_arrays([MANY[name], COLUMNS[name]]) for name in MANY})
    )
    of_user = {"price", "pair", "binned", "s__price", "s__pair"}
    assert bytes_of(outputs) == {name: (same if name in of_user else longer)[name] for name in same}


def test_a_feature_of_one_row_columns_has_one_row() -> None:
    """The user's columns, sent once beside many candidates."""
    handler = FgArrowHandler(KINDS, 1)
    once = {name: COLUMNS[name][:1] for name in ("p", "v", "s__p", "s__v")}

    outputs = process(handler, {**COLUMNS, **once})

    assert arrays_of(outputs["pair"]) == {"dense_values": ("float32", [[1.0, 2.0]])}
    assert arrays_of(outputs["s__price"])["np_lengths"] == ("int32", [2])
    assert arrays_of(outputs["id"])["np_lengths"] == ("int32", [2, 0, 1])


def test_no_rows_beside_one_are_no_rows() -> None:
    combo = {"feature_type": "combo_feature", "feature_name": "c", "expression": ["user:a", "item:b"]}
    handler = FgArrowHandler({"features": [{**combo, "hash_bucket_size": 9}]})

    outputs = process(handler, {"a": pa.array(["x"]), "b": pa.array([], pa.string())})

    assert arrays_of(outputs["c"]) == {"np_values": ("int64", []), "np_lengths": ("int32", [])}


def test_columns_that_no_feature_reads_are_ignored() -> None:
    outputs = process(FgArrowHandler(KINDS), {**COLUMNS, "label": pa.array([0, 1])})

    assert bytes_of(outputs) == bytes_of(process(FgArrowHandler(KINDS), COLUMNS))


def test_chunked_columns_are_read_whole() -> None:
    chunked = {name: pa.chunked_array([column[:1], column[1:]]) for name, column in COLUMNS.items()}

    handler = FgArrowHandler(KINDS)
    assert bytes_of(process(handler, chunked)) == bytes_of(process(handler, COLUMNS))


# -- what goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"p": pa.array(["1", "two"])},
            "feature 'price' reads column 'p': 'two' is not a number",
        ),
        ({}, "feature 'price' reads column 'p', which the batch does not have"),
        ({"p": pa.array([{"a": 1}])}, "column 'p': Arrow type struct<a: int64>"),
        ({"p": pa.array([2**64 - 1], pa.uint64())}, ""),
    ],
)
def test_a_batch_that_cannot_be_processed_says_why_in_its_status(
    columns: dict[str, pa.Array], message: str
) -> None:
    handler = FgArrowHandler({"features": [{**RAW, "feature_name": "price"}]})

    outputs, status = handler.process_arrow(columns)

    assert outputs == {}
    assert not status.ok()
    assert message in status.message()
    assert process(handler, {"p": pa.array([1])})["price"].dense_values is not None


def test_columns_of_one_feature_that_differ_in_length_are_named() -> None:
    combo = {"feature_type": "combo_feature", "feature_name": "c", "expression": ["user:a", "item:b"]}
    handler = FgArrowHandler({"features": [{**combo, "hash_bucket_size": 9}]})

    _, status = handler.process_arrow({"a": pa.array(["x", "y"]), "b": pa.array(["1", "2", "3"])})

    assert status.message() == "feature 'c' reads columns of different length: 'a' 2, 'b' 3"


def test_a_wrong_config_is_refused_when_the_handler_is_made() -> None:
    with pytest.raises(ConfigError, match="feature 'f'"):
        FgArrowHandler({"features": [{**ID, "feature_name": "f", "separator": ",,"}]}, 1)


# -- how a handler is made, and where it works ---------------------------------------------------------------


def test_fg_json_may_be_content_text_or_path(tmp_path: Path) -> None:
    path = tmp_path / "fg.json"
    path.write_text(json.dumps(KINDS))
    expected = bytes_of(process(FgArrowHandler(KINDS, 1), COLUMNS))

    for source in (json.dumps(KINDS), str(path), path):
        assert bytes_of(process(FgArrowHandler(source, 1), COLUMNS)) == expected


def test_files_may_lie_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "words").write_text("a\nb\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for name in (tmp_path / "words", "../words"):
        vocab = {**ID, "feature_name": "f", "num_buckets": None, "vocab_file": str(name)}

        output = process(FgArrowHandler({"features": [vocab]}, 1), {"x": pa.array(["b"])})["f"]

        assert arrays_of(output)["np_values"] == ("int64", [1])


def test_the_hash_is_the_one_that_the_environment_asks_for_when_a_batch_comes() -> None:
    handler = FgArrowHandler(
        {"features": [{**ID, "feature_name": "f", "num_buckets": None, "hash_bucket_size": 100}]}
    )

    def bucket() -> Any:
        return arrays_of(process(handler, {"x": pa.array(["abc"])})["f"])["np_values"][1]

    assert bucket() == [33]
    pyfg.set_env("USE_FARM_HASH_TO_BUCKETIZE", "true")
    assert bucket() == [85]
    pyfg.unset_env("USE_FARM_HASH_TO_BUCKETIZE")
    assert bucket() == [33]


def test_a_pickled_handler_does_the_same() -> None:
    handler = pickle.loads(pickle.dumps(FgArrowHandler(KINDS, 2)))

    assert bytes_of(process(handler, MANY)) == bytes_of(process(FgArrowHandler(KINDS, 2), MANY))


def test_a_pickled_handler_still_only_bucketizes() -> None:
    config = {"features": [{**ID, "feature_name": "f"}]}
    handler = pickle.loads(pickle.dumps(FgArrowHandler(config, 1, bucketize_only=True)))

    assert arrays_of(process(handler, {"f": pa.array([["1"]])})["f"])["np_values"] == ("int64", [1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_handler_works_in_the_children_of_a_fork() -> None:
    handler = FgArrowHandler(KINDS, 2)
    expected = bytes_of(process(handler, MANY))  # its threads run now
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()

    def work() -> None:
        handler.reset_executor()
        results.put(bytes_of(process(handler, MANY)) == expected)

    children = [context.Process(target=work) for _ in range(2)]
    for child in children:
        child.start()
    assert [results.get() for _ in children] == [True, True]
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert bytes_of(process(handler, MANY)) == expected


def test_a_handler_works_on_after_its_threads_were_stopped() -> None:
    handler = FgArrowHandler(KINDS, 2)
    expected = bytes_of(process(handler, MANY))

    handler.reset_executor()

    assert bytes_of(process(handler, MANY)) == expected


def test_one_handler_serves_many_threads() -> None:
    handler = FgArrowHandler(KINDS, 2)
    expected = bytes_of(process(handler, MANY))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: bytes_of(process(handler, MANY)), range(8)))

    assert all(result == expected for result in results)


def test_lists_give_rows_of_values() -> None:
    features = [
        {**ID, "feature_name": "id"},
        {**RAW, "feature_name": "price"},
        {**RAW, "feature_name": "pair", "value_dim": 2},
        {**RAW, "feature_name": "binned", "boundaries": [1.0], "default_value": ""},
        {**ID, "feature_name": "s", "feature_type": "sequence_id_feature", "default_value": "7"},
    ]
    handler = FgArrowHandler({"features": features}, 1)

    rows, status = handler({"x": [None], "p": [None]})

    assert status.ok()
    assert {name: row.tolist() if isinstance(row, np.ndarray) else row for name, [row] in rows.items()} == {
        "id": [],
        "price": [0.0],
        "pair": [0.0, 0.0],
        "binned": None,
        "s": [7],
    }


# -- what fg.json says --------------------------------------------------------------------------------------


def test_a_handler_tells_what_it_reads_and_makes() -> None:
    combo = {"feature_type": "combo_feature", "expression": ["user:u", "context:c"], "hash_bucket_size": 9}
    user = {**ID, "feature_name": "of_user", "expression": "user:u", "stub_type": True}
    later = {**ID, "feature_name": "of_feature", "expression": "feature:of_user"}
    inside = {
        "feature_type": "combo_feature",
        "feature_name": "cross",
        "expression": ["item:x", "user:u"],
        "hash_bucket_size": 9,
        "default_value": "0",
    }
    group = {**KINDS["features"][-1], "features": [*KINDS["features"][-1]["features"], inside]}
    handler = FgArrowHandler(
        {"features": [{**ID, "feature_name": "id"}, {**combo, "feature_name": "combo"}, later, user, group]},
        1,
    )

    members = {"s__one", "s__many", "s__price", "s__pair", "s__cross"}
    assert handler.user_inputs() == {"u", "clicked", "s__p", "s__v"}
    assert handler.item_inputs() == {"x", "s__x"}
    assert handler.context_inputs() == {"c"}
    assert handler.user_features() == {"of_user", "of_feature"} | members
    assert handler.sequence_feature_to_name() == dict.fromkeys(members, "s")
    assert handler.sequence_feature_pks() == {"s": "clicked"}
    assert handler.sequence_input_to_name() == {"s__x": "s", "s__p": "s", "s__v": "s"}


def test_the_sets_are_the_callers_own() -> None:
    handler = FgArrowHandler(KINDS, 1)

    handler.item_inputs().clear()

    assert handler.item_inputs() == {"x", "w", "s__x"}


def test_the_libraries_that_training_copies_are_there() -> None:
    assert pyfg.__file__ is not None
    names = os.listdir(os.path.join(os.path.dirname(pyfg.__file__), "lib"))

    assert sorted(names) == ["libedit_distance.so", "libregex_replace.so", "libseq_expr.so"]


# -- bucketizers alone --------------------------------------------------------------------------------------


def test_columns_that_are_features_already_are_only_bucketized() -> None:
    words = {"num_buckets": None, "vocab_list": ["-", "a", "b"]}
    config = {
        "features": [
            {**ID, **words, "feature_name": "id", "need_prefix": True, "default_value": "-"},
            {**ID, "feature_name": "weighted", "weighted": True},
            {**RAW, "feature_name": "price", "normalizer": "method=minmax,min=0,max=10"},
            {
                **RAW,
                "feature_name": "binned",
                "normalizer": "method=minmax,min=0,max=10",
                "boundaries": [5.0],
            },
            {**ID, "feature_name": "stub", "stub_type": True},
            {
                "sequence_name": "s",
                "features": [
                    {**ID, **words, "feature_name": "many", "default_value": "-"},
                    {**RAW, "feature_name": "pair", "value_dim": 2},
                ],
            },
        ]
    }
    columns = {
        "id": pa.array([["a", "x"], []]),
        "weighted": pa.array([{"1": 0.5}, {}], pa.map_(pa.string(), pa.float32())),
        "price": pa.array([3.0, 4.0], pa.float32()),
        "binned": pa.array([3.0, 7.0], pa.float32()),
        "s__many": pa.array([[["a", "b"], ["-"]], [["b"]]]),
        "s__pair": pa.array([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0]]]),
    }
    handler = FgArrowHandler(config, 1, bucketize_only=True)

    outputs = process(handler, columns)

    assert bytes_of(outputs) == {
        "id": {"np_values": ("int64", [1, 0, 0]), "np_lengths": ("int32", [2, 1])},
        "weighted": {
            "np_values": ("int64", [1]),
            "np_lengths": ("int32", [1, 0]),
            "np_weights": ("float32", [0.5]),
        },
        "price": {"dense_values": ("float32", [[3.0], [4.0]])},
        "binned": {"np_values": ("int64", [0, 1]), "np_lengths": ("int32", [1, 1])},
        "s__many": {
            "np_values": ("int64", [1, 2, 0, 2]),
            "np_lengths": ("int32", [2, 1]),
            "np_key_lengths": ("int32", [2, 1, 1]),
        },
        "s__pair": {
            "dense_values": ("float32", [[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]),
            "np_lengths": ("int32", [2, 1]),
        },
    }
    assert handler.item_inputs() == {"x", "s__x"}  # of fg.json, whatever the columns are
