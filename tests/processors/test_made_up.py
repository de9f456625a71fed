from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.processors.conftest import service_of, write_bundle

from recserve.columns import to_arrow
from recserve.observe.trace import Trace
from recserve.processors.made_up import MadeUpRequests
from recserve.wire.torchrec import Decoder, encode_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recserve.messages import ScoreRequest
    from recserve.processors.normal import Normal


def values(request: ScoreRequest) -> dict[str, Any]:
    """All that a request says."""
    sides = {"user": request.user, "context": request.context, "item": request.item_features}
    return {
        "ids": to_arrow(request.item_ids).to_pylist(),
        **{f"{side}:{name}": to_arrow(b[name]).to_pylist() for side, b in sides.items() for name in b.names},
    }


@pytest.mark.parametrize("rows", [1, 2, 200])
def test_a_made_up_request_asks_for_known_items_and_says_something_of_the_user(
    loaded: Callable[..., Any], rows: int
) -> None:
    rank: Normal = loaded(service_of())

    request = rank.made_up().of(rows)

    made = values(request)
    assert made.keys() == {"ids", "user:taste", "user:likes", "context:hour"}
    assert len(made["ids"]) == len(made["context:hour"]) == rows
    assert set(made["ids"]) <= {"i1", "i2", "i3"}
    assert all(made["user:likes"])
    trace = Trace()
    assert len(rank.score(request, trace).outputs["score"]) == rows
    assert trace.missing_items == 0
    assert rank.features.counters == dict.fromkeys(rank.features.counters, 0)


def test_without_a_store_requests_bring_the_item_columns(loaded: Callable[..., Any]) -> None:
    rank: Normal = loaded({"model_config": {"fg_mode": "normal"}})

    request = rank.made_up().of(5)

    assert {"item:price", "item:cat", "item:tags"} <= values(request).keys()
    assert len(rank.score(request).outputs["score"]) == 5


def test_they_are_the_same_in_every_process_and_different_from_one_another(
    loaded: Callable[..., Any],
) -> None:
    rank: Normal = loaded(service_of())
    one, other = (MadeUpRequests(rank.features, ["i1", "i2", "i3"]) for _ in range(2))

    first, second = values(one.of(30)), values(one.of(30))

    assert first != second
    assert [first, second] == [values(other.of(30)), values(other.of(30))]


def test_they_survive_the_way_to_the_server(loaded: Callable[..., Any]) -> None:
    rank: Normal = loaded(service_of())
    request = rank.made_up().of(3)

    sent = Decoder(rank.schema, fallback=rank.types_if_missing).decode(encode_request(request))

    scores = [rank.score(r).outputs["score"].tolist() for r in (request, sent)]
    assert scores[0] == scores[1]


def test_clicked_items_are_known_ones(loaded: Callable[..., Any], tmp_path: Path) -> None:
    features = [
        {
            "sequence_name": "clicks",
            "sequence_length": 7,
            "sequence_delim": ";",
            "sequence_pk": "user:clicks",
            "features": [
                {
                    "feature_type": "raw_feature",
                    "feature_name": "price",
                    "expression": "item:price",
                    "default_value": "0",
                }
            ],
        }
    ]
    other = write_bundle(tmp_path / "clicks", features=features, sums={"score": ["clicks__price.values"]})
    rank: Normal = loaded(service_of(), other)

    clicks = values(rank.made_up().of(2))["user:clicks"]

    assert set(clicks[0].split(";")) <= {"i1", "i2", "i3"}
    assert len(clicks[0].split(";")) == 7
    assert pa.types.is_string(to_arrow(rank.made_up().of(2).user["clicks"]).type)
