"""Who is ready: a question to each instance, every second or as its document says, from one event loop.

An instance is ready after `success_threshold` good answers in a row, and not ready after `failure_threshold`
bad ones. Whoever has started is asked ten times as often until its first good answer, so that nobody waits a
period for it.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recserve.deploy.backends.backend import Probe

_HASTE = 10.0
#: An answer's first line is all that is read of it.
_LONGEST_LINE = 8192


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom to ask, and how."""

    host: str
    port: int
    probe: Probe
    startup: Probe | None = None  # asked first, until its first good answer
    pid: int = 0  # whose answers they are: a process that takes another one's place is asked anew


@dataclass(frozen=True, slots=True)
class Answered:
    """What is known of an instance by its probe."""

    ready: bool
    message: str = ""  # why not
    pid: int = 0  # of the process that was asked; 0: whichever runs


class Prober:
    """Asks everybody, in a thread of its own; calls `changed` when somebody becomes ready or ceases to be."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._loop = asyncio.new_event_loop()
        self._tasks: dict[str, tuple[Asked, asyncio.Task[None]]] = {}
        self._known: dict[str, Answered] = {}
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)
        self._thread.start()

    def ask(self, wanted: Mapping[str, Asked]) -> None:
        """Ask these by id from now on, and nobody else; one whose address or process changed begins anew."""
        self._loop.call_soon_threadsafe(self._replace, dict(wanted))

    def known(self, instance: str) -> Answered | None:
        """What its last answers say; None before the first."""
        return self._known.get(instance)

    def close(self) -> None:
        """Ask nobody any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks))
        finally:
            self._known.clear()
            self._loop.close()

    def _replace(self, wanted: dict[str, Asked]) -> None:
        for name, (asked, task) in list(self._tasks.items()):
            if wanted.get(name) != asked:
                task.cancel()
                del self._tasks[name]
                self._known.pop(name, None)
        for name, asked in wanted.items():
            if name not in self._tasks:
                self._tasks[name] = asked, self._loop.create_task(self._watch(name, asked))

    async def _watch(self, name: str, asked: Asked) -> None:
        probe = asked.probe
        good = bad = 0
        if asked.startup is not None:
            await self._start(name, asked, asked.startup)
        await asyncio.sleep(probe.initial_delay_s)
        while True:
            why = await question(asked)
            good, bad = (good + 1, 0) if not why else (0, bad + 1)
            was = self._known.get(name)
            if not why and good >= probe.success_threshold:
                self._tell(name, was, Answered(ready=True, pid=asked.pid))
            elif why and (bad >= probe.failure_threshold or (was is not None and not was.ready)):
                self._tell(name, was, Answered(ready=False, message=why, pid=asked.pid))
            is_ready = name in self._known and self._known[name].ready
            await asyncio.sleep(probe.period_s if is_ready else probe.period_s / _HASTE)

    async def _start(self, name: str, asked: Asked, startup: Probe) -> None:
        await asyncio.sleep(startup.initial_delay_s)
        bad = 0
        while why := await question(replace(asked, probe=startup)):
            bad += 1
            if bad >= startup.failure_threshold:
                self._tell(name, self._known.get(name), Answered(ready=False, message=why, pid=asked.pid))
            await asyncio.sleep(startup.period_s / _HASTE)

    def _tell(self, name: str, was: Answered | None, now: Answered) -> None:
        self._known[name] = now
        if was is None or was.ready != now.ready:
            self._changed()


async def question(asked: Asked) -> str:
    """Ask once; why the answer is not good, or nothing if it is."""
    where = f"{asked.host}:{asked.port}"
    try:
        async with asyncio.timeout(asked.probe.timeout_s):
            reader, writer = await asyncio.open_connection(asked.host, asked.port, limit=_LONGEST_LINE)
            try:
                if not asked.probe.path:
                    return ""
                head = f"GET {asked.probe.path} HTTP/1.1\r\nHost: {where}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode("latin-1", "replace"))
                line = await reader.readline()
            finally:
                writer.close()
    except TimeoutError:
        return f"{where}{asked.probe.path} gave no answer in {asked.probe.timeout_s:g} s"
    except (OSError, ValueError) as error:
        return f"{where} cannot be reached: {error}"
    parts = line.split(None, 2)
    status = parts[1].decode("latin-1") if len(parts) > 1 else ""
    if parts and parts[0].startswith(b"HTTP/") and status.isdecimal() and 200 <= int(status) < 400:
        return ""
    return f"{where}{asked.probe.path} answers {status or 'no HTTP'}"
