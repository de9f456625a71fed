from __future__ import annotations

import time

import pytest

from recserve.observe.slow_log import SlowLog
from recserve.observe.trace import Trace


def traced(milliseconds: int) -> Trace:
    trace = Trace("r1", time.monotonic_ns() - milliseconds * 1_000_000)
    trace.rows = 200
    trace.lap("run")
    return trace


def test_a_slow_request_is_logged_with_its_stages(caplog: pytest.LogCaptureFixture) -> None:
    SlowLog(200).look_at(traced(300), 200)

    (record,) = caplog.records
    assert record.message == "slow request"
    fields = vars(record)
    assert fields["request_id"] == "r1"
    assert fields["rows"] == 200
    assert fields["stages_ms"]["run"] >= 300


@pytest.mark.parametrize(("threshold_ms", "took_ms"), [(200, 100), (0, 10_000)])
def test_a_quick_request_and_a_threshold_of_zero_log_nothing(
    caplog: pytest.LogCaptureFixture, threshold_ms: int, took_ms: int
) -> None:
    SlowLog(threshold_ms).look_at(traced(took_ms), 200)

    assert caplog.records == []
