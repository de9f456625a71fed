from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from kubernetes import client
from tests.deploy.backends.kubernetes.api_server import TOKEN

from recserve.deploy.backends.kubernetes.cluster import Cluster
from recserve.deploy.backends.kubernetes.following import Following

if TYPE_CHECKING:
    from tests.deploy.backends.kubernetes.api_server import ApiServer

    from recserve.deploy.backends.kubernetes.cluster import Events


class Held(Cluster):
    """Whose watches are held back, once they are open, until `go`."""

    def __init__(self, url: str) -> None:
        configuration = client.Configuration(host=url)
        configuration.api_key["authorization"] = f"Bearer {TOKEN}"
        super().__init__("prod", configuration)
        self.opened: list[Events] = []
        self.open, self.go = threading.Event(), threading.Event()

    def watch(self, *arguments: Any) -> Events:
        found = super().watch(*arguments)
        self.opened.append(found)
        self.open.set()
        self.go.wait(10)
        return found


def test_a_watch_that_opens_while_it_ends_is_closed(server: ApiServer) -> None:
    """Before, its connection was left to the garbage collector, and open at the API server until then."""
    cluster = Held(server.url)
    following = Following(cluster, "Pod", {}, lambda: None)
    assert cluster.open.wait(10)

    closing = threading.Thread(target=following.close)
    closing.start()
    assert following._closing.wait(10)
    cluster.go.set()
    closing.join(10)

    (watch,) = cluster.opened
    assert watch._response.closed
    cluster.close()
