"""One instance in a cluster, as the control plane sees it: a thread finds it a place and watches it there."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from recserve.deploy.backends.backend import Observed, State
from recserve.deploy.backends.ray.cluster import DiedError, SilentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.deploy.backends.backend import Order
    from recserve.deploy.backends.ray.cluster import Cluster

log = logging.getLogger("recserve.deploy")

PATIENCE_S = 10.0  # with an actor that should answer at once
_WATCH_S, _TICK_S = 5.0, 0.5
_FIRST_REST_S, _LONGEST_REST_S = 0.05, 5.0


class _LetGoError(Exception):
    """The instance is not watched any more."""


class Surroundings(Protocol):
    """What an instance needs to know of the others and of the nodes: the backend."""

    cluster: Cluster

    def alive(self, node: str, /) -> bool:
        """Whether Ray takes the node for alive."""
        ...

    def name_of(self, node: str, /) -> str:
        """What people call the node."""
        ...

    def why_not(self, order: Order, /) -> str:
        """What stands in the way of a place for it."""
        ...

    def changed(self) -> None:
        """Tell that something is observed that was not."""
        ...

    def forget(self, one: Placed, /) -> None:
        """It has ended."""
        ...


class Placed:
    """See above. Methods may be called from any thread."""

    def __init__(self, around: Surroundings, order: Order, *, node: str = "", near: str = "") -> None:
        """`node`: where it has to be, as something of it is there; `near`: where it should be."""
        self.order = order
        self.node = node
        self.near = near
        self.observed = Observed(State.PREPARING, node=around.name_of(node))
        self.answered = threading.Event()  # `observed` is what its keeper says
        self.done = threading.Event()
        self._around = around
        self._cluster = around.cluster
        self._actor: Any = None
        self._counted = True
        self._grace_s: float | None = None  # of its end, once that is wanted
        self._given_up = False
        self._let_go = False
        self._thread = threading.Thread(target=self._live, name=order.instance, daemon=True)

    def start(self) -> None:
        """Find it a place."""
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """See backend.py."""
        if self._grace_s is not None:
            return
        self._grace_s = grace_s
        if self._given_up:
            self._end()
            return
        self._see(self.observed)
        self._tell_it_to_stop()

    def let_go(self) -> None:
        """Watch no longer; it goes on."""
        self._let_go = True

    def join(self) -> None:
        """Wait until it asks Ray no more; after its end, or `let_go`."""
        self._thread.join(PATIENCE_S)

    def logs(self, lines: int) -> list[str] | None:
        """The last lines that it wrote; None if its keeper does not say."""
        actor = self._actor
        if actor is None or not self.answered.is_set():
            return None
        try:
            found: list[str] = self._cluster.ask(actor.logs.remote(lines), PATIENCE_S)
        except (TimeoutError, SilentError, DiedError):
            return None
        return found

    def _live(self) -> None:
        rest = _FIRST_REST_S
        while not (self._let_go or self.done.is_set()):
            try:
                self._watch()
                rest = _FIRST_REST_S
            except _LetGoError:
                return
            except SilentError:
                time.sleep(_TICK_S)
            except DiedError as error:
                self._actor = None
                if not self._goes_on(error):
                    return
                time.sleep(rest)
                rest = min(_LONGEST_REST_S, 2 * rest)
            except Exception:  # a thread that dies in silence is an instance that nobody replaces
                if not self._let_go:
                    log.exception("%s", self.order.instance)
                    time.sleep(_LONGEST_REST_S)

    def _watch(self) -> None:
        """Until it is done or let go, or its actor does not answer."""
        if self._actor is None:
            self._actor = self._cluster.keep(self.order, on=self.node, near=self.near, counted=self._counted)
        self.node = self._answer(self._actor.where.remote(), self._waits)
        self._tell_it_to_stop()
        changes = -1
        while not self.done.is_set():
            call = self._actor.watch.remote(changes, _WATCH_S)
            changes, observed, done = self._answer(call, _is_silent)
            if done:
                self._end()
                return
            self._see(replace(observed, node=self._around.name_of(self.node)))
            self.answered.set()

    def _answer(self, call: Any, without: Callable[[float], None]) -> Any:
        """What an actor says; `without` is told how long it has said nothing.

        Asked for in ticks: nobody may wait for Ray when this process leaves its cluster.
        """
        began = time.monotonic()
        while not self._let_go:
            try:
                return self._cluster.ask(call, _TICK_S)
            except TimeoutError:
                without(time.monotonic() - began)
        raise _LetGoError

    def _waits(self, seconds: float) -> None:
        """See to it that there is no place for it yet."""
        if not self.node and self._grace_s is not None:
            self._cluster.kill(self._actor)  # its call fails, and `_goes_on` ends it
        elif self.node and self._counted and seconds > PATIENCE_S:
            self._counted = False  # it is on that node already; what it had was given to others
            self._cluster.kill(self._actor)
        elif not self.node and seconds > 1.0:
            self._see(replace(self.observed, reason="NoRoom", message=self._around.why_not(self.order)))

    def _goes_on(self, error: DiedError) -> bool:
        """Whether another actor is to keep it, now that one has died."""
        if self._grace_s is not None and (not self.node or not error.began):
            self._end()
        elif not error.began:
            self._give_up(State.EXITED, "CannotStart", f"no supervisor could begin on a node: {error}")
        elif self.node and not self._around.alive(self.node):
            name = self._around.name_of(self.node)
            self._give_up(State.LOST, "NodeLost", f"node {name} does not answer any more")
        else:
            # A node that has not what it needs may have what is left of it: another one died on its machine.
            self._counted = self._counted and self.answered.is_set()
            return True
        return False

    def _give_up(self, state: State, reason: str, message: str) -> None:
        self._given_up = True  # before the next line: `stop` looks the other way round
        if self._grace_s is not None:
            self._end()
            return
        self._see(replace(self.observed, state=state, reason=reason, message=message))
        self.answered.set()

    def _tell_it_to_stop(self) -> None:
        actor, grace_s = self._actor, self._grace_s
        if actor is not None and self.node and grace_s is not None:
            actor.stop.remote(grace_s)

    def _end(self) -> None:
        actor, self._actor = self._actor, None
        if actor is not None:
            self._cluster.kill(actor)
        self.done.set()
        self.answered.set()
        self._around.forget(self)

    def _see(self, observed: Observed) -> None:
        if self._grace_s is not None:
            observed = replace(observed, state=State.STOPPING)
        if observed != self.observed:
            self.observed = observed
            self._around.changed()


def _is_silent(seconds: float) -> None:
    if seconds > _WATCH_S + PATIENCE_S:
        raise SilentError
