"""Kept requests, sent again to one service or to two: does it answer, do both answer the same, how fast?

    kept requests ──▶ A ─┐
                  └─▶ B ─┴▶ differences of scores, order of items, latencies ──▶ Report ──▶ verdict

Requests ask for scores only, whatever they asked for when they were kept. Which service is asked first
changes from one request to the next, so that neither has the warmer machine.

| figure    | means                                                                               |
|-----------|-------------------------------------------------------------------------------------|
| max, mean | of abs(b - a) over all scores of an output; a NaN on one side only is infinite      |
| overlap   | how many of the k best items of A are among those of B, of k; mean over requests    |
| spearman  | correlation of the ranks of all items, ties share theirs; mean over requests        |
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import urllib3

from recserve.client.answered import answered
from recserve.client.captures import read
from recserve.client.errors import ClientError
from recserve.errors import RequestError
from recserve.wire import tensors, torchrec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.client.captures import Kept

    Outputs = Mapping[str, NDArray[Any]]

#: Requests that a report names as the worst.
_WORST = 10


@dataclass(frozen=True, slots=True)
class Service:
    """Whom to ask."""

    url: str  # the whole, where predictions are posted
    token: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a verdict allows."""

    tolerance: float = 1e-6  # of abs(b - a) of any score
    least_overlap: float = 0.0  # of the k best items, mean over requests
    most_slowdown: float = math.inf  # of the median latency of B over that of A
    top: int = 10  # k


@dataclass(frozen=True, slots=True)
class Reply:
    """What one service said to one request."""

    milliseconds: float
    status: int  # 0: no answer at all
    error: str = ""


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """How one output of one request differs."""

    largest: float
    mean: float
    overlap: float
    spearman: float


@dataclass(frozen=True, slots=True)
class Replayed:
    """One request and what became of it; scores are not kept, there may be many requests."""

    name: str
    replies: tuple[Reply, ...]
    differences: Mapping[str, OutputDifference] = field(default_factory=dict)
    problem: str = ""  # why the replies cannot be compared

    @property
    def largest(self) -> float:
        """The largest difference of any score."""
        return max((difference.largest for difference in self.differences.values()), default=0.0)


@dataclass(slots=True)
class Report:
    """What came of all requests."""

    services: Sequence[Service]
    limits: Limits
    requests: list[Replayed] = field(default_factory=list)

    def latencies(self, place: int) -> NDArray[np.float64]:
        """Milliseconds of the place-th service's answers, sorted."""
        replies = (request.replies[place] for request in self.requests)
        return np.sort(np.array([reply.milliseconds for reply in replies if reply.status == 200]))

    def outputs(self) -> dict[str, dict[str, float]]:
        """Figures of each output over all requests."""
        found: dict[str, list[OutputDifference]] = {}
        for request in self.requests:
            for name, difference in request.differences.items():
                found.setdefault(name, []).append(difference)
        return {
            name: {
                "max": max(one.largest for one in all_of),
                "mean": float(np.mean([one.mean for one in all_of])),
                "overlap": float(np.mean([one.overlap for one in all_of])),
                "spearman": float(np.mean([one.spearman for one in all_of])),
            }
            for name, all_of in found.items()
        }

    def slowdown(self) -> float:
        """The median latency of the second service over that of the first."""
        first, second = self.latencies(0), self.latencies(1)
        return float(np.median(second) / np.median(first)) if len(first) and len(second) else math.nan

    def worst(self) -> list[Replayed]:
        """The requests to look at first: those without two answers, then those that differ most."""
        bad = [request for request in self.requests if request.problem or request.largest > 0]
        return sorted(bad, key=lambda request: (not request.problem, -request.largest))[:_WORST]

    def objections(self) -> list[str]:
        """Why the verdict is no; empty: it is yes."""
        found = []
        if unanswered := sum(bool(request.problem) for request in self.requests):
            found.append(f"{unanswered} of {len(self.requests)} requests could not be answered or compared")
        for name, figures in self.outputs().items():
            if not figures["max"] <= self.limits.tolerance:
                found.append(f"{name} differs by {figures['max']:.3g}; {self.limits.tolerance:g} is allowed")
            if figures["overlap"] < self.limits.least_overlap:
                found.append(
                    f"{name}: of the best {self.limits.top}, {figures['overlap']:.1%} are the same; "
                    f"{self.limits.least_overlap:.1%} are expected"
                )
        if len(self.services) == 2 and self.slowdown() > self.limits.most_slowdown:
            found.append(
                f"{self.slowdown():.2f} times as slow; {self.limits.most_slowdown:g} times is allowed"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """All figures; what is no number, or infinite, is null."""
        services = []
        for place, service in enumerate(self.services):
            statuses: dict[str, int] = {}
            for request in self.requests:
                key = str(request.replies[place].status)
                statuses[key] = statuses.get(key, 0) + 1
            services.append({"url": service.url, "statuses": statuses, **_percentiles(self.latencies(place))})
        report: dict[str, Any] = {"requests": len(self.requests), "services": services}
        if len(self.services) == 2:
            report |= {"outputs": self.outputs(), "slowdown": self.slowdown()}
        report["worst"] = [
            {"name": request.name, "max": request.largest, "problem": request.problem}
            for request in self.worst()
        ]
        report["objections"] = self.objections()
        report["verdict"] = "no" if report["objections"] else "yes"
        return {key: _plain(value) for key, value in report.items()}


def replay(
    files: Sequence[Path],
    services: Sequence[Service],
    *,
    limits: Limits | None = None,
    timeout_s: float = 10.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Send each kept request to one or two services, one after the other.

    A file that cannot be read is a problem of that request, not the end.
    """
    if not 1 <= len(services) <= 2:
        raise RequestError(f"{len(services)} services; kept requests are sent to one, or to two to compare")
    limits = limits or Limits()
    report = Report(services, limits)
    pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=timeout_s))
    try:
        for number, file in enumerate(files):
            progress(number, len(files))
            report.requests.append(_replay_one(pool, file, services, limits, swap=number % 2 == 1))
        progress(len(files), len(files))
    finally:
        pool.clear()
    return report


def _replay_one(
    pool: urllib3.PoolManager, file: Path, services: Sequence[Service], limits: Limits, *, swap: bool
) -> Replayed:
    try:
        kept = read(file)
    except RequestError as error:
        return Replayed(str(file), tuple(Reply(0.0, 0) for _ in services), problem=str(error))
    asked = [_ask(pool, service, kept) for service in (reversed(services) if swap else services)]
    if swap:
        asked.reverse()
    replies = tuple(reply for reply, _ in asked)
    problem = next((reply.error for reply in replies if reply.error), "")
    if problem or len(replies) == 1:
        return Replayed(str(file), replies, problem=problem)
    try:
        differences = compare(asked[0][1], asked[1][1], top=limits.top)
    except RequestError as error:
        return Replayed(str(file), replies, problem=str(error))
    return Replayed(str(file), replies, differences)


def _ask(pool: urllib3.PoolManager, service: Service, kept: Kept) -> tuple[Reply, Outputs]:
    headers = {"Content-Type": "application/octet-stream"}
    if service.token:
        headers["Authorization"] = service.token
    body = kept.data.without_level()
    began = time.perf_counter()
    try:
        _, answer = answered(pool, "POST", service.url, body=body, headers=headers)
    except ClientError as error:
        return Reply((time.perf_counter() - began) * 1e3, error.code, str(error)), {}
    spent = (time.perf_counter() - began) * 1e3
    try:
        return Reply(spent, 200), _outputs(kept, answer)
    except RequestError as error:
        return Reply(spent, 200, f"{service.url} answered 200 with what is no response: {error}"), {}


def _outputs(kept: Kept, answer: bytes) -> Outputs:
    if kept.data.kind == "features":
        return torchrec.decode_response(answer).outputs
    response = tensors.decode_response(answer)
    return {**{str(place): values for place, values in enumerate(response.outputs)}, **response.named_outputs}


def compare(first: Outputs, second: Outputs, *, top: int) -> dict[str, OutputDifference]:
    """Compare what two services answered. Raises RequestError if outputs or their shapes differ."""
    if first.keys() != second.keys():
        raise RequestError(f"outputs differ: {sorted(first)} and {sorted(second)}")
    differences = {}
    for name, values in first.items():
        a, b = np.atleast_1d(np.asarray(values)), np.atleast_1d(np.asarray(second[name]))
        if a.shape != b.shape:
            raise RequestError(f"shapes of output '{name}' differ: {list(a.shape)} and {list(b.shape)}")
        differences[name] = _difference(a.astype(np.float64), b.astype(np.float64), top)
    return differences


def _difference(a: NDArray[np.float64], b: NDArray[np.float64], top: int) -> OutputDifference:
    """The order of items is that of their score, of a row of several by the first of them."""
    if not a.size:
        return OutputDifference(0.0, 0.0, 1.0, 1.0)
    with np.errstate(invalid="ignore"):  # infinite on both sides: equal, below
        apart = np.abs(b - a)
    apart[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    apart[np.isnan(apart)] = np.inf
    one, other = (np.nan_to_num(values.reshape(len(values), -1)[:, 0], nan=-np.inf) for values in (a, b))
    return OutputDifference(
        float(apart.max()), float(apart.mean()), overlap(one, other, top), spearman(one, other)
    )


def overlap(a: NDArray[np.float64], b: NDArray[np.float64], top: int) -> float:
    """The share of the best of `a` that are as good as the best of `b`: equal scores are equally good."""
    count = min(top, len(a))
    best = np.argsort(-a, kind="stable")[:count]
    worst_of_best = np.sort(b)[::-1][count - 1]
    return float(np.mean(~(b[best] < worst_of_best)))


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The correlation of ranks, 1 where one side is all ties and so has no order."""
    one, other = _ranks(a), _ranks(b)
    spread = float(one.std() * other.std())
    if spread == 0:
        return 1.0
    return float(np.mean((one - one.mean()) * (other - other.mean())) / spread)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = ((ends - counts + ends - 1) / 2.0)[place]
    return ranks


def _percentiles(latencies: NDArray[np.float64]) -> dict[str, float]:
    if not len(latencies):
        return {"p50_ms": math.nan, "p99_ms": math.nan}
    return {
        "p50_ms": float(np.percentile(latencies, 50)),
        "p99_ms": float(np.percentile(latencies, 99)),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
