"""Work beside requests, that none of them waits for."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Later:
    """Does one piece of work at a time, on a thread of its own; what finds it busy is not done."""

    def __init__(self, name: str) -> None:
        """`name` is the thread's, which is there from the first piece of work."""
        self._name = name
        self._busy = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._closed = False

    def begin(self, work: Callable[[], object]) -> bool:
        """Whether it is done now; False where another piece still is, or after `close`."""
        if not self._busy.acquire(blocking=False):
            return False

        def run() -> None:
            try:
                work()
            finally:
                self._busy.release()

        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        self._thread.submit(run)
        return True

    def close(self) -> None:
        """Wait for what is being done, and begin nothing else."""
        if self._closed:
            return
        self._closed = True
        self._busy.acquire()  # for good
        if self._thread is not None:
            self._thread.shutdown()
