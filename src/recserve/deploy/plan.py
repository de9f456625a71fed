"""From what should run and what runs to what is to be done next: pure, and the same for every backend.

    Situation ──plan──▶ Start(version) · Drain(instance) · Stop(instance) · a new Rollout

A roll never lets fewer than `instances − max_unavailable` be ready, nor more than `instances + max_surge`
live; asked again and again, it ends in the desired state from any state that a crash may leave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recserve.deploy.records import Instance, Phase, Rollout, RolloutState, Service, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How long a version rests of which an instance could not even begin; doubled each time.
_FIRST_REST_S, _LONGEST_REST_S = 1.0, 60.0
#: Folders, requirements, a place on some machine: all before its process begins.
_LONGEST_PREPARING_S = 600.0


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a version is rolled out; of the document of the version that is wanted."""

    max_surge: int = 1
    max_unavailable: int = 0
    start_seconds: float = 600.0  # to become ready in, from when its process began
    drain_seconds: float = 5.0  # until every client has forgotten an instance
    most_restarts: int = 3  # of one that never was ready; then its version is taken for broken
    crash_block: bool = False  # what has ended by itself stays as it is, for a person to look at


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a plan depends on."""

    service: Service
    instances: Sequence[Instance]
    strategy: Strategy
    now: float
    gone: frozenset[str] = frozenset()  # instances whose process has ended for good, or whose node is lost
    serves_since: float = 0.0  # when this control plane began: nobody could ask it before


@dataclass(frozen=True, slots=True)
class Start:
    """Order one more instance of a version."""

    version: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Send nobody new to an instance, and stop it when clients have forgotten it."""

    instance: str
    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell the backend to end an instance."""

    instance: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done now. `rollout` is the service's new one, if it changes."""

    actions: tuple[Start | Drain | Stop, ...] = ()
    rollout: Rollout | None = None


def plan(situation: Situation) -> Plan:
    """What brings the service nearer to what is wanted of it, without harm to what serves now."""
    service = situation.service
    ended = [Stop(one.id) for one in situation.instances if _is_forgotten(one, situation)]
    replaced = {
        one.id
        for one in situation.instances
        if one.living and one.id in situation.gone and not (situation.strategy.crash_block and one.ended)
    }
    living = [one for one in situation.instances if one.living and one.id not in replaced]
    lost = [
        Drain(one.id, f"its process has ended: {one.reason} {one.message}".rstrip(" :"))
        for one in situation.instances
        if one.id in replaced
    ]
    if service.wanted is not Wanted.RUNNING:
        return Plan((*ended, *lost, *(Drain(one.id, f"the service is {service.wanted}") for one in living)))
    rollout = _judged(situation, living)
    moves = _moves(replace(service, rollout=rollout), living, situation)
    ready = _ready(living, service.version)
    if rollout.state is RolloutState.ROLLING and not moves and len(ready) >= service.instances == len(living):
        rollout = replace(rollout, state=RolloutState.DONE, stable=rollout.target, message="")
    changed = rollout if rollout != service.rollout else None
    return Plan((*ended, *lost, *moves), changed)


def counts(service: Service, now: float) -> tuple[int, int]:
    """How many instances the target and the stable version should have by now."""
    rollout, wanted = service.rollout, service.instances
    if rollout.stable == rollout.target or rollout.state is RolloutState.DONE:
        return wanted, 0
    if rollout.state is RolloutState.FAILED:
        return 0, wanted
    new = wanted if rollout.partition is None else min(wanted, rollout.partition)
    if rollout.batch is not None:
        steps = 1 + int((now - rollout.began_at) / rollout.interval_s) if rollout.interval_s else 1
        new = min(new, rollout.batch * steps)
    return new, wanted - new


def trouble(situation: Situation) -> str:
    """Why the version that is wanted is not ready, where time alone will not help; else nothing."""
    version, seconds = situation.service.version, situation.strategy.start_seconds
    for one in situation.instances:
        if one.living and one.version == version:
            if one.ended and situation.strategy.crash_block:
                left = f"{one.id} ended and is left as it is (runtime.enable_crash_block)"
                return f"{left}: {one.reason} {one.message}".strip()
            if not one.ready_at and _is_late(one, situation):
                return f"{one.id} is not ready after {seconds:g} s: {one.message or 'no probe has succeeded'}"
    for one in failures(situation, version)[:1]:
        return f"{one.id} could not begin: {one.reason} {one.message}".strip()
    return ""


def _judged(situation: Situation, living: Sequence[Instance]) -> Rollout:
    """The rollout, failed if its version does not get ready where another one could serve."""
    rollout, strategy = situation.service.rollout, situation.strategy
    if rollout.state not in (RolloutState.ROLLING, RolloutState.PAUSED) or rollout.stable == rollout.target:
        return rollout
    new = [
        one for one in situation.instances if one.version == rollout.target and one.phase is not Phase.GONE
    ]
    for one in new:
        if one.ready_at:
            continue
        if one.id in situation.gone or one.restarts >= strategy.most_restarts:
            why = f"{one.id} ended: {one.reason or 'no reason is known'} {one.message}".strip()
        elif one.living and _is_late(one, situation):
            why = f"{one.id} was not ready after {strategy.start_seconds:g} s {one.message}".strip()
        else:
            continue
        return replace(rollout, state=RolloutState.FAILED, message=why)
    return rollout


def _moves(service: Service, living: Sequence[Instance], situation: Situation) -> list[Start | Drain]:
    strategy, rollout = situation.strategy, service.rollout
    want_new, want_old = counts(service, situation.now)
    serving = rollout.stable if rollout.state is RolloutState.FAILED else rollout.target
    staying = [one for one in living if not one.retired]
    target = [one for one in staying if one.version == rollout.target]
    stable = [one for one in staying if one.version == rollout.stable and one.version != rollout.target]
    retired = [one for one in living if one.retired]
    others = [one for one in staying if one.version not in (rollout.target, rollout.stable)]
    if rollout.state is RolloutState.PAUSED:  # what is, stays; what ended is replaced
        want_new = min(want_new, sum(one.version == rollout.target for one in living))
        want_old = service.instances - want_new
    moves: list[Start | Drain] = []
    room = service.instances + strategy.max_surge - len(living)
    fixed = _fixed(situation)
    if fixed:
        room = service.instances - len([one for one in situation.instances if one.phase is not Phase.GONE])
    for version, missing in (
        (rollout.target, want_new - len(target)),
        (rollout.stable, want_old - len(stable)),
    ):
        started = max(0, min(missing, room)) if _retry_at(situation, version) <= situation.now else 0
        moves += [Start(version)] * started
        room -= started
    # What serves may only go while enough others are ready.
    spare = len(_ready(living)) - (service.instances - max(strategy.max_unavailable, int(fixed)))
    for group, keep, why in (
        (retired, 0, "another one takes its place"),
        (others, 0, "its version is not wanted any more"),
        (stable, want_old, f"version {serving} takes its place"),
        (target, want_new, "fewer instances are wanted" if want_old == 0 else f"version {serving} stays"),
    ):
        surplus = len(group) - keep
        for one in sorted(group, key=_dispensable)[: max(0, surplus)]:
            if one.phase is Phase.READY:
                if spare <= 0:
                    continue
                spare -= 1
            moves.append(Drain(one.id, why))
    return moves


def _is_late(one: Instance, situation: Situation) -> bool:
    """Whether it has had the time to become ready; before its process begins, it may take longer."""
    allowed = situation.strategy.start_seconds
    if one.began_at:
        return situation.now - one.began_at > allowed
    return situation.now - one.created_at > max(allowed, _LONGEST_PREPARING_S)


def failures(situation: Situation, version: int) -> list[Instance]:
    """Those of a version that have ended before they were ready, since one was; the last one first."""
    found = []
    for one in sorted(situation.instances, key=lambda one: -one.created_at):
        if one.version == version:
            if one.ready_at:
                break
            if one.id in situation.gone or (one.phase is Phase.GONE and one.reason):
                found.append(one)
    return found


def _retry_at(situation: Situation, version: int) -> float:
    """When a version may be tried again: later each time, if its instances end before they are ready."""
    failed = failures(situation, version)
    if not failed:
        return 0.0
    last = max(one.since for one in failed)
    return last + min(_LONGEST_REST_S, _FIRST_REST_S * 2.0 ** (len(failed) - 1))


def _fixed(situation: Situation) -> bool:
    """Whether its app listens on a port of its own: then an old one goes before a new one can begin."""
    return any(one.fixed_port for one in situation.instances if one.phase is not Phase.GONE)


def _ready(living: Sequence[Instance], version: int | None = None) -> list[Instance]:
    return [one for one in living if one.phase is Phase.READY and version in (None, one.version)]


def _dispensable(one: Instance) -> tuple[bool, float]:
    """Who goes first: who does not serve, then the youngest, whose caches are the coldest."""
    return one.phase is Phase.READY, -one.created_at


def _is_forgotten(one: Instance, situation: Situation) -> bool:
    """Whether nobody is sent to it any more, so that it may end."""
    if one.phase is not Phase.DRAINING:
        return False
    if one.id in situation.gone or not one.ready_at:
        return True
    return situation.now - max(one.since, situation.serves_since) >= situation.strategy.drain_seconds
