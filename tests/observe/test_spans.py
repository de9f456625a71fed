"""Spans of finished requests: which, of what, and that nobody waits for them."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from recserve.observe import spans
from recserve.observe.spans import Spans
from recserve.observe.trace import Trace
from recserve.observe.traceparent import trace_parent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def finished(flags: str = "") -> Trace:
    """A request that is over; with `flags` its caller has a trace."""
    trace = Trace("r1", time.monotonic_ns() - 10_000_000)
    trace.lap("receive")
    trace.lap("run")
    trace.rows = 7
    if flags:
        trace.parent = trace_parent(f"00-{TRACE}-{SPAN}-{flags}".encode())
    return trace


@contextmanager
def exporting(sample: float, exporter: SpanExporter) -> Iterator[Spans]:
    made = Spans("rank", sample, exporter)
    try:
        yield made
    finally:
        made.close()


def exported(sample: float, *traces: Trace, status: int = 200) -> tuple[ReadableSpan, ...]:
    exporter = InMemorySpanExporter()
    with exporting(sample, exporter) as made:
        for trace in traces:
            made.finished(trace, status, "predict")
    return exporter.get_finished_spans()


def test_a_request_is_a_span_and_each_stage_one_below_it_one_after_the_other() -> None:
    trace = finished()
    root, *stages = exported(1.0, trace)

    assert (root.name, root.kind, root.parent) == ("score rank", SpanKind.SERVER, None)
    assert root.attributes is not None
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["recserve.request_id"] == "r1"
    assert root.attributes["recserve.rows"] == 7
    assert [stage.name for stage in stages] == ["receive", "run"]
    assert all(stage.parent == root.context for stage in stages)
    times = [(stage.start_time, stage.end_time) for stage in stages]
    assert times[0][0] == root.start_time
    assert times[0][1] == times[1][0]
    assert times[1][1] == root.end_time
    assert abs(root.start_time - (time.time_ns() - 10_000_000)) < 5e9  # type: ignore[operator]
    assert root.resource.attributes["service.name"] == "rank"


def test_the_span_of_the_caller_is_above_ours_and_the_answer_names_ours() -> None:
    trace = finished("01")
    root, stage, *_ = exported(0.001, trace)

    assert root.parent is not None
    assert root.parent.is_remote
    assert (f"{root.parent.trace_id:032x}", f"{root.parent.span_id:016x}") == (TRACE, SPAN)
    assert f"{root.context.trace_id:032x}" == f"{stage.context.trace_id:032x}" == TRACE
    assert trace.parent is not None
    assert trace.parent.header().decode().split("-")[2] == f"{root.context.span_id:016x}"


def test_a_caller_that_records_is_followed_and_one_that_does_not_is_not() -> None:
    assert exported(1e-9, finished("01"))
    assert not exported(1.0, finished("00"))


def test_of_the_others_a_share_is_chosen() -> None:
    names = [span.name for span in exported(0.25, *(finished() for _ in range(400)))]

    assert 40 < names.count("score rank") < 180


@pytest.mark.parametrize(
    ("status", "code"), [(200, StatusCode.UNSET), (400, StatusCode.UNSET), (500, StatusCode.ERROR)]
)
def test_only_failures_of_ours_are_errors(status: int, code: StatusCode) -> None:
    root, *_ = exported(1.0, finished(), status=status)

    assert root.status.status_code is code


def test_a_name_from_the_variables_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop-rank")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")

    root, *_ = exported(1.0, finished())

    assert root.resource.attributes["service.name"] == "shop-rank"
    assert root.resource.attributes["deployment.environment"] == "test"


class Stuck(SpanExporter):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.go.wait(20)
        return SpanExportResult.SUCCESS


def test_a_full_queue_drops_and_counts_instead_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "QUEUE_REQUESTS", 0)
    with exporting(1.0, InMemorySpanExporter()) as made:
        made.finished(finished(), 200, "predict")
        made.finished(finished(), 200, "predict")
        gauges = made.gauges()

    assert gauges["recserve_spans_dropped_total"][1] == 2


def test_a_collector_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "CLOSE_SECONDS", 0.05)
    exporter = Stuck()
    made = Spans("rank", 1.0, exporter)

    for _ in range(5000):
        made.finished(finished(), 200, "predict")
    made.close()

    assert made.working
    exporter.go.set()
