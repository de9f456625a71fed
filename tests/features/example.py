"""One small fg.json with every rate, a stub, a sequence group and a shared element, for tests about plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve.features import config

if TYPE_CHECKING:
    from recserve.features.config import FeatureConfig


def _feature(feature_type: str, name: str, expression: str | list[str], **keys: Any) -> dict[str, Any]:
    return {"feature_type": feature_type, "feature_name": name, "expression": expression, **keys}


def _price() -> dict[str, Any]:
    return _feature("raw_feature", "price", "item:price", boundaries=[1, 10], default_value="0")


FEATURES: list[dict[str, Any]] = [
    _feature("combo_feature", "age_x_price", ["user:age", "feature:price"], hash_bucket_size=100),
    _price(),
    _feature("id_feature", "tag", "item:tags", stub_type=True),
    _feature("id_feature", "city", "user:city", num_buckets=9),
    _feature("raw_feature", "one", "const:1"),
    {"feature_type": "lookup_feature", "feature_name": "taste", "map": "user:taste", "key": "feature:tag"},
    {
        "sequence_name": "clicks",
        "sequence_length": 3,
        "features": [
            _price(),
            _feature("id_feature", "tags", "item:tags", hash_bucket_size=50, default_value="none"),
            _feature("raw_feature", "ago", "user:ago", default_value="0"),
        ],
    },
]


def example() -> FeatureConfig:
    return config.load({"features": FEATURES})


def rows(count: int = 20) -> pa.Table:
    """Rows of its training table."""
    return pa.table(
        {
            "age": [20 + row for row in range(count)],
            "city": [row % 12 for row in range(count)],
            "taste": ["red:0.5\x1dblue:2"] * count,
            "price": [float(row) for row in range(count)],
            "tags": [["red"], ["blue", "green"]] * (count // 2),
            "clicks__price": ["1;20"] * count,
            "clicks__tags": [["red", "blue"]] * count,
            "clicks__ago": ["3;7"] * count,
        }
    )
