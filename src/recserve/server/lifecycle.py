"""The life of a server process.

LOADING ──▶ WARMING ──▶ READY ──▶ DRAINING ──▶ (gone)
   └───────────┴──────────────────────▲
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Each comment says what is already true when the state is reported."""

    LOADING = "loading"  # the port answers: /healthz 200, /readyz and predictions 503
    WARMING = "warming"  # bundle, items and features fit together; the model has not run yet
    READY = "ready"  # the whole path has answered synthetic requests; predictions are answered
    DRAINING = "draining"  # /readyz says 503; predictions are answered, each with Connection: close


#: What may follow what. Nothing leads back: another model is another process.
_NEXT = {
    State.LOADING: {State.WARMING, State.DRAINING},
    State.WARMING: {State.READY, State.DRAINING},
    State.READY: {State.DRAINING},
    State.DRAINING: set[State](),
}


class Lifecycle:
    """The state of one process; read by every request, moved by `serve` alone, on the event loop."""

    def __init__(self) -> None:
        self.state = State.LOADING

    def move(self, state: State) -> None:
        """Enter the next state; what that state promises must be true already."""
        assert state in _NEXT[self.state], f"{self.state.value} is not followed by {state.value}"
        self.state = state

    @property
    def ready(self) -> bool:
        """Whether new traffic should come here."""
        return self.state is State.READY

    @property
    def draining(self) -> bool:
        """Whether every answer should close its connection."""
        return self.state is State.DRAINING
