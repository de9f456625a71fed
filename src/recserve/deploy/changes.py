"""What a change makes of a document and of a roll-out: pure, for the verbs of control.py."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recserve.deploy.errors import RefusedError
from recserve.deploy.records import RolloutState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.deploy.records import Rollout, Service

#: Changes of these need no other process: the service has them, not its versions.
_NO_ROLL = ("labels", "autoscaler", "cronscaler")
_MOST_INSTANCES = 10_000


def guided(rollout: Rollout, changes: Mapping[str, Any], there: int) -> Rollout:
    """A roll-out with what is changed of it; `there` is how many instances have its target by now."""
    unknown = changes.keys() - {"partition", "batch", "interval_s", "paused"}
    assert not unknown, unknown
    partition, batch = changes.get("partition"), changes.get("batch")
    if partition is not None:
        check_count("partition", partition)
    if batch is not None:
        check_count("batch", batch, least=1)
    values = {key: value for key, value in changes.items() if key != "paused"}
    if "paused" in changes:
        values["state"] = RolloutState.PAUSED if changes["paused"] else RolloutState.ROLLING
    result = replace(rollout, **values)
    if result.batch and there:  # batches go on from here, whatever time has passed in a pause
        steps = max(0, -(-there // result.batch) - 1)
        result = replace(result, began_at=time.time() - steps * result.interval_s)
    return result


def check_count(what: str, count: int, *, least: int = 0) -> None:
    """Raise RefusedError unless there can be so many."""
    if not least <= count <= _MOST_INSTANCES:
        raise RefusedError([f"{count} {what}; from {least} to {_MOST_INSTANCES:,} are possible"])


def as_wanted(document: Mapping[str, Any], service: Service) -> dict[str, Any]:
    """A version says what was wanted when it was made; since then, the service does."""
    now = {key: dict(getattr(service, key)) for key in _NO_ROLL}
    others = {key: value for key, value in document.items() if key not in _NO_ROLL}
    others["metadata"] = {**others.get("metadata", {}), "instance": service.instances}
    return others | {key: value for key, value in now.items() if value}


def rest(document: Mapping[str, Any]) -> dict[str, Any]:
    """Everything of a document that only another process can follow."""
    result = {key: value for key, value in document.items() if key not in _NO_ROLL}
    metadata = dict(result.get("metadata", {}))
    metadata.pop("instance", None)
    return {**result, "metadata": metadata}
