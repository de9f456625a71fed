"""Prometheus metrics of one service.

The counts are plain numbers, written by the event loop alone, so that a request pays no lock and no label
look-up (prometheus_client's own histograms cost about 2 us per value, and a request has nine). They become
Prometheus families when somebody scrapes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

from recserve.observe.trace import CPU_SAMPLE, STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.metrics_core import Metric

    from recserve.observe.trace import Trace

    Labelled = Mapping[tuple[tuple[str, str], ...], float]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: From a stage of a tiny request to a budget of ten seconds.
BOUNDS_SECONDS = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
    0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
_BOUNDS_NS = tuple(round(bound * 1e9) for bound in BOUNDS_SECONDS)


class Histogram:
    """Counts of durations per bucket, and their sum. For one writing thread."""

    __slots__ = ("counts", "sum_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS_NS) + 1)  # the last one is +Inf
        self.sum_ns = 0

    def add(self, ns: int) -> None:
        """Count one duration; a bucket holds what is not longer than its bound."""
        self.counts[bisect_left(_BOUNDS_NS, ns)] += 1
        self.sum_ns += ns

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        result: list[tuple[str, float]] = []
        seen = 0
        for bound, count in zip((*BOUNDS_SECONDS, "+Inf"), self.counts, strict=True):
            seen += count
            result.append((str(bound), float(seen)))
        return result


class Metrics(Collector):
    """What `/metrics` shows. `finished` and `refused` are called on the event loop only.

    `gauges` is asked at every scrape for what others count, such as the queue depth:
    name → (sentence, value); a name that ends in `_total` is a counter. A value may be one for each
    combination of labels, ((label, its value), ...) → value.
    """

    def __init__(
        self, service: str, gauges: Callable[[], Mapping[str, tuple[str, float | Labelled]]] | None = None
    ) -> None:
        self.service = service
        #: What is served, in words; asked at every scrape.
        self.describe: Callable[[], Mapping[str, str]] = dict
        self.requests: Counter[tuple[str, int]] = Counter()  # (door, HTTP status)
        self.rows = 0
        self.missing_items = 0
        self.request_bytes = 0
        self.response_bytes = 0
        self._total = Histogram()
        self._stages = {stage: Histogram() for stage in STAGES}
        self._stage_cpu_ns: Counter[str] = Counter()
        self._gauges = gauges
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def finished(self, trace: Trace, status: int, *, door: str, received: int, sent: int) -> None:
        """Count a prediction request that was read; `received` and `sent` are bytes of the bodies."""
        self.requests[door, status] += 1
        self.rows += trace.rows
        self.missing_items += trace.missing_items
        self.request_bytes += received
        self.response_bytes += sent
        self._total.add(trace.total_ns)
        for stage, ns in trace.wall_ns.items():
            self._stages[stage].add(ns)
        for stage, ns in trace.cpu_ns.items():
            self._stage_cpu_ns[stage] += ns * CPU_SAMPLE

    def refused(self, status: int) -> None:
        """Count a request that was refused before there was anything to trace, or any door to name."""
        self.requests["", status] += 1

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """One family after the other; called by the registry."""
        yield InfoMetricFamily(
            "recserve_model", "What is served.", value={"service": self.service, **self.describe()}
        )
        requests = CounterMetricFamily(
            "recserve_requests", "Prediction requests by door and HTTP status.", labels=["door", "status"]
        )
        for (door, status), count in sorted(self.requests.items()):
            requests.add_metric([door, str(status)], count)
        yield requests
        total = HistogramMetricFamily(
            "recserve_request_duration_seconds", "From the first byte of a request to its answer."
        )
        total.add_metric([], self._total.buckets(), self._total.sum_ns / 1e9)
        yield total
        yield self._stage_times()
        cpu = CounterMetricFamily(
            "recserve_stage_cpu_seconds",
            f"CPU time of worker threads, from one request in {CPU_SAMPLE}.",
            labels=["stage"],
        )
        for stage, ns in self._stage_cpu_ns.items():
            cpu.add_metric([stage], ns / 1e9)
        yield cpu
        for name, sentence, value in (
            ("recserve_rows", "Rows that were scored.", self.rows),
            ("recserve_missing_items", "Rows whose item id was unknown.", self.missing_items),
            ("recserve_request_body_bytes", "Bytes of request bodies.", self.request_bytes),
            ("recserve_response_body_bytes", "Bytes of answers.", self.response_bytes),
        ):
            yield CounterMetricFamily(name, sentence, value=value)
        for name, (sentence, number) in (self._gauges() if self._gauges else {}).items():
            yield _family(name, sentence, number)

    def _stage_times(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(
            "recserve_stage_duration_seconds", "Wall time of one stage of a request.", labels=["stage"]
        )
        for stage, histogram in self._stages.items():
            family.add_metric([stage], histogram.buckets(), histogram.sum_ns / 1e9)
        return family


def _family(name: str, sentence: str, value: float | Labelled) -> Metric:
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    if isinstance(value, (int, float)):
        return kind(name, sentence, value=value)
    labels = [label for label, _ in next(iter(value), ())]
    family = kind(name, sentence, labels=labels)
    for pairs, number in value.items():
        family.add_metric([text for _, text in pairs], number)
    return family
