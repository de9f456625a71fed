"""A TorchScript model that answers what it reads, so that every score can be worked out by hand.

A dense feature is its own output; ids are summed per row; the steps of a sequence are summed per row.
The features are those of the samples in the vendor's documentation, and two of the item table.
"""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tests.engines.models import write
from torch import Tensor, nn

USERS = 1_000_000  # buckets of user_id; a float32 holds every one exactly


def raw(name: str, source: str, **more: Any) -> dict[str, Any]:
    return {
        "feature_type": "raw_feature",
        "feature_name": name,
        "expression": source,
        "default_value": "0",
        **more,
    }


def ids(name: str, source: str, **buckets: int) -> dict[str, Any]:
    return {"feature_type": "id_feature", "feature_name": name, "expression": source, **buckets}


def found(name: str, source: str) -> dict[str, Any]:
    """What the user's map has for the category of the item."""
    return {
        "feature_type": "lookup_feature",
        "feature_name": name,
        "map": source,
        "key": "item:category",
        "default_value": "0",
        "needDiscrete": False,
    }


FEATURES = [
    ids("user_id", "user:user_id", hash_bucket_size=USERS),
    raw("age", "user:age"),
    raw("weight", "user:weight"),
    raw("raw_3", "user:raw_3", value_dim=4),
    raw("raw_4", "user:raw_4", value_dim=4),
    found("map_1", "user:map_1"),
    found("map_2", "user:map_2"),
    {**raw("click", "user:click", value_dim=2), "feature_type": "sequence_raw_feature", "sequence_length": 8},
    ids("id_2", "context:id_2", num_buckets=100_000),
    raw("hour", "context:hour"),
    raw("price", "item:price"),
    ids("tags", "item:tags", num_buckets=1000),
]
DENSE = ("age", "weight", "map_1", "map_2", "hour", "price")
VECTORS = ("raw_3", "raw_4")
IDS = ("user_id", "id_2", "tags")
ITEMS = pa.table(
    {
        "item_id": ["item_0001", "item_0002", "item_0003", "7033"],
        "category": [0, 866, 1627, 866],
        "price": pa.array([1.5, 2.5, 4.0, 8.0], pa.float32()),
        "tags": [[1], [20, 300], [], [7]],
    }
)


class Echo(nn.Module):
    """Every feature as an output of its name."""

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        answer = {name: data[f"{name}.values"].view(-1) for name in DENSE}
        answer.update({name: data[f"{name}.values"] for name in VECTORS})
        answer.update({name: self.sums(data[f"{name}.values"], data[f"{name}.lengths"]) for name in IDS})
        answer["click"] = self.sums(data["click.values"].sum(1), data["click.lengths"])
        return answer

    def sums(self, values: Tensor, lengths: Tensor) -> Tensor:
        """The sum of each row's values."""
        rows = torch.repeat_interleave(lengths)
        return torch.zeros_like(lengths, dtype=torch.float32).index_add(0, rows, values.to(torch.float32))


class Positional(nn.Module):
    """Four inputs as in the documented request without feature generation: their sums, row by row."""

    def forward(self, ids: Tensor, steps: Tensor, embedding: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        return ids.sum(1) + label, steps.sum((1, 2)) + embedding.sum(1)


def write_bundle(folder: Path) -> Path:
    """Write the bundle and, beside it, the item table."""
    bundle = write(folder / "bundle", Echo(), traced=True)
    (bundle / "fg.json").write_text(json.dumps({"features": FEATURES}))
    pq.write_table(ITEMS, folder / "items.parquet")
    return bundle


def service(folder: Path, *, rpc: dict[str, Any] | None = None, **model_config: Any) -> Path:
    """Write the service file that goes with it; a key with the value None is left out."""
    model = {
        "fg_mode": "normal",
        "remote_type": "file",
        "tables": [{"name": "items.parquet", "key": "item_id"}],
        "item_empty_score": -1,
        **model_config,
    }
    document = {
        "name": "rank",
        "token": "s3cret",
        "metadata": {"rpc": {"drain_ms": 0, **(rpc or {})}},
        "model_config": {key: value for key, value in model.items() if value is not None},
    }
    path = folder / "service.json"
    path.write_text(json.dumps(document))
    return path
