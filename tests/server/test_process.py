"""A server as a process of its own: a model that never returns, and what a supervisor sees."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.server import models
from tests.server.conftest import read_answer

from recserve import testing
from recserve.cores import cores, plan_threads, usable
from recserve.messages import TensorRequest
from recserve.server.serve import EXIT_WRITTEN_OFF
from recserve.wire import tensors

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = tmp_path_factory.mktemp("endless")
    models.save(models.Endless(), bundle)
    return bundle


def ask(server: testing.RunningServer, value: float) -> int:
    body = tensors.encode_request(TensorRequest((), {"x.values": np.full((2, 1), value, np.float32)}))
    host, _, port = server.base_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 20) as connection:
        head = f"POST /api/predict/rank HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return read_answer(connection)[0]


def test_calls_that_never_return_are_408_and_end_the_process_when_every_thread_is_lost(endless: Path) -> None:
    rpc = {"keepalive": 1000, "worker_threads": 1, "drain_ms": 100}
    with testing.serve(endless, {"name": "rank", "metadata": {"rpc": rpc}}) as server:
        assert ask(server, 0.0) == 200
        assert ask(server, 1.0) == 408
        status = server.process.wait(30)

    assert status == EXIT_WRITTEN_OFF
    assert "written off" in "".join(server.log)


@pytest.mark.skipif(cores() < 2, reason="one core is one thread")
def test_the_next_request_after_a_lost_thread_is_right(endless: Path) -> None:
    rpc = {"keepalive": 1000, "worker_threads": 2, "drain_ms": 100}
    with testing.serve(endless, {"name": "rank", "metadata": {"rpc": rpc}}) as server:
        assert [ask(server, value) for value in (0.0, 1.0, 0.0, 0.0)] == [200, 408, 200, 200]
        assert server.stop() == 0


def test_the_first_lines_say_how_the_cores_are_shared(endless: Path) -> None:
    envs = [{"name": "OMP_NUM_THREADS", "value": "1"}]
    with testing.serve(
        endless, {"metadata": {"rpc": {"worker_threads": 1}}, "processor_envs": envs}
    ) as server:
        server.stop()

    lines = [json.loads(line)["message"] for line in server.log if line.startswith("{")]
    plans = [line for line in lines if line.startswith("threads: ")]
    assert plans == [f"threads: {plan_threads(1, 1, usable())}"]
