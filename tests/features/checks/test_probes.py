from __future__ import annotations

import pyarrow as pa
import pytest

from recserve.features.checks.probes import differs, leaves, lengths

NAN = float("nan")


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (pa.array([1, 2, None]), pa.array([1, 3, None]), [False, True, False]),
        (pa.array([1, None]), pa.array([None, 1]), [True, True]),
        (pa.array([NAN, NAN, 1.0]), pa.array([NAN, 1.0, NAN]), [False, True, True]),
        (pa.array(["a", ""]), pa.array(["a", "b"]), [False, True]),
        (pa.array([["a"], [], ["a", "b"]]), pa.array([["a"], ["x"], ["a", "c"]]), [False, True, True]),
        (pa.array([[[1], [2]], [[1, 2]]]), pa.array([[[1], [2]], [[1], [2]]]), [False, True]),
        (
            pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
            pa.array([[1.0, 2.0], [3.0, 5.0]], pa.list_(pa.float32(), 2)),
            [False, True],
        ),
        (
            pa.array([[("a", 1.0)], []], pa.map_(pa.string(), pa.float32())),
            pa.array([[("b", 1.0)], []], pa.map_(pa.string(), pa.float32())),
            [True, False],
        ),
        (pa.array([], pa.list_(pa.int64())), pa.array([], pa.list_(pa.int64())), []),
    ],
    ids=str,
)
def test_rows_that_are_not_equal_are_found(left: pa.Array, right: pa.Array, expected: list[bool]) -> None:
    assert differs(left, right).tolist() == expected
    assert differs(right, left).tolist() == expected


def test_lengths_and_leaves() -> None:
    nested = pa.array([[[1, 2], [3]], [], None])

    assert lengths(nested).tolist() == [2, 0, 0]
    assert leaves(nested).to_pylist() == [1, 2, 3]
    assert lengths(pa.array([5, None])).tolist() == [1, 0]
