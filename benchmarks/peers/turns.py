"""What is measured of one server while it is alone on the machine, and in which order servers take turns.

    round 1:       each server: start ─▶ same scores? ─▶ warm ─▶ 1 caller ─▶ saturated ─▶ memory ─▶ end
    later rounds:  the same, and an open loop at the one rate that all are offered, for the tail

The rate comes from the first round: 70 % of what the best peer reached.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.peers.servers import PEERS, SERVERS, Running, StartError

from recserve.client.load import LoadPlan, LoadResult, run_load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.workloads import Workload
    from numpy.typing import NDArray

    #: Told which turn begins.
    Progress = Callable[[str], None]
    Scores = list[NDArray[np.float32]]

SATURATING = 8  # callers of the closed loop that saturates two cores
LOAD = 0.7  # of the best peer's saturation, for the tail
TOLERANCE = 1e-5
COMPARED = 20  # requests whose scores are compared
MOST_LOST = 0.01  # share of unanswered requests up to which there is a 99th percentile


@dataclass(frozen=True)
class Turn:
    """What one server did in one round."""

    p50_ms: float  # one caller
    throughput: float  # answers per second, saturated
    cpu_ms: float  # of all its processes, per request, saturated
    rss_mb: float  # of all its processes
    pss_mb: float  # with what they share counted once
    p99_ms: float | None = None  # at the common rate; inf if it did not keep up


@dataclass(frozen=True)
class Plan:
    """How long things are measured."""

    rounds: int
    seconds: float  # of one caller, and of saturation
    tail_seconds: float  # of the open loop; 0: none


class Contest:
    """All rounds of one workload."""

    def __init__(
        self,
        workload: Workload,
        names: Sequence[str],
        *,
        folder: Path,
        bin: Path,
        plan: Plan,
        progress: Progress,
    ) -> None:
        self.workload = workload
        self.plan = plan
        self.turns: dict[str, list[Turn]] = {name: [] for name in names}
        self.left_out: dict[str, str] = {}
        self.rate = 0.0
        self._folder = folder
        self._bin = bin
        self._progress = progress
        self._expected: Scores = []

    def run(self) -> dict[str, Any]:
        """Medians per server, the common rate, and who was left out for which reason."""
        for number in range(1, self.plan.rounds + 1):
            for name in self.turns:
                if name not in self.left_out:
                    self._take_turn(name, number)
            if number == 1 and self.plan.tail_seconds:
                self.rate = LOAD * self._best_throughput()
        figures = {name: medians(turns) for name, turns in self.turns.items() if name not in self.left_out}
        return {"rate": self.rate, "servers": figures, "left_out": self.left_out}

    def _take_turn(self, name: str, number: int) -> None:
        server = SERVERS[name]
        where = f"{self.workload.name}, round {number} of {self.plan.rounds}: {server.name}"
        self._progress(where)
        try:
            with server.run(self.workload, self._folder, self._bin) as running:
                self._compare(running, server.name)
                self.turns[name].append(self._measure(running))
        except StartError as error:
            self.left_out[name] = str(error)

    def _compare(self, running: Running, name: str) -> None:
        """Nobody is timed whose scores differ from those of the first server: recserve, if it takes part."""
        found = [running.ask(body) for body in running.bodies[:COMPARED]]
        self._expected = self._expected or found
        for k, (scores, expected) in enumerate(zip(found, self._expected, strict=True)):
            if scores.shape != expected.shape or not np.allclose(scores, expected, rtol=0, atol=TOLERANCE):
                raise StartError(f"{name} answers other scores to request {k}: {scores[:3]}, {expected[:3]}")

    def _measure(self, running: Running) -> Turn:
        seconds, tree = self.plan.seconds, running.tree
        _answered(running, LoadPlan(duration_s=max(1.0, seconds / 2), concurrency=SATURATING))
        alone = _answered(running, LoadPlan(duration_s=seconds))
        before = tree.cpu_seconds()
        full = _answered(running, LoadPlan(duration_s=seconds, concurrency=SATURATING))
        cpu = tree.cpu_seconds() - before
        resident, shared_out = tree.memory_mb()
        turn = Turn(alone.p50_ms, full.throughput, 1e3 * cpu / full.answered, resident, shared_out)
        if not self.rate:
            return turn
        plan = LoadPlan(duration_s=self.plan.tail_seconds, concurrency=64, rate=self.rate)
        return replace(turn, p99_ms=_tail_ms(_load(running, plan)))

    def _best_throughput(self) -> float:
        """That of the best peer; of whoever took part if there was no peer."""
        reached = {name: turns[0].throughput for name, turns in self.turns.items() if turns}
        return max([v for name, v in reached.items() if name in PEERS] or [*reached.values(), 0.0])


def medians(turns: Sequence[Turn]) -> dict[str, float]:
    """Each figure's median over the rounds that have it."""
    columns = {key: [getattr(turn, key) for turn in turns] for key in Turn.__annotations__}
    present = {key: [value for value in column if value is not None] for key, column in columns.items()}
    return {key: statistics.median(column) for key, column in present.items() if column}


def best_peer(servers: dict[str, dict[str, float]], figure: str) -> float:
    """The figure of the peer that is best at it: more is better for throughput alone."""
    found = [servers[name][figure] for name in PEERS if figure in servers.get(name, {})]
    if not found:
        return math.nan
    return max(found) if figure == "throughput" else min(found)


def ratio(servers: dict[str, dict[str, float]], name: str, figure: str) -> float:
    """A server's figure by that of the peer which is best at it; NaN where one is missing."""
    return servers.get(name, {}).get(figure, math.nan) / best_peer(servers, figure)


def _load(running: Running, plan: LoadPlan) -> LoadResult:
    return run_load(running.url, running.bodies, plan, headers=running.headers)


def _answered(running: Running, plan: LoadPlan) -> LoadResult:
    """One run of the load generator in which every request must be answered."""
    result = _load(running, plan)
    if result.failures or not result.answered:
        raise StartError(f"{running.url} does not answer all requests: {dict(result.failures)}")
    return result


def _tail_ms(result: LoadResult) -> float:
    lost = sum(result.failures.values())
    return result.p99_ms if lost <= MOST_LOST * result.requests else math.inf
