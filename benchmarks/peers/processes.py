"""A server as the system sees it: a tree of processes, what it uses, and its end."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

END_SECONDS = 10.0
#: A server whose processes use less than this share of a core has loaded what it loads.
CALM, CALM_SECONDS = 0.3, 0.5


class Tree:
    """A process and all below it, whatever sessions and groups they put themselves into."""

    def __init__(self, pid: int) -> None:
        self.root = psutil.Process(pid)

    def processes(self) -> list[psutil.Process]:
        """All that are there now, the root first."""
        with suppress(psutil.NoSuchProcess):
            return [self.root, *self.root.children(recursive=True)]
        return []

    def cpu_seconds(self) -> float:
        """CPU time of all together since they were started."""
        used = 0.0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                used += sum(process.cpu_times()[:2])
        return used

    def memory_mb(self) -> tuple[float, float]:
        """Resident memory, and the same with what processes share counted once."""
        resident = shared_out = 0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                memory = process.memory_full_info()
                resident += memory.rss
                shared_out += memory.pss
        return resident / 2**20, shared_out / 2**20

    def wait_until_calm(self, seconds: float) -> None:
        """Wait for the workers that are still loading when the first one answers."""
        give_up_at = time.monotonic() + seconds
        used = self.cpu_seconds()
        while time.monotonic() < give_up_at:
            time.sleep(CALM_SECONDS)
            before, used = used, self.cpu_seconds()
            if used - before < CALM * CALM_SECONDS:
                return

    def end(self) -> None:
        """Ask the root to end, then kill what is left of the tree."""
        processes = self.processes()
        with suppress(psutil.NoSuchProcess):
            self.root.terminate()
        psutil.wait_procs(processes[:1], timeout=END_SECONDS)
        left = {*processes, *self.processes()}
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=END_SECONDS)
