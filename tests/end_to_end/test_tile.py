"""One model, exported for every INPUT_TILE: what the server sends differs, the scores are the same bits."""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from tests.end_to_end.echo import ids, raw, service
from tests.engines.models import write
from torch import Tensor, nn

from recserve.client.client import Client, Scores
from recserve.testing import serve

BUCKETS = {"user_id": 100, "liked": 50, "item_id": 100}
USER_IDS = ("user_id", "liked")
FEATURES = [
    ids("user_id", "user:user_id", num_buckets=BUCKETS["user_id"]),
    ids("liked", "user:liked", num_buckets=BUCKETS["liked"]),
    raw("age", "user:age"),
    ids("item_id", "item:number", num_buckets=BUCKETS["item_id"]),
    raw("price", "item:price"),
    raw("hour", "context:hour"),
]
ITEMS = pa.table({"item_id": ["i1", "i2", "i3"], "number": [11, 12, 13], "price": [1.5, 2.5, 3.5]})
WEIGHTS = {name: np.arange(rows * 2, dtype=np.float32).reshape(rows, 2) for name, rows in BUCKETS.items()}


class Rank(nn.Module):
    """Sums of embeddings and numbers; all of them are small whole numbers and halves, so sums are exact.

    0: the user's features come once per item. 2: they come once, and ids are repeated before the look-up.
    3: they come once, and embeddings are repeated after it.
    """

    def __init__(self, tile: int) -> None:
        super().__init__()
        self.tile = tile
        self.tables = nn.ModuleDict(
            {
                name: nn.EmbeddingBag.from_pretrained(
                    torch.from_numpy(weights), mode="sum", include_last_offset=True
                )
                for name, weights in WEIGHTS.items()
            }
        )

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        rows: Any = data["batch_size"].item() if self.tile else 1
        ids_once, embedded_once = (rows, 1) if self.tile == 2 else (1, rows)
        user = [self.embedded(data, name, ids_once).repeat(embedded_once, 1) for name in USER_IDS]
        age = data["age.values"].repeat(rows, 1)
        item = self.embedded(data, "item_id", 1)
        vector = user[0] + user[1] + item + age
        return {
            "score": vector.sum(1) + (data["price.values"] + data["hour.values"]).view(-1),
            "vector": vector,
        }

    def embedded(self, data: dict[str, Tensor], name: str, times: int) -> Tensor:
        values, lengths = data[f"{name}.values"].repeat(times), data[f"{name}.lengths"].repeat(times)
        offsets = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
        found: Tensor = self.tables[name](values, offsets)
        return found


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Client]]:
    """A served export of each mode."""
    with ExitStack() as stack:
        clients = {}
        for tile in (0, 2, 3):
            folder = tmp_path_factory.mktemp(f"tile{tile}")
            export(folder / "bundle", tile)
            pq.write_table(ITEMS, folder / "items.parquet")
            server = stack.enter_context(serve(folder / "bundle", service(folder)))
            clients[tile] = stack.enter_context(
                Client(server.base_url, server.name, server.token, timeout_s=30)
            )
        yield clients


def export(bundle: Path, tile: int) -> None:
    write(bundle, Rank(tile), traced=True)
    (bundle / "fg.json").write_text(json.dumps({"features": FEATURES}))
    if tile:
        (bundle / "model_acc.json").write_text(json.dumps({"INPUT_TILE": str(tile)}))


def in_every_mode(clients: dict[int, Client], **request: Any) -> Scores:
    """The answer, after a look that all modes give it."""
    answers = {tile: client.score(**request) for tile, client in clients.items()}
    for tile in (2, 3):
        for name in ("score", "vector"):
            np.testing.assert_array_equal(answers[tile][name], answers[0][name], err_msg=f"INPUT_TILE {tile}")
    return answers[0]


def vector(item: int, user: int, liked: list[int], age: float) -> NDArray[np.float32]:
    parts = (WEIGHTS["item_id"][item], WEIGHTS["user_id"][user], WEIGHTS["liked"][liked].sum(0))
    total: NDArray[np.float32] = np.sum(parts, axis=0) + np.float32(age)
    return total


def test_a_users_features_are_sent_once_and_score_as_when_sent_for_every_item(
    clients: dict[int, Client],
) -> None:
    answer = in_every_mode(
        clients,
        user={"user_id": 7, "liked": [3, 40, 3], "age": 30.5},
        item_ids=["i2", "i1", "i3", "i2"],
        context={"hour": [1, 2, 3, 4]},
    )

    expected = np.stack([vector(item, 7, [3, 40, 3], 30.5) for item in (12, 11, 13, 12)])
    np.testing.assert_array_equal(answer["vector"], expected)
    np.testing.assert_array_equal(
        answer["score"], expected.sum(1) + np.array([2.5, 1.5, 3.5, 2.5]) + [1, 2, 3, 4]
    )


def test_one_item_is_a_batch_too(clients: dict[int, Client]) -> None:
    answer = in_every_mode(clients, user={"user_id": 1, "liked": [2], "age": 3}, item_ids=["i1"])

    np.testing.assert_array_equal(answer["vector"], [vector(11, 1, [2], 3)])


def test_a_user_without_features_and_an_unknown_item_score_alike(clients: dict[int, Client]) -> None:
    answer = in_every_mode(clients, user={}, item_ids=["i3", "unknown"])

    np.testing.assert_array_equal(answer["vector"], [WEIGHTS["item_id"][13], [-1, -1]])


def test_rows_without_ids_score_alike(clients: dict[int, Client]) -> None:
    answer = in_every_mode(clients, user={"user_id": 9, "age": 1}, item_ids=[], context={"hour": [5, 6, 7]})

    assert answer["score"].tolist() == [WEIGHTS["user_id"][9].sum() + 2 + hour for hour in (5, 6, 7)]
