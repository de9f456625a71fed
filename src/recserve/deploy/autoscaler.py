"""How many instances a service should have by what its instances measure: pure, and the platform's formula.

    wanted = ceil(current × value / threshold), per metric; the largest of them; from min to max

A metric within 10 % of its threshold changes nothing. Upwards the least that was wanted within
`behavior.scaleUp.stabilizationWindowSeconds` counts (0: at once), downwards the most within that of
`scaleDown` (300): the whole window must agree. Source: the platform's page "Horizontal auto scaling".

| form                                                                         | of            |
|------------------------------------------------------------------------------|---------------|
| {"min": 1, "max": 5, "strategies": {"qps": 50}, "behavior": {…}}             | service files |
| {"min": 1, "max": 5, "scaleStrategies": [{"metricName": "qps", "threshold": 50}]} | the API  |
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recserve.deploy.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What can be measured: requests per second, percent of the cores asked for, percent of the cards.
METRICS = ("qps", "cpu", "gpu")
DEAD_BAND = 0.1
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """An autoscaler, checked."""

    least: int
    most: int
    thresholds: Mapping[str, float]  # per instance
    up_window_s: float = 0.0
    down_window_s: float = 300.0


@dataclass
class Memory:
    """What was wanted lately: (when, how many), the newest last."""

    wanted: list[tuple[float, int]] = field(default_factory=list)


def rule(values: Mapping[str, Any]) -> Rule:
    """Check an autoscaler in either form; RefusedError with everything that is wrong."""
    problems: list[str] = []
    least, most = values.get("min"), values.get("max")
    for name, value in (("min", least), ("max", most)):
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
            problems.append(f"autoscaler.{name} is {value!r}; a whole number from 1 to {_MOST:,} is expected")
    if not problems and isinstance(least, int) and isinstance(most, int) and most <= least:
        problems.append(f"autoscaler.max is {most}; more than min ({least}) is expected")
    thresholds = _thresholds(values, problems)
    windows = [
        _window(values, side, default, problems) for side, default in (("scaleUp", 0), ("scaleDown", 300))
    ]
    if problems:
        raise RefusedError(problems)
    return Rule(int(least or 1), int(most or 1), thresholds, *windows)


def wanted(rule: Rule, current: int, measured: Mapping[str, float], memory: Memory, now: float) -> int:
    """How many instances there should be now.

    `measured`: averages over the instances that are ready; a metric that nobody measures is passed over.
    `memory` is added to.
    """
    asked = [
        _by_one(current, measured[metric], threshold)
        for metric, threshold in rule.thresholds.items()
        if metric in measured
    ]
    now_wanted = min(rule.most, max(rule.least, max(asked, default=current)))
    memory.wanted.append((now, now_wanted))
    window = max(rule.up_window_s, rule.down_window_s)
    while memory.wanted[0][0] < now - window:
        del memory.wanted[0]
    up = min(count for at, count in memory.wanted if at >= now - rule.up_window_s)
    down = max(count for at, count in memory.wanted if at >= now - rule.down_window_s)
    if up > current:
        return up
    if down < current and memory.wanted[0][0] <= now - rule.down_window_s + _SLACK_S:
        return down
    return min(rule.most, max(rule.least, current))


#: Measurements come every few seconds: a window is full if its oldest is that near to its beginning.
_SLACK_S = 15.0


def average(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each metric, over those who measured it."""
    names = {name for sample in samples for name in sample}
    found = {name: [sample[name] for sample in samples if name in sample] for name in names}
    return {name: sum(every) / len(every) for name, every in found.items()}


def _by_one(current: int, value: float, threshold: float) -> int:
    share = value / threshold
    return current if abs(share - 1) <= DEAD_BAND else math.ceil(current * share - 1e-9)


def _thresholds(values: Mapping[str, Any], problems: list[str]) -> dict[str, float]:
    listed = values.get("scaleStrategies")
    pairs: list[tuple[Any, Any]] = []
    if isinstance(listed, list) and all(isinstance(one, dict) for one in listed):
        pairs = [(one.get("metricName"), one.get("threshold")) for one in listed]
    elif isinstance(values.get("strategies"), dict):
        pairs = list(values["strategies"].items())
    if not pairs:
        problems.append('autoscaler has no strategies; {"strategies": {"qps": 50}} is expected')
    found = {}
    for name, threshold in pairs:
        if name not in METRICS:
            problems.append(f"autoscaler: {name!r} is not measured; {', '.join(METRICS)} are")
        elif not isinstance(threshold, (int, float)) or isinstance(threshold, bool) or not threshold > 0:
            problems.append(f"autoscaler: the threshold of {name} is {threshold!r}; more than 0 is expected")
        else:
            found[str(name)] = float(threshold)
    return found


def _window(values: Mapping[str, Any], side: str, default: int, problems: list[str]) -> float:
    behavior = values.get("behavior") or {}
    found = (
        (behavior.get(side) or {}).get("stabilizationWindowSeconds", default)
        if isinstance(behavior, dict)
        else None
    )
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= 3600:
        problems.append(
            f"autoscaler.behavior.{side}.stabilizationWindowSeconds is {found!r}; from 0 to 3600 is expected"
        )
        return float(default)
    return float(found)
