"""A small service with features and items: the example that tests of processors and of the server score.

score = price (item, a float) + taste (user, an id) + likes (pair: the item's cat looked up in the user's map)
        + hour (context, a float)
tags  = the sum of the item's tags (a list of ids)
"""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recserve.bundle import Bundle
from recserve.config import service
from recserve.processors.load import load
from recserve.processors.normal import Normal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recserve.processors.bypass import Bypass

FEATURES: list[dict[str, Any]] = [
    {
        "feature_type": "raw_feature",
        "feature_name": "price",
        "expression": "item:price",
        "default_value": "0",
    },
    {
        "feature_type": "id_feature",
        "feature_name": "taste",
        "expression": "user:taste",
        "num_buckets": 100,
        "default_value": "1",
    },
    {
        "feature_type": "lookup_feature",
        "feature_name": "likes",
        "map": "user:likes",
        "key": "item:cat",
        "default_value": "0",
        "needDiscrete": False,
    },
    {
        "feature_type": "raw_feature",
        "feature_name": "hour",
        "expression": "context:hour",
        "default_value": "0",
    },
    {
        "feature_type": "id_feature",
        "feature_name": "tags",
        "expression": "item:tags",
        "num_buckets": 1000,
        "default_value": "0",
    },
]
SUMS = {
    "score": ["price.values", "taste.values", "taste.lengths", "likes.values", "hour.values"],
    "tags": ["tags.values", "tags.lengths"],
}
ITEMS = pa.table(
    {
        "item_id": pa.array(["i1", "i2", "i3"]),
        "price": pa.array([1.0, 2.0, 3.0], pa.float32()),
        "cat": pa.array(["a", "b", None]),
        "tags": pa.array([[10, 20], [], [500]], pa.list_(pa.int64())),
    }
)


def write_bundle(
    folder: Path, *, features: list[dict[str, Any]] | None = None, sums: dict[str, list[str]] | None = None
) -> Path:
    """Write the bundle and, beside it, the item table."""
    bundle = folder / "bundle"
    bundle.mkdir(parents=True)
    (bundle / "fg.json").write_text(json.dumps({"features": FEATURES if features is None else features}))
    (bundle / "column_sum.json").write_text(json.dumps({"outputs": sums or SUMS}))
    pq.write_table(ITEMS, folder / "items.parquet")
    return bundle


def service_of(**model_config: Any) -> dict[str, Any]:
    """The service file that goes with it."""
    return {
        "name": "rank",
        "token": "token",
        "metadata": {"rpc": {"drain_ms": 0}},
        "model_config": {
            "fg_mode": "normal",
            "remote_type": "file",
            "tables": [{"name": "items.parquet", "key": "item_id"}],
            "item_empty_score": -1,
            **model_config,
        },
    }


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path)


@pytest.fixture
def loaded(bundle: Path) -> Iterator[Callable[..., Normal | Bypass]]:
    """Load the bundle, or another one, with a service file beside it; closed when the test ends."""
    with ExitStack() as opened:

        def load_rank(document: dict[str, Any] | None, path: Path = bundle) -> Normal | Bypass:
            spec = service.load(document, {}, base_dir=path.parent)
            return opened.enter_context(closing(load(Bundle.open(path), spec)))

        yield load_rank


@pytest.fixture
def scorer(loaded: Callable[..., Normal | Bypass]) -> Callable[..., Normal]:
    """The same, with keys of `model_config` beside those of `service_of`."""

    def load_rank(**model_config: Any) -> Normal:
        rank = loaded(service_of(**model_config))
        assert isinstance(rank, Normal)
        return rank

    return load_rank
