"""A small shop: a registry and its tables, for the tests of the feature store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)

REGISTRY = """\
project:
  name: shop
  offline: {kind: file, path: offline}
  online: {kind: file, path: online}
entities:
  item: {join_id: item_id}
  user: {join_id: user_id}
views:
  item_base:
    entity: item
    key: iid
    event_time: updated
    offline_table: item_base.parquet
    online_table: item_base.parquet
    fields: {iid: string, price: float, brand: string, updated: timestamp}
  item_live:
    entity: item
    kind: stream
    event_time: seen
    ttl: 3600
    offline_table: item_live.parquet
    online_table: item_live.parquet
    fields: {item_id: string, clicks_1h: int64, seen: timestamp}
  user_base:
    entity: user
    event_time: updated
    offline_table: user_base.parquet
    online_table: user_base.parquet
    fields: {user_id: string, city: string, ages: array<int32>, updated: timestamp}
  clicks:
    entity: user
    kind: sequence
    event_time: ts
    item: item
    event: event
    play_time: seconds
    play_time_over: {play: 5}
    offline_table: clicks.parquet
    online_table: clicks.parquet
    fields: {user_id: string, item: string, event: string, ts: timestamp, seconds: double, category: string}
    sequences:
      click_50_seq: {events: click, length: 50, columns: [category]}
      play_2_seq: {events: [play], length: 2, offline_name: plays}
labels:
  impressions:
    table: impressions.parquet
    event_time: ts
    fields: {user_id: string, item_id: string, ts: timestamp, clicked: int32}
models:
  rank_v1:
    label: impressions
    features:
      - {view: item_base, feature: price}
      - {view: item_base, feature: brand, alias: item_brand}
      - {view: item_live, feature: clicks_1h}
      - {view: user_base, feature: city}
      - {view: user_base, feature: ages}
      - {view: clicks}
"""


def at(minutes: float) -> datetime:
    """Minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def times(*minutes: float | None) -> pa.Array:
    moments = [None if m is None else at(m) for m in minutes]
    return pa.array(moments, pa.timestamp("us", "UTC"))


def item_base() -> pa.Table:
    return pa.table(
        {
            "iid": ["i1", "i2", "i3"],
            "price": pa.array([1.5, 2.5, None], pa.float32()),
            "brand": ["a", "b", None],
            "updated": times(-60, -30, -20),
            "unused": [1, 2, 3],
        }
    )


def item_live() -> pa.Table:
    return pa.table({"item_id": ["i1", "i2"], "clicks_1h": [7, 8], "seen": times(-1, -90)})


def user_base() -> pa.Table:
    ages = pa.array([[1, 2], None], pa.list_(pa.int32()))
    return pa.table(
        {"user_id": ["u1", "u2"], "city": ["oslo", "rome"], "ages": ages, "updated": times(-9, -8)}
    )


def write_shop(folder: Path, registry: str = REGISTRY) -> Path:
    """Write the registry and its tables; returns the registry file."""
    (folder / "feature_store.yaml").write_text(registry)
    for store in ("offline", "online"):
        (folder / store).mkdir()
        for table in (item_base, item_live, user_base):
            pq.write_table(table(), folder / store / f"{table.__name__}.parquet")
    return folder / "feature_store.yaml"
