"""The server process: from an exported model directory to answers, and to an orderly end.

    bind ─▶ LOADING (in a thread) ─▶ WARMING ─▶ READY ──SIGTERM──▶ DRAINING ─▶ close ─▶ exit
             /healthz answers from here on                            (connections, then the items' sources)

One process serves one model: a new model is a new process beside this one, and then SIGTERM to this one.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import uvloop

from recserve.allocator import described, tune_allocator
from recserve.bundle import Bundle
from recserve.config import environment
from recserve.cores import plan_threads, usable
from recserve.observe import logs
from recserve.observe.metrics import Metrics
from recserve.processors.load import load
from recserve.server.admin import PATIENCE_SECONDS, AdminApp
from recserve.server.app import App
from recserve.server.captures import KeptRequests
from recserve.server.endpoint import Endpoint, ScoreEndpoint, TensorEndpoint
from recserve.server.lifecycle import Lifecycle, State
from recserve.server.listener import Listener
from recserve.server.loading import Loading
from recserve.server.open_files import allow_open_files
from recserve.server.progress import WatchedProgress, shown_progress
from recserve.server.tls import tls
from recserve.server.together import SharedCalls, shared_calls
from recserve.server.warm_up import PATIENCE_SECONDS as WARM_UP_SECONDS
from recserve.server.warm_up import warm_up
from recserve.server.workers import Together, WorkerPool
from recserve.wire.auth import Authorizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.config.rpc import Rpc
    from recserve.config.service import ServiceSpec
    from recserve.observe.spans import Spans
    from recserve.processors.load import Progress
    from recserve.processors.processor import Gauges, Processor
    from recserve.server.grpc_door import GrpcDoor
    from recserve.server.loading import Loader

logger = logging.getLogger("recserve.server")

#: Exit status for a supervisor: too many model calls never came back.
EXIT_WRITTEN_OFF = 3
#: A refresh, a comparison and two of whatever else operators ask for at once.
ADMIN_THREADS = 4


def run(
    bundle_path: Path | str,
    spec: ServiceSpec,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    log_level: str = "info",
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. Port 0 takes a free one, which is printed.

    Raises LoadError when the bundle, the item table or the service file do not fit together.
    """
    tune_allocator()
    faulthandler.enable()
    logs.configure(level=log_level, secrets=spec.secrets)
    environment.export(spec.envs)
    allow_open_files()
    logger.info(f"allocator: {described(spec.rpc.allocators)}")
    for warning in spec.warnings:
        logger.warning(warning)

    def load_bundle(progress: Progress) -> Processor:
        return load(Bundle.open(bundle_path), spec, progress)

    server = Server(
        spec, load_bundle, bundle_path=Path(bundle_path), host=host, port=port, on_ready=_print_url
    )
    status = uvloop.run(server.main(handle_signals=True))
    if server.left_behind:
        # A thread inside a model call cannot be joined, and must not run on while the libraries are unloaded.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


class Server:
    """One service on one port. `main` runs it; `stop` may be called from any thread."""

    def __init__(
        self,
        spec: ServiceSpec,
        load_processor: Loader,
        *,
        bundle_path: Path | None = None,  # where requests may be kept
        host: str = "127.0.0.1",
        port: int = 0,
        on_ready: Callable[[Server], None] | None = None,
    ) -> None:
        self.spec = spec
        self.host = host
        self.port = port  # the real one once the port answers
        self.admin_port = 0  # the real one, if there is one
        self.grpc_port = 0  # likewise
        self.lifecycle = Lifecycle()
        self.metrics = Metrics(spec.name, self._gauges)
        self._loading = Loading(load_processor)
        self._kept = KeptRequests(spec, bundle_path)
        self._on_ready = on_ready
        self._status = 0
        self._endpoint: Endpoint | None = None
        self._shared: SharedCalls | None = None
        self._admin: AdminApp | None = None
        self._grpc: GrpcDoor | None = None
        self._spans: Spans | None = None
        self._tls = tls(spec.rpc, spec.base_dir)

    @property
    def url(self) -> str:
        """Where predictions are posted."""
        return f"{self._scheme}://{self.host}:{self.port}/api/predict/{self.spec.name}"

    @property
    def admin_url(self) -> str:
        """Where items are looked at and changed by hand; empty without an admin port."""
        return f"{self._scheme}://{self.host}:{self.admin_port}/items" if self.admin_port else ""

    @property
    def _scheme(self) -> str:
        return "http" if self._tls is None else "https"

    @property
    def left_behind(self) -> bool:
        """Whether threads are still inside a call although the server has ended."""
        pools = (self._pool, self._admin_pool) if self._admin is not None else (self._pool,)
        beside = (self._loading.left_behind, self._kept.working, self._spans and self._spans.working)
        return any(pool.computing for pool in pools) or any(beside)

    async def main(self, *, handle_signals: bool = False) -> int:
        """Serve until stopped; returns the exit status, 0 after an orderly end."""
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        if handle_signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._stop)
        rpc = self.spec.rpc
        plan = plan_threads(rpc.worker_threads, self.spec.environment.intra_op_threads, usable())
        logger.info(f"threads: {plan}")
        self._pool = WorkerPool(
            self._loop,
            threads=plan.workers,
            in_work=rpc.worker_threads,
            max_queue=rpc.max_queue_size,
            budget=rpc.keepalive_ms / 1000,
            on_exhausted=self._give_up,
            together=Together(rpc.max_batch_size, rpc.max_batch_timeout_ms / 1000),
        )
        self._app = App(
            self.spec,
            lifecycle=self.lifecycle,
            pool=self._pool,
            metrics=self.metrics,
            authorizer=Authorizer(self.spec.tokens),
            kept=self._kept,
        )
        if rpc.trace_sample:
            from recserve.observe.spans import Spans

            self._spans = self._app.workplace.spans = Spans(self.spec.name, rpc.trace_sample)
        self._listener = Listener(self.host, rpc, self._tls)
        self._tell_time()
        try:
            self.port = await self._listener.listen(self._app, self.port)
            if rpc.admin_port:
                self.admin_port = await self._listen_to_operators()
            if rpc.grpc_port:
                self.grpc_port = await self._listen_to_calls()
            becoming_ready = asyncio.ensure_future(self._become_ready())
            stopped = asyncio.ensure_future(self._stopping.wait())
            await asyncio.wait((becoming_ready, stopped), return_when=asyncio.FIRST_COMPLETED)
            if becoming_ready.done():
                becoming_ready.result()  # raises why it could not be loaded
            else:
                becoming_ready.cancel()
            await stopped
            await self._drain()
        finally:
            closing = [self._listener.close()] + ([self._grpc.close()] if self._grpc is not None else [])
            await asyncio.gather(*closing)
            await asyncio.to_thread(self._kept.close)
            if self._spans is not None:
                await asyncio.to_thread(self._spans.close)
            await self._loading.close(self._endpoint.processor if self._endpoint is not None else None)
            self._pool.close()
            if self._admin is not None:
                self._admin_pool.close()
            self._clock.cancel()
            gc.unfreeze()  # what was frozen when it became ready is to be taken apart in order
        return self._status

    def stop(self) -> None:
        """Drain and end; a second call ends the drain at once. For other threads."""
        self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    def _give_up(self) -> None:
        logger.critical(
            "as many calls hang as there are worker threads; ending so that a supervisor starts anew"
        )
        self._status = EXIT_WRITTEN_OFF
        self._stop()

    async def _listen_to_operators(self) -> int:
        """Open the admin port: the same host and limits, threads and tokens of its own."""
        self._admin_pool = WorkerPool(
            self._loop,
            threads=ADMIN_THREADS,
            in_work=ADMIN_THREADS,
            max_queue=ADMIN_THREADS,
            budget=PATIENCE_SECONDS,
            on_exhausted=lambda: None,
        )
        self._admin = AdminApp(
            self.spec,
            lifecycle=self.lifecycle,
            pool=self._admin_pool,
            authorizer=Authorizer(self.spec.admin_tokens or self.spec.tokens),
        )
        return await self._listener.listen(self._admin, max(0, self.spec.rpc.admin_port))

    async def _listen_to_calls(self) -> int:
        """Open the gRPC port; what it needs is imported by those alone who have one."""
        from recserve.server.grpc_door import GrpcDoor

        self._grpc = GrpcDoor(
            self.spec.rpc,
            door=self._app.door,
            workplace=self._app.workplace,
            authorizer=Authorizer(self.spec.tokens),
        )
        return await self._grpc.listen(self.host, max(0, self.spec.rpc.grpc_port), self._tls)

    def _tell_time(self) -> None:
        """The Date header, once per second, the age of the items, and TLS files that were replaced."""
        if self._tls is not None:
            self._tls.renew()
        self._tell_watermark()
        self._listener.tell_time()
        self._clock = self._loop.call_later(1.0, self._tell_time)

    def _tell_watermark(self) -> None:
        """A text that is a second old costs requests nothing, and promises no more than is true."""
        if self.spec.items.item_watermarks and self._app.endpoint is not None:
            items = self._app.endpoint.processor.kept_items
            self._app.watermark = items.watermark().encode() if items is not None else b""

    async def _become_ready(self) -> None:
        with shown_progress() as shown:
            progress = self._app.operators.progress = WatchedProgress(shown)
            processor = await self._loading.load(progress)
            self.lifecycle.move(State.WARMING)
            self._endpoint = _endpoint(processor, self.spec)
            await warm_up(self.spec, self._endpoint, self._pool, progress)
            self._shared = await self._pool.submit(
                shared_calls,
                self._endpoint,
                self.spec.rpc,
                deadline=monotonic() + WARM_UP_SECONDS,
                budget=WARM_UP_SECONDS,
            )
        self._kept.serve(self._endpoint)
        self._app.serve(self._endpoint, shared=self._shared)
        if self._admin is not None:
            self._admin.serve(processor.kept_items)
        # What is loaded stays: the collector need not look at it again, which it would do for tens of ms.
        gc.collect()
        gc.freeze()
        self._app.operators.progress = None
        self._tell_watermark()
        self.lifecycle.move(State.READY)
        if self._grpc is not None:
            self._grpc.serve(self._endpoint)
            await self._grpc.tell(serving=True)
        if self._on_ready is not None:
            self._on_ready(self)

    async def _drain(self) -> None:
        """Send clients elsewhere: every answer closes its connection, and /readyz tells the balancers."""
        self.lifecycle.move(State.DRAINING)
        if self._grpc is not None:
            await self._grpc.tell(serving=False)
        if self._app.endpoint is None:
            return  # nobody was sent here yet
        try:
            async with asyncio.timeout(self.spec.rpc.drain_ms / 1000):
                await self._hurry.wait()
        except TimeoutError:
            pass

    def _gauges(self) -> Gauges:
        pool = self._pool
        return {
            "recserve_ready": ("1 if new traffic should come here.", float(self.lifecycle.ready)),
            "recserve_requests_in_flight": ("Requests that wait or are in work.", pool.in_flight),
            "recserve_queue_depth": ("Requests that no thread has taken yet.", pool.queue_depth),
            "recserve_queue_capacity": ("Requests in flight beyond which 450 is answered.", pool.capacity),
            "recserve_worker_threads": ("Computing threads.", pool.threads),
            "recserve_worker_write_offs_total": ("Model calls that outlived their budget.", pool.write_offs),
            "recserve_calls_total": ("Calls of worker threads.", pool.calls),
            "recserve_calls_late_total": ("Those whose caller had been told 408.", pool.calls_late),
            "recserve_expired_total": ("Requests that waited until it was too late.", pool.expired),
            "recserve_connections": ("Open connections.", self._listener.connections),
            **self._kept.gauges(),
            **(self._spans.gauges() if self._spans else {}),
            **(self._endpoint.gauges() if self._endpoint else {}),
            **(self._shared.gauges() if self._shared else {}),
        }


def _endpoint(processor: Any, spec: ServiceSpec) -> Endpoint:
    """The codec that a processor's requests come in."""
    endpoints: dict[str, Callable[[Any, Rpc], Endpoint]] = {
        "features": ScoreEndpoint,
        "tensors": TensorEndpoint,
    }
    return endpoints[processor.answers](processor, spec.rpc)


def _print_url(server: Server) -> None:
    if server.admin_url:
        print(f"recserve: '{server.spec.name}' takes items at {server.admin_url}", flush=True)
    if server.grpc_port:
        print(f"recserve: '{server.spec.name}' answers gRPC at {server.host}:{server.grpc_port}", flush=True)
    print(f"recserve: '{server.spec.name}' is ready at {server.url}", flush=True)
