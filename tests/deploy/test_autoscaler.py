from __future__ import annotations

import pytest

from recserve.deploy.autoscaler import Memory, Rule, average, rule, wanted
from recserve.deploy.errors import RefusedError

QPS = Rule(1, 10, {"qps": 50.0}, 0.0, 300.0)


def settled(rule: Rule, current: int, measured: dict[str, float]) -> int:
    """What is wanted when it has measured the same for long."""
    memory = Memory()
    for now in range(0, 600, 5):
        found = wanted(rule, current, measured, memory, float(now))
    return found


@pytest.mark.parametrize(
    ("current", "qps", "expected"),
    [(2, 100, 4), (2, 101, 5), (2, 54, 2), (2, 46, 2), (2, 56, 3), (4, 25, 2), (4, 0, 1), (4, 5000, 10)],
)
def test_the_formula(current: int, qps: float, expected: int) -> None:
    assert settled(QPS, current, {"qps": qps}) == expected


def test_the_largest_of_all_metrics_counts() -> None:
    both = Rule(1, 10, {"qps": 50.0, "cpu": 40.0})

    assert settled(both, 2, {"qps": 25.0, "cpu": 80.0}) == 4


def test_what_nobody_measures_changes_nothing() -> None:
    assert settled(QPS, 3, {}) == 3


def test_upwards_is_at_once_and_downwards_when_the_whole_window_agrees() -> None:
    memory = Memory()
    assert wanted(QPS, 2, {"qps": 200.0}, memory, 0.0) == 8
    assert [wanted(QPS, 8, {"qps": 10.0}, memory, float(now)) for now in range(5, 295, 5)] == [8] * 58

    assert wanted(QPS, 8, {"qps": 10.0}, memory, 305.0) == 2


def test_one_peak_within_the_window_keeps_what_there_is() -> None:
    memory = Memory()
    for now in range(0, 400, 5):
        found = wanted(QPS, 4, {"qps": 50.0 if now == 200 else 10.0}, memory, float(now))

    assert found == 4


def test_a_window_upwards_waits_as_well() -> None:
    slow = Rule(1, 10, {"qps": 50.0}, up_window_s=60.0)
    memory = Memory()
    assert wanted(slow, 2, {"qps": 50.0}, memory, 0.0) == 2
    assert wanted(slow, 2, {"qps": 200.0}, memory, 30.0) == 2
    assert wanted(slow, 2, {"qps": 200.0}, memory, 61.0) == 8


def test_averages_are_over_those_who_measured() -> None:
    assert average([{"qps": 10.0}, {"qps": 20.0, "cpu": 5.0}, {}]) == {"qps": 15.0, "cpu": 5.0}
    assert average([]) == {}


def test_both_forms_are_read() -> None:
    behavior = {
        "scaleUp": {"stabilizationWindowSeconds": 10},
        "scaleDown": {"stabilizationWindowSeconds": 20},
    }
    assert rule({"min": 1, "max": 5, "strategies": {"qps": 50}, "behavior": behavior}) == Rule(
        1, 5, {"qps": 50.0}, 10.0, 20.0
    )
    listed = [{"metricName": "cpu", "service": "rank", "threshold": 60}]
    assert rule({"min": 2, "max": 3, "scaleStrategies": listed}) == Rule(2, 3, {"cpu": 60.0})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "autoscaler.min is None"),
        ({"min": 0, "max": 5, "strategies": {"qps": 1}}, "autoscaler.min is 0"),
        ({"min": 5, "max": 5, "strategies": {"qps": 1}}, r"more than min \(5\)"),
        ({"min": 1, "max": 5, "strategies": {"tokens": 1}}, "'tokens' is not measured; qps, cpu, gpu are"),
        ({"min": 1, "max": 5, "strategies": {"qps": 0}}, "the threshold of qps is 0"),
        ({"min": 1, "max": 5}, "no strategies"),
        (
            {
                "min": 1,
                "max": 5,
                "strategies": {"qps": 1},
                "behavior": {"scaleUp": {"stabilizationWindowSeconds": -1}},
            },
            "scaleUp.stabilizationWindowSeconds is -1",
        ),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        rule(values)
