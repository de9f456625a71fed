"""Builds the processor and takes it apart, on threads that can be left behind when the process is to end."""

from __future__ import annotations

import asyncio
import threading
from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from recserve.processors.load import Progress
    from recserve.processors.processor import Processor

#: How long the end of the process waits for sources to be closed.
CLOSE_SECONDS = 15.0


class Loader(Protocol):
    """Builds the processor; runs in a thread while the port answers 503."""

    def __call__(self, progress: Progress, /) -> Processor:
        """Raises LoadError with one line that says what to mend."""


class Loading:
    """The life of one processor outside of requests. `load` and `close` are awaited on the event loop."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._threads: list[threading.Thread] = []

    @property
    def left_behind(self) -> bool:
        """Whether a thread is still at it."""
        return any(thread.is_alive() for thread in self._threads)

    async def load(self, progress: Progress) -> Processor:
        """Build the processor; if whoever waits for it is cancelled, it is closed as soon as it is there."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Processor] = loop.create_future()

        def settle(processor: Processor | None, error: BaseException | None) -> None:
            if future.cancelled():
                self._begin_close(processor)
            elif error is not None:
                future.set_exception(error)
            elif processor is not None:
                future.set_result(processor)

        def work() -> None:
            processor, error = None, None
            try:
                processor = self._loader(progress)
            except BaseException as raised:  # it belongs to whoever awaits the future
                error = raised
            try:
                loop.call_soon_threadsafe(settle, processor, error)
            except RuntimeError:  # the loop has ended: the process was told to stop meanwhile
                if processor is not None:
                    processor.close()

        self._start(threading.Thread(target=work, name="recserve-load", daemon=True))
        return await future

    async def close(self, processor: Processor | None) -> None:
        """End what keeps items, of one that came too late as well; a source that hangs is left behind."""
        self._begin_close(processor)
        closing = [thread for thread in self._threads if thread.name == _CLOSING]
        give_up_at = monotonic() + CLOSE_SECONDS
        while any(thread.is_alive() for thread in closing) and monotonic() < give_up_at:
            await asyncio.sleep(0.005)

    def _begin_close(self, processor: Processor | None) -> None:
        if processor is not None:
            self._start(threading.Thread(target=processor.close, name=_CLOSING, daemon=True))

    def _start(self, thread: threading.Thread) -> None:
        self._threads.append(thread)
        thread.start()


_CLOSING = "recserve-close"
