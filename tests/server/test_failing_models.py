"""A model that throws: its request is told so in one line, the log has the rest, and the others go on."""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import urllib3
from tests.engines.models import write
from torch import Tensor, nn

from recserve import testing
from recserve.messages import TensorRequest
from recserve.wire import tensors


class Picks(nn.Module):
    """Picks one of three; there is no fourth."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.arange(3)[x.long()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[testing.RunningServer]:
    bundle = write(tmp_path_factory.mktemp("picks"), Picks())
    with testing.serve(bundle, {"name": "rank"}) as running:
        yield running


def ask(server: testing.RunningServer, x: float) -> urllib3.BaseHTTPResponse:
    body = tensors.encode_request(TensorRequest([np.array([x], np.float32)], {}))
    return urllib3.request("POST", server.url, body=body, timeout=30)


def test_the_caller_reads_one_line_and_the_log_the_trace(server: testing.RunningServer) -> None:
    answer = ask(server, 7)

    assert answer.status == 500
    assert answer.data == b"failed: the model failed: index 7 is out of bounds for dimension 0 with size 3"
    while not (logged := "".join(line for line in server.log if "request failed" in line)):
        assert server.process.poll() is None
        time.sleep(0.01)
    assert "Traceback" in logged
    assert "torch.arange(3)" in logged


def test_the_next_request_is_answered(server: testing.RunningServer) -> None:
    ask(server, 7)

    [output] = tensors.decode_response(ask(server, 2).data).outputs

    assert output.tolist() == [2]


def test_tensors_that_no_model_takes_are_the_callers_fault(server: testing.RunningServer) -> None:
    body = tensors.encode_request(TensorRequest([np.ones(1), np.ones(1)], {}))

    answer = urllib3.request("POST", server.url, body=body, timeout=30)

    assert answer.status == 400
    assert b"2 inputs by position, the model has 1: 0 'x'" in answer.data
