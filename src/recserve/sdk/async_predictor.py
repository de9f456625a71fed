"""Requests that nobody waits for: threads send them, a task or a coroutine has the answer.

The hosted product puts a queue before the service. Here the queue is in this process, and the service is a
synchronous one: what is not answered when the process ends is lost.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.sdk.service import EndpointType, ServicePredictor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recserve.sdk.asking import RawResponse
    from recserve.sdk.serializers import SerializerBase
    from recserve.sdk.session import Session


@dataclass(frozen=True)
class WaitConfig:
    """How often a queue is asked, each `interval` seconds, for an answer; 0 attempts are without end.

    Ours: an answer is waited for `max_attempts * interval` seconds, with no questions between.
    """

    max_attempts: int = 0
    interval: float = 5

    def __post_init__(self) -> None:
        if self.max_attempts < 0 or self.interval <= 0:
            raise ValueError(
                f"max_attempts is {self.max_attempts} and interval {self.interval};"
                " at least 0 and more than 0 are expected"
            )

    @property
    def seconds(self) -> float | None:
        """All of it; None is without end."""
        return self.max_attempts * self.interval or None


class AsyncTask:
    """A request that is under way."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the answer; raises what went wrong."""
        return self._future.result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for what went wrong, if anything did."""
        return self._future.exception(timeout)

    def done(self) -> bool:
        """Whether there is an answer, or none will come."""
        return self._future.done()

    def running(self) -> bool:
        """Whether it has been sent."""
        return self._future.running()

    def cancel(self) -> bool:
        """Do not send it; false if it has been."""
        return self._future.cancel()

    def cancelled(self) -> bool:
        """Whether it was not sent."""
        return self._future.cancelled()


class AsyncPredictor(ServicePredictor):
    """See the module. `max_workers` threads send; four for each core unless said."""

    def __init__(
        self,
        service_name: str,
        max_workers: int | None = None,
        endpoint_type: str = EndpointType.INTERNET,
        serializer: SerializerBase | None = None,
        session: Session | None = None,
    ) -> None:
        super().__init__(service_name, endpoint_type, serializer, session)
        self._lock = threading.Lock()
        self._max_workers = max_workers or min(64, 4 * (os.cpu_count() or 1))
        self._pool = ThreadPoolExecutor(self._max_workers, f"ask {service_name}")

    @property
    def max_workers(self) -> int:
        """How many requests are under way at most; setting it waits for those that are."""
        return self._max_workers

    @max_workers.setter
    def max_workers(self, count: int) -> None:
        new = ThreadPoolExecutor(count, f"ask {self.service_name}")
        with self._lock:
            old, self._pool, self._max_workers = self._pool, new, count
        old.shutdown(wait=True)

    def predict(self, data: Any, callback: Callable[[Any], Any] | None = None) -> AsyncTask:
        """Send data; `callback` gets the answer, in a thread. Gives a task with `result()`."""
        return self._submitted(lambda: self._predicted(data), callback)

    def raw_predict(
        self,
        data: Any = None,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        timeout: float | None = None,
        *,
        params: Mapping[str, str] | None = None,
        callback: Callable[[RawResponse], Any] | None = None,
    ) -> AsyncTask:
        """The same for a request as it is."""
        return self._submitted(lambda: self._answered(data, path, headers, method, timeout, params), callback)

    async def predict_async(self, data: Any, wait_config: WaitConfig | None = None) -> Any:
        """Send data and await the answer; TimeoutError after all attempts of `wait_config`."""
        return await self._awaited(self.predict(data), wait_config)

    async def raw_predict_async(
        self, data: Any = None, wait_config: WaitConfig | None = None, **request: Any
    ) -> RawResponse:
        """The same for a request as it is."""
        answer: RawResponse = await self._awaited(self.raw_predict(data, **request), wait_config)
        return answer

    def delete_service(self) -> None:
        """End the service for good, when the requests under way are answered."""
        self._pool.shutdown(wait=True)
        super().delete_service()

    def _submitted(self, ask: Callable[[], Any], callback: Callable[[Any], Any] | None) -> AsyncTask:
        def run() -> Any:
            answer = ask()
            if callback is not None:
                callback(answer)
            return answer

        with self._lock:
            return AsyncTask(self._pool.submit(run))

    @staticmethod
    async def _awaited(task: AsyncTask, wait_config: WaitConfig | None) -> Any:
        seconds = (wait_config or WaitConfig()).seconds
        return await asyncio.wait_for(asyncio.wrap_future(task._future), seconds)
