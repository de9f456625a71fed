"""Ray Serve, a replica per core: `python -m benchmarks.peers.apps.ray_app <port>`."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import ray
from benchmarks.peers.scoring import Scorer
from ray import serve
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request


@serve.deployment(
    num_replicas=2, ray_actor_options={"num_cpus": 1}, logging_config={"enable_access_log": False}
)
class Rank:
    """One replica."""

    def __init__(self) -> None:
        self.scorer = Scorer.load()

    async def __call__(self, request: Request) -> Response:
        """Score a JSON body."""
        return Response(self.scorer.answer(await request.body()), media_type="application/json")


if __name__ == "__main__":
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=200 * 2**20,
        log_to_driver=False,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Rank.bind(), route_prefix="/score")  # type: ignore[attr-defined]
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()
