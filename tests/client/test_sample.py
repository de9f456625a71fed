"""Made-up requests fit the schema and repeat with their seed."""

from __future__ import annotations

from recserve.client.sample import sample_requests
from recserve.columns import to_arrow
from recserve.messages import InputSchema
from recserve.wire.torchrec import encode_request

TYPES = {
    "a": "int32",
    "b": "float64",
    "c": "string",
    "d": "list<int64>",
    "e": "map<string,float32>",
    "f": "list<list<float32>>",
}
SCHEMA = InputSchema(
    user=TYPES, context={"position": "int32"}, item={"price": "float32", "tags": "list<string>"}
)


def test_columns_have_their_types() -> None:
    (request,) = sample_requests(SCHEMA, [], rows=3, count=1)

    types = {name: str(to_arrow(request.user[name]).type) for name in TYPES}
    assert types == {
        "a": "int32",
        "b": "double",
        "c": "string",
        "d": "list<item: int64>",
        "e": "map<string, float>",
        "f": "list<item: list<item: float>>",
    }
    assert request.context["position"].rows == request.item_features["tags"].rows == 3


def test_known_items_are_drawn_from_and_bring_no_features() -> None:
    requests = list(sample_requests(SCHEMA, ["x", "y"], rows=5, count=3, clicked={"clicks": 4}))

    for request in requests:
        assert set(to_arrow(request.item_ids).to_pylist()) <= {"x", "y"}
        assert set(to_arrow(request.user["clicks"]).to_pylist()[0]) <= {"x", "y"}
        assert not len(request.item_features)


def test_a_seed_repeats() -> None:
    def bodies(seed: int) -> list[bytes]:
        return [encode_request(each) for each in sample_requests(SCHEMA, [], rows=2, count=2, seed=seed)]

    assert bodies(1) == bodies(1) != bodies(2)


def test_columns_beside_the_clicks_have_as_many_values() -> None:
    (request,) = sample_requests(
        SCHEMA, [], rows=1, count=1, clicked={"clicks": 4}, beside_clicks={"clicks__ago": (";", 4)}
    )

    assert len(to_arrow(request.user["clicks__ago"])[0].as_py().split(";")) == 4
