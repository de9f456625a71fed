"""Limits of an instance's memory and processor time, where this process may set them: control groups.

Both versions: one tree with all controllers (2), or a tree for each (1). A limit is a promise to the others
on the machine, not to the instance; where it cannot be set, instances run without.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recserve.deploy.backends.backend import Resources

_ROOT = Path("/sys/fs/cgroup")
_OURS = "recserve"
_PERIOD_US = 100_000


class Limits:
    """The control groups of one instance: none where nothing is limited, or nothing can be."""

    def __init__(self, instance: str, resources: Resources, *, root: Path = _ROOT) -> None:
        self._groups: list[Path] = []
        memory, quota = resources.memory_mb * 2**20, int(resources.cpu * _PERIOD_US)
        if (root / "cgroup.controllers").exists():
            values = {"memory.max": str(memory), "memory.swap.max": "0"} if memory else {}
            values |= {"cpu.max": f"{quota} {_PERIOD_US}"} if quota else {}
            self._make(root, instance, values, controllers="+memory +cpu")
        else:
            self._make(root / "memory", instance, {"memory.limit_in_bytes": str(memory)} if memory else {})
            period = {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(quota)}
            self._make(root / "cpu", instance, period if quota else {})

    def __bool__(self) -> bool:
        return bool(self._groups)

    def entering(self, command: list[str]) -> list[str]:
        """The command, under the limits before it can start anything that would escape them."""
        if not self._groups:
            return command
        files = (shlex.quote(str(group / "cgroup.procs")) for group in self._groups)
        script = "".join(f"echo $$ > {file} || :\n" for file in files) + 'exec "$@"'
        return ["/bin/sh", "-c", script, "sh", *command]

    def out_of_memory(self) -> int:
        """How many of its processes the system has ended for want of memory."""
        for group in self._groups:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError):
                    for line in (group / name).read_text().splitlines():
                        key, _, count = line.partition(" ")
                        if key == "oom_kill":
                            return int(count)
        return 0

    def remove(self) -> None:
        """Take the groups away; whoever was in them has ended."""
        for group in self._groups:
            _write(group / "cgroup.kill", "1")
            for _ in range(50):
                with contextlib.suppress(OSError):
                    group.rmdir()
                if not group.exists():
                    break
                time.sleep(0.02)
        self._groups = []

    def _make(self, root: Path, instance: str, values: dict[str, str], controllers: str = "") -> None:
        if not values:
            return
        group = root / _OURS / instance
        try:
            group.parent.mkdir(exist_ok=True)
            if controllers:
                for parent in (root, group.parent):
                    (parent / "cgroup.subtree_control").write_text(controllers)
            group.mkdir(exist_ok=True)
            for name, value in values.items():
                if name != "memory.swap.max" or (group / name).exists():
                    (group / name).write_text(value)
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            return
        self._groups.append(group)


def _write(path: Path, text: str) -> None:
    if path.exists():
        with contextlib.suppress(OSError):
            path.write_text(text)
