"""OpenTelemetry spans of requests and their stages, exported beside the answers (`rpc.trace_sample`).

    finished request ──chosen──▶ queue ──thread──▶ spans ──▶ BatchSpanProcessor ──OTLP over HTTP──▶ collector
                                   └── full: dropped, counted

    score rank                    one span per request, a child of the caller's if it sent a `traceparent`
    ├── receive ├── queue ├── decode …      one per stage, from the clock that every request has anyway

The event loop decides and puts one record into a queue; spans are made on a thread of its own. A caller that
records its trace is always followed; one that says it does not is not; of the others a share is chosen.

Where they go, and under which name, is said by OpenTelemetry's own variables, of the process or of
`processor_envs`: OTEL_EXPORTER_OTLP_ENDPOINT and _HEADERS, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and
OTEL_BSP_….

The one file that imports opentelemetry.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from dataclasses import dataclass
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any

from recserve.errors import ConfigError

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
except ImportError as e:
    raise ConfigError(
        f"metadata.rpc.trace_sample: OpenTelemetry cannot be had ({e}); pip install 'recserve[otel]'"
    ) from e

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace.export import SpanExporter

    from recserve.observe.trace import Trace

logger = logging.getLogger("recserve.spans")

#: Requests whose spans wait to be made; one more is dropped.
QUEUE_REQUESTS = 2048
#: How long the end of the process waits for what is to be exported.
CLOSE_SECONDS = 3.0
_SCOPE = InstrumentationScope("recserve")
_RECORDED = TraceFlags(TraceFlags.SAMPLED)


@dataclass(frozen=True, slots=True)
class _Finished:
    """What spans are made of."""

    trace: Trace
    status: int
    door: str
    began_ns: int  # since 1970


class Spans:
    """Takes finished requests on the event loop, and makes spans of them on a thread."""

    def __init__(self, service: str, sample: float, exporter: SpanExporter | None = None) -> None:
        """`sample` is the share of requests to choose; without `exporter` it is OTLP, as variables say."""
        self.dropped = 0
        self._service = service
        self._sample = sample
        self._resource = Resource.create()
        if str(self._resource.attributes[SERVICE_NAME]).startswith("unknown_service"):  # no variable says it
            self._resource = self._resource.merge(Resource({SERVICE_NAME: service}))
        self._processor = BatchSpanProcessor(exporter or OTLPSpanExporter())
        self._queue: deque[_Finished] = deque()
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="recserve-spans", daemon=True)
        self._thread.start()

    def finished(self, trace: Trace, status: int, door: str) -> None:
        """Look at a finished request; never waits. `trace` is not written any more."""
        parent = trace.parent
        if not (parent.sampled if parent is not None else random.random() < self._sample):
            return
        if len(self._queue) >= QUEUE_REQUESTS:
            self.dropped += 1
            return
        self._queue.append(_Finished(trace, status, door, time_ns() - (monotonic_ns() - trace.started_ns)))
        self._wake.set()

    def close(self) -> None:
        """Export what waits, as far as there is time; call it on a thread."""
        self._closed = True
        self._wake.set()
        self._thread.join(CLOSE_SECONDS)

    @property
    def working(self) -> bool:
        """Whether the thread is still at it although all is closed."""
        return self._thread.is_alive()

    def gauges(self) -> Mapping[str, tuple[str, float]]:
        """Plain counts for `/metrics`."""
        return {
            "recserve_spans_dropped_total": (
                "Requests whose spans found the queue full.",
                float(self.dropped),
            )
        }

    def _work(self) -> None:
        while not self._closed or self._queue:
            self._wake.wait()
            self._wake.clear()
            while self._queue:
                for span in self._made(self._queue.popleft()):
                    self._processor.on_end(span)
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _made(self, finished: _Finished) -> list[ReadableSpan]:
        trace, parent = finished.trace, finished.trace.parent
        trace_id = int(parent.trace_id, 16) if parent else random.getrandbits(128) or 1
        own = _context(trace_id, int(parent.own, 16) if parent else _span_id())
        attributes: dict[str, Any] = {
            "http.response.status_code": finished.status,
            "recserve.service": self._service,
            "recserve.door": finished.door,
            "recserve.request_id": trace.request_id,
            "recserve.rows": trace.rows,
            "recserve.missing_items": trace.missing_items,
        }
        failed = finished.status >= 500
        root = self._span(
            f"score {self._service}",
            own,
            _context(trace_id, int(parent.caller, 16), is_remote=True) if parent else None,
            (finished.began_ns, finished.began_ns + trace.total_ns),
            kind=SpanKind.SERVER,
            attributes=attributes,
            status=Status(StatusCode.ERROR) if failed else Status(),
        )
        spans = [root]
        at = finished.began_ns
        for stage, ns in trace.wall_ns.items():  # one after the other, as they were
            spans.append(self._span(stage, _context(trace_id, _span_id()), own, (at, at + ns)))
            at += ns
        return spans

    def _span(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        times: tuple[int, int],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        status: Status | None = None,
    ) -> ReadableSpan:
        return ReadableSpan(
            name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=kind,
            status=status or Status(),
            start_time=times[0],
            end_time=times[1],
            instrumentation_scope=_SCOPE,
        )


def _context(trace_id: int, span_id: int, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote, _RECORDED)


def _span_id() -> int:
    return random.getrandbits(64) or 1
