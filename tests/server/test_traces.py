"""A caller's trace: in answers, in logs, and as spans at a collector."""

from __future__ import annotations

import gzip
import logging
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.server.conftest import DOUBLE, Rank, running, tensors_of
from tests.server.test_grpc_door import RUN, TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("body", [DOUBLE, b"garbage"])
def test_an_answer_is_of_the_trace_of_its_request(rank: Rank, body: bytes) -> None:
    answered = rank.post(body, traceparent=PARENT).headers["traceparent"]

    version, trace_id, span_id, flags = answered.split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "01")
    assert span_id != SPAN


@pytest.mark.parametrize("given", ["", "nonsense", f"00-{'0' * 32}-{SPAN}-01"])
def test_what_is_no_traceparent_is_as_none(rank: Rank, given: str) -> None:
    response = rank.post(traceparent=given)

    assert response.status == 200
    assert "traceparent" not in response.headers


def test_log_lines_name_the_trace(rank: Rank, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "recserve"):
        rank.post(b"garbage", traceparent=PARENT, X_Request_Id="r1")
        rank.post(tensors_of(x=1, fail=1), traceparent=PARENT, X_Request_Id="r2")

    named = [(vars(line).get("request_id"), vars(line).get("trace_id")) for line in caplog.records]
    assert named == [("r1", TRACE), ("r2", TRACE)]


def test_a_grpc_call_is_of_the_trace_in_its_metadata() -> None:
    with (
        running(grpc_port=-1) as rank,
        grpc.insecure_channel(f"127.0.0.1:{rank.server.grpc_port}") as channel,
    ):
        call = channel.unary_unary(RUN).future(DOUBLE, metadata=(*TOKEN, ("traceparent", PARENT)), timeout=20)
        call.result()
        assert dict(call.trailing_metadata())["traceparent"].startswith(f"00-{TRACE}-")


# --- a collector ---


@contextmanager
def collector() -> Iterator[tuple[str, Queue[ExportTraceServiceRequest]]]:
    """A receiver of OTLP over HTTP: its address, and what it is sent."""
    received: Queue[ExportTraceServiceRequest] = Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            received.put(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def test_spans_arrive_at_a_collector_with_the_stages_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with running(trace_sample=1.0) as rank:
            rank.post(traceparent=PARENT)
            spans = received.get(timeout=20).resource_spans[0].scope_spans[0].spans
            while len(spans) < 7:
                spans.extend(received.get(timeout=20).resource_spans[0].scope_spans[0].spans)
            assert rank.metric("recserve_spans_dropped_total") == 0

    root = spans[0]
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, SPAN)
    stages = ["receive", "queue", "decode", "run", "encode", "respond"]
    assert [span.name for span in spans] == ["score rank", *stages]
    assert all(span.parent_span_id == root.span_id for span in spans[1:])


def test_what_waits_is_exported_when_the_server_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
        with running(trace_sample=1.0) as rank:
            rank.post()
        assert received.get(timeout=20).resource_spans[0].scope_spans[0].spans[0].name == "score rank"


def test_a_collector_that_is_not_there_disturbs_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with running(trace_sample=1.0) as rank:
        assert [rank.post().status for _ in range(50)] == [200] * 50
