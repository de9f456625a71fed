from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recserve.errors import ModelError
from recserve.processors.not_finite import NotFinite

NAN, INF = float("nan"), float("inf")


def counted(policy: NotFinite) -> dict[str, float]:
    _, by_output = policy.gauges()["recserve_not_finite_scores_total"]
    assert isinstance(by_output, dict)
    return {output: count for ((_, output),), count in by_output.items()}


@pytest.mark.parametrize("policy", ["keep", "replace", "fail"])
def test_finite_scores_are_handed_on_as_they_are(policy: str) -> None:
    outputs = {"a": np.array([1.0, 2.0], np.float32), "ids": np.array([1, 2]), "none": np.zeros(0)}

    assert NotFinite(policy).settled(outputs) is outputs


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.0, 3e38, -3e38], np.float32),  # their squares are infinite
        np.array([65504.0, 1.0], np.float16),
        np.full((100, 200), 1e300),
    ],
    ids=["float32", "float16", "many"],
)
def test_huge_scores_are_finite(values: Any) -> None:
    policy = NotFinite("fail")

    assert policy.settled({"a": values})["a"] is values
    assert counted(policy) == {}


@pytest.mark.parametrize("rows", [1, 8192, 8193, 100_000])
def test_one_score_among_any_number_is_found(rows: int) -> None:
    policy = NotFinite("keep")
    values = np.ones(rows, np.float32)
    values[-1] = NAN

    policy.settled({"a": values})

    assert counted(policy) == {"a": 1}


def test_keep_answers_them_and_counts() -> None:
    policy = NotFinite("keep")
    outputs = {"a": np.array([1.0, NAN, INF], np.float32), "b": np.array([1.0, 2.0, -INF])}

    settled = policy.settled(outputs)

    assert settled["a"] is outputs["a"]
    assert counted(policy) == {"a": 2, "b": 1}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 2)])
def test_replace_answers_another_score_of_the_same_type(dtype: str, shape: tuple[int, ...]) -> None:
    values = np.array([1.0, NAN, INF, -INF], dtype).reshape(shape)

    settled = NotFinite("replace", -1.0).settled({"a": values})["a"]

    assert (settled.dtype, settled.shape) == (np.dtype(dtype), shape)
    assert settled.ravel().tolist() == [1, -1, -1, -1]
    assert np.isnan(values.ravel()[1]), "the model's own memory is not written to"


def test_fail_says_which_output_and_how_many() -> None:
    policy = NotFinite("fail")

    with pytest.raises(ModelError, match=r"output 'b': 2 of 3 scores are NaN or infinite \("):
        policy.settled({"a": np.ones(3), "b": np.array([NAN, 1.0, INF])})
    assert counted(policy) == {"b": 2}
