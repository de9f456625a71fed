"""Features as text: what people read, and what sample writers split."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from tests.features.conftest import tensors_of

from recserve.columns import Batch, batch_from_arrow
from recserve.errors import TooLargeError
from recserve.features import config
from recserve.features.checks.debug_text import DebugText, Separators
from recserve.features.generator import Generator

FEATURES: list[dict[str, Any]] = [
    {"feature_type": "raw_feature", "feature_name": "age", "expression": "user:age"},
    {"feature_type": "id_feature", "feature_name": "tags", "expression": "item:tags", "num_buckets": 100},
    {
        "feature_type": "id_feature",
        "feature_name": "liked",
        "expression": "user:liked",
        "num_buckets": 100,
        "weighted": True,
    },
    {"feature_type": "id_feature", "feature_name": "hidden", "expression": "item:tags", "stub_type": True},
    {
        "sequence_name": "clicks",
        "features": [
            {
                "feature_type": "id_feature",
                "feature_name": "item",
                "expression": "user:item",
                "num_buckets": 100,
                "default_value": "0",
            },
            {
                "feature_type": "raw_feature",
                "feature_name": "ago",
                "expression": "user:ago",
                "default_value": "0",
            },
        ],
    },
]
JOINED = {
    "age": [30.5, None],
    "tags": [["1", "2"], []],
    "liked": ["7:0.5\x1d8", None],
    "clicks__item": ["1\x1d2;3", ""],
    "clicks__ago": ["0.1;2", ""],
}
GENERATOR = Generator(config.load({"features": FEATURES}))


def text(**options: Any) -> DebugText:
    return DebugText(GENERATOR.plan, **options)


def generated() -> Batch:
    return GENERATOR.generate_columns(batch_from_arrow({k: pa.array(v) for k, v in JOINED.items()}))


def test_generated_features_are_named_in_the_order_of_the_file() -> None:
    assert text().generated(generated(), rows=2) == [
        "age:30.5|tags:1\x1d2|liked:7:0.5\x1d8:1|clicks__item:1\x1d2;3|clicks__ago:0.1;2",
        "age:0|tags:|liked:|clicks__item:0|clicks__ago:0",
    ]


def test_a_table_has_values_only_and_as_many_pieces_as_outputs() -> None:
    assert text().table(generated(), rows=2) == [
        "30.5\x021\x1d2\x027:0.5\x1d8:1\x021\x1d2;3\x020.1;2",
        "0\x02\x02\x020\x020",
    ]
    assert text().table(Batch(2), rows=2) == ["\x02\x02\x02\x02"] * 2


def test_raw_features_are_the_columns_that_came() -> None:
    columns = {name: pa.array(values) for name, values in JOINED.items() if name != "liked"}

    assert text().raw(batch_from_arrow(columns), rows=2) == [
        "age:30.5|clicks__ago:0.1;2|clicks__item:1\x1d2;3|tags:1\x1d2",
        "age:|clicks__ago:|clicks__item:|tags:",
    ]


def test_separators_are_configured() -> None:
    separators = Separators(pair="\n", name="=", column=",", value="+", element="/", key="*")

    assert text(separators=separators).generated(generated(), rows=2)[0].splitlines() == [
        "age=30.5",
        "tags=1+2",
        "liked=7*0.5+8*1",
        "clicks__item=1+2/3",
        "clicks__ago=0.1/2",
    ]
    assert text(separators=separators).table(generated(), rows=2)[1] == "0,,,0,0"


def test_a_separator_inside_of_a_value_does_not_add_a_piece() -> None:
    features = Generator(
        config.load(
            {"features": [{"feature_type": "id_feature", "feature_name": "f", "expression": "item:x"}]}
        ),
        texts=True,
    )
    columns = features.generate_columns(batch_from_arrow({"x": pa.array(["a\x02b"])}))

    assert DebugText(features.plan).table(columns, rows=1) == ["a b"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (pa.array([0.1, 1e-7, 3.0, float("nan")], pa.float32()), ["0.1", "1e-07", "3", "nan"]),
        (pa.array([0.1, 1e300, 0.123456789012], pa.float64()), ["0.1", "1e+300", "0.123456789012"]),
        (pa.array([2**62]), [str(2**62)]),
        (pa.array([b"caf\xc3\xa9 \xff", None]).view(pa.string()), ["café �", ""]),
        (pa.array([[[1, 2], [3]], []]), ["1\x1d2;3", ""]),
        (pa.array([[("a", 1.5)]], pa.map_(pa.string(), pa.float32())), ["a:1.5"]),
    ],
    ids=str,
)
def test_cells_are_written_with_the_fewest_digits(cells: pa.Array, expected: list[str]) -> None:
    features = Generator(
        config.load(
            {"features": [{"feature_type": "raw_feature", "feature_name": "f", "expression": "item:x"}]}
        )
    )

    result = DebugText(features.plan).raw(batch_from_arrow({"x": cells}), rows=len(cells))

    assert result == [f"x:{cell}" for cell in expected]


def test_a_staged_request_has_the_texts_of_its_joined_rows() -> None:
    """User columns have one row, item features are finished."""
    features = [FEATURES[0], FEATURES[1]]
    generator = Generator(config.load({"features": features}))
    user = batch_from_arrow({"age": pa.array([30.5])})
    raw = batch_from_arrow({"tags": pa.array([["1", "2"], []])})
    finished = generator.finisher.finish(raw)

    columns = generator.generate_request_columns(user, Batch(2), Batch(2), finished, {}, rows=2)

    assert DebugText(generator.plan).generated(columns, rows=2) == ["age:30.5|tags:1\x1d2", "age:30.5|tags:"]
    joined = generator.generate(user, Batch(2), Batch(2), finished, {}, rows=2)
    assert tensors_of(joined)["tags.values"] == [1, 2]


def test_texts_are_bounded() -> None:
    assert text(max_bytes=400).generated(generated(), rows=2)
    for write in (text(max_bytes=30).generated, text(max_bytes=20).table):
        with pytest.raises(TooLargeError, match=r"are over \d\d bytes as text; ask for fewer items"):
            write(generated(), rows=2)
    user = batch_from_arrow({"age": pa.array([30.5])})
    with pytest.raises(TooLargeError):
        text().raw(user, rows=100_000_000)  # refused before it is written


def test_no_features_are_empty_texts() -> None:
    assert DebugText(Generator(config.load({"features": []})).plan).generated(Batch(3), rows=3) == [""] * 3
