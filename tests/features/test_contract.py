"""What every feature type promises, checked for each entry of FEATURE_TYPES with one example."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from recserve._core import murmur64a
from recserve.columns import Batch, batch_from_arrow, to_arrow
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
    "tokenize_feature": (
        {"expression": "item:x", "vocab_file": "words.json"},
        {"x": pa.array(["red", "blue red", "red", "", "pink", None])},
    ),
    "text_normalizer": (
        {"expression": "item:x", "hash_bucket_size": 100},
        {"x": pa.array(["a", "b c", "A!", "", "汉", None])},
    ),
    "regex_replace_feature": (
        {"expression": "item:x", "regex_pattern": "-.*", "hash_bucket_size": 100},
        {"x": pa.array(["a-1", "b-1\x1dc", "a", "", "-d", None])},
    ),
    "expr_feature": (
        {"expression": "u * 2 + x", "variables": ["user:u", "item:x"], "value_dim": 2},
        {
            "u": pa.array([1.0, 2.0, None, 4.0, 5.0, None]),
            "x": pa.array(["1", "2\x1d3", "4", "z", "6", None]),
        },
    ),
    "overlap_feature": (
        {"query": "user:u", "title": "item:x", "method": "query_common_ratio"},
        {
            "u": pa.array(["a\x1db", "a\x1db\x1dc", "a", "1", "b", None]),
            "x": pa.array(["b", "c\x1da\x1dd", "z", "1", "", None]),
        },
    ),
    "kv_dot_product": (
        {"query": "user:u", "document": "item:x"},
        {
            "u": pa.array([[("a", 1.0)], [("b", 2.0), ("c", 0.1)], [], [("a", 0.5)], None, None], MAP),
            "x": pa.array(["a:2", "c:0.7\x1db", "a", "z", "a:x", None]),
        },
    ),
    "bool_mask_feature": (
        {"expression": ["item:x", "user:u"], "hash_bucket_size": 100},
        {
            "u": pa.array(["1", "0\x1dtrue", "1\x1d1", "1", "0", None]),
            "x": pa.array(["a", "b\x1dc", "a", "", "d", None]),
        },
    ),
    "combine_feature": (
        {"expression": "item:x", "combiner": "mean", "normalizer": "method=log10"},
        {"x": pa.array(["5\x1d7", "3\x1d4", "x", "", "100\x1d1", None])},
    ),
    "slice_feature": (
        {"expression": "item:x", "hash_bucket_size": 100, "start": 1, "end": 3},
        {"x": pa.array(["a\x1db", "b\x1dc\x1dd\x1de", "a", "", "d\x1da", None])},
    ),
    "custom_feature": (
        {"expression": ["user:u", "item:x"], "operator_name": "EditDistance", "encoding": "utf-8"},
        {
            "u": pa.array(["裙子", "a", "abc", "7", "", None]),
            "x": pa.array(["连衣裙", "b\x1dc", "abc", "77", "d", None]),
        },
    ),
}
ROWS = 6
BUCKETS = {"hash_bucket_size", "num_buckets"}
TYPES = pytest.mark.parametrize("feature_type", sorted(FEATURE_TYPES))
pytestmark = pytest.mark.usefixtures("files_of_examples")


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
def test_every_side_and_every_rate_gives_the_same_bits(feature_type: str) -> None:
    columns = EXAMPLES[feature_type][1]
    for placement in itertools.product(("user", "item", "context"), repeat=len(columns)):
        sides = dict(zip(columns, placement, strict=True))
        staged = placed(feature_type, {name: f"{side}:{name}" for name, side in sides.items()})
        rate = placement[0] if set(placement) in ({"user"}, {"item"}) else "pair"
        assert [(f.rate, f.is_user) for f in staged.plan.features] == [(rate, rate == "user")]
        for row in range(ROWS if "user" in placement else 1):
            rows = {name: column.slice(row, 1) for name, column in columns.items() if sides[name] == "user"}
            repeated = {name: pa.concat_arrays([column] * ROWS) for name, column in rows.items()}
            items = batch_of(columns, sides, "item")

            inputs = staged.generate(
                batch_from_arrow(rows) if rows else Batch(1),
                batch_of(columns, sides, "context"),
                items if rate == "pair" else Batch(ROWS),
                staged.finisher.finish(items),
                {},
                rows=ROWS,
            )

            expected = staged.generate_joined(batch_from_arrow({**columns, **repeated}))
            assert bits_of(inputs) == bits_of(expected)


def placed(feature_type: str, references: dict[str, str]) -> Generator:
    """The example's feature with other references to its columns."""
    keys = feature(feature_type, default_value="3")
    old = {f"{side}:{name}": reference for name, reference in references.items() for side in ("user", "item")}
    for key, value in keys.items():
        if isinstance(value, list):
            keys[key] = [old.get(entry, entry) for entry in value]
        else:
            keys[key] = old.get(value, value)
    return Generator(config.load({"features": [keys]}))


def batch_of(columns: dict[str, pa.Array], sides: dict[str, str], side: str) -> Batch:
    chosen = {name: column for name, column in columns.items() if sides[name] == side}
    return batch_from_arrow(chosen) if chosen else Batch(ROWS)


def bits_of(inputs: ModelInputs) -> tuple[bytes, bytes]:
    return inputs.ints.tobytes(), inputs.floats.tobytes()


@pytest.mark.parametrize("feature_type", sorted(FEATURE_TYPES.keys() - {"expr_feature"}))
def test_a_constant_is_a_column_of_one_text(feature_type: str) -> None:
    """But for expr_feature: a formula has no name for a constant."""
    texts = {name: [_cell(v) for v in array.to_pylist()] for name, array in EXAMPLES[feature_type][1].items()}
    for row in range(ROWS):
        joined = batch_from_arrow({name: pa.array([cells[row]]) for name, cells in texts.items()})
        expected = generator(feature_type).generate_joined(joined)

        constant = placed(feature_type, {name: f"const:{cells[row]}" for name, cells in texts.items()})

        assert [feature.rate for feature in constant.plan.features] == ["const"]
        result = constant.generate(Batch(1), Batch(ROWS), Batch(ROWS), Batch(ROWS), {}, rows=1)
        assert bits_of(result) == bits_of(expected)


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


@pytest.mark.parametrize("feature_type", [name for name, t in FEATURE_TYPES.items() if not t.shortens])
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
def test_a_stub_has_no_tensor_and_feeds_another(feature_type: str) -> None:
    columns = batch_from_arrow(EXAMPLES[feature_type][1])
    stub = feature(feature_type, default_value="3", stub_type=True)
    reader = {
        "feature_type": "id_feature",
        "feature_name": "r",
        "expression": "feature:f",
        "num_buckets": 200,
    }
    fed = Generator(config.load({"features": [reader, stub]}))

    inputs = fed.generate_joined(columns)

    assert {name.split(".")[0] for name in inputs.int_names} == {"r"}
    results = fed.generate_columns(columns, names=["f"])["f"]
    tokens = [value if isinstance(value, list) else [value] for value in to_arrow(results).to_pylist()]
    expected = [[int(token) if float(token).is_integer() else 0 for token in row] for row in tokens]
    assert rows_of(inputs) == expected


@pytest.mark.parametrize(
    "feature_type",
    [name for name, (keys, _) in EXAMPLES.items() if not (BUCKETS | {"vocab_file"}) & keys.keys()],
)
@pytest.mark.parametrize(
    ("spelled", "arrow"),
    [
        ("Integer", pa.int64()),
        ("BIGINT", pa.int64()),
        ("int32", pa.int64()),
        ("Double", pa.float64()),
        ("float64", pa.float64()),
        ("FLOAT", pa.float32()),
    ],
)
def test_numbers_have_any_value_type_in_any_spelling(
    feature_type: str, spelled: str, arrow: pa.DataType
) -> None:
    columns = batch_from_arrow(EXAMPLES[feature_type][1])

    results = generator(feature_type, value_type=spelled).generate_columns(columns)

    result = to_arrow(results["f"])
    assert getattr(result.type, "value_type", result.type) == arrow


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
