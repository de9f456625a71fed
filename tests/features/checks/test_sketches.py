from __future__ import annotations

import json
import math

import numpy as np
import pytest

from recserve.features.checks.sketches import Distinct, Frequent, Numbers


def numbers_of(*parts: list[float]) -> Numbers:
    made = Numbers()
    for part in parts:
        made.add(np.array(part, np.float64))
    return made


def test_moments_do_not_depend_on_the_batches() -> None:
    values = np.random.default_rng(1).lognormal(1, 2, 10_000)
    made = Numbers()
    for part in np.split(values, [3, 700, 701, 5000]):
        made.add(part)

    assert made.count == 10_000
    assert made.mean == pytest.approx(values.mean())
    assert made.deviation == pytest.approx(values.std())
    assert (made.least, made.most) == (values.min(), values.max())
    assert made.bins == numbers_of(values.tolist()).bins


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("sign", [1, -1])
def test_quantiles_are_right_to_a_few_percent_at_any_scale(share: float, sign: int) -> None:
    values = np.random.default_rng(2).lognormal(0, 3, 20_001) * sign

    exact = float(np.quantile(values, share, method="lower"))
    assert numbers_of(values.tolist()).quantile(share) == pytest.approx(exact, rel=0.03)


def test_zero_nan_and_infinity_have_their_place() -> None:
    made = numbers_of([0.0, -0.0, 1e-30, math.nan, math.inf, -math.inf, 2.0])

    assert (made.count, made.not_finite) == (4, 3)
    assert made.quantile(0.5) == 0.0
    assert made.quantile(1) == 2.0
    assert math.isnan(Numbers().quantile(0.5))


def test_shares_below_edges_rise_to_one() -> None:
    made = numbers_of(np.linspace(-10, 10, 2001).tolist())

    below = made.below([-20, -5, 0, 5, 20])

    assert below == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=0.02)


@pytest.mark.parametrize("values", [[], [0.0], [-3.0, 2.5, 1e9, math.nan]])
def test_what_is_saved_is_read_back(values: list[float]) -> None:
    made = numbers_of(values)

    read = Numbers.from_json(json.loads(json.dumps(made.as_json(), allow_nan=False)))

    assert read.bins == made.bins
    assert (read.count, read.mean, read.not_finite) == (made.count, made.mean, made.not_finite)
    assert (read.least, read.most, read.deviation) == pytest.approx((made.least, made.most, made.deviation))


def test_few_values_are_counted_exactly() -> None:
    made = Frequent()
    made.add(["a", "b"], [2, 1])
    made.add(["b", "c"], [2, 1])

    assert (made.count, made.error) == (6, 0)
    assert made.top(2) == [("b", 3), ("a", 2)]


def test_frequent_values_are_found_among_many_in_constant_memory() -> None:
    made, rng = Frequent(), np.random.default_rng(3)
    exact: dict[int, int] = {}
    for _ in range(40):
        values, counts = np.unique(
            np.concatenate([rng.integers(100, 2**40, 5_000), rng.zipf(2.0, 5_000) % 100]), return_counts=True
        )
        made.add(values.tolist(), counts.tolist())
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            exact[value] = exact.get(value, 0) + count

    best = sorted(exact.items(), key=lambda pair: -pair[1])[:10]
    assert len(made.counts) <= 2 * made._CAPACITY
    assert [value for value, _ in made.top(10)] == [value for value, _ in best]
    assert all(count - made.error <= made.counts[value] <= count for value, count in best)


@pytest.mark.parametrize("count", [0, 1, 1023, 5_000, 300_000])
def test_different_values_are_counted_to_a_tenth(count: int) -> None:
    made = Distinct()
    values = np.arange(count, dtype=np.int64) * 7 - 1000
    made.add(values)
    made.add(values[::3])

    if count < 1024:
        assert made.estimate == count
    else:
        assert made.estimate == pytest.approx(count, rel=0.1)
