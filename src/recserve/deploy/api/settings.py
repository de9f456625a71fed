"""/api/v2/services/…/autoscaler, cronscaler, mirror and rollout: what a service does by itself from then on.

Each is created (POST) or replaced (PUT), described (GET) and deleted, but for a roll-out, which begins with a
version and ends by itself. Ours: field names are taken with a small or a capital first letter, as the
platform's pages write both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.deploy.api.operation import SERVICE, Operation, entry, seconds
from recserve.deploy.api.services import known
from recserve.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recserve.deploy.api.operation import Asked
    from recserve.deploy.plane import Plane
    from recserve.deploy.records import Service

_WHOLE = {"type": "integer", "minimum": 0}
_SCHEMAS: dict[str, dict[str, Any]] = {
    "autoscaler": {
        "min": {"type": "integer", "minimum": 1},
        "max": {"type": "integer", "minimum": 2},
        "scaleStrategies": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"metricName": {"type": "string"}, "threshold": {"type": "number"}},
            },
        },
        "strategies": {"type": "object", "additionalProperties": {"type": "number"}},
        "behavior": {"type": "object"},
    },
    "cronscaler": {
        "ScaleJobs": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "Name": {"type": "string"},
                    "Schedule": {"type": "string"},
                    "TargetSize": _WHOLE,
                },
            },
        },
        "ExcludeDates": {"type": "array", "items": {"type": "string"}},
    },
    "mirror": {
        "Ratio": {"type": "integer", "minimum": 0, "maximum": 100},
        "Target": {"type": "array", "items": {"type": "string"}},
    },
    "rollout": {
        "Partition": {"type": ["object", "null"], "properties": {"Partition": _WHOLE}},
        "Batch": {
            "type": ["object", "null"],
            "properties": {
                "BatchSize": {"type": "integer", "minimum": 1},
                "Interval": {"type": "string", "examples": ["5m"]},
            },
        },
        "Paused": {"type": "boolean"},
    },
}
_TITLES = {"autoscaler": "AutoScaler", "cronscaler": "CronScaler", "mirror": "Mirror"}


class Settings:
    """Handlers."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def operations(self) -> list[Operation]:
        """What can be asked."""
        result = []
        for what, title in _TITLES.items():
            path = f"{SERVICE}/{what}"
            body = {"type": "object", "properties": _SCHEMAS[what]}
            put, describe, delete = self._put(what), self._describe(what), self._delete(what)
            result += [
                Operation(f"CreateService{title}", "POST", path, put, f"Set the {what}", body),
                Operation(f"UpdateService{title}", "PUT", path, put, f"Replace the {what}", body),
                Operation(f"DescribeService{title}", "GET", path, describe, f"Show the {what}"),
                Operation(f"DeleteService{title}", "DELETE", path, delete, f"Take the {what} away"),
            ]
        path, body = f"{SERVICE}/rollout", {"type": "object", "properties": _SCHEMAS["rollout"]}
        change = "Change how the roll-out goes on"
        return [
            *result,
            Operation("CreateServiceRollout", "POST", path, self._roll, change, body),
            Operation("UpdateServiceRollout", "PUT", path, self._roll, change, body),
            Operation("DescribeServiceRollout", "GET", path, self._rollout, "Show the roll-out"),
        ]

    def _put(self, what: str) -> Callable[[Asked], dict[str, Any]]:
        def handle(asked: Asked) -> dict[str, Any]:
            values = lowered(asked.body)
            if not values:
                raise RequestError(f"there is no {what} in the body; DELETE takes one away")
            return _SHOWN[what](getattr(self._plane.control, what)(asked.name, values))

        return handle

    def _describe(self, what: str) -> Callable[[Asked], dict[str, Any]]:
        return lambda asked: _SHOWN[what](known(self._plane, asked.name))

    def _delete(self, what: str) -> Callable[[Asked], dict[str, Any]]:
        return lambda asked: _SHOWN[what](getattr(self._plane.control, what)(asked.name, {}))

    def _roll(self, asked: Asked) -> dict[str, Any]:
        return _rollout(self._plane.control.rollout(asked.name, **rollout_changes(asked.body)))

    def _rollout(self, asked: Asked) -> dict[str, Any]:
        return _rollout(known(self._plane, asked.name))


def rollout_changes(body: Mapping[str, Any]) -> dict[str, Any]:
    """`{"Partition": {"Partition": 1}, "Batch": {"BatchSize": 1, "Interval": "5m"}, "Paused": true}`.

    Only what is given changes; null is "no partition" or "no batches".
    """
    values = lowered(body)
    unknown = values.keys() - {"partition", "batch", "paused"}
    if unknown or not values:
        raise RequestError(
            f"{', '.join(sorted(unknown)) or 'nothing'} is given; Partition, Batch and Paused can be changed"
        )
    changes: dict[str, Any] = {}
    if "partition" in values:
        given = values["partition"]
        inner = given if isinstance(given, dict) else {"partition": given}
        changes["partition"] = entry(inner, "partition", int, "a number of instances")
    if "batch" in values:
        batch = entry(values, "batch", dict, '{"BatchSize": 1, "Interval": "5m"}') or {}
        changes["batch"] = entry(batch, "batchSize", int, "a number of instances")
        changes["interval_s"] = seconds(batch.get("interval", "0s"))
    if "paused" in values:
        changes["paused"] = bool(entry(values, "paused", bool, "true or false"))
    return changes


def lowered(values: Any) -> Any:
    """The names with a small first letter, at any depth."""
    if isinstance(values, list):
        return [lowered(one) for one in values]
    if not isinstance(values, dict):
        return values
    return {key[:1].lower() + key[1:]: lowered(value) for key, value in values.items()}


def _autoscaler(service: Service) -> dict[str, Any]:
    found = service.autoscaler
    listed = found.get("scaleStrategies") or [
        {"metricName": name, "threshold": threshold}
        for name, threshold in (found.get("strategies") or {}).items()
    ]
    return {
        "ServiceName": service.name,
        "MinReplica": found.get("min", 0),
        "MaxReplica": found.get("max", 0),
        "CurrentReplica": service.instances,
        "ScaleStrategies": [
            {"MetricName": one["metricName"], "Service": service.name, "Threshold": one["threshold"]}
            for one in listed
        ],
        "Behavior": found.get("behavior", {}),
    }


def _cronscaler(service: Service) -> dict[str, Any]:
    found = service.cronscaler
    return {
        "ServiceName": service.name,
        "ScaleJobs": [
            {"Name": job.get("name", ""), "Schedule": job["schedule"], "TargetSize": job["targetSize"]}
            for job in found.get("scaleJobs", [])
        ],
        "ExcludeDates": found.get("excludeDates", []),
    }


def _mirror(service: Service) -> dict[str, Any]:
    found = service.mirror
    return {
        "ServiceName": service.name,
        "Ratio": found.get("ratio", 0),
        "Target": found.get("target", []),
    }


_SHOWN: dict[str, Callable[[Service], dict[str, Any]]] = {
    "autoscaler": _autoscaler,
    "cronscaler": _cronscaler,
    "mirror": _mirror,
}


def _rollout(service: Service) -> dict[str, Any]:
    found = service.rollout
    return {
        "ServiceName": service.name,
        "State": found.state.capitalize(),
        "TargetVersion": found.target,
        "StableVersion": found.stable,
        "Partition": None if found.partition is None else {"Partition": found.partition},
        "Batch": None
        if found.batch is None
        else {"BatchSize": found.batch, "Interval": f"{found.interval_s:.0f}s"},
        "Paused": found.state == "paused",
        "Message": found.message,
    }
