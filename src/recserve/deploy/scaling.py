"""Scaling by itself: what instances measure, and what the clock says, become numbers of instances.

    /metrics of each ready instance ──every 5 s──▶ Sampler ──▶ autoscaler.wanted ─┐
                                                     clock ──▶ cron.wanted ───────┴▶ Control.scale

A service with a cron scaler and an autoscaler is set by the clock, and then goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from recserve.deploy import autoscaler, cron
from recserve.deploy.records import Phase, Wanted
from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recserve.deploy.control import Control
    from recserve.deploy.records import Instance, Service
    from recserve.deploy.store import Store

log = logging.getLogger("recserve.deploy")

PERIOD_S = 5.0
_LARGEST_PAGE = 8 * 2**20
_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Counters:
    """What an instance has counted since it began, at a time."""

    at: float
    requests: float
    cpu_s: float


class Scaler:
    """One pass every few seconds, in a thread of its own."""

    def __init__(
        self,
        store: Store,
        control: Control,
        *,
        measure: Callable[[Sequence[Instance]], Mapping[str, Counters]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`measure` gives the counters of instances by their ids; those that do not answer are left out."""
        self._store = store
        self._control = control
        self._measure = measure or measured
        self._clock = clock
        self._last: dict[str, Counters] = {}
        self._memories: dict[str, autoscaler.Memory] = {}
        self._looked_at = clock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Scale until `close`."""
        self._thread = threading.Thread(target=self._run, name="scaler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Scale no longer."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def scale(self) -> None:
        """One pass over all services."""
        now, before = self._clock(), self._looked_at
        self._looked_at = now
        running = [one for one in self._store.services.values() if one.wanted is Wanted.RUNNING]
        samples = self._samples([one for one in running if one.autoscaler])
        for service in running:
            try:
                wanted = self._wanted(service, samples.get(service.name, []), before, now)
                if wanted is not None and wanted != service.instances:
                    self._control.scale(service.name, wanted)
            except RecserveError as error:
                log.warning("%s is not scaled: %s", service.name, error)

    def _wanted(
        self, service: Service, samples: Sequence[Mapping[str, float]], before: float, now: float
    ) -> int | None:
        if service.cronscaler:
            table = cron.timetable(service.cronscaler)
            job = table.wanted(datetime.fromtimestamp(before), datetime.fromtimestamp(now))
            if job is not None:
                return job.instances
        if service.autoscaler and samples and service.instances:
            memory = self._memories.setdefault(service.name, autoscaler.Memory())
            rule = autoscaler.rule(service.autoscaler)
            return autoscaler.wanted(rule, service.instances, autoscaler.average(samples), memory, now)
        return None

    def _samples(self, services: Sequence[Service]) -> dict[str, list[Mapping[str, float]]]:
        """What each ready instance does per second: of those that were asked twice."""
        ready = [
            (one, service)
            for service in services
            for one in self._store.instances_of(service.name)
            if one.phase is Phase.READY
        ]
        found = self._measure([one for one, _ in ready])
        result: dict[str, list[Mapping[str, float]]] = {}
        for one, service in ready:
            now, last = found.get(one.id), self._last.get(one.id)
            if now is not None and last is not None and now.at > last.at and now.requests >= last.requests:
                result.setdefault(service.name, []).append(self._rates(service, last, now))
        self._last = dict(found)
        return result

    def _rates(self, service: Service, last: Counters, now: Counters) -> Mapping[str, float]:
        seconds = now.at - last.at
        document = self._store.versions[service.name, service.version].document
        cores = float(document.get("metadata", {}).get("cpu") or 1)
        cpu = 100 * (now.cpu_s - last.cpu_s) / seconds / cores
        return {"qps": (now.requests - last.requests) / seconds, "cpu": cpu}

    def _run(self) -> None:
        while not self._closing.wait(PERIOD_S):
            try:
                self.scale()
            except Exception:  # whatever it is, the next pass may do better
                log.exception("scaling failed")


def measured(instances: Sequence[Instance]) -> dict[str, Counters]:
    """Ask every instance for its /metrics; those that do not answer are left out."""

    async def ask_all() -> dict[str, Counters]:
        found = await asyncio.gather(*(_ask(one) for one in instances))
        return {one.id: counters for one, counters in zip(instances, found, strict=True) if counters}

    return asyncio.run(ask_all())


async def _ask(one: Instance) -> Counters | None:
    head = f"GET /metrics HTTP/1.0\r\nHost: {one.address}\r\n\r\n"
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(one.host, one.port)
            try:
                writer.write(head.encode("latin-1"))
                page = await reader.read(_LARGEST_PAGE)
                while chunk := await reader.read(_LARGEST_PAGE - len(page)):
                    page += chunk
            finally:
                writer.close()
    except (TimeoutError, OSError, ValueError):
        return None
    return counted(page.decode(errors="replace"), time.time())


def counted(page: str, at: float) -> Counters | None:
    """Read the two counters of a page of metrics; None if it is no page of ours."""
    requests: float | None = 0.0 if "recserve_requests" in page else None
    cpu = 0.0
    for line in page.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("recserve_requests_total"):
            requests = (requests or 0.0) + float(value)
        elif name == "process_cpu_seconds_total":
            cpu = float(value)
    return None if requests is None else Counters(at, requests, cpu)
