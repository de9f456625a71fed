"""The service that benchmarks ask, and what they ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.client.request import build_request
from recserve.cores import cores

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.workloads import Workload

    from recserve.messages import ScoreRequest

REQUESTS = 200  # different ones


def requests(workload: Workload) -> list[ScoreRequest]:
    """Different users and items, the same in every run."""
    return [build_request(user=one.user, item_ids=one.item_ids) for one in workload.requests(REQUESTS)]


def service(folder: Path, name: str) -> dict[str, Any]:
    """Two workers on two cores, the items of bundle `name`, and a queue that saturation does not overflow."""
    return {
        "name": "bench",
        "token": "bench",
        "metadata": {"rpc": {"worker_threads": cores(), "max_queue_size": 256}},
        "model_config": {
            "fg_mode": "normal",
            "remote_type": "file",
            "tables": [{"name": str((folder / f"{name}-items.parquet").absolute()), "key": "item_id"}],
        },
    }
