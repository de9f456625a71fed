"""How many cores this process may really use, and how its threads share them.

A container sees every core of its machine and is stopped by the kernel when it uses more than its quota, with
requests in its hands: so what counts is the least of

    machine    the cores that there are
    affinity   those that this process is let run on (taskset, cpuset)
    quota      time per period of its control group and each one around it (docker --cpus, Kubernetes limits)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where the control groups of processor time are mounted, of version 2 and of version 1.
_UNIFIED = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
_LEGACY = ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpuacct,cpu")
# Ours: a quota is rounded down, since one thread too many is one that the kernel stops; but 1.8 are two.
_ROUNDED_UP = 0.25


@dataclass(frozen=True, slots=True)
class Quota:
    """How much processor time a control group gives, in cores, and the file that says so."""

    cores: float
    path: Path


@dataclass(frozen=True, slots=True)
class Cores:
    """How many cores may be used, and why that many."""

    count: int
    reason: str  # "the machine has 8"


@dataclass(frozen=True, slots=True)
class ThreadPlan:
    """How many requests are computed at a time, and how many threads torch has within each of them."""

    workers: int
    intra_op: int
    reason: str

    def __str__(self) -> str:
        return f"{self.workers} workers x {self.intra_op} intra-op threads ({self.reason})"


def cores() -> int:
    """How many threads can compute at a time: the default of whatever asks for a number of threads."""
    return usable().count


def usable(root: Path = Path("/")) -> Cores:
    """The cores that this process may use; `root` is where /proc and /sys are."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return least(os.cpu_count() or 1, allowed, quota_of(root))


def least(machine: int, affinity: int | None, quota: Quota | None) -> Cores:
    """The tightest of the limits; those that are None do not exist."""
    found = Cores(machine, f"the machine has {machine}")
    if affinity is not None and affinity < found.count:
        found = Cores(affinity, f"affinity, of {machine} in the machine")
    if quota is not None and quota.cores < found.count:
        count = min(found.count, max(1, int(quota.cores + _ROUNDED_UP)))
        found = Cores(count, f"quota {quota.cores:g} in {quota.path}, of {machine} in the machine")
    return found


def quota_of(root: Path = Path("/")) -> Quota | None:
    """The least quota of this process's control group and those around it; None where there is none."""
    quotas = [quota for group in _groups(root) if (quota := _quota(group)) is not None]
    return min(quotas, key=lambda quota: quota.cores, default=None)


def plan_threads(worker_threads: int, intra_op: int, available: Cores) -> ThreadPlan:
    """Share the cores: more threads than cores would only make all requests late."""
    of_cores = max(1, available.count // intra_op)
    workers = min(worker_threads, of_cores)
    decided = f"worker_threads {worker_threads}" if worker_threads <= of_cores else "as many as cores allow"
    return ThreadPlan(workers, intra_op, f"{decided}; cores {available.count}: {available.reason}")


def _groups(root: Path) -> Iterator[Path]:
    """Folders of the process's group and of all around it, as far as they can be seen from here."""
    paths = {"": "/", "cpu": "/"}
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        kind = "cpu" if "cpu" in controllers.split(",") else controllers
        if kind in paths and ".." not in path:  # a group outside of what this container sees
            paths[kind] = path
    for kind, mounts in (("", _UNIFIED), ("cpu", _LEGACY)):
        for mount in mounts:
            group = root / mount / paths[kind].strip("/")
            yield group
            yield from (above for above in group.parents if above.is_relative_to(root / mount))


def _quota(group: Path) -> Quota | None:
    path = group / "cpu.max"
    time, _, period = _read(path).strip().partition(" ")
    if not time:
        path = group / "cpu.cfs_quota_us"
        time, period = _read(path).strip(), _read(group / "cpu.cfs_period_us").strip()
    if not time.isdecimal() or not period.isdecimal() or 0 in (int(time), int(period)):
        return None  # "max", -1, or not there
    return Quota(int(time) / int(period), path)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
