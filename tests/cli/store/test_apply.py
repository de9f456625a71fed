from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def change(shop: Path, old: str, new: str) -> None:
    path = shop / "feature_store.yaml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def lines(result: Any) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_the_first_time_all_is_new_and_online_tables_are_made(store: Callable[..., Any], shop: Path) -> None:
    said = lines(store("apply"))

    assert "+ views.item_base: 4 fields" in said
    assert "+ item_base online made: item_base: 4 columns" in said
    assert "✓ item_base offline ok: items.parquet: about 50 rows" in said
    assert (shop / "online" / "behaviours" / "manifest.json").exists()


def test_the_second_time_nothing_changed(store: Callable[..., Any]) -> None:
    store("apply")

    assert "feature_store.yaml: nothing changed" in lines(store("apply"))


def test_what_changed_is_told_and_what_does_not_fit_any_more_is_marked(
    store: Callable[..., Any], shop: Path
) -> None:
    store("apply")
    change(shop, "clicks_1d: int64", "clicks_1d: double")
    change(shop, "ttl: 86400", "ttl: 3600")
    change(shop, "      - {view: user_base, feature: age}\n", "")
    change(shop, "length: 5}", "length: 5}\n      view_seq: {events: [view]}")

    said = lines(store("apply"))

    unfit = "(what was trained or written before may not fit)"
    assert [line for line in said if line[0] in "+~-"] == [
        f"~ views.item_clicks.fields.clicks_1d: int64 → double {unfit}",
        "~ views.item_clicks.ttl_s: 86400.0 → 3600.0",
        "+ views.behaviours.sequences.view_seq.events: ['view']",
        "+ views.behaviours.sequences.view_seq.length: 50",
        "+ models.rank_v1.features.view_seq: behaviours.view_seq",
        f"- models.rank_v1.features.age: user_base.age {unfit}",
    ]


def test_check_changes_nothing_and_fails_where_something_would_change(
    store: Callable[..., Any], shop: Path
) -> None:
    store("apply", "--check", exit_code=1)
    assert not (shop / "online").exists()
    assert not (shop / "feature_store.applied.json").exists()
    store("apply")

    store("apply", "--check")


def test_a_table_that_is_not_as_the_registry_says_fails_and_is_not_remembered(
    store: Callable[..., Any], shop: Path
) -> None:
    pq.write_table(pa.table({"iid": ["i1"], "category": [[1]]}), shop / "offline" / "items.parquet")

    result = store("apply", exit_code=1)

    (line,) = [line for line in lines(result) if line.startswith("✗")]
    assert "no column 'price'; columns: iid, category" in line
    assert "column 'category' is list<" in line
    assert "1 of 8 tables are not as the registry says" in result.stderr
    assert not (shop / "feature_store.applied.json").exists()


def test_passwords_are_not_kept(store: Callable[..., Any], shop: Path) -> None:
    change(
        shop,
        "online: {kind: file, path: online} ",
        "online: {kind: redis, url: 'redis://:hunter2@127.0.0.1:1/0'} ",
    )

    result = store("apply", exit_code=1)

    assert "hunter2" not in result.output
    assert "redis://:…@127.0.0.1:1/0" in result.output


def test_the_state_is_plain_json(store: Callable[..., Any], shop: Path) -> None:
    store("apply")

    state = json.loads((shop / "feature_store.applied.json").read_text())

    assert state["models"]["rank_v1"]["features"]["item_price"] == "item_base.price"
    assert state["views"]["item_base"]["fields"]["iid"] == "string"
