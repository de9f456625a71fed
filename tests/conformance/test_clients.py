"""The real clients, items 51 and 52: documented samples by every way to a service, and many connections."""

from __future__ import annotations

import resource
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import urllib3
from tests.conformance.asking import PATH, ask
from tests.end_to_end.conftest import Eas, eas_client, echo
from tests.end_to_end.echo import Positional
from tests.end_to_end.samples import JAVA_SAMPLE, PYTHON_SAMPLE
from tests.engines.models import write
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import read_answer

from recserve.client.load import LoadPlan, run_load
from recserve.testing import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.conftest import EasClient

    from recserve.testing import RunningServer

__all__ = ["eas_client", "echo"]  # fixtures

INT64, FLOAT = 9, 1
CONNECTIONS = 2000


def ways(server: RunningServer) -> dict[str, dict[str, str]]:
    """How a client may be told where the service is."""
    return {
        "gateway": {},
        "direct": {"endpoint_type": "DIRECT"},
        "custom url": {"endpoint": "", "service": "", "custom_url": server.url},
    }


@pytest.mark.parametrize("way", ["gateway", "direct", "custom url"])
def test_51_documented_samples_with_features_complete(
    eas_client: EasClient, echo: RunningServer, way: str
) -> None:
    eas = Eas(eas_client, echo)
    settings = ways(echo)[way]

    python, java = eas.score(*PYTHON_SAMPLE, **settings), eas.score(*JAVA_SAMPLE, **settings)

    assert python.item_ids == ["item_0001", "item_0002", "item_0003"]
    assert python.outputs["id_2"] == [866, 7023, 7023]
    assert python.outputs["map_2"] == [0, 4143, 2451]
    assert java.item_ids == ["7033"]
    assert java.outputs["map_1"] == [4143]


@pytest.mark.parametrize("level", [0, 1, 2, 3, 100, 102, 903, 904])
def test_51_documented_levels_complete(eas_client: EasClient, echo: RunningServer, level: int) -> None:
    answer = Eas(eas_client, echo).score(*PYTHON_SAMPLE, ("set_debug_level", level))

    ids = {"item_0001", "item_0002", "item_0003"}
    assert answer.item_ids == sorted(ids)
    assert set(answer.generate_features) == (ids if level in (1, 2, 3, 102) else set())
    assert set(answer.raw_features) == (ids if level in (1, 2, 102) else set())
    assert ("price" in answer.outputs) == (level not in (1, 3))


@pytest.fixture(scope="module")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    bundle = write(tmp_path_factory.mktemp("tensors") / "bundle", Positional())
    with serve(bundle, {"name": "rank", "token": "token", "model_config": {"fg_mode": "bypass"}}) as server:
        yield server


def test_51_the_documented_sample_with_tensors_completes(
    eas_client: EasClient, tensors: RunningServer
) -> None:
    answer = Eas(eas_client, tensors).run_tensors(
        ("add_feed", 0, [300, 3], INT64, {"repeat": [1, 900]}),
        ("add_feed", 1, [300, 10, 768], FLOAT, {"repeat": [1.0, 3 * 768000]}),
        ("add_feed", 2, [300, 768], FLOAT, {"repeat": [1.0, 3 * 76800]}),
        ("add_feed", 3, [300], INT64, {"repeat": [1, 300]}),
    )

    assert answer.tensors == [([300], [4] * 300), ([300], [7680 + 768] * 300)]


@pytest.mark.parametrize("way", ["gateway", "direct", "custom url"])
@pytest.mark.parametrize("compressed", [False, True])
def test_51_tensors_are_answered_by_every_way_plain_and_compressed(
    eas_client: EasClient, tensors: RunningServer, way: str, compressed: bool
) -> None:
    answer = Eas(eas_client, tensors).run_tensors(
        ("add_feed", 0, [2, 3], INT64, [1, 2, 3, 4, 5, 6]),
        ("add_feed", 1, [2, 1, 2], FLOAT, [1.0, 2.0, 3.0, 4.0]),
        ("add_feed", 2, [2, 1], FLOAT, [0.25, 1.0]),
        ("add_feed", 3, [2], INT64, [100, 200]),
        ("add_fetch", 0),
        ("set_debug_level", 903),
        compressed=compressed,
        **ways(tensors)[way],
    )

    assert answer.tensors == [([2], [106, 215])]


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A process of its own, so that its memory is the server's and nothing else."""
    folder = tmp_path_factory.mktemp("sums")
    bundle = write_bundle(folder)
    document = service_of(tables=[{"name": str(folder / "items.parquet"), "key": "item_id"}])
    with serve(bundle, document) as server:
        yield server


def test_52_sixty_four_busy_connections_see_no_error(sums: RunningServer) -> None:
    body = ask("i1", "i2", user={"taste": "7"}).SerializeToString()
    plan = LoadPlan(duration_s=60, requests=3200, concurrency=64, timeout_s=30)

    result = run_load(sums.url, [body], plan, headers={"Authorization": sums.token})

    assert (result.answered, dict(result.failures)) == (3200, {})


def test_52_thousands_of_idle_connections_are_tolerated(sums: RunningServer) -> None:
    body = ask("i1").SerializeToString()
    request = f"POST {PATH} HTTP/1.1\r\nAuthorization: {sums.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    host, port = sums.base_url.removeprefix("http://").split(":")
    process = psutil.Process(sums.pid)
    count = min(CONNECTIONS, most - 200)
    assert count > 1000, f"the limit of {most} open files leaves nothing to test"
    before = process.memory_info().rss
    with ExitStack() as opened:
        connections = [
            opened.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(count)
        ]
        for connection in connections[::10]:  # some have asked before they fell silent
            connection.sendall(request.encode() + body)
            assert read_answer(connection)[0] == 200
        assert metric(sums, "recserve_connections") >= count
        grown = process.memory_info().rss - before
        for connection in (connections[0], connections[5], connections[-1]):  # all still work
            connection.sendall(request.encode() + body)
            assert read_answer(connection)[0] == 200
    assert grown < count * 60_000, f"{grown / count:.0f} bytes per connection"
    while metric(sums, "recserve_connections") > 10:  # all of them are let go of
        time.sleep(0.01)


def metric(server: RunningServer, name: str) -> float:
    text: Any = urllib3.request("GET", f"{server.base_url}/metrics").data.decode()
    (line,) = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return float(line.rpartition(" ")[2])
