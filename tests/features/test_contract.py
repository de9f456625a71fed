"""What every feature type promises, checked for each entry of FEATURE_TYPES with one example."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from recserve._core import murmur64a
from recserve.columns import Batch, batch_from_arrow
from recserve.errors import ConfigError, DataError, RequestError
from recserve.features import config, offline
from recserve.features.generator import Generator
from recserve.features.types import FEATURE_TYPES

if TYPE_CHECKING:
    from recserve.columns import ModelInputs

TEXT = pa.string()
MAP = pa.map_(pa.string(), pa.float32())

#: feature_type → its keys, and six rows of what it reads (the last of them missing).
EXAMPLES: dict[str, tuple[dict[str, Any], dict[str, pa.Array]]] = {
    "id_feature": (
        {"expression": "item:x", "hash_bucket_size": 100},
        {"x": pa.array(["a", "b\x1dc", "a", "", "d", None])},
    ),
    "raw_feature": (
        {"expression": "item:x", "value_dim": 2, "normalizer": "method=log10"},
        {"x": pa.array(["5\x1d7", "3", "x", "", "100\x1d1", None])},
    ),
    "combo_feature": (
        {"expression": ["user:u", "item:x"], "hash_bucket_size": 100},
        {"u": pa.array(["p", "q\x1dr", "p", "s", "p", None]), "x": pa.array([1, 2, None, 4, 5, None])},
    ),
    "lookup_feature": (
        {"map": "user:u", "key": "item:x", "combiner": "mean"},
        {
            "u": pa.array([[("a", 1.0)], [("b", 2.0), ("c", 3.0)], [], [("a", 0.5)], None, None], MAP),
            "x": pa.array(["a", "b\x1dc", "a", "z", "a", None]),
        },
    ),
    "match_feature": (
        {"user": "user:u", "category": "item:x", "item": "item:y", "hash_bucket_size": 100},
        {
            "u": pa.array(["k^a:1", "k^a:1,b:2", "l^a:1", "k^b:x", "k^a:7|l^a:2", None]),
            "x": pa.array(["k", "k", "k", "k", "k\x1dl", None]),
            "y": pa.array(["a", "b", "a", "b", "a", None]),
        },
    ),
    "expr_feature": (
        {"expression": "u * 2 + x", "variables": ["user:u", "item:x"], "value_dim": 2},
        {
            "u": pa.array([1.0, 2.0, None, 4.0, 5.0, None]),
            "x": pa.array(["1", "2\x1d3", "4", "z", "6", None]),
        },
    ),
}
ROWS = 6
TYPES = pytest.mark.parametrize("feature_type", sorted(FEATURE_TYPES))


def feature(feature_type: str, **keys: Any) -> dict[str, Any]:
    return {"feature_type": feature_type, "feature_name": "f", **EXAMPLES[feature_type][0], **keys}


def generator(feature_type: str, **keys: Any) -> Generator:
    return Generator(config.load({"features": [feature(feature_type, default_value="3", **keys)]}))


def rows_of(inputs: ModelInputs) -> list[list[float]]:
    """Values row by row, whatever the kind."""
    if not inputs.int_names:
        return [row.tolist() for row in inputs.floats.reshape(-1, inputs.float_widths[0])]
    values, lengths = np.split(inputs.ints, [inputs.int_sizes[0]])
    return [row.tolist() for row in np.split(values, np.cumsum(lengths)[:-1])]


def test_every_type_has_an_example() -> None:
    assert EXAMPLES.keys() == FEATURE_TYPES.keys()


@TYPES
def test_one_result_per_row(feature_type: str) -> None:
    columns = EXAMPLES[feature_type][1]

    result = rows_of(generator(feature_type).generate_joined(batch_from_arrow(columns)))

    assert len(result) == ROWS
    assert len({tuple(row) for row in result}) > 2  # the example says something


@TYPES
def test_a_row_depends_on_its_own_cells_only(feature_type: str) -> None:
    columns = EXAMPLES[feature_type][1]
    together = rows_of(generator(feature_type).generate_joined(batch_from_arrow(columns)))

    alone = []
    for row in range(ROWS):
        one = {name: array.slice(row, 1) for name, array in columns.items()}
        alone += rows_of(generator(feature_type).generate_joined(batch_from_arrow(one)))

    assert alone == together


@TYPES
def test_a_user_row_stands_for_the_same_row_repeated(feature_type: str) -> None:
    columns = EXAMPLES[feature_type][1]
    items = {name: array for name, array in columns.items() if name != "u"}
    for row in range(ROWS):
        user = {name: array.slice(row, 1) for name, array in columns.items() if name == "u"}
        repeated = {name: pa.concat_arrays([array] * ROWS) for name, array in user.items()}

        staged = generator(feature_type).generate(
            batch_from_arrow(user) if user else Batch(1),
            Batch(ROWS),
            batch_from_arrow(items),
            Batch(ROWS),
            {},
            rows=ROWS,
        )

        expected = generator(feature_type).generate_joined(batch_from_arrow({**items, **repeated}))
        assert rows_of(staged) == rows_of(expected)


@TYPES
def test_missing_is_the_declared_default(feature_type: str) -> None:
    nothing = {name: array.slice(ROWS - 1, 1) for name, array in EXAMPLES[feature_type][1].items()}
    for columns in (batch_from_arrow(nothing), Batch(1)):
        result = rows_of(generator(feature_type).generate_joined(columns))

        if "hash_bucket_size" in EXAMPLES[feature_type][0]:
            assert result == [[murmur64a("3") % 100]]
        else:
            assert result == [[3.0] * len(result[0])]


@TYPES
def test_eight_threads_get_the_same(feature_type: str) -> None:
    shared = generator(feature_type)
    batch = batch_from_arrow(EXAMPLES[feature_type][1])
    expected = rows_of(shared.generate_joined(batch))

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: rows_of(shared.generate_joined(batch)), range(64)))

    assert all(result == expected for result in results)


@TYPES
def test_online_is_offline(feature_type: str) -> None:
    columns = EXAMPLES[feature_type][1]

    table = offline.run(generator(feature_type), pa.table(columns), on_error="default", batch_rows=4)

    online = rows_of(generator(feature_type).generate_joined(batch_from_arrow(columns)))
    stored = [row if isinstance(row, list) else [row] for row in table.column("f").to_pylist()]
    assert stored == online


@TYPES
def test_every_element_of_a_sequence_is_a_row_of_its_own(feature_type: str) -> None:
    columns = EXAMPLES[feature_type][1]
    plain = rows_of(generator(feature_type).generate_joined(batch_from_arrow(columns)))
    member = {**feature(feature_type, default_value="3"), "sequence_fields": list(columns)}
    group = {"sequence_name": "s", "features": [member]}
    lists = {f"s__{name}": pa.array([[_cell(v) for v in columns[name].to_pylist()]]) for name in columns}
    result = Generator(config.load({"features": [group]})).generate_joined(batch_from_arrow(lists))

    values = result.floats if "s__f.values" in result.float_names else result.ints[: result.int_sizes[0]]
    assert values.tolist() == [value for row in plain for value in row]


def _cell(value: Any) -> str:
    """A cell as an element of a sequence: a map is text there."""
    if isinstance(value, list):
        return "\x1d".join(f"{key}:{number}" for key, number in value)
    return "" if value is None else str(value)


@TYPES
def test_errors_name_the_feature(feature_type: str) -> None:
    keys = feature(feature_type)
    del keys[next(iter(EXAMPLES[feature_type][0]))]

    with pytest.raises(ConfigError, match=rf"feature 'f' \({feature_type}\): missing keys"):
        config.load({"features": [keys]})


def test_errors_name_the_feature_and_the_column() -> None:
    table = pa.table({"x": pa.array(["1", "two"])})
    strict = generator("raw_feature")
    with pytest.raises(DataError, match="row 1: feature 'f' reads column 'x': 'two' is not a number"):
        offline.run(strict, table)

    with pytest.raises(RequestError, match="feature 'f' reads column 'x', which is a map"):
        strict.generate_joined(batch_from_arrow({"x": pa.array([[("a", 1.0)]], MAP)}))
    with pytest.raises(DataError, match="feature 'f' reads column 'x', which is a map"):
        strict.finisher.finish(batch_from_arrow({"x": pa.array([[("a", 1.0)]], MAP)}))


def test_an_error_names_the_feature_where_it_arose() -> None:
    stub = {"feature_type": "raw_feature", "feature_name": "stub", "expression": "item:x", "stub_type": True}
    reader = {"feature_type": "raw_feature", "feature_name": "reader", "expression": "feature:stub"}
    strict = Generator(config.load({"features": [reader, stub]}))

    with pytest.raises(DataError, match=r"^row 0: feature 'stub' reads column 'x': 'two' is not a number$"):
        offline.run(strict, pa.table({"x": pa.array(["two"])}))
