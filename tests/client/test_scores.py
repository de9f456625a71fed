"""What comes back, and in which order."""

from __future__ import annotations

import numpy as np
import pytest

from recserve.client.scores import Scores, server_timing


def test_the_best_items_come_first_and_equal_ones_in_the_order_sent() -> None:
    scores = Scores({"p": np.array([0.1, 0.9, 0.9])}, ["a", "b", "c"])

    assert scores.top(2) == [("b", 0.9), ("c", 0.9)]
    assert scores.ranked() == [("b", 0.9), ("c", 0.9), ("a", 0.1)]
    assert scores.order().tolist() == [1, 2, 0]


def test_items_are_ranked_by_any_output_and_what_is_no_number_comes_last() -> None:
    scores = Scores({"p": np.zeros(3), "q": np.array([np.nan, 1, 2], np.float32)}, ["a", "b", "c"])

    assert [item for item, _ in scores.ranked("q")] == ["c", "b", "a"]


def test_whole_numbers_are_ranked_too() -> None:
    scores = Scores({"p": np.array([0, 255, 7], np.uint8)}, ["a", "b", "c"])

    assert scores.ranked() == [("b", 255.0), ("c", 7.0), ("a", 0.0)]


def test_an_output_of_vectors_ranks_nothing() -> None:
    scores = Scores({"embedding": np.zeros((2, 8))}, ["a", "b"])

    with pytest.raises(ValueError, match=r"output 'embedding' has \(8,\) values per item"):
        scores.ranked()


@pytest.mark.parametrize(
    ("header", "stages"),
    [("", {}), ("run;dur=1.5", {"run": 1.5}), ('a;desc="x";dur=2, cache', {"a": 2.0})],
)
def test_server_timing_is_read(header: str, stages: dict[str, float]) -> None:
    assert server_timing(header) == stages
