"""How the unmodified EAS client finds a service, and what it does when the service fails."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.server.conftest import FAILURES, Doubler, Rank, running

from recserve.errors import QueueFullError, RecserveError, UnavailableError

if TYPE_CHECKING:
    from tests.end_to_end.conftest import EasClient

    from recserve.messages import TensorRequest, TensorResponse
    from recserve.observe.trace import Trace

X = ("add_feed_map", "x", [2], 1, [1.5, 2.0])
DOUBLED = {"y": [3.0, 4.0]}


class FailsAtFirst(Doubler):
    """Raises so many times, and doubles then."""

    def __init__(self, times: int, error: Exception) -> None:
        super().__init__()
        self.times = times
        self.error = error
        self.asked = 0

    def predict(self, request: TensorRequest, trace: Trace | None = None) -> TensorResponse:
        if len(request.named_inputs["x"]) == 2:  # not the warm-up
            self.asked += 1
            if self.asked <= self.times:
                raise self.error
        return super().predict(request, trace)


def ask(eas: EasClient, rank: Rank, **settings: str) -> Any:
    client = {"endpoint": f"http://127.0.0.1:{rank.port}", "service": "rank", "token": "token", **settings}
    return eas.ask(client, "TorchRequest", X, arguments=[False])


def test_a_failure_of_the_model_is_asked_again_and_answered(eas_client: EasClient) -> None:
    model = FailsAtFirst(3, FAILURES[0])
    with running(lambda: model) as rank:
        answer = ask(eas_client, rank)

    assert answer.outputs == DOUBLED
    assert model.asked == 4


def test_a_failure_that_stays_is_told_after_all_tries(eas_client: EasClient) -> None:
    model = FailsAtFirst(99, FAILURES[0])
    with running(lambda: model) as rank:
        answer = ask(eas_client, rank, retries="3")

    assert (answer.error, answer.code) == ("PredictException", 500)
    assert "the model says no" in answer.message
    assert model.asked == 3


@pytest.mark.parametrize("error", [QueueFullError("full"), UnavailableError("no healthy upstream")])
def test_what_is_not_500_is_told_at_once(eas_client: EasClient, error: RecserveError) -> None:
    model = FailsAtFirst(1, error)
    with running(lambda: model) as rank:
        answer = ask(eas_client, rank)

    assert answer.code == error.status
    assert model.asked == 1


def test_a_client_that_comes_while_the_service_loads_finds_it_when_it_is_ready(
    eas_client: EasClient,
) -> None:
    """Told that there is nobody, it would fail; told nothing, it asks again."""
    gate = threading.Event()

    def load() -> Doubler:
        gate.wait(20)
        return Doubler()

    with running(load, ready=False) as rank, ThreadPoolExecutor() as beside:
        answer = beside.submit(ask, eas_client, rank, endpoint_type="DIRECT")
        while not rank.metric("recserve_connections") > 1:  # it has asked
            time.sleep(0.01)
        gate.set()

        assert answer.result(20).outputs == DOUBLED


def test_a_client_that_found_the_service_is_answered_while_it_drains(eas_client: EasClient) -> None:
    with running(drain_ms=20_000) as rank:
        assert ask(eas_client, rank, endpoint_type="DIRECT").outputs == DOUBLED
        rank.server.stop()
        while not rank.server.lifecycle.draining:
            time.sleep(0.001)
        until = time.monotonic() + 3.5  # it asks who serves every three seconds

        answers = []
        while time.monotonic() < until:
            answers.append(ask(eas_client, rank, endpoint_type="DIRECT").outputs)

    assert answers == [DOUBLED] * len(answers)
