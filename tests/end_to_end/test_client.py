"""Our own client against a real server: every way of asking gives the same scores."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.conformance.models import Twice
from tests.end_to_end.conftest import echo
from tests.engines.models import write

from recserve.client import AsyncClient, Client, NotAuthorizedError, RefusedError, RequestBuilder
from recserve.testing import serve
from recserve.wire.compression import COMPRESSORS

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.client import Scores
    from recserve.testing import RunningServer

__all__ = ["echo"]  # the fixture

ITEMS = ["item_0002", "item_0001", "unknown"]
HOURS = np.array([7.5, 8, 9], np.float32)


def ask(client: Client) -> Scores:
    return client.score({"age": 33, "raw_3": [1.0, 2, 3, 4]}, ITEMS, context={"hour": HOURS})


WAYS: dict[str, dict[str, Any]] = {
    "token": {},
    "signature": {"scheme": "signature"},
    **{name: {"compression": name} for name in COMPRESSORS},
}


@pytest.mark.parametrize("way", WAYS)
def test_scores_are_the_same_by_every_way(echo: RunningServer, way: str) -> None:
    with Client(echo.base_url, echo.name, echo.token, **WAYS[way]) as client:
        scores = ask(client)

    assert scores.item_ids == ITEMS
    assert scores["hour"].tolist() == [7.5, 8, -1]
    assert scores["raw_3"].tolist() == [[1, 2, 3, 4], [1, 2, 3, 4], [-1] * 4]
    assert scores.top(1, "hour") == [("item_0001", 8.0)]
    assert scores.stages_ms["run"] >= 0


def test_a_service_is_found_by_discovery(echo: RunningServer) -> None:
    with Client(discovery=echo.base_url, name=echo.name, token=echo.token) as client:
        assert ask(client)["age"].tolist() == [33, 33, -1]


def test_an_event_loop_asks_many_at_once(echo: RunningServer) -> None:
    async def run() -> list[float]:
        async with AsyncClient(echo.base_url, echo.name, echo.token, connections=8) as client:
            answers = await asyncio.gather(*(client.score({"age": age}, ["item_0001"]) for age in range(50)))
        return [float(answer["age"][0]) for answer in answers]

    assert asyncio.run(run()) == list(range(50))


def test_a_table_brings_items_that_the_service_does_not_know(echo: RunningServer) -> None:
    new = pa.table({"id": ["new_1", "new_2"], "price": [3.5, 4.5]})
    request = RequestBuilder().items(features=new, id_column="id").build()

    with Client(echo.base_url, echo.name, echo.token) as client:
        assert client.send(request)["price"].tolist() == [3.5, 4.5]


def test_levels_answer_texts(echo: RunningServer) -> None:
    with Client(echo.base_url, echo.name, echo.token) as client:
        scores = client.score({"age": 33}, ITEMS, debug_level=1)

    assert dict(scores) == {}
    assert set(scores.generate_features) == set(scores.raw_features) == set(ITEMS)
    assert "age:33" in scores.generate_features["item_0001"]


def test_what_is_wrong_is_a_typed_error(echo: RunningServer) -> None:
    with Client(echo.base_url, echo.name, "wrong") as client, pytest.raises(NotAuthorizedError):
        ask(client)
    with Client(echo.base_url, "another", echo.token) as client, pytest.raises(RefusedError) as raised:
        ask(client)
    assert raised.value.code == 404


def test_tensors_are_run_by_name_and_by_position(tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle", Twice())
    document = {"name": "rank", "token": "token", "model_config": {"fg_mode": "bypass"}}
    x, y = np.array([1.5, 2]), [10, 20]

    with serve(bundle, document) as server, Client(server.base_url, "rank", "token") as client:
        by_name = client.run({"x": x, "y": y}).named_outputs
        by_place = client.run([x, y], fetch=[1, 0]).outputs
        with pytest.raises(RefusedError, match="'y'"):
            client.run({"x": x})

    assert {name: array.tolist() for name, array in by_name.items()} == {
        "output_0": [11.5, 22],
        "output_1": [3, 4],
    }
    assert [array.tolist() for array in by_place] == [[3, 4], [11.5, 22]]
