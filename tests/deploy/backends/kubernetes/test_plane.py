"""A whole control plane whose instances are pods: rolled under traffic, killed, adopted, ended."""

from __future__ import annotations

import threading
import time
import urllib.request
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.deploy.backends.contract import APP, PATIENCE_S
from tests.deploy.backends.kubernetes.conftest import PLANE, cluster_of

from recserve.deploy.backends.kubernetes.backend import KubernetesBackend
from recserve.deploy.backends.kubernetes.settings import Settings
from recserve.deploy.plane import Plane
from recserve.deploy.records import Phase, RolloutState
from recserve.deploy.routing import endpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.deploy.backends.kubernetes.api_server import ApiServer
    from tests.deploy.backends.kubernetes.kubelet import Kubelet


@pytest.fixture
def plane(tmp_path: Path, server: ApiServer, kubelet: Kubelet, port: int) -> Iterator[Callable[[], Plane]]:
    """Makes a control plane of the same state; the last one ends everything."""
    made: list[Plane] = []
    settings = Settings(namespace="prod", port=port)
    backend = partial(KubernetesBackend, cluster_of(server), settings, PLANE)

    def make() -> Plane:
        one = Plane(tmp_path / "state", backend, endpoint="http://127.0.0.1", elsewhere=True)
        one.start()
        made.append(one)
        return one

    yield make
    made[-1].close(keep=False)
    assert not server.objects.of("Pod")
    assert not server.objects.of("ConfigMap")
    assert not kubelet.processes


def document(word: str, port: int, instances: int = 2) -> dict[str, Any]:
    return {
        "name": "my_app",
        "metadata": {"instance": instances, "rolling_strategy": {"max_surge": 2}},
        "containers": [
            {
                "script": 'exec {python} -c "$APP"'.replace("{python}", "python3"),
                "port": port,
                "env": [{"name": "APP", "value": APP}, {"name": "WORD", "value": word}],
                "health_check": {"http_get": {"path": "/"}},
            }
        ],
    }


def asked(plane: Plane) -> list[str]:
    """What every instance that traffic goes to says."""
    found = endpoints("my_app", plane.store.services, list(plane.store.instances.values()))
    return [_asked(f"http://{one.host}:{one.port}/") for one in found or ()]


def _asked(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def wait_until(true: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up_at, "it does not become so"
        time.sleep(0.05)


@contextmanager
def traffic(plane: Plane) -> Iterator[list[str]]:
    """Asks whom discovery names, over and over; an answer that fails is raised at the end."""
    answers: list[str] = []
    failures: list[Exception] = []
    ending = threading.Event()

    def ask() -> None:
        while not ending.wait(0.005):
            try:
                answers.extend(asked(plane))
            except OSError as error:
                failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        ending.set()
        thread.join()
    assert not failures, failures[:3]


def test_a_roll_ends_with_no_request_lost(plane: Callable[[], Plane], server: ApiServer, port: int) -> None:
    one = plane()
    one.control.create(document("first", port))
    wait_until(lambda: asked(one) == ["first", "first"])

    with traffic(one) as answers:
        one.control.modify("my_app", document("second", port))
        wait_until(lambda: one.store.services["my_app"].rollout.state is RolloutState.DONE)
        one.control.scale("my_app", 1)
        wait_until(lambda: len(server.objects.of("Pod")) == 1)

    assert {"first", "second"} == set(answers)
    assert asked(one) == ["second"]


def test_a_control_plane_that_comes_back_takes_its_pods_over(
    plane: Callable[[], Plane], server: ApiServer, kubelet: Kubelet, port: int
) -> None:
    first = plane()
    first.control.create(document("word", port))
    wait_until(lambda: asked(first) == ["word", "word"])
    before = {one["metadata"]["uid"] for one in server.objects.of("Pod")}
    first.close(keep=True)

    second = plane()
    wait_until(lambda: asked(second) == ["word", "word"])

    assert {one["metadata"]["uid"] for one in server.objects.of("Pod")} == before


def test_a_pod_that_somebody_deletes_is_replaced(
    plane: Callable[[], Plane], server: ApiServer, port: int
) -> None:
    one = plane()
    one.control.create(document("word", port))
    wait_until(lambda: asked(one) == ["word", "word"])
    gone = server.objects.of("Pod")[0]["metadata"]["name"]

    cluster_of(server).delete("Pod", gone, grace_s=1)

    wait_until(lambda: gone not in {pod["metadata"]["name"] for pod in server.objects.of("Pod")})
    wait_until(lambda: sum(i.phase is Phase.READY for i in one.store.instances.values()) == 2)
    assert asked(one) == ["word", "word"]
