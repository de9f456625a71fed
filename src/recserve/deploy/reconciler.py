"""The loop: what runs is brought towards what is wanted, once a second and whenever something changes.

    observe (backend, prober) ──▶ note in the store ──▶ plan, per service ──▶ note ──▶ tell the backend

Notes come before deeds: an instance is in the store before the backend is told of it, and whatever the
store has and the backend lacks is told again. So a control plane that is killed anywhere goes on.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from recserve.deploy.aliases import plain
from recserve.deploy.backends.backend import Observed, State
from recserve.deploy.document import order, read
from recserve.deploy.errors import BackendError
from recserve.deploy.plan import Drain, Situation, Start, Stop, Strategy, plan, trouble
from recserve.deploy.probing import Answered, Asked
from recserve.deploy.records import Instance, Phase, RolloutState, Wanted
from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recserve.deploy.backends.backend import Backend, Order
    from recserve.deploy.document import Deployment
    from recserve.deploy.records import Service, Version
    from recserve.deploy.store import Change, Store

log = logging.getLogger("recserve.deploy")

_ENDED = (State.EXITED, State.LOST)
#: Of an instance whose document cannot be read any more.
_GRACE_S = 30.0


class Readiness(Protocol):
    """Who says whether instances are ready: `Prober`, or a test."""

    def ask(self, wanted: Mapping[str, Asked], /) -> None:
        """Ask these by id from now on, and nobody else."""
        ...

    def known(self, instance: str, /) -> Answered | None:
        """What is known of one; None before its first answer."""
        ...


class Reconciler:
    """Brings what runs towards what is wanted."""

    def __init__(
        self,
        store: Store,
        backend: Backend,
        prober: Readiness,
        *,
        resolved: Callable[[str], str] = plain,
        routes_changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._backend = backend
        self._prober = prober
        self._resolved = resolved
        self._routes_changed = routes_changed
        self._clock = clock
        self._serves_since = clock()
        self._deployments: dict[tuple[str, int], tuple[Version, Deployment]] = {}
        self._routed: object = None
        self._woken = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self, period_s: float = 1.0) -> None:
        """Reconcile from a thread of its own until `close`."""
        self._thread = threading.Thread(target=self._run, args=(period_s,), name="reconciler", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something has changed: do not wait for the next period."""
        self._woken.set()

    def close(self) -> None:
        """End the thread after the pass that it is in."""
        self._closing = True
        self.wake()
        if self._thread is not None:
            self._thread.join()

    def _run(self, period_s: float) -> None:
        while not self._closing:
            self._woken.clear()
            try:
                self.reconcile()
            except RecserveError as error:
                log.warning("reconciling: %s", error)
            except Exception:  # whatever it is, the next pass may do better than no control plane
                log.exception("reconciling failed")
            self._woken.wait(period_s)

    def reconcile(self) -> None:
        """One pass over all services."""
        observed = self._backend.observe()
        with self._store.change() as change:
            for service in list(self._store.services.values()):
                self._note(change, service, observed)
        with self._store.change() as change:
            for service in list(self._store.services.values()):
                try:
                    self._plan(change, service, observed)
                except RecserveError as error:  # a document that cannot be followed: not the others' fault
                    if str(error) != service.message:
                        change.put(replace(service, message=str(error)))
                        change.tell("CannotPlan", service.name, str(error), warning=True)
        self._tell(observed)
        self._prober.ask(self._asked())
        self._tell_routes()

    def _note(self, change: Change, service: Service, observed: Mapping[str, Observed]) -> None:
        """Write down what has become of each instance."""
        for one in self._store.instances_of(service.name):
            found = observed.get(one.id)
            new = _seen(one, found) if found is not None else one
            if found is None and one.phase is Phase.STOPPING:
                new = replace(new, phase=Phase.GONE, since=self._clock())
                change.tell("InstanceGone", service.name, "it has ended", instance=one.id)
            elif one.living and found is not None:
                new = self._with_readiness(change, new, found, pid=one.pid)
            if new != one:
                change.put(new)

    def _with_readiness(self, change: Change, one: Instance, found: Observed, *, pid: int) -> Instance:
        """`pid` is of the process that it was noted with."""
        answered = self._prober.known(one.id)
        if answered is None or answered.pid not in (0, found.pid):
            # Not asked yet: a control plane that has just begun takes its notes for true, but what an earlier
            # process answered says nothing of the one that was started in its place.
            answered = Answered(ready=one.phase is Phase.READY and pid == found.pid)
        ready = found.state is State.RUNNING and answered.ready
        now = self._clock()
        if ready and one.phase is not Phase.READY:
            change.tell(
                "InstanceReady", one.service, f"version {one.version} at {one.address}", instance=one.id
            )
            return replace(one, phase=Phase.READY, since=now, ready_at=one.ready_at or now, message="")
        if not ready and one.phase is Phase.READY:
            why = found.message or answered.message
            change.tell("InstanceUnready", one.service, why, instance=one.id, warning=True)
            return replace(one, phase=Phase.UNREADY, since=now, message=why)
        return one if ready else replace(one, message=found.message or answered.message)

    def _plan(self, change: Change, service: Service, observed: Mapping[str, Observed]) -> None:
        history = self._store.history_of(service.name)
        if service.wanted is Wanted.DELETED and all(one.phase is Phase.GONE for one in history):
            change.forget(service.name)
            return
        gone = frozenset(
            one.id
            for one in history
            if (one.id in observed and observed[one.id].state in _ENDED)
            or (one.id not in observed and one.phase not in (Phase.STARTING, Phase.GONE))
        )
        strategy = self._strategy(service)
        situation = Situation(service, history, strategy, self._clock(), gone, self._serves_since)
        made = plan(situation)
        for action in made.actions:
            self._act(change, service, action)
        message = trouble(situation)
        if message and not service.message:
            change.tell("NotReady", service.name, message, warning=True)
        after = replace(service, rollout=made.rollout or service.rollout, message=message)
        if after != service:
            change.put(after)
        if after.rollout.state is not service.rollout.state:
            self._tell_of_rollout(change, service, after.rollout.state, after.rollout.message)

    def _strategy(self, service: Service) -> Strategy:
        """Of the version that is wanted; one that cannot be read any more can be stopped all the same."""
        try:
            return self._deployment(service.name, service.version).strategy
        except RecserveError:
            if service.wanted is Wanted.RUNNING:
                raise
            return Strategy()

    def _act(self, change: Change, service: Service, action: Start | Drain | Stop) -> None:
        now = self._clock()
        if isinstance(action, Start):
            name = f"{service.name}-{action.version}-{secrets.token_hex(3)}"
            change.put(Instance(name, service.name, action.version, Phase.STARTING, now, now))
            change.tell("InstanceStarting", service.name, f"version {action.version}", instance=name)
            return
        one = change.instances.get(action.instance) or self._store.instances[action.instance]
        if isinstance(action, Drain):
            change.put(replace(one, phase=Phase.DRAINING, since=now))
            change.tell("InstanceDraining", service.name, action.why, instance=one.id)
        else:
            change.put(replace(one, phase=Phase.STOPPING, since=now))

    def _tell_of_rollout(self, change: Change, service: Service, state: RolloutState, why: str) -> None:
        if state is RolloutState.FAILED:
            message = f"version {service.rollout.target}: {why}; version {service.rollout.stable} serves"
            change.tell("RolloutFailed", service.name, message, warning=True)
        elif state is RolloutState.DONE:
            change.tell("RolledOut", service.name, f"all instances have version {service.rollout.target}")

    def _tell(self, observed: Mapping[str, Observed]) -> None:
        """Start what is noted and not observed, stop what is observed and not wanted."""
        wanted = {one.id: one for one in self._store.instances.values() if one.phase is not Phase.GONE}
        for one in wanted.values():
            try:
                if one.phase is Phase.STARTING and one.id not in observed:
                    self._backend.start(self._order(one))
                elif one.phase is Phase.STOPPING and one.id in observed:
                    self._backend.stop(one.id, self._grace(one))
            except RecserveError as error:  # a backend out of reach, a document that cannot be followed
                log.warning("%s: %s", one.id, error)
        for name, found in observed.items():
            if name not in wanted and found.state is not State.STOPPING:
                log.warning("%s runs and nobody wants it; it is stopped", name)
                with contextlib.suppress(BackendError):  # the next pass asks again; routes do not wait for it
                    self._backend.stop(name, 0.0)

    def _grace(self, one: Instance) -> float:
        try:
            return self._deployment(one.service, one.version).grace_s
        except RecserveError:
            return _GRACE_S

    def _order(self, one: Instance) -> Order:
        service, deployment = self._store.services[one.service], self._deployment(one.service, one.version)
        return order(
            deployment,
            one.version,
            one.id,
            service.token,
            group_token=service.group_token,
            nodes=self._backend.nodes(),
        )

    def _asked(self) -> dict[str, Asked]:
        asked = {}
        for one in self._store.instances.values():
            if one.living and one.port:
                with contextlib.suppress(RecserveError):  # whose document cannot be read stays as it is
                    deployment = self._deployment(one.service, one.version)
                    asked[one.id] = Asked(
                        one.host, one.port, deployment.readiness, deployment.startup, one.pid
                    )
        return asked

    def _tell_routes(self) -> None:
        routed: Sequence[object] = sorted(
            (one.service, one.id, one.host, one.port)
            for one in self._store.instances.values()
            if one.phase is Phase.READY
        )
        services = [
            (s.name, s.group, s.grouped, s.weight, s.instances, s.version, s.wanted, s.mirror)
            for s in self._store.services.values()
        ]
        if (routed, services) != self._routed:
            self._routed = (routed, services)
            self._routes_changed()

    def _deployment(self, service: str, version: int) -> Deployment:
        """Documents never change, so each is read once; a deleted name may come back with another."""
        key = service, version
        known = self._store.versions[key]
        found = self._deployments.get(key)
        if found is None or found[0] is not known:
            found = self._deployments[key] = known, read(known.document, self._resolved, self._store.folder)
        return found[1]


def _seen(one: Instance, found: Observed) -> Instance:
    last = one.last_exit
    if found.exit_code is not None and found.finished_at:
        last = {"exitCode": found.exit_code, "finishedAt": found.finished_at, "reason": found.reason}
    return replace(
        one,
        node=found.node,
        host=found.host,
        port=found.port,
        fixed_port=found.fixed_port,
        pid=found.pid,
        restarts=found.restarts,
        began_at=found.started_at,
        ended=found.state is State.EXITED,
        reason=found.reason,
        last_exit=last,
    )
