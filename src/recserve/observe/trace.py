"""Where the time of one request went.

receive ─▶ queue ─▶ decode ─▶ (look_up_user) ─▶ look_up ─▶ generate ─▶ run ─▶ encode ─▶ respond

`lap("decode")` says: what happened since the last lap was *decode*. That is one clock read per stage, so
every request is traced. CPU time is another matter: asking the kernel for it costs up to 2 us per stage, so
it is measured for one request in CPU_SAMPLE.
"""

from __future__ import annotations

from time import monotonic_ns, thread_time_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recserve.observe.traceparent import TraceParent

#: Every stage that a request can pass, in the order of its journey.
STAGES = (
    "receive",
    "queue",
    "decode",
    "look_up_user",
    "look_up",
    "generate",
    "run",
    "encode",
    "respond",
)

#: Of so many requests, one has its CPU time measured.
CPU_SAMPLE = 16


class Trace:
    """The stages of one request. Written by one thread at a time: event loop, worker, event loop again."""

    __slots__ = (
        "_cpu_at",
        "_wall_at",
        "captured",
        "cpu_ns",
        "logged",
        "measure_cpu",
        "missing_items",
        "parent",
        "request_id",
        "rows",
        "sent_id",
        "started_ns",
        "wall_ns",
    )

    def __init__(self, request_id: str = "", started_ns: int = 0, *, measure_cpu: bool = False) -> None:
        self.request_id = request_id
        self.measure_cpu = measure_cpu
        self.started_ns = started_ns or monotonic_ns()  # the first byte of the request, where that is known
        self.wall_ns: dict[str, int] = {}
        self.cpu_ns: dict[str, int] = {}  # of the worker thread; none for receive, queue and respond
        self.rows = 0
        self.missing_items = 0
        self.captured = False  # the request asks to be kept on disk
        self.sent_id = ""  # how the caller names the request in its body, if it does
        self.logged = False  # the request asks for a log line of its stages, slow or not
        self.parent: TraceParent | None = None  # the caller's trace, if it sent one
        self._wall_at = self.started_ns
        self._cpu_at = 0

    def lap(self, stage: str) -> None:
        """Book the time since the last lap to `stage`, between `begin_work` and `end_work` CPU time too."""
        now = monotonic_ns()
        self.wall_ns[stage] = self.wall_ns.get(stage, 0) + now - self._wall_at
        self._wall_at = now
        if self._cpu_at:
            cpu = thread_time_ns()
            self.cpu_ns[stage] = self.cpu_ns.get(stage, 0) + cpu - self._cpu_at
            self._cpu_at = cpu

    def begin_work(self) -> None:
        """The calling thread takes the request over; what has passed since the last lap was *queue*."""
        self._cpu_at = 0
        self.lap("queue")
        if self.measure_cpu:
            self._cpu_at = thread_time_ns()

    def resume_work(self) -> None:
        """Count CPU time again, after a pause in which the calling thread worked for somebody else."""
        if self.measure_cpu:
            self._cpu_at = thread_time_ns()

    def end_work(self) -> None:
        """The calling thread hands the request back: laps from here on are wall time only."""
        self._cpu_at = 0

    @property
    def total_ns(self) -> int:
        """From the first byte to the last lap."""
        return self._wall_at - self.started_ns

    def ids(self) -> dict[str, str]:
        """By what a log line finds the request, and the request its trace."""
        ids = {"request_id": self.request_id}
        if self.parent is not None:
            ids["trace_id"] = self.parent.trace_id
        return ids

    def server_timing(self) -> str:
        """The stages as a `Server-Timing` header: milliseconds of wall time each."""
        laps = [f"{stage};dur={ns / 1e6:.3f}" for stage, ns in self.wall_ns.items()]
        laps.append(f"total;dur={self.total_ns / 1e6:.3f}")
        return ", ".join(laps)

    def stages_ms(self) -> dict[str, float]:
        """The stages for a log line: milliseconds of wall time each."""
        return {stage: round(ns / 1e6, 3) for stage, ns in self.wall_ns.items()}
