"""What a recommendation engine dies of never leaves the server: pairec's response functions, row by row.

Each function is written down here as the Go code reads an answer: an index out of range or a missing message
ends the engine's process, in Python it raises. Encoded bytes are parsed with protobuf's own message classes.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.asking import ask, post
from tests.processors.conftest import FEATURES, service_of, write_bundle
from tests.server import odd_models
from tests.server.conftest import Running, running_bundle

from recserve.processors.debug import LEVELS
from recserve.wire.descriptors import message_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PBResponse = message_class("com.alibaba.pairec.processor.PBResponse")
FLOAT, DOUBLE, INT32, UINT8, INT64 = 1, 2, 3, 4, 9
IDS = ["i1", "nope", "i3", "i1"]


@pytest.fixture(scope="module")
def rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The small service: two outputs of one value per item."""
    bundle = write_bundle(tmp_path_factory.mktemp("rank"))
    with running_bundle(bundle, service_of()) as server:
        yield server


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Serve one of odd_models.py."""
    with ExitStack() as stack:

        def serve(kind: str, **model_config: Any) -> Running:
            bundle = write_bundle(tmp_path / kind, features=FEATURES[:1], sums={"unused": ["price.values"]})
            odd_models.save(kind, bundle)
            return stack.enter_context(running_bundle(bundle, service_of(**model_config)))

        yield serve


def answer(rank: Running, asked: Any, level: int = 0) -> Any:
    asked.debug_level = level
    response = post(rank, asked)
    assert response.status == 200, response.data
    return PBResponse.FromString(response.data)


# --- the functions, as the engine has them ---


def mut_val(response: Any, ids: list[str]) -> dict[str, dict[str, float]]:
    """torchrecMutValResponseFunc: element i of every float or double tensor is item i's."""
    scores: dict[str, dict[str, float]] = {}
    for name, tensor in response.map_outputs.items():
        if tensor.dtype in (FLOAT, DOUBLE):
            values = tensor.float_val if tensor.dtype == FLOAT else tensor.double_val
            scores[name] = {item: values[i] for i, item in enumerate(ids)}
    return scores


def classification(response: Any, ids: list[str]) -> dict[str, list[Any]]:
    """torchrecMutClassificationResponseFunc: float_val of every tensor, whatever its type, by its shape."""
    scores: dict[str, list[Any]] = {}
    for name, tensor in response.map_outputs.items():
        assert tensor.HasField("array_shape"), f"{name}: nil dereference"
        shape = list(tensor.array_shape.dim)
        width = shape[1] if len(shape) == 2 else 1
        for i in range(len(ids)):
            row = [tensor.float_val[i * width + j] for j in range(width)]
            scores.setdefault(name, []).append(row if len(row) > 1 else row[0])
    return scores


def embedding(response: Any) -> tuple[list[float], int, dict[str, str]]:
    """torchrecEmbeddingResponseFunc: one arbitrary output, its second dimension as the size."""
    tensor = response.map_outputs[max(response.map_outputs)]
    return list(tensor.float_val), tensor.array_shape.dim[1], dict(response.pass_through_data)


def embedding_items(response: Any) -> list[float]:
    """torchrecEmbeddingItemsResponseFunc: the k-th of match_item_scores is the k-th id's."""
    if not response.item_ids:
        return []
    assert "match_item_scores" in response.map_outputs, "nil dereference"
    return [response.map_outputs["match_item_scores"].float_val[k] for k in range(len(response.item_ids))]


def first_entries(response: Any) -> tuple[str, str]:
    """torchrecEmbeddingItemsResponseFuncDebug: the first entry of either map."""
    return next(iter(response.generate_features.values())), next(iter(response.raw_features.values()))


# --- row by row ---


@pytest.mark.parametrize("level", LEVELS)
def test_mut_val_finds_a_value_for_every_item_at_every_level(rank: Running, level: int) -> None:
    response = answer(rank, ask(*IDS), level)

    scores = mut_val(response, IDS)

    assert set(scores) == ({"score", "tags"} if LEVELS[level].predicts else set())
    assert all(
        values == {"i1": values["i1"], "nope": -1, "i3": values["i3"]} for name, values in scores.items()
    )


@pytest.mark.parametrize("level", LEVELS)
def test_mut_val_debug_finds_texts_for_every_item_or_for_none(rank: Running, level: int) -> None:
    response = answer(rank, ask(*IDS), level)

    mut_val(response, IDS)
    for texts in (response.raw_features, response.generate_features):
        assert set(texts) in (set(), set(IDS))
        assert all(isinstance(text, str) for text in texts.values())
    assert set(response.map_outputs) in (set(), {"score", "tags"})


@pytest.mark.parametrize("level", LEVELS)
def test_classification_finds_a_shape_and_floats_for_every_item(rank: Running, level: int) -> None:
    scores = classification(answer(rank, ask(*IDS), level), IDS)

    assert all(len(values) == len(IDS) for values in scores.values())


def test_classification_takes_rows_of_several_values_and_halves(odd: Callable[..., Running]) -> None:
    rank = odd("many", outputs=["half", "brain", "column", "matrix"])

    scores = classification(answer(rank, ask("i1", "i2", "i3")), ["i1", "i2", "i3"])

    assert scores == {
        "half": [1, 2, 3],
        "brain": [1, 2, 3],
        "column": [1, 2, 3],
        "matrix": [[1, 1, 1], [2, 2, 2], [3, 3, 3]],
    }


def test_types_are_those_that_clients_read_and_shapes_count_the_values(odd: Callable[..., Running]) -> None:
    """Of outputs that are no scores the engine is spared by `outputs`; they are sent as they are."""
    response = answer(odd("many"), ask("i1", "i2"))

    types = {name: tensor.dtype for name, tensor in response.map_outputs.items()}
    shapes = {name: list(tensor.array_shape.dim) for name, tensor in response.map_outputs.items()}
    assert types == {
        "half": FLOAT,
        "brain": FLOAT,
        "double": DOUBLE,
        "column": FLOAT,
        "matrix": FLOAT,
        "whole": INT64,
        "small": INT32,
        "yes": UINT8,
    }
    assert shapes == {**{name: [2] for name in types}, "column": [2, 1], "matrix": [2, 3]}
    assert mut_val(response, ["i1", "i2"])["half"] == {"i1": 1, "i2": 2}


@pytest.mark.parametrize("level", [0, 2, 100, 903])
@pytest.mark.parametrize("kind", ["short", "long", "scalar", "no_values"])
def test_outputs_that_are_not_one_row_per_item_are_500_and_no_message(
    odd: Callable[..., Running], kind: str, level: int
) -> None:
    asked = ask("i1", "i2", "i3")
    asked.debug_level = level

    response = post(odd(kind), asked)

    assert response.status == 500
    with pytest.raises(Exception, match=r"[Pp]ars"):
        PBResponse.FromString(response.data)


def test_an_embedding_is_the_only_output_and_has_a_size(odd: Callable[..., Running]) -> None:
    """A user tower: no ids, no lists, one row."""
    response = answer(odd("vector"), ask(user={"u": "1"}, item={"price": ["2.5"]}))

    assert embedding(response) == ([2.5] * 4, 4, {})
    assert list(response.map_outputs["user_tower_emb"].array_shape.dim) == [1, 4]


def test_recalled_items_are_none_where_nothing_recalls(rank: Running) -> None:
    """The ids that come back are those that were sent: for a user alone, none."""
    for level in LEVELS:
        assert embedding_items(answer(rank, ask(user={"taste": "5"}), level)) == []


def test_recall_debug_finds_a_first_entry(rank: Running) -> None:
    generated, raw = first_entries(answer(rank, ask(user={"taste": "5"}), 1))

    assert "taste:5" in generated
    assert "taste:5" in raw


@pytest.mark.parametrize(
    ("policy", "expected"), [("keep", [float("-inf"), -1, 0]), ("replace", [-1, -1, 0]), ("fail", None)]
)
def test_scores_that_are_no_numbers_follow_not_finite(
    odd: Callable[..., Running], policy: str, expected: list[float] | None
) -> None:
    """log(price - 2) of i2 and i3; of an unknown item it is no number either, and its row is filled."""
    rank = odd("not_finite", not_finite=policy)

    response = post(rank, ask("i2", "nope", "i3"))

    if expected is None:
        assert response.status == 500
    else:
        assert list(PBResponse.FromString(response.data).map_outputs["score"].float_val) == expected
    assert rank.metric("recserve_not_finite_scores_total", output="score") >= 1
