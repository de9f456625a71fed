"""What a feature sees of another one that it reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recserve.columns import batch_from_arrow
from recserve.features import config
from recserve.features.generator import Generator

WORDS = ["1", "2", "x", "y", "1,2", "1,2_x,y"]
ID = {"feature_name": "f", "feature_type": "id_feature", "vocab_list": WORDS, "default_bucketize_value": 9}
STUB = {"feature_name": "stub", "stub_type": True, "default_value": "1,2"}
LISTED = {**STUB, "feature_type": "id_feature", "expression": "user:x"}
CROSSED = {**STUB, "feature_type": "combo_feature", "expression": ["user:x", "user:y"]}
SEQUENCE = {
    **CROSSED,
    "feature_type": "sequence_combo_feature",
    "sequence_fields": ["x"],
}
LOOKED_UP = {
    **STUB,
    "feature_type": "lookup_feature",
    "needDiscrete": True,
    "combiner": "",
    "map": "user:m",
    "key": "user:k",
}
COLUMNS = {"x": [["1,2"]], "y": ["x,y"], "m": ["a:1,2\x1db:x,y"], "k": ["b\x1da"]}


def values_of(stub: dict[str, Any], reader: dict[str, Any]) -> list[int]:
    fg = {"features": [stub, {**ID, "expression": "feature:stub", **reader}]}
    generator = Generator(config.load(fg))
    inputs = generator.generate_joined(batch_from_arrow({k: pa.array(v) for k, v in COLUMNS.items()}))
    ints = np.split(inputs.ints, np.cumsum(inputs.int_sizes)[:-1])
    return list(dict(zip(inputs.int_names, ints, strict=True))["f.values"].tolist())


@pytest.mark.parametrize(
    ("stub", "reader", "tokens"),
    [
        (LISTED, {}, ["1,2"]),
        (LISTED, {"separator": ","}, ["1", "2"]),
        (LOOKED_UP, {"separator": ","}, ["x", "y", "1", "2"]),
        (CROSSED, {}, ["1,2_x,y"]),
        (CROSSED, {"separator": ","}, ["1", "2_x", "y"]),
        (SEQUENCE, {"separator": ","}, ["1", "2_x", "y"]),
        (SEQUENCE, {"separator": ",", "feature_type": "sequence_id_feature"}, ["1", "2_x", "y"]),
        (LOOKED_UP, {"separator": ",", "value_dim": 3}, ["x", "y", "1"]),
    ],
)
def test_the_texts_of_another_feature_are_cut_at_their_readers_separator(
    stub: dict[str, Any], reader: dict[str, Any], tokens: list[str]
) -> None:
    reader = {"default_value": "?", **reader}

    assert values_of(stub, reader) == [WORDS.index(token) if token in WORDS else 9 for token in tokens]


def test_several_texts_in_an_element_are_each_cut_again() -> None:
    stub = {**SEQUENCE, "expression": ["user:x", "user:k"]}
    reader = {"feature_type": "sequence_id_feature", "separator": ",", "default_value": "?"}

    assert values_of(stub, reader) == [0, 9, 0, 9]
