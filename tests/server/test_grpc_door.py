"""gRPC over real sockets: scores, statuses, limits, health, reflection, and how it ends."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
import uvloop
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import DOUBLE, Doubler, Rank, Running, running, running_bundle, tensors_of

from recserve.config import service
from recserve.errors import ConfigError
from recserve.server.serve import Server
from recserve.wire import json_scores, tensors, torchrec

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "/recserve.Predict/Run"
TOKEN = (("authorization", "token"),)
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Caller:
    """One channel to the gRPC port of a server."""

    def __init__(self, server: Running, *options: tuple[str, Any]) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.server.grpc_port}", options=options)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def call(self, body: bytes = DOUBLE, method: str = RUN, metadata: Any = TOKEN, **more: Any) -> bytes:
        answer: bytes = self.begin(body, method, metadata, **more).result()
        return answer

    def begin(self, body: bytes = DOUBLE, method: str = RUN, metadata: Any = TOKEN, **more: Any) -> Any:
        return self.channel.unary_unary(method).future(body, metadata=metadata, timeout=20, **more)

    def refused(self, *arguments: Any, **more: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as raised:
            self.call(*arguments, **more)
        return raised.value.code(), raised.value.details()

    def health(self, name: str = "") -> int:
        stub = health_pb2_grpc.HealthStub(self.channel)
        status: int = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=20).status
        return status


@pytest.fixture(scope="module")
def server() -> Iterator[Rank]:
    with running(grpc_port=-1) as rank:
        yield rank


@pytest.fixture
def caller(server: Rank) -> Iterator[Caller]:
    with Caller(server) as caller:
        yield caller


def doubled(body: bytes) -> list[float]:
    values: list[float] = tensors.decode_response(body).named_outputs["y"].tolist()
    return values


# --- answers ---


def test_a_call_is_answered_with_the_bytes_of_the_predict_route(server: Rank, caller: Caller) -> None:
    assert caller.call() == server.post().data


def test_the_loop_is_uvloop(server: Rank) -> None:
    assert isinstance(server.server._loop, uvloop.Loop)


def test_scores_are_those_of_the_predict_route(tmp_path_factory: pytest.TempPathFactory) -> None:
    content = {"user": {"taste": 5}, "item_ids": ["i1", "nobody"], "context": {"hour": [0, 1]}}
    body = torchrec.encode_request(json_scores.from_json(content))
    bundle = write_bundle(tmp_path_factory.mktemp("grpc"))
    with running_bundle(bundle, service_of(), grpc_port=-1) as rank, Caller(rank) as caller:
        assert caller.call(body, "/recserve.Predict/Score") == rank.post(body).data
        code, details = caller.refused(body, RUN)
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert details == "not answered here: Run; this service answers Score"


def test_many_calls_at_once_get_their_own_answers(caller: Caller) -> None:
    calls = [caller.begin(tensors_of(x=[number, 1])) for number in range(60)]

    assert [doubled(call.result()) for call in calls] == [[2.0 * number, 2.0] for number in range(60)]


def test_request_id_and_timing_come_behind_the_answer(caller: Caller) -> None:
    call = caller.begin(metadata=(*TOKEN, ("x-request-id", "r-1")))
    call.result()
    trailing = dict(call.trailing_metadata())

    assert trailing["x-request-id"] == "r-1"
    assert trailing["server-timing"].startswith("receive;dur=")
    assert "run;dur=" in trailing["server-timing"]


@pytest.mark.parametrize("given", ["x" * 129, "a b", '"'])
def test_a_request_id_that_may_do_harm_is_replaced(caller: Caller, given: str) -> None:
    call = caller.begin(metadata=(*TOKEN, ("x-request-id", given)))
    call.result()

    assert dict(call.trailing_metadata())["x-request-id"] != given


@pytest.mark.parametrize("decompressor", ["snappy", "gzip"])
def test_a_message_is_never_unpacked_but_by_grpc(decompressor: str) -> None:
    with running(grpc_port=-1, decompressor=decompressor) as rank, Caller(rank) as caller:
        assert doubled(caller.call()) == [3.0, 4.0]
        assert doubled(caller.call(compression=grpc.Compression.Gzip)) == [3.0, 4.0]


# --- what is refused ---


@pytest.mark.parametrize(
    "metadata", [(), (("authorization", "wrong"),), (("authorization", "Bearer token"),)]
)
def test_without_the_token_a_call_is_unauthenticated(caller: Caller, metadata: Any) -> None:
    code, details = caller.refused(metadata=metadata)

    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert details.startswith("not authorized")


@pytest.mark.parametrize(
    ("body", "code", "details"),
    [
        (b"garbage", grpc.StatusCode.INVALID_ARGUMENT, "failed to parse request"),
        (tensors_of(x=1, fail=0), grpc.StatusCode.INTERNAL, "the model says no"),
        (tensors_of(x=1, fail=1), grpc.StatusCode.INTERNAL, "its log has the details under request id"),
    ],
)
def test_errors_have_the_code_of_their_status(
    caller: Caller, body: bytes, code: grpc.StatusCode, details: str
) -> None:
    found, told = caller.refused(body)

    assert found is code
    assert details in told
    assert "secret" not in told


@pytest.mark.parametrize(
    "method", ["/recserve.Predict/Score", "/recserve.Predict/Other", "/other.Service/Run"]
)
def test_a_method_that_is_not_there_is_unimplemented(caller: Caller, method: str) -> None:
    assert caller.refused(method=method)[0] is grpc.StatusCode.UNIMPLEMENTED


def test_a_message_over_the_limit_is_refused_and_so_is_one_that_inflates_beyond_it() -> None:
    bomb = bytes(50_000_000)
    with running(grpc_port=-1, max_body_bytes=100_000) as rank, Caller(rank) as caller:
        large = caller.refused(bytes(100_001))
        inflated = caller.refused(bomb, compression=grpc.Compression.Gzip)
        assert doubled(caller.call()) == [3.0, 4.0]

    assert large[0] is inflated[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_full_queue_and_a_spent_rate_are_exhausted_resources() -> None:
    with (
        running(grpc_port=-1, worker_threads=1, max_queue_size=1) as rank,
        Caller(rank) as caller,
    ):
        waiting = [caller.begin(tensors_of(x=1, wait=1)) for _ in range(2)]
        while rank.metric("recserve_requests_in_flight") < 2:
            time.sleep(0.005)
        assert caller.refused()[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        rank.processor.gate.set()
        assert all(call.result() for call in waiting)
    with running(grpc_port=-1, rate_limit=0.01) as rank, Caller(rank) as caller:
        caller.call()
        assert rank.post().status == 429  # one rate for all doors
        code, details = caller.refused()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "rate_limit" in details


def test_a_call_over_the_budget_of_the_service_is_late() -> None:
    with running(grpc_port=-1, keepalive=150, worker_threads=1) as rank, Caller(rank) as caller:
        code, details = caller.refused(tensors_of(x=1, wait=1))

    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert details.startswith("no time left")


def test_the_deadline_of_a_caller_counts_so_that_what_expires_in_the_queue_is_not_computed() -> None:
    with running(grpc_port=-1, worker_threads=1, keepalive=10_000) as rank, Caller(rank) as caller:
        first = caller.begin(tensors_of(x=1, wait=1))
        while rank.metric("recserve_requests_in_flight") < 1:
            time.sleep(0.005)
        calls = rank.processor.calls
        with pytest.raises(grpc.RpcError) as raised:
            caller.channel.unary_unary(RUN)(DOUBLE, metadata=TOKEN, timeout=0.1)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        while rank.metric("recserve_requests_in_flight") > 1:
            time.sleep(0.005)
        rank.processor.gate.set()
        first.result()
        assert rank.processor.calls == calls


def test_calls_are_counted_under_their_door(server: Rank, caller: Caller) -> None:
    before = server.metric("recserve_requests_total", door="grpc", status="200")

    caller.call()
    caller.refused(metadata=())

    assert server.metric("recserve_requests_total", door="grpc", status="200") == before + 1
    assert server.metric("recserve_requests_total", door="grpc", status="401") > 0


# --- health and reflection ---


def test_health_follows_readiness_and_draining() -> None:
    gate = threading.Event()

    def load() -> Doubler:
        gate.wait(20)
        return Doubler()

    with running(load, ready=False, grpc_port=-1, drain_ms=60_000) as rank:
        while not rank.server.grpc_port:
            time.sleep(0.001)
        with Caller(rank) as caller:
            assert caller.health() == caller.health("recserve.Predict") == NOT_SERVING
            assert caller.refused() == (grpc.StatusCode.UNAVAILABLE, "no healthy upstream")
            gate.set()
            wait_until(caller, SERVING)
            assert caller.health("recserve.Predict") == SERVING
            rank.server.stop()
            wait_until(caller, NOT_SERVING)
            assert doubled(caller.call()) == [3.0, 4.0]  # whoever is here is still answered


def wait_until(caller: Caller, status: int) -> None:
    deadline = time.monotonic() + 20
    while caller.health() != status:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_reflection_tells_the_services_and_their_messages(caller: Caller) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(caller.channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="recserve.Predict"),
        reflection_pb2.ServerReflectionRequest(
            file_containing_symbol="com.alibaba.pairec.processor.PBRequest"
        ),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"),
    ]

    listed, *described = stub.ServerReflectionInfo(iter(asked))

    services = {service.name for service in listed.list_services_response.service}
    assert services == {
        "recserve.Predict",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(
            answer.file_descriptor_response.file_descriptor_proto[0]
        )
        for answer in described
    ]
    assert [file.name for file in files[:2]] == ["predict_service.proto", "torchrec_predict.proto"]
    assert [method.name for method in files[0].service[0].method] == ["Score", "Run"]


# --- the end ---


def test_a_call_in_work_when_the_server_ends_is_answered() -> None:
    with running(grpc_port=-1, drain_ms=0) as rank, Caller(rank) as caller:
        call = caller.begin(tensors_of(x=[4], wait=[1]))
        while rank.server._pool.in_flight < 1:
            time.sleep(0.005)
        rank.server.stop()
        time.sleep(0.1)
        assert rank.status is None
        rank.processor.gate.set()
        assert doubled(call.result()) == [8.0]
        rank._thread.join(20)
        assert rank.status == 0


def test_a_call_that_its_client_gives_up_is_counted_and_disturbs_nobody(server: Rank, caller: Caller) -> None:
    server.processor.gate.clear()
    call = caller.begin(tensors_of(x=1, wait=1))
    while server.metric("recserve_requests_in_flight") < 1:
        time.sleep(0.005)
    gone = server.metric("recserve_requests_total", status="499")
    call.cancel()
    while server.metric("recserve_requests_total", status="499") == gone:
        time.sleep(0.005)
    server.processor.gate.set()

    assert doubled(caller.call()) == [3.0, 4.0]


def test_a_port_that_is_taken_is_a_clear_error(server: Rank) -> None:
    document = {"name": "rank", "metadata": {"rpc": {"grpc_port": server.server.grpc_port}}}
    second = Server(service.load(document, {}), lambda progress: Doubler())

    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{server.server.grpc_port} for gRPC"):
        uvloop.run(second.main())


def test_callers_on_both_ports_at_once_are_all_answered() -> None:
    values = np.arange(200, dtype=np.float32)
    with (
        running(grpc_port=-1, max_queue_size=1000) as rank,
        Caller(rank) as caller,
        ThreadPoolExecutor(8) as callers,
    ):
        told = list(callers.map(lambda value: doubled(caller.call(tensors_of(x=[value]))), values[:100]))
        told += [doubled(rank.post(tensors_of(x=[float(value)])).data) for value in values[100:]]

    assert told == [[2 * value] for value in values.tolist()]


def test_the_asyncio_client_is_answered_too(server: Rank) -> None:
    async def ask() -> bytes:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.server.grpc_port}") as channel:
            answer: bytes = await channel.unary_unary(RUN)(DOUBLE, metadata=TOKEN)
            return answer

    assert doubled(asyncio.run(ask())) == [3.0, 4.0]
