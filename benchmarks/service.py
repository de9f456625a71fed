"""The service file of a benchmark server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def service(folder: Path, name: str) -> dict[str, Any]:
    """Two workers on two cores, the items of bundle `name`, and a queue that saturation does not overflow."""
    return {
        "name": "bench",
        "token": "bench",
        "metadata": {"rpc": {"worker_threads": os.cpu_count() or 2, "max_queue_size": 256}},
        "model_config": {
            "fg_mode": "normal",
            "remote_type": "file",
            "tables": [{"name": str((folder / f"{name}-items.parquet").absolute()), "key": "item_id"}],
        },
    }
