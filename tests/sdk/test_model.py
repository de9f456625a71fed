from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from recserve.deploy.client import ControlError
from recserve.sdk.exception import PAIException
from recserve.sdk.model import (
    InferenceSpec,
    Model,
    RegisteredModel,
    ResourceConfig,
    container_serving_spec,
)
from recserve.sdk.predictor import Predictor

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.sdk.session import Session


def document(session: Session, spec: Any, data: str | None = None, **options: Any) -> dict[str, Any]:
    """What the control plane was sent; nothing is run."""
    made = Model(data, spec, session).deploy(instance_count=0, wait=False, **options)
    assert isinstance(made, Predictor)
    found: dict[str, Any] = json.loads(made.describe_service()["ServiceConfig"])
    made.delete_service()
    return found


APP = {"containers": [{"script": "true"}]}


def test_arguments_become_keys_of_the_document_and_options_win(session: Session) -> None:
    found = document(
        session,
        APP,
        service_name="keys",
        resource_config=ResourceConfig(cpu=2, memory=4000),
        labels={"team": "search"},
        options={"metadata.memory": 5000, "metadata.rpc.keepalive": 50000},
    )

    assert found["name"] == "keys"
    assert found["labels"] == {"team": "search"}
    metadata = found["metadata"]
    assert (metadata["cpu"], metadata["memory"], metadata["instance"]) == (2, 5000, 0)
    assert metadata["rpc"]["keepalive"] == 50000


def test_resources_may_be_a_dict_or_an_instance_type_and_not_both(session: Session) -> None:
    assert document(session, APP, service_name="dict", resource_config={"cpu": 3})["metadata"]["cpu"] == 3
    with pytest.raises(ValueError, match="give one of them"):
        document(session, APP, instance_type="ecs.c6.large", resource_config={"cpu": 3})
    assert ResourceConfig(1, 2, gpu_memory=4).to_dict() == {"cpu": 1, "memory": 2, "gpu_memory": 4}


def test_shared_memory_beside_a_whole_card_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ResourceConfig(1, 2, gpu=1, gpu_memory=4)

    assert "no effect beside gpu=1" in caplog.text


def test_a_spec_is_not_changed_by_being_deployed(session: Session, weights: str) -> None:
    spec = InferenceSpec(APP)
    document(session, spec, weights, service_name="same", options={"metadata.cpu": 1})

    assert spec.to_dict() == APP


def test_a_name_is_made_of_the_models(session: Session, tmp_path: Path) -> None:
    (tmp_path / "My Model-1").mkdir()

    name = document(session, APP, str(tmp_path / "My Model-1"))["name"]

    assert name.startswith("my_model_1_")
    assert len(name) == len("my_model_1_") + 8


def test_specs_by_method_are_told_apart_from_documents(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    several = {"predict": APP, "explain": InferenceSpec(containers=[{"script": "false"}])}

    chosen = document(session, several, service_name="chosen", inference_method="explain")
    with caplog.at_level(logging.WARNING):
        first = document(session, several, service_name="first")

    assert chosen["containers"][0]["script"] == "false"
    assert first["containers"][0]["script"] == "true"
    assert "methods predict, explain; 'predict' is deployed" in caplog.text
    with pytest.raises(ValueError, match="the spec has predict, explain"):
        document(session, several, inference_method="train")


@pytest.mark.parametrize(
    ("spec", "data", "kind", "message"),
    [
        (None, None, ValueError, "no inference_spec"),
        (APP, "no/such/model", RuntimeError, "'no/such/model' does not exist"),
        ({"labels": {}, "name": "x"}, None, ControlError, "nothing to run"),
    ],
)
def test_what_cannot_be_deployed_is_refused(
    session: Session, spec: Any, data: str | None, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        document(session, spec, data, service_name="refused")


def test_another_type_of_service_is_refused_by_name(session: Session) -> None:
    with pytest.raises(ValueError, match="Standard and Async are possible"):
        document(session, APP, service_type="LLMGatewayService")


def test_files_of_a_model_are_listed_and_fetched(session: Session, weights: str, tmp_path: Path) -> None:
    local = Model(weights, APP, session)
    uri = session.upload(weights)
    kept = Model(uri, APP, session)

    assert list(local.list_model_files()) == list(kept.list_model_files()) == ["weights.txt"]
    assert list(kept.list_model_files(uri_format=True)) == [f"{uri}weights.txt"]
    assert (tmp_path / "here" / "weights.txt").exists() is False
    kept.download(str(tmp_path / "here"))
    assert (tmp_path / "here" / "weights.txt").read_text() == "0.5 0.25"
    with pytest.raises(PAIException, match="does not exist"):
        list(Model("oss://recserve/nothing", APP, session).list_model_files())


def test_a_registered_model_is_found_by_name_and_version(session: Session, weights: str, app: str) -> None:
    spec = container_serving_spec("python app.py", "env://python", app, session=session)
    model = Model(weights, spec, session)

    first = model.register("shop", metrics={"auc": 0.7})
    second = model.register("shop")
    found = RegisteredModel("shop", session=session)

    assert (first.model_version, second.model_version, found.model_version) == ("0.1.0", "0.2.0", "0.2.0")
    assert first.about == {"metrics": {"auc": 0.7}}
    assert RegisteredModel.list(session) == ["shop"]
    assert found.list_versions() == ["0.1.0", "0.2.0"]
    with pytest.raises(PAIException, match=r"has version 0.1.0 already"):
        model.register("shop", "0.1.0")
    predictor = found.deploy("registered")
    assert isinstance(predictor, Predictor)
    assert predictor.predict(1)["model"] == "0.5 0.25"
    predictor.delete_service()
    found.delete()
    assert RegisteredModel("shop", session=session).model_version == "0.1.0"
    first.delete(delete_all_version=True)
    with pytest.raises(PAIException, match="versions: none"):
        RegisteredModel("shop", session=session)
