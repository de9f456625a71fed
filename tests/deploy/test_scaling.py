from __future__ import annotations

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from recserve.deploy.records import Instance, Phase
from recserve.deploy.scaling import Counters, Scaler, counted, measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.deploy.simulation import Simulation


class Load:
    """Requests per second that instances get, shared by those who are ready."""

    def __init__(self, simulation: Simulation) -> None:
        self.qps = 0.0
        self._simulation = simulation
        self._requests: dict[str, float] = {}

    def measure(self, instances: Sequence[Instance]) -> Mapping[str, Counters]:
        for one in instances:
            self._requests[one.id] = self._requests.get(one.id, 0.0) + 5 * self.qps / len(instances)
        return {one.id: Counters(self._simulation.now, self._requests[one.id], 0.0) for one in instances}


def test_a_service_follows_its_traffic(simulation: Simulation) -> None:
    load = Load(simulation)
    scaler = Scaler(simulation.store, simulation.control, measure=load.measure, clock=simulation.clock)
    simulation.create(metadata={"instance": 1})
    with simulation.store.change() as change:
        rule = {"min": 1, "max": 6, "strategies": {"qps": 50}}
        change.put(replace(simulation.store.services["tiny"], autoscaler=rule))

    def live(seconds: int) -> int:
        for _ in range(seconds // 5):
            simulation.step(5)
            scaler.scale()
        return simulation.ready()[1]

    load.qps = 40
    assert live(60) == 1
    load.qps = 190
    assert live(60) == 4
    load.qps = 10_000
    assert live(60) == 6
    load.qps = 10
    assert live(120) == 6
    assert live(600) == 1
    events = [event.message for event in simulation.store.events("tiny") if event.reason == "Scaled"]
    assert len(events) >= 3


def test_the_clock_scales_a_service(simulation: Simulation) -> None:
    scaler = Scaler(simulation.store, simulation.control, measure=lambda _: {}, clock=simulation.clock)
    simulation.create(metadata={"instance": 1})
    with simulation.store.change() as change:
        jobs = [{"name": "always", "schedule": "*/10 * * * * *", "targetSize": 3}]
        change.put(replace(simulation.store.services["tiny"], cronscaler={"scaleJobs": jobs}))

    simulation.step(11)
    scaler.scale()
    simulation.step(5)

    assert simulation.ready() == {1: 3}


def test_counters_are_read_from_the_pages_of_instances() -> None:
    page = "\n".join(
        [
            "# HELP recserve_requests_total Prediction requests.",
            'recserve_requests_total{door="predict",status="200"} 40.0',
            'recserve_requests_total{door="predict",status="450"} 2.0',
            "process_cpu_seconds_total 7.5",
        ]
    )

    assert counted(page, 9.0) == Counters(9.0, 42.0, 7.5)
    assert counted("# HELP recserve_requests_total none yet", 9.0) == Counters(9.0, 0.0, 0.0)
    assert counted("<html>", 9.0) is None


def test_who_does_not_answer_is_left_out() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"recserve_requests_total 3.0\nprocess_cpu_seconds_total 1.0\n")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    one = Instance("a", "s", 1, Phase.READY, 0.0, 0.0, host="127.0.0.1", port=server.server_port)
    try:
        found = measured([one, replace(one, id="b", port=1)])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert list(found) == ["a"]
    assert (found["a"].requests, found["a"].cpu_s) == (3.0, 1.0)
