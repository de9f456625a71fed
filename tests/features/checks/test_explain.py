"""Every step of an explanation is what the feature would give with the later rules taken away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.features.test_contract import EXAMPLES

from recserve.columns import batch_from_arrow
from recserve.errors import ConfigError, DataError
from recserve.features import config
from recserve.features.checks.explain import Explanation, explain
from recserve.features.checks.rows import read_row
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from pathlib import Path

ID = {"feature_type": "id_feature", "feature_name": "f", "expression": "item:x"}
RAW = {"feature_type": "raw_feature", "feature_name": "f", "expression": "item:x"}


def explained(columns: dict[str, Any], *entries: dict[str, Any], name: str = "f") -> Explanation:
    row = pa.RecordBatch.from_pydict(
        {k: v if isinstance(v, pa.Array) else pa.array([v]) for k, v in columns.items()}
    )
    return explain(config.load({"features": list(entries)}), row, name)


def steps(explanation: Explanation) -> list[tuple[str, str, Any]]:
    return [(step.step, step.rule, step.value) for step in explanation.steps]


@pytest.mark.parametrize(
    ("entry", "cell", "expected", "result"),
    [
        (
            {**ID, "value_dim": 1, "need_prefix": True, "vocab_list": ["f_a", "f_b"]},
            "b\x1da",
            [
                ("operator", "id_feature", ["b", "a"]),
                ("value_dim", "1", ["b"]),
                ("need_prefix", "", ["f_b"]),
                ("vocab_list", "2 words, others 0", 1),
            ],
            1,
        ),
        (
            {**RAW, "normalizer": "method=log10", "boundaries": [1, 2], "default_value": "7"},
            100.0,
            [
                ("operator", "raw_feature", 100.0),
                ("normalizer", "method=log10", 2.0),
                ("boundaries", "[1.0, 2.0]", 2),
            ],
            2,
        ),
        (
            {**RAW, "normalizer": "method=log10", "boundaries": [1, 2], "default_value": "7"},
            None,
            [
                ("operator", "raw_feature", None),
                ("default_value", "7", "7"),
                ("normalizer", "method=log10", 7.0),  # never normalized
                ("boundaries", "[1.0, 2.0]", 2),
            ],
            2,
        ),
        (RAW, "x", [("operator", "raw_feature", None), ("default_value", "", None)], 0.0),
        (RAW, 0.1, [("operator", "raw_feature", 0.1)], 0.1),  # not 0.10000000149011612
        (
            {**RAW, "value_dim": 2},
            [0.5, 1.5],
            [("operator", "raw_feature", [0.5, 1.5])],
            [0.5, 1.5],
        ),
    ],
)
def test_steps_lead_from_the_operator_to_the_result(
    entry: dict[str, Any], cell: Any, expected: list[Any], result: Any
) -> None:
    explanation = explained({"x": cell}, entry)

    assert steps(explanation) == expected
    assert explanation.result == result
    assert [(read.source, read.name, read.value) for read in explanation.inputs] == [("item", "x", cell)]


def test_a_sequence_is_explained_by_element() -> None:
    member = {**ID, "default_value": "z", "value_dim": 1, "vocab_list": ["a", "b", "z"]}
    group = {"sequence_name": "s", "sequence_length": 3, "features": [member]}

    explanation = explained({"s__x": "a;;b\x1dc;b"}, group, name="s__f")

    assert steps(explanation) == [
        ("operator", "id_feature", [["a"], None, ["b", "c"]]),
        ("default_value", "z", ["…", "z", "…"]),
        ("value_dim", "1", [["a"], ["z"], ["b"]]),
        ("vocab_list", "3 words, others 0", [0, 2, 1]),
    ]
    assert explanation.inputs[0].source == "group"
    assert explanation.inputs[0].sequence


def test_inputs_that_are_features_have_a_line_each() -> None:
    entries: list[dict[str, Any]] = [
        {**RAW, "feature_name": "bucket", "boundaries": [10, 20], "default_value": "0"},
        {**ID, "feature_name": "text", "expression": "feature:bucket", "stub_type": True},
        {
            "feature_type": "combo_feature",
            "feature_name": "f",
            "expression": ["feature:text", "user:y"],
            "hash_bucket_size": 10,
        },
    ]

    explanation = explained({"x": 15.0, "y": "u"}, *entries)

    assert steps(explanation)[0] == ("operator", "combo_feature", ["1_u"])
    assert [(p.feature, p.result, p.inputs[0].value) for p in explanation.producers] == [
        ("text", ["1"], 1),
        ("bucket", 1, 15.0),
    ]


def test_a_column_that_the_row_lacks_is_said_to_be_absent() -> None:
    explanation = explained({"y": 1}, {**ID, "hash_bucket_size": 9, "default_value": "d"})

    assert (explanation.inputs[0].type, explanation.inputs[0].value) == ("absent", None)
    assert steps(explanation)[:2] == [("operator", "id_feature", None), ("default_value", "d", "d")]


@pytest.mark.usefixtures("files_of_examples")
@pytest.mark.parametrize("feature_type", sorted(EXAMPLES))
@pytest.mark.parametrize("number", range(6))
def test_the_result_is_what_the_feature_gives(feature_type: str, number: int) -> None:
    keys, columns = EXAMPLES[feature_type]
    records = config.load(
        {"features": [{"feature_type": feature_type, "feature_name": "f", "default_value": "3", **keys}]}
    )
    row = pa.RecordBatch.from_pydict({name: array.slice(number, 1) for name, array in columns.items()})

    explanation = explain(records, row, "f")

    generated = Generator(records).generate_columns(batch_from_arrow(row))["f"]
    expected = pa.array(generated)[0].as_py()
    assert (
        explanation.result == expected
        or pa.scalar(explanation.result, pa.array(generated).type).as_py() == expected
    )
    assert json.loads(json.dumps(explanation.as_json()))["feature"] == "f"
    if number == 5:  # nothing is there
        assert "default_value" in [step.step for step in explanation.steps]


def test_a_feature_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"fg\.json has no feature 'g'"):
        explained({"x": 1}, RAW, name="g")
    with pytest.raises(ConfigError, match="did you mean 'price'"):
        explained({"x": 1}, {**RAW, "feature_name": "price"}, name="prise")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"a": 1, "b": "x", "c": [1.5], "d": None}, {"a": 1, "b": "x", "c": [1.5], "d": None}),
        ({"user": {"a": 1}, "item": {"b": 2}, "context": {}}, {"a": 1, "b": 2}),
        ({"user": "u", "a": 1}, {"user": "u", "a": 1}),
        ({"m": {"k": 0.5}, "e": {}}, {"m": [("k", 0.5)], "e": []}),
        ({"l": []}, {"l": None}),
    ],
)
def test_a_row_is_read_from_json(tmp_path: Path, content: dict[str, Any], expected: dict[str, Any]) -> None:
    path = tmp_path / "row.json"
    path.write_text(json.dumps(content))

    assert read_row(path).to_pylist() == [expected]


def test_what_is_no_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    path.write_text(json.dumps({"a": [1, "x"]}))

    with pytest.raises(DataError, match=r"column 'a' is \[1, 'x'\], which is no cell"):
        read_row(path)
    with pytest.raises(DataError, match="is not a Parquet file"):
        read_row(tmp_path / "row.parquet")
