from __future__ import annotations

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
    outputs = {"a": np.array([1.0, 3e38], np.float32), "ids": np.array([1, 2]), "none": np.zeros(0)}

    assert NotFinite(policy).settled(outputs) is outputs


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
