"""Clicks whose steps have several ids, numbers beside them and weighted ids, through the whole server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.end_to_end.echo import ids, raw, service
from tests.engines.models import Sequences, write

from recserve.client.client import Client, Scores
from recserve.testing import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTHING = 5  # the id of a step without tags, and of no step at all
CLICKS = {
    "sequence_name": "clicks",
    "sequence_length": 6,
    "sequence_delim": ";",
    "sequence_pk": "user:clicks",
    "features": [
        {**ids("tags", "item:tags", num_buckets=1000), "default_value": str(NOTHING), "value_dim": 0},
        {**raw("price", "item:price"), "value_dim": 1},
    ],
}
LIKED = {**ids("liked", "user:liked", num_buckets=100), "weighted": True}
FEATURES = [CLICKS, LIKED, raw("hour", "context:hour")]
ITEMS = pa.table(
    {
        "item_id": ["a", "b", "c"],
        "tags": [[1, 10], [100], []],
        "price": pa.array([1.5, 2.5, 4.0], pa.float32()),
    }
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("sequences")
    bundle = write(folder / "bundle", Sequences(), traced=True)
    (bundle / "fg.json").write_text(json.dumps({"features": FEATURES}))
    pq.write_table(ITEMS, folder / "items.parquet")
    with (
        serve(bundle, service(folder)) as server,
        Client(server.base_url, server.name, server.token, timeout_s=30) as client,
    ):
        yield client


def score(client: Client, hours: list[int], **user: Any) -> Scores:
    return client.score(user=user, item_ids=["a", "b", "c"][: len(hours)], context={"hour": hours})


def test_steps_of_several_ids_are_summed_beside_steps_of_numbers(client: Client) -> None:
    answer = score(client, [0, 7], clicks="a;b;a", liked={"3": 0.5, "40": 2.0})

    tags, prices, likes = 1 + 10 + 100 + 1 + 10, 1.5 + 2.5 + 1.5, 3 + 40
    expected = np.array([[tags, prices, likes], [tags + 7, prices + 7, likes + 7]], np.float32)
    np.testing.assert_array_equal(answer["rows"], expected)


def test_a_step_without_ids_has_the_default(client: Client) -> None:
    answer = score(client, [0], clicks="b;c", liked={"1": 1.0})

    np.testing.assert_array_equal(answer["rows"], [[100 + NOTHING, 6.5, 1]])


@pytest.mark.parametrize(
    "clicks", [{}, {"clicks": ""}, {"clicks": "gone"}], ids=["none", "empty", "unknown item"]
)
def test_a_sequence_of_nothing_is_one_default_step(client: Client, clicks: dict[str, str]) -> None:
    """Without it `_segment_reduce` has nothing to reduce, and throws."""
    answer = score(client, [0, 2], liked={"1": 1.0}, **clicks)

    np.testing.assert_array_equal(answer["rows"], [[NOTHING, 0, 1], [NOTHING + 2, 2, 3]])


def test_two_classes_are_answered_with_the_second_beside_them(client: Client) -> None:
    answer = score(client, [0, 1, 2], clicks="b", liked={"1": 1.0})

    assert answer["probs"].shape == (3, 2)
    np.testing.assert_allclose(answer["probs"].sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(answer["probs1"], answer["probs"][:, 1])
