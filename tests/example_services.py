"""Small stand-ins for what the pages of the documentation serve: the demo's bundle, and `my_export`.

Their models are sums (`ColumnSum`), so nothing is trained and torch is not needed. The demo's has the
features of the demo's own fg.json, so what a page says of its columns is true of the demo too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.markdown import ROOT

from recserve.features.config import load
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from pathlib import Path

DEMO_FG = ROOT / "examples" / "01_train_export_serve_score" / "fg.json"
TOKEN = "s3cret"

_ITEMS = pa.table(
    {
        "item_id": ["i6969", "i19570", "i903", "i14548", "i15649"],
        "category": ["audio_3", "audio_0", "shoes_0", "shoes_0", "audio_0"],
        "brand": ["brand_41", "brand_12", "brand_190", "brand_170", "brand_3"],
        "price": pa.array([15.98, 22.43, 11.53, 30.44, 24.59], pa.float32()),
    }
)
_MY_FEATURES: list[dict[str, Any]] = [
    {"feature_type": "raw_feature", "feature_name": "age", "expression": "user:age", "default_value": "0"},
    {"feature_type": "raw_feature", "feature_name": "price", "expression": "item:price"},
    {
        "feature_type": "id_feature",
        "feature_name": "category",
        "expression": "item:category",
        "hash_bucket_size": 10,
    },
]


def write_training_rows(folder: Path) -> None:
    """Write rows for the fg.json of the tutorial on features, and one of them as JSON."""
    row = {
        "age": 30,
        "city": "oslo",
        "taste": "books:0.9\x1dgarden:0.2",
        "category": "books",
        "price": 9.5,
        "clicks__category": ["audio", "books"],
        "label": 1.0,
    }
    pq.write_table(pa.Table.from_pylist([row] * 3), folder / "rows.parquet")
    (folder / "row.json").write_text(json.dumps(row))


def write_demo(folder: Path, service: dict[str, Any], *, token: str) -> None:
    """Write what `make demo` leaves, and rows for `recserve predict`; `service` is the service file."""
    demo = folder / ".demo"
    (demo / "bundle").mkdir(parents=True)
    # The model of sums reads no weights.
    fg = {"features": [f for f in json.loads(DEMO_FG.read_text())["features"] if not f.get("weighted")]}
    (demo / "bundle" / "fg.json").write_text(json.dumps(fg))
    sums = _sums(Generator(load(fg)))
    (demo / "bundle" / "column_sum.json").write_text(json.dumps({"outputs": sums}))
    (demo / "service.json").write_text(json.dumps({**service, "token": token}))
    pq.write_table(_ITEMS, demo / "items.parquet")
    pq.write_table(_ITEMS.append_column("user_id", pa.array(["u1"] * len(_ITEMS))), demo / "rows.parquet")


def _sums(generator: Generator) -> dict[str, list[str]]:
    """Two outputs that read a tensor of every feature: small numbers, and ids."""
    names = [name for name in generator.tensors if name.endswith(".values")]
    dense = [name for name in names if generator.tensors[name][1] == 2]
    return {"probs_ctr": dense, "probs_cvr": [name for name in names if name not in dense]}


def write_my_export(folder: Path, service: dict[str, Any]) -> None:
    """Write `my_export`, its service file, its items, and what the recipes send to it."""
    bundle = folder / "my_export"
    bundle.mkdir()
    (bundle / "fg.json").write_text(json.dumps({"features": _MY_FEATURES}))
    sums = {"score": ["age.values", "price.values", "category.values"]}
    (bundle / "column_sum.json").write_text(json.dumps({"outputs": sums}))
    (folder / "service.json").write_text(json.dumps(service))
    items = {"item_id": ["i1", "i2"], "price": [1.5, 2.5], "category": ["a", "b"]}
    pq.write_table(pa.table(items), folder / "items.parquet")
    pq.write_table(pa.table({**items, "age": [30, 31]}), folder / "joined.parquet")
    request = {"user": {"age": 30}, "item_ids": ["i1", "i2"]}
    (folder / "requests.jsonl").write_text(json.dumps(request))
