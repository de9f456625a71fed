"""What the control plane remembers. Records are values: a change is a new record, written by the store.

Service ── versions ──▶ Version (immutable: the whole document)
   └────── instances ─▶ Instance (one placement of one version; never placed again)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Wanted(StrEnum):
    """What a user asked of a service, beside its versions and their number."""

    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"


class Phase(StrEnum):
    """The life of an instance. Each comment says what is already true.

    STARTING ──▶ READY ◀──▶ UNREADY
        └──────────┴──────────┴──▶ DRAINING ──▶ STOPPING ──▶ GONE
    """

    STARTING = "starting"  # the backend was told; nobody is sent to it
    READY = "ready"  # its probe succeeded; it is in discovery and in the gateway
    UNREADY = "unready"  # it was ready, and its probe fails now; nobody is sent to it
    DRAINING = "draining"  # nobody new is sent to it, clients forget it; it still answers
    STOPPING = "stopping"  # the backend was told to end it
    GONE = "gone"  # the backend does not know it any more


#: Phases in which an instance counts towards the number that is wanted.
LIVING = frozenset({Phase.STARTING, Phase.READY, Phase.UNREADY})


class RolloutState(StrEnum):
    """How the way from one version to another stands."""

    ROLLING = "rolling"
    PAUSED = "paused"
    FAILED = "failed"  # the new version did not get ready; the old one serves
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Rollout:
    """The way from `stable` to `target`: how many instances get the target by now."""

    target: int
    stable: int  # the version that serves while the target is not ready; equal to target at the first one
    began_at: float
    state: RolloutState = RolloutState.ROLLING
    partition: int | None = None  # how many instances get the target; None: all
    batch: int | None = None  # so many more each `interval_s`
    interval_s: float = 0.0
    message: str = ""  # why it failed or waits


@dataclass(frozen=True, slots=True)
class Service:
    """A name, and what should be true of it."""

    name: str
    uid: str
    token: str = field(repr=False)
    version: int  # the one that is wanted
    instances: int  # how many are wanted
    rollout: Rollout
    wanted: Wanted = Wanted.RUNNING
    latest: int = 1  # the highest version that exists
    labels: dict[str, str] = field(default_factory=dict)
    group: str = ""
    weight: int | None = None  # in its group; None: as many as it has instances
    group_token: str = field(default="", repr=False)  # which all members of its group take too
    grouped: bool = False  # whether its group's traffic comes here (TrafficState "grouping")
    locked: str = ""  # "all": no change; "dangerous": no stop and no delete
    mirror: dict[str, Any] = field(default_factory=dict)  # {"ratio": 10, "target": ["other"]}
    autoscaler: dict[str, Any] = field(default_factory=dict)
    cronscaler: dict[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    updated_at: float = 0.0
    message: str = ""  # why it is not as wanted


@dataclass(frozen=True, slots=True)
class Version:
    """What one version is: the whole document, merged; it never changes."""

    service: str
    number: int
    document: dict[str, Any] = field(repr=False)  # may hold secrets
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Instance:
    """One placement of one version. Its id is never used again, so an old one is never mistaken for a new."""

    id: str  # <service>-<version>-<6 hex digits>
    service: str
    version: int
    phase: Phase
    since: float  # when the phase began
    created_at: float
    node: str = ""
    host: str = ""
    port: int = 0
    fixed_port: bool = False  # see backends/backend.py, Observed
    pid: int = 0
    restarts: int = 0
    retired: bool = False  # a user wants another one in its place
    ready_at: float = 0.0  # 0: it never was
    reason: str = ""  # of its last end, or why it is not ready: OOMKilled, Error, ProbeFailed, …
    message: str = ""
    last_exit: dict[str, Any] = field(default_factory=dict)  # exitCode, finishedAt, reason
    began_at: float = 0.0  # when its process did, the last time; 0: it has not yet
    ended: bool = False  # its process has ended, and the backend does not start it again

    @property
    def address(self) -> str:
        """host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def living(self) -> bool:
        """Whether it counts towards the number that is wanted."""
        return self.phase in LIVING


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for people: what, to whom, why."""

    service: str
    at: float
    kind: str  # Normal or Warning
    reason: str  # one CamelCase word: Created, Scaled, InstanceReady, RolloutFailed, …
    message: str
    instance: str = ""
