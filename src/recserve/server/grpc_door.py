"""gRPC (`rpc.grpc_port`): the messages of the predict route as calls, on the same event loop and workers.

    recserve.Predict/Score    PBRequest → PBResponse              with feature generation
    recserve.Predict/Run      PredictRequest → PredictResponse    without (bypass)
    grpc.health.v1.Health     SERVING from ready to draining
    reflection                so that grpcurl and its like need no .proto file

Messages pass as bytes through our own codec; protobuf's library describes the service and parses nothing. The
token is the metadata `authorization`; `x-request-id` is taken over, and answered with `server-timing`.

The one file that imports grpc. Source of the mapping of statuses: google/rpc/code.proto. Ours: a message is
never unpacked by `decompressor`, since gRPC says itself how it is compressed.
"""

from __future__ import annotations

import asyncio
from copy import copy
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from recserve.errors import ConfigError, MethodNotAllowedError, UnavailableError
from recserve.server.scoring import Scoring
from recserve.wire import descriptors

try:
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection, reflection_pb2
except ImportError as e:
    raise ConfigError(
        f"metadata.rpc.grpc_port: gRPC cannot be had ({e}); pip install 'recserve[grpc]'"
    ) from e

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recserve.config.rpc import Rpc
    from recserve.observe.trace import Trace
    from recserve.server.door import Door
    from recserve.server.endpoint import Endpoint
    from recserve.server.scoring import Workplace
    from recserve.server.tls import Tls
    from recserve.wire.auth import Authorizer

SERVICE = "recserve.Predict"
#: What a service answers (`Processor.answers`) → the method to call.
METHODS = {"features": "Score", "tensors": "Run"}
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    405: grpc.StatusCode.UNIMPLEMENTED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    450: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
#: What the status line of a call may hold; more is cut by proxies.
_LONGEST = 2000


class GrpcDoor:
    """The port. All methods run on the event loop."""

    name = "grpc"  # in metrics

    def __init__(self, rpc: Rpc, *, door: Door, workplace: Workplace, authorizer: Authorizer) -> None:
        self._rpc = rpc
        self._door = door
        self._workplace = workplace
        self._authorizer = authorizer
        self._scoring: Scoring | None = None
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", rpc.max_body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_metadata_size", rpc.max_header_bytes),
                ("grpc.absolute_max_metadata_size", rpc.max_header_bytes),
                ("grpc.max_connection_idle_ms", rpc.idle_timeout_ms),
                ("grpc.so_reuseport", 0),
            )
        )
        self._health = health.aio.HealthServicer()

    async def listen(self, host: str, port: int, tls: Tls | None) -> int:
        """Answer on a port, 0 takes a free one; returns the port that it is. Raises ConfigError."""
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(self._calling(method)) for method in METHODS.values()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server, pool=_pool())
        await self.tell(serving=False)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if tls is None:
                taken = self._server.add_insecure_port(address)
            else:
                taken = self._server.add_secure_port(address, _credentials(tls))
        except RuntimeError as error:
            raise ConfigError(
                f"cannot listen on {address} for gRPC; choose another metadata.rpc.grpc_port"
            ) from error
        await self._server.start()
        return int(taken)

    def serve(self, endpoint: Endpoint) -> None:
        """Answer with `endpoint` from now on."""
        plain: Any = copy(endpoint)  # the same processor, codec and counts
        plain.inflate = _as_it_is
        self._scoring = Scoring(plain, self._workplace)

    async def tell(self, *, serving: bool) -> None:
        """Say to health checks whether new calls should come here."""
        states = health_pb2.HealthCheckResponse
        for service in ("", SERVICE):
            await self._health.set(service, states.SERVING if serving else states.NOT_SERVING)

    async def close(self) -> None:
        """Take no call any more; those in work are answered, or cut when their time is over."""
        await self._server.stop(self._rpc.keepalive_ms / 1000 + 1.0)

    def _calling(self, method: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def call(body: bytes, context: Any) -> bytes:
            return await self._call(method, body, context)

        return call

    async def _call(self, method: str, body: bytes, context: Any) -> bytes:
        headers = {name.encode(): _bytes(value) for name, value in context.invocation_metadata()}
        trace = self._door.begin(headers, monotonic_ns())
        try:
            answer = await self._answer(method, body, headers, trace, context.time_remaining())
        except asyncio.CancelledError:  # by the client, or at its deadline
            self._workplace.metrics.refused(499)
            raise
        except Exception as error:
            status, message = self._door.as_answer(trace, error)
            self._finish(trace, status, context)
            self._workplace.kept.look_at(trace, body, status, _as_it_is)
            await context.abort(CODES.get(status, grpc.StatusCode.UNKNOWN), message[:_LONGEST])
            raise  # abort has raised
        self._finish(trace, 200, context, received=len(body), sent=len(answer))
        self._workplace.kept.look_at(trace, body, 200, _as_it_is)
        return answer

    async def _answer(
        self, method: str, body: bytes, headers: dict[bytes, bytes], trace: Trace, seconds: float | None
    ) -> bytes:
        scoring = self._scoring
        if scoring is None:
            raise UnavailableError("no healthy upstream")
        texts = {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in headers.items()}
        self._authorizer.check("POST", f"/{SERVICE}/{method}", texts)
        wanted = METHODS[scoring.endpoint.processor.answers]
        if method != wanted:
            raise MethodNotAllowedError(f"not answered here: {method}; this service answers {wanted}")
        self._workplace.check_room()
        trace.lap("receive")
        budget_ns = self._door.budget_ns if seconds is None else min(self._door.budget_ns, int(seconds * 1e9))
        return await scoring.answer(body, trace, (trace.started_ns + budget_ns) / 1e9)

    def _finish(self, trace: Trace, status: int, context: Any, *, received: int = 0, sent: int = 0) -> None:
        trace.end_work()
        trace.lap("respond")
        told = [("x-request-id", trace.request_id)]
        if trace.parent is not None:
            told.append(("traceparent", trace.parent.header().decode()))
        if status == 200:
            told.append(("server-timing", trace.server_timing()))
        context.set_trailing_metadata(tuple(told))
        self._workplace.finished(trace, status, door=self.name, received=received, sent=sent)


def _credentials(tls: Tls) -> Any:
    """Asked for with every new connection, so that replaced files are taken up."""

    def certificates() -> Any:
        pems = tls.pems
        return grpc.ssl_server_certificate_configuration(
            [(pems.key, pems.certificate)], pems.client_ca or None
        )

    return grpc.dynamic_ssl_server_credentials(certificates(), certificates, bool(tls.pems.client_ca))


def _as_it_is(body: bytes) -> bytes:
    return body


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")


def _pool() -> Any:
    """What reflection tells of: our messages, and the two services of gRPC beside them."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptors.files():
        pool.Add(file)
    for module in (health_pb2, reflection_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        pool.Add(file)
    return pool
