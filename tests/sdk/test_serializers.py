from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.conformance.models import Twice
from tests.engines.models import write
from tests.example_services import write_my_export

from recserve.client import Scores, build_request
from recserve.sdk.exception import PAIException, PredictionException
from recserve.sdk.model import InferenceSpec, Model
from recserve.sdk.predictor import LocalPredictor, Predictor
from recserve.sdk.serializers import (
    BytesSerializer,
    JsonSerializer,
    PyTorchSerializer,
    TensorFlowSerializer,
    TorchRecSerializer,
    serializer_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recserve.sdk.session import Session

REQUEST: dict[str, Any] = {"user": {"age": 30}, "item_ids": ["i1", "i2"]}


# --- texts and bytes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        ({"x": [1, None]}, '{"x": [1, null]}'),
        ('{"x": 1}', '{"x": 1}'),
        (np.array([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
        ({"x": np.float32(0.5), "y": np.int64(3)}, '{"x": 0.5, "y": 3}'),
    ],
)
def test_json_has_arrays_as_lists_and_texts_as_they_are(data: Any, sent: str) -> None:
    assert JsonSerializer().serialize(data) == sent


def test_tables_are_rows_of_json() -> None:
    import pandas

    assert (
        JsonSerializer().serialize(pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}))
        == "[[1.0, 0.5], [2.0, 1.5]]"
    )


def test_what_json_cannot_say_is_told() -> None:
    with pytest.raises(TypeError, match="set cannot be written as JSON"):
        JsonSerializer().serialize({"x": {1}})
    with pytest.raises(PAIException, match="the answer is not JSON"):
        JsonSerializer().deserialize(b"<html>")
    assert JsonSerializer().deserialize(b"[1, 2]") == [1, 2]


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (b"\x00a", b"\x00a"),
        (bytearray(b"b"), b"b"),
        ("é", "é".encode()),
        ({"x": 1}, b'{"x": 1}'),
        ((1, 2), b"[1, 2]"),
        (5, b"5"),
    ],
)
def test_bytes_are_sent_as_they_are(data: Any, sent: bytes) -> None:
    assert BytesSerializer().serialize(data) == sent
    assert BytesSerializer().deserialize(sent) == sent


def test_tensorflow_is_refused_by_name() -> None:
    with pytest.raises(PAIException, match="no tensorflow processor"):
        TensorFlowSerializer(output_filter=["y"])


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({}, JsonSerializer),
        ({"processor": "pmml"}, JsonSerializer),
        ({"processor": "easyrec-torch-1.12"}, TorchRecSerializer),
        ({"processor": "easyrec-torch-1.12", "model_config": {"fg_mode": "bypass"}}, PyTorchSerializer),
        ({"processor": "pytorch_cpu_1.6"}, PyTorchSerializer),
        ({"processor": "easyrec-torch-1.12", "containers": [{}]}, JsonSerializer),
    ],
)
def test_a_processor_has_a_serializer(document: dict[str, Any], kind: type) -> None:
    assert type(serializer_for(document)) is kind


# --- scorers -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scorer(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    folder = tmp_path_factory.mktemp("export")
    tables = [{"name": str(folder / "items.parquet"), "key": "item_id"}]
    write_my_export(folder, {})
    spec = InferenceSpec(
        processor="easyrec-torch-1.12",
        model_config={"fg_mode": "normal", "remote_type": "file", "tables": tables},
    )
    made = Model(str(folder / "my_export"), spec, session).deploy(
        "rank", resource_config={"cpu": 1, "memory": 500}
    )
    assert isinstance(made, Predictor)
    yield made
    made.delete_service()


def test_a_scorer_answers_arrays_by_output_name(scorer: Predictor) -> None:
    answer = scorer.predict(REQUEST)

    assert list(answer) == ["score"]
    assert answer["score"].shape == (2,)
    own = scorer.predict({**REQUEST, "item_features": {"price": [101.5, 102.5]}})
    assert np.allclose(own["score"] - answer["score"], 100)


def test_a_built_request_and_its_bytes_are_sent_too(scorer: Predictor) -> None:
    built = build_request({"age": 30}, ["i1", "i2"])
    body = TorchRecSerializer().serialize(built)

    expected = scorer.predict(REQUEST)["score"].tolist()
    assert scorer.predict(built)["score"].tolist() == expected
    assert scorer.predict(body)["score"].tolist() == expected


def test_all_that_a_debug_level_tells_is_had_as_scores(scorer: Predictor) -> None:
    telling = Predictor("rank", serializer=TorchRecSerializer(scores=True), session=scorer.session)

    answer = telling.predict({**REQUEST, "debug_level": 1, "request_id": "r-1"})

    assert isinstance(answer, Scores)
    assert set(answer.generate_features) == {"i1", "i2"}


def test_what_a_scorer_refuses_has_its_status(scorer: Predictor) -> None:
    with pytest.raises(PredictionException) as raised:
        scorer.predict(b"no request")
    assert raised.value.code == 400
    assert scorer.raw_predict(b"", headers={"Authorization": "wrong"}).status_code == 401
    with pytest.raises(ValueError, match="users; known are user"):
        scorer.predict({"users": {}})
    with pytest.raises(TypeError, match="a dict with user"):
        scorer.predict([1])


# --- tensors -----------------------------------------------------------------------------------------------


def test_each_array_is_an_input_of_its_own(session: Session, tmp_path: Path) -> None:
    bundle = write(tmp_path / "twice", Twice())
    spec = InferenceSpec(processor="easyrec-torch-1.12", model_config={"fg_mode": "bypass"})
    local = Model(str(bundle), spec, session).deploy(instance_type="local")
    assert isinstance(local, LocalPredictor)

    x, y = np.array([1, 2], np.float32), np.array([10, 20])
    answers = local.predict([x, y])
    local.delete_service()

    assert [answer.tolist() for answer in answers] == [[11, 22], [2, 4]]
