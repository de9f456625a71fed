"""Tensors that the model would not take; what is wrong with columns is tested by level in test_debug.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.processors.asking import request
from tests.processors.conftest import SUMS

from recserve.columns import ModelInputs
from recserve.engines.engine import TensorSpec
from recserve.processors.findings import MOST, Findings, shown
from recserve.processors.raw_columns import RawColumns

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.processors.normal import Normal

INTS: dict[str, list[int]] = {
    "taste.values": [1, 2],
    "taste.lengths": [1, 1],
    "tags.values": [10, 20, 30],
    "tags.lengths": [2, 1],
}
FLOATS = {name: np.ones((2, 1), np.float32) for name in ("price.values", "likes.values", "hour.values")}


def inputs(ints: dict[str, list[int]], floats: dict[str, Any] | None = None) -> ModelInputs:
    sent = {**FLOATS, **(floats or {})}
    arrays = [np.array(values, np.int64) for values in ints.values()]
    return ModelInputs(list(ints), arrays, list(sent), list(sent.values()))


@pytest.fixture
def findings(scorer: Callable[..., Normal]) -> Findings:
    rank = scorer()
    return Findings(rank.features, rank.engine.inputs, columns=RawColumns(rank.features.plan))


def test_inputs_that_fit_are_nothing_to_tell(findings: Findings) -> None:
    assert findings.wrong_inputs(inputs(INTS), 2) == []


@pytest.mark.parametrize(
    ("ints", "floats", "rows", "expected"),
    [
        (
            {**INTS, "tags.lengths": [2, 2]},
            {},
            2,
            "'tags.lengths' sums to 4, but 'tags.values' has 3 entries",
        ),
        ({**INTS, "tags.values": [10, 20, 1000]}, {}, 2, "'tags.values' is 1000 at position 2"),
        (
            {**INTS, "taste.values": [1, 2, 3], "taste.lengths": [1, 1, 1]},
            {},
            2,
            "has 2 rows, but 'taste' has 3",
        ),
        (INTS, {}, 3, "the model's inputs have 2 rows, the request has 3"),
        (
            INTS,
            {"price.values": np.ones((1, 2), np.float32)},
            2,
            "input 'price' has 1 rows",
        ),
        ({k: v for k, v in INTS.items() if "tags" not in k}, {}, 2, "input 'tags.values' is missing"),
    ],
)
def test_inputs_that_do_not_fit_are_named(
    findings: Findings, ints: dict[str, list[int]], floats: dict[str, Any], rows: int, expected: str
) -> None:
    assert expected in shown(findings.wrong_inputs(inputs(ints, floats), rows))


def test_a_model_that_reads_what_features_do_not_send_is_told(scorer: Callable[..., Normal]) -> None:
    rank = scorer()
    reads = {**rank.engine.inputs, "price.values": TensorSpec("int64", 1), "age.values": TensorSpec()}
    findings = Findings(rank.features, reads, columns=RawColumns(rank.features.plan))

    assert findings.wrong_inputs(inputs(INTS), 2) == [
        "input 'price.values' is float32 of 2 dimensions; the model reads int64 of 1",
        "input 'age.values' is missing",
    ]
    assert set(SUMS["tags"]) <= set(reads)


@pytest.mark.parametrize("rows", [1, 7])
def test_what_features_generate_fits_whatever_the_request(
    scorer: Callable[..., Normal], findings: Findings, rows: int
) -> None:
    rank = scorer()
    asked = request(["i1"] * rows, user={"taste": "", "likes": "a:1"})
    with rank.items.pin() as pinned:
        items = pinned.gather(asked.item_ids, rows=rows)
    made = rank.features.generate(asked.user, asked.context, items.raw, items.finished, {}, rows=rows)

    assert findings.wrong_inputs(made, rows) == []


def test_findings_without_end_are_cut() -> None:
    lines = shown([f"finding {n}" for n in range(MOST + 7)]).splitlines()

    assert len(lines) == MOST + 1
    assert lines[-1] == "and 7 more"
