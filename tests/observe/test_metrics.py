from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from recserve.observe.metrics import BOUNDS_SECONDS, Histogram, Metrics
from recserve.observe.trace import CPU_SAMPLE, STAGES, Trace


def scraped(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Samples as Prometheus reads them, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("ns", "bucket"),
    [
        (0, 0),
        (50_000, 0),
        (50_001, 1),
        (10_000_000_000, len(BOUNDS_SECONDS) - 1),
        (10**12, len(BOUNDS_SECONDS)),
    ],
)
def test_a_duration_falls_into_the_bucket_whose_bound_it_does_not_pass(ns: int, bucket: int) -> None:
    histogram = Histogram()

    histogram.add(ns)

    assert histogram.counts.index(1) == bucket
    assert histogram.buckets()[-1] == ("+Inf", 1.0)


def test_a_request_is_counted_by_status_and_stage() -> None:
    metrics = Metrics("rank")
    trace = Trace()
    trace.rows, trace.missing_items = 200, 3
    trace.wall_ns = {"decode": 40_000, "run": 2_000_000}
    trace.cpu_ns = {"run": 1_500_000}  # this request stands for CPU_SAMPLE of them

    metrics.finished(trace, 200, door="predict", received=10, sent=20)
    metrics.refused(401)
    result = scraped(metrics)

    assert result["recserve_requests_total", (("door", "predict"), ("status", "200"))] == 1
    assert result["recserve_requests_total", (("door", ""), ("status", "401"))] == 1
    assert result["recserve_rows_total", ()] == 200
    assert result["recserve_missing_items_total", ()] == 3
    assert result["recserve_request_body_bytes_total", ()] == 10
    assert result["recserve_response_body_bytes_total", ()] == 20
    assert result["recserve_stage_duration_seconds_sum", (("stage", "run"),)] == pytest.approx(0.002)
    assert result["recserve_stage_duration_seconds_bucket", (("le", "0.0025"), ("stage", "run"))] == 1
    assert result["recserve_stage_duration_seconds_bucket", (("le", "0.001"), ("stage", "run"))] == 0
    assert result["recserve_stage_cpu_seconds_total", (("stage", "run"),)] == pytest.approx(
        0.0015 * CPU_SAMPLE
    )
    assert result["recserve_request_duration_seconds_count", ()] == 1


def test_every_stage_has_a_histogram_before_the_first_request() -> None:
    result = scraped(Metrics("rank"))

    assert all(result["recserve_stage_duration_seconds_count", (("stage", stage),)] == 0 for stage in STAGES)


def test_gauges_are_asked_when_scraped() -> None:
    depth = 1.0
    metrics = Metrics(
        "rank", lambda: {"recserve_queue_depth": ("…", depth), "recserve_losses_total": ("…", 2.0)}
    )

    depth = 7.0
    result = scraped(metrics)

    assert result["recserve_queue_depth", ()] == 7
    assert result["recserve_losses_total", ()] == 2


def test_a_gauge_may_have_labels() -> None:
    counts: dict[tuple[tuple[str, str], ...], float] = {
        (("feature", "f"), ("kind", "unparsable_number")): 3.0
    }

    some = scraped(Metrics("rank", lambda: {"recserve_problems_total": ("…", counts)}))
    none = Metrics("rank", lambda: {"recserve_problems_total": ("…", {})}).render().decode()

    assert some["recserve_problems_total", (("feature", "f"), ("kind", "unparsable_number"))] == 3
    assert "# HELP recserve_problems_total" in none
    assert "\nrecserve_problems_total" not in none


def test_two_services_in_one_process_do_not_share_counts() -> None:
    first, second = Metrics("a"), Metrics("b")

    first.refused(404)

    assert ("recserve_requests_total", (("door", ""), ("status", "404"))) not in scraped(second)
    assert ("recserve_model_info", (("service", "b"),)) in scraped(second)
