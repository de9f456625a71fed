"""A cluster of one node, as small as it can be."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client
from tests.deploy.backends.kubernetes.api_server import TOKEN, ApiServer
from tests.deploy.backends.kubernetes.kubelet import Kubelet

from recserve.deploy.backends.kubernetes.backend import KubernetesBackend
from recserve.deploy.backends.kubernetes.cluster import Cluster
from recserve.deploy.backends.kubernetes.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PLANE = "0a1b2c3d"


def cluster_of(server: ApiServer, token: str = TOKEN) -> Cluster:
    configuration = client.Configuration(host=server.url)
    configuration.api_key["authorization"] = token
    configuration.api_key_prefix["authorization"] = "Bearer"
    return Cluster("prod", configuration)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> Path:
    """How people tell their tools of a cluster."""
    path = tmp_path / "kubeconfig"
    context = {"name": "test", "context": {"cluster": "small", "user": "me"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "small", "cluster": {"server": server.url}}],
        "users": [{"name": "me", "user": {"token": TOKEN}}],
        "contexts": [context],
    }
    path.write_text(json.dumps(config))
    return path


@pytest.fixture
def kubelet(server: ApiServer, tmp_path: Path) -> Iterator[Kubelet]:
    with Kubelet(server.objects, tmp_path / "node-1") as kubelet:
        yield kubelet


@pytest.fixture
def port() -> Iterator[int]:
    """One that nobody has, for all pods: their addresses differ."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield free.getsockname()[1]


@pytest.fixture
def make(server: ApiServer, port: int) -> Iterator[Callable[..., KubernetesBackend]]:
    """Backends that let go at the end."""
    with ExitStack() as stack:

        def made(plane: str = PLANE, **settings: Any) -> KubernetesBackend:
            one = KubernetesBackend(
                cluster_of(server), Settings(namespace="prod", port=port, **settings), plane
            )
            stack.callback(one.close, keep=True)
            return one

        yield made
