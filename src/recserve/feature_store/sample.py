"""A small shop to begin with: `recserve store init` writes it, and every other command works on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

REGISTRY = """\
# A feature store: which features there are, of what, and where. Keep this file in git;
# `recserve store apply` checks it, says what changed, and makes the tables that are missing.

project:
  name: shop                               # fs_project of a service file
  offline: {kind: file, path: offline}     # history: for training sets and full loads
  online: {kind: file, path: online}       # the present: for look-ups and real-time features
  # A real online store: {kind: redis, url: "redis://:${REDIS_PASSWORD}@127.0.0.1:6379/0"}
  # or {kind: postgresql, url: "postgresql://shop:${DB_PASSWORD}@127.0.0.1:5432/shop"}

entities:
  item: {join_id: item_id}
  user: {join_id: user_id}

views:
  item_base:                               # batch: written once in a while
    entity: item
    key: iid                               # called item_id, the join id, wherever it is read
    event_time: updated_at
    offline_table: items.parquet
    fields:
      iid: string
      category: string
      price: float
      updated_at: timestamp

  item_clicks:                             # stream: changes are followed while a server runs
    entity: item
    kind: stream
    event_time: seen_at
    ttl: 86400                             # seconds; an older row counts as missing
    offline_table: item_clicks.parquet
    fields:
      item_id: string
      clicks_1d: int64
      seen_at: timestamp

  user_base:
    entity: user
    event_time: updated_at
    offline_table: users.parquet
    fields:
      user_id: string
      city: string
      age: int32
      updated_at: timestamp

  behaviours:                              # sequence: a user's newest behaviours, told as ;-joined texts
    entity: user
    kind: sequence
    event_time: at
    item: item_id
    event: event
    offline_table: behaviours.parquet
    fields:
      user_id: string
      item_id: string
      event: string
      at: timestamp
      category: string
    sequences:
      click_seq: {events: [click], length: 20, columns: [category]}
      buy_seq: {events: [buy], length: 5}

labels:
  impressions:                             # what was shown to whom, and what became of it
    table: impressions.parquet
    event_time: at
    fields:
      user_id: string
      item_id: string
      at: timestamp
      clicked: int32

models:
  rank_v1:                                 # fs_model of a service file
    label: impressions
    training_set: rank_v1.parquet
    features:
      - {view: item_base, feature: category}
      - {view: item_base, feature: price, alias: item_price}
      - {view: item_clicks, feature: clicks_1d}
      - {view: user_base, feature: city}
      - {view: user_base, feature: age}
      - {view: behaviours}                 # all of its sequences
"""

_USERS, _ITEMS = 20, 50
_START = datetime(2025, 6, 1, tzinfo=UTC)


def write_sample(folder: Path) -> Path:
    """Write the registry and its offline tables; returns the registry file.

    Raises ConfigError when one of them is there already.
    """
    registry = folder / "feature_store.yaml"
    for path in (registry, folder / "offline"):
        if path.exists():
            raise ConfigError(f"{path} is there already; choose another folder")
    (folder / "offline").mkdir(parents=True)
    for name, table in _tables().items():
        pq.write_table(table, folder / "offline" / f"{name}.parquet")
    registry.write_text(REGISTRY, encoding="utf-8")
    return registry


def _tables() -> dict[str, pa.Table]:
    """The same each time; nothing in them is random."""
    items = [f"i{n}" for n in range(_ITEMS)]
    users = [f"u{n}" for n in range(_USERS)]
    categories = [("books", "music", "games", "tools")[n % 4] for n in range(_ITEMS)]
    steps = range(_USERS * 30)
    shown = [(users[n % _USERS], n * 7 % _ITEMS) for n in steps]
    moments = _moments([13 * n for n in steps])
    return {
        "items": pa.table(
            {
                "iid": items,
                "category": categories,
                "price": pa.array([1.5 + n % 17 for n in range(_ITEMS)], pa.float32()),
                "updated_at": _moments([0] * _ITEMS),
            }
        ),
        "item_clicks": pa.table(
            {
                "item_id": [items[n % _ITEMS] for n in range(_ITEMS * 4)],
                "clicks_1d": [n * 3 % 29 for n in range(_ITEMS * 4)],
                "seen_at": _moments([36 * n for n in range(_ITEMS * 4)]),
            }
        ),
        "users": pa.table(
            {
                "user_id": users,
                "city": [("oslo", "rome", "bonn")[n % 3] for n in range(_USERS)],
                "age": pa.array([18 + n * 5 % 50 for n in range(_USERS)], pa.int32()),
                "updated_at": _moments([0] * _USERS),
            }
        ),
        "behaviours": pa.table(
            {
                "user_id": [user for user, _ in shown],
                "item_id": [items[item] for _, item in shown],
                "event": ["buy" if n % 9 == 0 else "click" for n in steps],
                "at": moments,
                "category": [categories[item] for _, item in shown],
            }
        ),
        "impressions": pa.table(
            {
                "user_id": [user for user, _ in shown],
                "item_id": [items[item] for _, item in shown],
                "at": moments,
                "clicked": pa.array([int(n % 3 == 0) for n in steps], pa.int32()),
            }
        ),
    }


def _moments(minutes: list[int]) -> pa.Array:
    return pa.array([_START + timedelta(minutes=m) for m in minutes], pa.timestamp("ms", "UTC"))
