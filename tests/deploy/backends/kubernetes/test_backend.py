"""The backend against a small API server, by the official client: our code is tested, not Kubernetes."""

from __future__ import annotations

import os
import signal
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.deploy.backends.contract import APP, ProcessContract, gone, order, running, wait_for
from tests.deploy.backends.kubernetes.conftest import PLANE, cluster_of

from recserve.deploy.backends.backend import Mount, Node, Repository, Resources, State
from recserve.deploy.backends.kubernetes.backend import KubernetesBackend
from recserve.deploy.backends.kubernetes.settings import Settings
from recserve.deploy.errors import BackendError, ConflictError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.deploy.backends.kubernetes.api_server import ApiServer
    from tests.deploy.backends.kubernetes.kubelet import Kubelet

    from recserve.deploy.backends.backend import Backend, Observed

NAME = "app-1-aaaaaa"


@pytest.fixture
def backend(kubelet: Kubelet, make: Callable[..., KubernetesBackend]) -> KubernetesBackend:
    return make()


class TestKubernetesBackend(ProcessContract):
    pass


def asked(seen: Observed | None) -> str:
    assert seen is not None
    with urllib.request.urlopen(f"http://{seen.host}:{seen.port}/", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def answering(backend: Backend, instance: str = NAME) -> str:
    found: list[str] = []

    def answers(seen: Observed | None) -> bool:
        if not running(seen):
            return False
        try:
            found.append(asked(seen))
        except OSError:
            return False
        return True

    wait_for(backend, instance, answers)
    return found[-1]


def test_a_pod_is_told_its_port_and_its_variables(backend: KubernetesBackend) -> None:
    backend.start(order())

    assert answering(backend) == NAME


def test_an_app_with_a_port_of_its_own_may_run_many_times(backend: KubernetesBackend) -> None:
    for name in (NAME, "app-1-bbbbbb"):
        backend.start(
            order(name, port=21_313, files={"app.py": APP.replace('os.environ["LISTENING_PORT"]', "21313")})
        )

    assert [answering(backend, name) for name in (NAME, "app-1-bbbbbb")] == [NAME, "app-1-bbbbbb"]
    assert {(one.port, one.fixed_port) for one in backend.observe().values()} == {(21_313, False)}


def test_a_killed_process_comes_back_in_place(backend: KubernetesBackend, kubelet: Kubelet) -> None:
    backend.start(order())
    answering(backend)

    os.killpg(kubelet.processes[NAME].pid, signal.SIGKILL)

    seen = wait_for(backend, NAME, lambda one: running(one) and one is not None and one.restarts == 1)
    assert seen is not None
    assert (seen.exit_code, seen.reason) == (-9, "Killed")
    assert answering(backend) == NAME


def test_the_next_control_plane_adopts_what_the_killed_one_left(
    backend: KubernetesBackend, make: Callable[..., KubernetesBackend]
) -> None:
    backend.start(order("a_b-1-aaaaaa"))
    wait_for(backend, "a_b-1-aaaaaa", running)
    before = backend.observe()
    backend.close(keep=True)

    second = make()

    assert second.observe() == before  # also of a name that Kubernetes does not take
    second.close(keep=False)
    assert not second.observe()


def test_others_in_the_namespace_are_left_alone(
    backend: KubernetesBackend, make: Callable[..., KubernetesBackend], server: ApiServer
) -> None:
    other = make("ffffffff")
    other.start(order("app-1-bbbbbb"))
    wait_for(other, "app-1-bbbbbb", running)

    assert not backend.observe()
    backend.stop("app-1-bbbbbb", 1.0)
    backend.close(keep=False)
    assert answering(other, "app-1-bbbbbb") == "app-1-bbbbbb"
    backend = make()
    backend.start(order("app-1-bbbbbb"))
    seen = backend.observe()["app-1-bbbbbb"]
    assert (seen.state, seen.reason) == (State.EXITED, "Refused")
    assert "not ours" in seen.message
    assert server.objects.get("Secret", "app-1-bbbbbb")
    other.close(keep=False)


def test_secrets_are_in_the_secret_and_go_with_the_pod(backend: KubernetesBackend, server: ApiServer) -> None:
    backend.start(order(environment={"PASSWORD": "s3cret"}, requirements=("https://u:s3cret@host/x.whl",)))

    pod = server.objects.get("Pod", NAME)
    secret = server.objects.get("Secret", NAME)
    assert "s3cret" not in str(pod)
    assert "s3cret" in str(secret["stringData"])
    assert "s3cret" not in repr(backend.observe())
    owner = secret["metadata"]["ownerReferences"]
    assert [(one["kind"], one["uid"]) for one in owner] == [("Pod", pod["metadata"]["uid"])]


def test_a_pod_is_managed_so_that_a_node_can_be_drained(
    backend: KubernetesBackend, server: ApiServer
) -> None:
    backend.start(order())

    owner = server.objects.get("Pod", NAME)["metadata"]["ownerReferences"][0]
    assert owner["controller"]
    assert owner["uid"] == server.objects.get("ConfigMap", f"recserve-{PLANE}")["metadata"]["uid"]


def test_a_pod_keeps_clear_of_those_of_its_own_version(backend: KubernetesBackend, server: ApiServer) -> None:
    """Those of another one are about to end: who keeps clear of them may end up beside one of its own."""
    backend.start(order())

    pod = server.objects.get("Pod", NAME)
    labels = pod["metadata"]["labels"]
    (spread,) = pod["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()
    assert spread["labelSelector"]["matchLabels"]["recserve/version"] == "1"


def test_what_a_control_plane_that_was_killed_left_half_done_is_done(
    kubelet: Kubelet, make: Callable[..., KubernetesBackend], server: ApiServer
) -> None:
    first = make()
    first.start(order())
    wait_for(first, NAME, running)
    first.close(keep=True)
    secret = server.objects.get("Secret", NAME)
    owner = secret["metadata"]["ownerReferences"][0] | {"kind": "ConfigMap"}
    secret["metadata"]["ownerReferences"] = [owner]  # killed before it gave the Secret to the pod
    stray = {**secret, "metadata": {**secret["metadata"], "name": "app-1-bbbbbb"}}
    server.objects.put("Secret", stray, "ADDED")  # and before it made the pod

    second = make()

    assert server.objects.get("Secret", NAME)["metadata"]["ownerReferences"][0]["kind"] == "Pod"
    assert ("Secret", "app-1-bbbbbb") not in server.objects.objects
    second.start(order("app-1-bbbbbb"))
    assert answering(second, "app-1-bbbbbb") == "app-1-bbbbbb"
    second.close(keep=False)


def test_what_the_cluster_refuses_is_told_and_can_be_stopped(
    backend: KubernetesBackend, server: ApiServer
) -> None:
    server.quota = "pods is forbidden: exceeded quota: pods=2"
    backend.start(order())

    seen = backend.observe()[NAME]
    assert (seen.state, seen.reason) == (State.EXITED, "Refused")
    assert "exceeded quota" in seen.message
    assert ("Secret", NAME) not in server.objects.objects
    backend.stop(NAME, 1.0)
    assert not backend.observe()


def test_git_is_refused_before_a_pod_is_made(backend: KubernetesBackend, server: ApiServer) -> None:
    backend.start(order(mounts=(Mount("/code", "", repository=Repository("https://git.example/app.git")),)))

    seen = backend.observe()[NAME]
    assert (seen.state, seen.reason) == (State.EXITED, "Refused")
    assert "git is not fetched by pods" in seen.message
    assert not server.objects.of("Secret")


def test_a_pod_that_no_node_takes_says_why(backend: KubernetesBackend) -> None:
    backend.start(order(pool="slow"))

    seen = wait_for(backend, NAME, lambda one: one is not None and one.reason == "NoRoom")

    assert seen is not None
    assert seen.state is State.PREPARING
    assert "node affinity" in seen.message
    backend.stop(NAME, 5.0)
    wait_for(backend, NAME, gone)


def test_on_a_node_that_does_not_answer_it_is_lost_and_forgotten_when_stopped(
    backend: KubernetesBackend, kubelet: Kubelet
) -> None:
    backend.start(order())
    answering(backend)

    kubelet.freeze()

    seen = wait_for(backend, NAME, lambda one: one is not None and one.state is State.LOST)
    assert seen is not None
    assert seen.reason == "NodeLost"
    backend.stop(NAME, 30.0)
    wait_for(backend, NAME, gone)


def test_nodes_are_told_with_what_they_have(backend: KubernetesBackend) -> None:
    labels = {"recserve/pool": "fast"}
    expected = Node("node-1", "10.0.0.7", True, 3.92, 4096, 2, ("fast",), labels)

    assert backend.nodes() == [expected]


def test_without_a_look_at_nodes_everything_else_works(
    kubelet: Kubelet, make: Callable[..., KubernetesBackend], server: ApiServer
) -> None:
    server.forbidden.add("list nodes")
    backend = make()
    backend.start(order())

    assert answering(backend) == NAME
    assert [one.name for one in backend.nodes()] == ["node-1"]
    backend.close(keep=False)


def test_a_watch_that_expired_begins_anew(backend: KubernetesBackend, server: ApiServer) -> None:
    backend.start(order())
    wait_for(backend, NAME, running)

    server.objects.forget()
    pod = server.objects.get("Pod", NAME)
    server.objects.put("Pod", pod, "DELETED")

    wait_for(backend, NAME, gone)


def test_an_outage_keeps_what_was_known(backend: KubernetesBackend, server: ApiServer) -> None:
    backend.start(order())
    wait_for(backend, NAME, running)
    before = backend.observe()

    server.__exit__()

    assert backend.observe() == before
    with pytest.raises(BackendError, match="does not answer"):
        backend.start(order("app-1-bbbbbb"))
    assert answering(backend) == NAME


def test_credentials_that_are_not_valid_are_said(server: ApiServer) -> None:
    with pytest.raises(BackendError, match="credentials of the kubeconfig") as raised:
        KubernetesBackend(cluster_of(server, "another-token"), Settings(namespace="prod"), PLANE)

    assert "another-token" not in str(raised.value)


def test_requests_that_are_forbidden_are_said_in_the_words_of_the_cluster(server: ApiServer) -> None:
    server.forbidden.add("list pods")

    with pytest.raises(RefusedError, match='cannot list resource "pods"'):
        KubernetesBackend(cluster_of(server), Settings(namespace="prod"), PLANE)


def test_every_field_of_an_order_makes_a_pod_that_kubernetes_takes(backend: KubernetesBackend) -> None:
    full = order(
        "x" * 100 + "_y-1-aaaaaa",
        resources=Resources(cpu=1.5, memory_mb=512, gpu=1, shm_gb=1),
        mounts=(Mount("/data", "/srv/data", read_only=True), Mount("/tmp/x", "", memory_gb=2)),
        workdir="/data",
        requirements=("flask",),
        spread="zone",
    )

    backend.start(replace(full, service="x" * 100 + "_y"))

    assert "Refused" not in [one.reason for one in backend.observe().values()]  # by the schemas


def test_whoever_applies_takes_no_field_of_others(server: ApiServer) -> None:
    cluster = cluster_of(server)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "tiny", "namespace": "prod"},
        "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]},
    }

    cluster.apply(service)
    cluster.apply(service)
    server.objects.get("Service", "tiny")["metadata"]["managedFields"] = [{"manager": "helm"}]
    changed = {**service, "spec": {"selector": {"a": "c"}, "ports": [{"port": 80}]}}
    with pytest.raises(ConflictError, match='conflict with "helm"'):
        cluster.apply(changed)
    cluster.apply(changed, force=True)

    found = cluster.get("Service", "tiny")
    assert found is not None
    assert found["spec"]["selector"] == {"a": "c"}
    assert cluster.get("Service", "nobody") is None
