"""The small service of conftest.py with a sequence of clicked items beside it, for what debugging shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.processors.conftest import FEATURES, SUMS, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

CLICKS: dict[str, Any] = {
    "sequence_name": "clicks",
    "sequence_length": 10,
    "sequence_delim": ";",
    "sequence_pk": "user:clicks",
    "features": [
        {
            "feature_type": "id_feature",
            "feature_name": "cat",
            "expression": "item:cat",
            "hash_bucket_size": 1000,
            "value_dim": 1,
            "default_value": "none",
        },
        {
            "feature_type": "raw_feature",
            "feature_name": "ago",
            "expression": "user:ago",
            "default_value": "0",
        },
    ],
}
OUTPUTS = ["price", "taste", "likes", "hour", "tags", "clicks__cat", "clicks__ago"]


def write_clicks_bundle(folder: Path) -> Path:
    """A bundle whose score counts the clicks too."""
    sums = {
        **SUMS,
        "clicks": [f"clicks__{m}.{part}" for m in ("cat", "ago") for part in ("values", "lengths")],
    }
    return write_bundle(folder, features=[*FEATURES, CLICKS], sums=sums)
