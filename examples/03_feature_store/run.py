"""A small shop's features: from tables to an online store, a user's look-up and a training set.

    python examples/03_feature_store/run.py

The same in a shell, step by step: docs/tutorial-feature-store.md.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from recserve.columns import to_arrow
from recserve.config.items import feature_store_settings
from recserve.feature_store.apply import check_tables
from recserve.feature_store.places import Tables
from recserve.feature_store.registry import load
from recserve.feature_store.sample import write_sample
from recserve.feature_store.sync import sync
from recserve.feature_store.training_set import LabelRows, write_training_set
from recserve.feature_store.users import open_users
from recserve.sources import make_table, open_source

FOLDER = Path(".demo/feature_store")


def main() -> None:
    """Each step is one command of `recserve store`."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    tables = Tables(load(write_sample(FOLDER)), open_source)
    for table in check_tables(tables, make_table):
        print(f"{table.view} {table.store}: {table.state}")
    for view in tables.registry.views.values():
        print(f"{view.name}: {sync(tables, view).rows} rows are online now")
    asyncio.run(look_up("u1"))
    model, labels = tables.registry.models["rank_v1"], tables.registry.labels["impressions"]
    rows = LabelRows(tables.labels(labels), labels.event_time)
    report = write_training_set(tables, model, rows, FOLDER / "rank_v1.parquet")
    last = pq.read_table(FOLDER / "rank_v1.parquet").slice(report.rows - 1).to_pylist()[0]
    print(f"{report.rows} labels; the last one: clicked {last['clicked']}, after {last['click_seq']}")


async def look_up(user: str) -> None:
    """What a server does with `fs_user_entity`, once per request."""
    keys = {"fs_project": "shop", "fs_model": "rank_v1", "fs_user_entity": "user"}
    settings = feature_store_settings({**keys, "fs_user_timeout_ms": 60_000})
    users = settings and open_users(settings, FOLDER, open_source)
    assert users
    found = await users.look_up(user)
    for name in ("city", "age", "click_seq"):
        print(f"{user}'s {name}: {to_arrow(found[name])[0]}")
    users.close()


if __name__ == "__main__":
    main()
