"""Records as the API shows them: the names that clients of the hosted platform read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recserve.deploy.status import status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recserve.deploy.records import Event, Instance, Service, Version

REGION = "local"


def service(
    one: Service, version: Version, instances: Sequence[Instance], *, endpoint: str, secrets: bool = True
) -> dict[str, Any]:
    """Everything about a service; `secrets` false leaves its token and document out, as lists do."""
    found = status(one, instances)
    document = version.document
    metadata: Mapping[str, Any] = document.get("metadata", {})
    result = {
        "ServiceName": one.name,
        "ServiceId": one.uid,
        "ServiceUid": one.uid,
        "Region": REGION,
        "Namespace": one.name,
        "Status": found.status,
        "Message": found.message,
        "Reason": one.rollout.state.upper() if found.message else "",
        "TotalInstance": found.total,
        "RunningInstance": found.running,
        "PendingInstance": found.pending,
        "CurrentVersion": one.version,
        "LatestVersion": one.latest,
        "Cpu": metadata.get("cpu", 0),
        "Memory": metadata.get("memory", 0),
        "Gpu": metadata.get("gpu", 0),
        "Weight": -1 if one.weight is None else one.weight,
        "TrafficState": "grouping" if one.grouped else "standalone",
        "ServiceGroup": one.group,
        "Resource": metadata.get("resource", ""),
        "SafetyLock": one.locked or "none",
        "Labels": [{"LabelKey": key, "LabelValue": value} for key, value in one.labels.items()],
        "ServiceType": metadata.get("type", "Standard"),
        "Source": document.get("source", ""),
        "InternetEndpoint": endpoint,
        "IntranetEndpoint": endpoint,
        "CreateTime": time(one.created_at),
        "UpdateTime": time(one.updated_at),
    }
    if secrets:
        result["AccessToken"] = one.token
        result["ServiceConfig"] = json.dumps(document)  # a text, as the platform has it
    return result


def version(one: Version) -> dict[str, Any]:
    """One version, without its document: that may hold secrets."""
    return {
        "Version": one.number,
        "BuildTime": time(one.created_at),
        "Processor": one.document.get("processor", ""),
        "ModelPath": one.document.get("model_path", ""),
    }


def instance(one: Instance) -> dict[str, Any]:
    """What `showworkers` shows."""
    return {
        "InstanceName": one.id,
        "InnerIP": one.host,
        "InstancePort": one.port,
        "HostIP": one.host,
        "HostName": one.node,
        "Version": one.version,
        "StartAt": time(one.created_at),
        "RestartCount": one.restarts,
        "Status": one.phase.capitalize(),
        "ReadyProcesses": int(one.phase == "ready"),
        "TotalProcesses": 1,
        "Reason": one.message or one.reason,
        "LastState": [one.last_exit] if one.last_exit else [],
    }


def event(one: Event) -> dict[str, Any]:
    """One event."""
    return {
        "Time": time(one.at),
        "Type": one.kind,
        "Reason": one.reason,
        "Message": one.message,
        "ServiceName": one.service,
        "InstanceName": one.instance,
    }


def time(seconds: float) -> str:
    """As the platform writes times: UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
