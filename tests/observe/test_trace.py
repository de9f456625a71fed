from __future__ import annotations

import re
import time

from recserve.observe.trace import Trace


def test_laps_book_all_the_time_there_is() -> None:
    trace = Trace("id", time.monotonic_ns() - 5_000_000)
    trace.lap("receive")
    trace.begin_work()
    trace.lap("decode")
    trace.lap("run")

    assert list(trace.wall_ns) == ["receive", "queue", "decode", "run"]
    assert trace.wall_ns["receive"] >= 5_000_000
    assert sum(trace.wall_ns.values()) == trace.total_ns


def test_the_cpu_of_a_stage_is_that_of_the_thread_that_worked() -> None:
    trace = Trace(measure_cpu=True)
    trace.lap("receive")
    trace.begin_work()
    until = time.thread_time_ns() + 3_000_000
    while time.thread_time_ns() < until:
        pass
    trace.lap("generate")
    time.sleep(0.02)
    trace.lap("run")
    trace.end_work()
    trace.lap("respond")

    assert set(trace.cpu_ns) == {"generate", "run"}
    assert trace.cpu_ns["generate"] >= 3_000_000
    assert trace.cpu_ns["run"] < 10_000_000 <= trace.wall_ns["run"]


def test_a_stage_that_is_passed_twice_adds_up() -> None:
    trace = Trace()
    for _ in range(2):
        time.sleep(0.001)
        trace.lap("run")

    assert trace.wall_ns["run"] >= 2_000_000


def test_server_timing_names_every_stage_in_milliseconds() -> None:
    trace = Trace()
    trace.lap("receive")
    trace.lap("decode")

    assert re.fullmatch(
        r"receive;dur=\d+\.\d{3}, decode;dur=\d+\.\d{3}, total;dur=\d+\.\d{3}", trace.server_timing()
    )
