"""The demo's items in PostgreSQL, not in a file: the service file is all that changes, and no score does."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.end_to_end.newcomer import UNKNOWN, Demo, first_request, serving

from recserve.client.client import Client, Scores
from recserve.sources.postgres import PostgresSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.postgres import PostgresServer

KINDS = ["postgresql", "hologres"]


@pytest.fixture
def request_of_the_demo(demo: Demo) -> dict[str, Any]:
    return first_request(demo)


def scores_of(demo: Demo, service: str, ask: Callable[[Client], Scores]) -> Scores:
    """Serve the demo's bundle with a service file of its folder, and ask."""
    settings = json.loads((demo.folder / ".demo" / service).read_text())
    line = demo.line("recserve serve ").replace("service.json", service)
    with (
        serving(line, demo.folder) as url,
        Client(url, settings["name"], settings["token"], timeout_s=30) as client,
    ):
        return ask(client)


def in_postgres(demo: Demo, url: str, kind: str, **table: Any) -> str:
    """Copy the items into a table, and write the service file that says so."""
    source = PostgresSource(url, "items", "item_id", timekey=table.get("timekey", ""))
    source.write(pq.read_table(demo.folder / ".demo/items.parquet"))
    source.close()
    settings = json.loads((demo.folder / ".demo/service.json").read_text())
    settings["model_config"] |= {
        "remote_type": kind,
        "url": url.replace("://", ":// "),  # with the blank of the hosted processor's example
        "tables": {"name": "public.items", "key": "item_id", **table},
    }
    name = f"service_{kind}.json"
    (demo.folder / ".demo" / name).write_text(json.dumps(settings))
    return name


@pytest.mark.parametrize("kind", KINDS)
def test_the_service_file_alone_switches_the_items_to_a_database(
    demo: Demo, database: str, kind: str, request_of_the_demo: dict[str, Any]
) -> None:
    from_file = scores_of(demo, "service.json", lambda client: client.score(**request_of_the_demo))
    service = in_postgres(demo, database, kind)
    result = scores_of(demo, service, lambda client: client.score(**request_of_the_demo))

    assert set(result) == set(from_file) == {"probs_ctr", "probs_cvr"}
    for name in from_file:
        assert result[name].tobytes() == from_file[name].tobytes()


def test_a_row_that_is_written_is_scored_without_a_restart(
    postgres: PostgresServer, demo: Demo, database: str, request_of_the_demo: dict[str, Any]
) -> None:
    """As it is scored from a file that has it."""
    changed = next(item_id for item_id in request_of_the_demo["item_ids"] if item_id != UNKNOWN)
    items = pq.read_table(demo.folder / ".demo/items.parquet")
    prices = pc.if_else(pc.equal(items["item_id"], changed), 77.5, items["price"]).cast(items["price"].type)
    pq.write_table(
        items.set_column(items.schema.get_field_index("price"), "price", prices),
        demo.folder / ".demo/changed.parquet",
    )
    settings = json.loads((demo.folder / ".demo/service.json").read_text())
    settings["model_config"]["tables"][0]["name"] = "changed.parquet"
    (demo.folder / ".demo/service_changed.json").write_text(json.dumps(settings))
    expected = scores_of(demo, "service_changed.json", lambda client: client.score(**request_of_the_demo))

    def ask(client: Client) -> Scores:
        scores = client.score(**request_of_the_demo)
        assert any(scores[name].tobytes() != expected[name].tobytes() for name in expected)
        statement = "UPDATE items SET price = 77.5, changed = clock_timestamp() WHERE item_id = %s"
        postgres.execute(statement, changed, url=database)
        end = time.monotonic() + 60
        while any(scores[name].tobytes() != expected[name].tobytes() for name in expected):
            assert time.monotonic() < end, "the row never came"
            time.sleep(0.05)
            scores = client.score(**request_of_the_demo)
        return scores

    scores_of(demo, in_postgres(demo, database, "postgresql", timekey="changed"), ask)
