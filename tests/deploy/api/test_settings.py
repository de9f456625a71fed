from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from recserve.deploy.api.operation import seconds
from recserve.errors import RequestError

if TYPE_CHECKING:
    from tests.deploy.api.conftest import Api

AUTOSCALER = {"min": 1, "max": 5, "scaleStrategies": [{"metricName": "qps", "threshold": 50}]}
CRONSCALER = {"ScaleJobs": [{"Name": "up", "Schedule": "0 0 8 * * *", "TargetSize": 4}], "ExcludeDates": []}


def test_an_autoscaler_is_set_shown_and_taken_away(api: Api) -> None:
    api.create()
    shown = api.of("POST", "autoscaler", AUTOSCALER)
    assert (shown["MinReplica"], shown["MaxReplica"]) == (1, 5)
    assert shown["ScaleStrategies"] == [{"MetricName": "qps", "Service": "tiny", "Threshold": 50}]
    api.of("PUT", "autoscaler", {"min": 2, "max": 9, "strategies": {"cpu": 60}})
    assert api.of("GET", "autoscaler")["ScaleStrategies"][0]["MetricName"] == "cpu"
    assert api.of("DELETE", "autoscaler")["MaxReplica"] == 0


def test_a_cron_scaler_is_set_as_the_platform_writes_it(api: Api) -> None:
    api.create()
    shown = api.of("POST", "cronscaler", CRONSCALER)
    assert shown["ScaleJobs"] == CRONSCALER["ScaleJobs"]
    assert api.plane.store.services["tiny"].cronscaler["scaleJobs"][0]["targetSize"] == 4
    api.of("DELETE", "cronscaler")
    assert api.of("GET", "cronscaler")["ScaleJobs"] == []


def test_a_mirror_names_services_that_exist(api: Api) -> None:
    api.create()
    api.create(name="shadow")
    assert api.of("POST", "mirror", {"Ratio": 10, "Target": ["shadow"]})["Ratio"] == 10
    assert api.plane.store.services["tiny"].mirror == {"ratio": 10, "target": ["shadow"]}


@pytest.mark.parametrize(
    ("what", "body", "message"),
    [
        ("autoscaler", {"min": 3, "max": 2, "strategies": {"qps": 1}}, "more than min"),
        ("autoscaler", {"min": 1, "max": 2}, "no strategies"),
        ("autoscaler", {"min": 1, "max": 2, "strategies": {"luck": 1}}, "'luck' is not measured"),
        ("autoscaler", {**AUTOSCALER, "scaleStrategies": [{"metricName": "qps"}]}, "threshold"),
        ("autoscaler", {**AUTOSCALER, "scaleStrategies": ["qps"]}, "no strategies"),
        ("cronscaler", {"ScaleJobs": [{"Schedule": "* *", "TargetSize": 1}]}, "5 or 6"),
        ("cronscaler", {"ScaleJobs": "daily"}, "a list"),
        ("cronscaler", {**CRONSCALER, "ExcludeDates": 3}, "excludeDates"),
        ("mirror", {"Ratio": 101, "Target": ["tiny"]}, "from 0 to 100"),
        ("mirror", {"Ratio": 1, "Target": ["tiny"]}, "'tiny' is no other service"),
        ("mirror", {"Ratio": 1, "Target": ["ghost"]}, "'ghost'"),
        ("mirror", {"Ratio": 1, "Target": "ghost"}, "list"),
        ("rollout", {"Luck": 1}, "luck"),
        ("rollout", {"Partition": {"Partition": "1"}}, "partition is '1'"),
        ("rollout", {"Batch": {"BatchSize": 1, "Interval": "soon"}}, "'soon'"),
        ("rollout", {"Paused": "yes"}, "true or false"),
    ],
)
def test_what_cannot_be_set_is_400_and_says_why(api: Api, what: str, body: Any, message: str) -> None:
    api.create()
    assert message in api.of("PUT", what, body, status=400)["Message"]
    service = api.plane.store.services["tiny"]
    assert [service.autoscaler, service.cronscaler, service.mirror] == [{}, {}, {}]


def test_a_roll_out_begins_paused_and_goes_on_as_it_is_told(api: Api) -> None:
    api.create()
    api.of("PUT", "", {"model_config": {"fg_threads": 2}}, Paused="true")
    shown = api.of("GET", "rollout")
    assert (shown["State"], shown["Paused"], shown["TargetVersion"]) == ("Paused", True, 2)
    shown = api.of("PUT", "rollout", {"Partition": {"Partition": 1}, "Paused": False})
    assert (shown["State"], shown["Partition"]) == ("Rolling", {"Partition": 1})
    shown = api.of("PUT", "rollout", {"Batch": {"BatchSize": 1, "Interval": "1m30s"}, "Partition": None})
    assert shown["Batch"] == {"BatchSize": 1, "Interval": "90s"}
    assert shown["Partition"] is None
    api.of("PUT", "version", {"Version": 1}, Partition="-1", status=400)
    api.of("PUT", "rollout", {"Batch": {"BatchSize": 0}}, status=400)


def test_a_service_that_is_not_being_rolled_has_no_roll_out_to_change(api: Api) -> None:
    api.create(metadata={"instance": 0})
    api.step()
    assert "not being rolled" in api.of("PUT", "rollout", {"Paused": True}, status=409)["Message"]


@pytest.mark.parametrize(
    ("text", "expected"), [("5m", 300), ("90s", 90), ("1h", 3600), ("1m30s", 90), (60, 60), ("0s", 0)]
)
def test_intervals_are_read_as_the_platform_writes_them(text: Any, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "-5m", "5d", None, True, -1, "999999h"])
def test_what_is_no_interval_is_refused(text: Any) -> None:
    with pytest.raises(RequestError, match="Interval"):
        seconds(text)
