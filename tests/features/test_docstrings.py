"""The tables of cases in the docstrings of feature types are true: every row runs."""

from __future__ import annotations

import inspect
import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.features.tokenizer_files import words

from recserve.columns import batch_from_arrow, to_arrow
from recserve.features import config
from recserve.features.docs.cases import NAME, Case, cases, described
from recserve.features.generator import Generator
from recserve.features.types import FEATURE_TYPES

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.features.types.feature_type import FeatureType


@pytest.mark.parametrize("feature_type", FEATURE_TYPES)
def test_every_row_of_the_table_gives_the_result_that_it_says(feature_type: str, tmp_path: Path) -> None:
    record = FEATURE_TYPES[feature_type]
    words().save(str(tmp_path / "words.json"))
    for place, case in enumerate(cases(feature_type, record, inspect.getdoc(record) or ""), 1):
        generator = Generator(config.load({"features": [case.feature]}, folder=tmp_path), texts=True)
        batch = batch_from_arrow({name: column_of(cell) for name, cell in case.cells.items()})

        result = generator.generate_columns(batch)

        # As text: 3 is an id, 3.0 a number.
        found, said = json.dumps(json_of(to_arrow(result[NAME]))), json.dumps(case.result)
        assert found == said, f"row {place}: {case}"


def column_of(cell: Any) -> pa.Array:
    """One row: integers are int64, floats float64; an array is a list, an object a map."""
    if isinstance(cell, dict):
        values = pa.array(list(cell.values()))
        return pa.array([list(cell.items())], pa.map_(pa.string(), values.type))
    return pa.array([cell])


def json_of(array: pa.Array) -> Any:
    """The one row of a result, as tables write it: a list, or an object where values have weights."""
    if pa.types.is_map(array.type):
        return {key: _number(weight, array.type.item_type) for key, weight in array[0].as_py() or ()}
    value = _value(array[0].as_py(), array.type)
    return [] if value is None else value if isinstance(value, list) else [value]


def _value(value: Any, arrow: pa.DataType) -> Any:
    if isinstance(value, list):
        return [_value(entry, arrow.value_type) for entry in value]
    return _number(value, arrow) if isinstance(value, float) else value


def _number(value: float, arrow: pa.DataType) -> float | str:
    """The shortest decimal of a number of this type: 0.1, not what a double shows of a float32."""
    if math.isnan(value):
        return "nan"
    return float(str(np.float32(value))) if pa.types.is_float32(arrow) else value


@pytest.mark.parametrize("record", FEATURE_TYPES.values(), ids=FEATURE_TYPES.keys())
def test_a_docstring_is_a_sentence_a_table_rules_and_the_source(record: type[FeatureType]) -> None:
    text = described(inspect.getdoc(record) or "")

    assert re.match(r"[A-Z][^|]*?\.(\s|$)", text.before), text.before
    assert text.rows
    assert re.search(r"\bSource: \S", text.after), text.after


# --- the format -------------------------------------------------------------------------------------------

LOOKUP = r"""A sentence.

    | map                | key        | keys             | result       |
    |--------------------|------------|------------------|--------------|
    | `{"a": 1, "b": 2}` | `"b\x1da"` |                  | `[3.0]`      |
    |                    | `null`     | `"combiner": ""` | `[2.0, 1.0]` |

    A rule."""


def test_an_empty_cell_repeats_the_one_above_and_keys_do_not() -> None:
    first, second = cases("lookup_feature", FEATURE_TYPES["lookup_feature"], inspect.cleandoc(LOOKUP))

    inputs = {"map": "user:map", "key": "user:key"}
    assert first == Case(
        {"map": {"a": 1, "b": 2}, "key": "b\x1da"},
        {"feature_type": "lookup_feature", "feature_name": "NAME", **inputs},
        [3.0],
    )
    assert second.cells == {"map": {"a": 1, "b": 2}, "key": None}
    assert second.feature["combiner"] == ""


def test_inputs_of_a_list_are_headed_by_their_own_names() -> None:
    text = 'S.\n| a | b | keys | result |\n|--|--|--|--|\n| `1` | `2` | `"expression": "a+b"` | `[3.0]` |\n'

    (case,) = cases("expr_feature", FEATURE_TYPES["expr_feature"], text)

    assert case.feature["variables"] == ["user:a", "user:b"]
    assert case.feature["expression"] == "a+b"


def test_a_bar_inside_of_backquotes_is_text() -> None:
    text = 'S.\n| expression | keys | result |\n|--|--|--|\n| `"a|b"` | | `["a\\|b"]` |\n'

    (case,) = cases("id_feature", FEATURE_TYPES["id_feature"], text)

    assert (case.cells["expression"], case.result) == ("a|b", ["a|b"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("No table.", "there is no table of cases"),
        ("S.\n| expression | result |\n|--|--|\n| `1` | `[1]` |", "there is no table of cases"),
        ("S.\n| expression | keys | result |\n|--|--|--|\n| 1, 2 | | `[1]` |", "is not JSON"),
        ("S.\n| expression | keys | result |\n|--|--|--|\n| `1` | `[1]` |", "other columns"),
    ],
)
def test_a_table_in_another_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cases("id_feature", FEATURE_TYPES["id_feature"], text)
