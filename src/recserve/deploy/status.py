"""What a service is called by its instances: the words that users of the hosted product know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recserve.deploy.records import Phase, RolloutState, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.deploy.records import Instance, Service


@dataclass(frozen=True, slots=True)
class Status:
    """A service in a word, and why."""

    status: str  # Creating, Waiting, Running, Updating, Scaling, Stopping, Stopped, Failed, Deleting
    message: str
    total: int
    running: int  # ready

    @property
    def pending(self) -> int:
        """Those that are wanted and not ready yet."""
        return max(0, self.total - self.running)


def status(service: Service, instances: Sequence[Instance], *, most_restarts: int = 3) -> Status:
    """`instances`: those of the service that are not gone."""
    living = [one for one in instances if one.living]
    ready = [one for one in living if one.phase is Phase.READY]
    word, why = _word(service, instances, living, ready, most_restarts)
    return Status(word, why or service.message, service.instances, len(ready))


def _word(
    service: Service,
    instances: Sequence[Instance],
    living: Sequence[Instance],
    ready: Sequence[Instance],
    most_restarts: int,
) -> tuple[str, str]:
    if service.wanted is Wanted.DELETED:
        return "Deleting", f"{len(instances)} instances are ending"
    if service.wanted is Wanted.STOPPED:
        return ("Stopping", f"{len(instances)} instances are ending") if instances else ("Stopped", "")
    if service.instances and not ready:
        return _nobody(service, living, most_restarts)
    if service.rollout.state is not RolloutState.DONE:
        rolling = _of_rollout(service, ready)
        if rolling:
            return rolling
    if len(ready) != service.instances or len(living) != service.instances:
        why = f"{len(ready)} of {service.instances} instances are ready"
        return "Scaling", f"{why}; {service.message}" if service.message else why
    return "Running", ""


def _nobody(service: Service, living: Sequence[Instance], most_restarts: int) -> tuple[str, str]:
    """No instance is ready."""
    rollout = service.rollout
    if service.message:
        return "Failed", service.message
    broken = next((one for one in living if not one.ready_at and one.restarts >= most_restarts), None)
    if broken is not None:
        return "Failed", f"{broken.id} ends again and again: {broken.reason} {broken.message}".strip()
    waiting = next((one for one in living if one.message), None)
    first = rollout.stable == rollout.target and rollout.state is not RolloutState.DONE
    return ("Creating" if first else "Waiting"), waiting.message if waiting else "no instance is ready"


def _of_rollout(service: Service, ready: Sequence[Instance]) -> tuple[str, str] | None:
    """What a roll-out that is not done says of a service that is served."""
    rollout, target = service.rollout, service.rollout.target
    if rollout.state is RolloutState.FAILED:
        why = f"version {target} did not get ready, version {rollout.stable} serves: {rollout.message}"
        return "Running", why
    if rollout.state is RolloutState.PAUSED:
        return "Running", f"the roll-out of version {target} is paused"
    if rollout.stable == target:
        return None
    count = sum(one.version == target for one in ready)
    if rollout.partition is not None and count >= min(rollout.partition, service.instances):
        return "Running", f"version {target} has {count} instances, as its partition says"
    return "Updating", f"{count} of {service.instances} instances have version {target}"
