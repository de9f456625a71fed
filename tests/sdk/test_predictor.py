from __future__ import annotations

import asyncio
import io
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from recserve.sdk.exception import PredictionException, UnexpectedStatusException
from recserve.sdk.model import InferenceSpec, Model, container_serving_spec
from recserve.sdk.predictor import AsyncPredictor, EndpointType, Predictor, ServiceType, WaitConfig
from recserve.sdk.serializers import BytesSerializer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.sdk.session import Session


@pytest.fixture(scope="module")
def spec(session: Session, app: str) -> InferenceSpec:
    return container_serving_spec(
        "python app.py", "env://python", app, environment_variables={"WORD": 7}, session=session
    )


@pytest.fixture(scope="module")
def predictor(session: Session, spec: InferenceSpec, weights: str) -> Iterator[Predictor]:
    made = Model(weights, spec, session).deploy("echo", labels={"team": "search"})
    assert isinstance(made, Predictor)
    yield made
    made.delete_service()


def test_what_is_deployed_answers_with_its_model_its_code_and_its_variables(predictor: Predictor) -> None:
    answer = predictor.predict({"x": [1, 2]})

    assert answer["said"] == {"x": [1, 2]}
    assert answer["model"] == "0.5 0.25"
    assert answer["word"] == "7"
    assert answer["path"] in ("/", "")


def test_a_service_tells_of_itself(predictor: Predictor) -> None:
    predictor.refresh()

    assert predictor.service_status == "Running"
    assert predictor.endpoint.endswith("/api/predict/echo")
    assert predictor.access_token
    assert predictor.labels == {"team": "search"}
    assert predictor.access_token not in repr(predictor)


def test_raw_requests_go_as_they_are(predictor: Predictor) -> None:
    below = predictor.raw_predict(io.BytesIO(b'{"y": 1}'), path="/below/it", params={"k": "v w"})
    asked = predictor.raw_predict(method="GET")

    assert below.json()["path"] == "/below/it?k=v+w"
    assert below.json()["said"] == {"y": 1}
    assert (asked.status_code, asked.json()["said"]) == (200, None)


def test_what_is_no_success_is_raised_by_predict_and_told_by_raw_predict(predictor: Predictor) -> None:
    with pytest.raises(PredictionException, match="as it was told") as raised:
        predictor.predict('"fail"')

    assert raised.value.code == 500
    assert predictor.raw_predict('"fail"').status_code == 500


def test_scaling_changes_the_number_and_no_version(predictor: Predictor) -> None:
    predictor.scale(2)

    fresh = Predictor("echo", session=predictor.session)
    asked = {fresh.predict(k)["instance"] for k in range(4)}
    assert len(asked) == 2
    assert all(name.startswith("echo-1-") for name in asked)
    predictor.scale(1)


def test_versions_are_made_by_changes_and_switched_back(predictor: Predictor, spec: InferenceSpec) -> None:
    changed = spec.to_dict()["containers"]
    changed[0]["env"] = [{"name": "WORD", "value": "another"}]
    predictor.update({"containers": changed})
    second = Predictor("echo", session=predictor.session).predict(None)["word"]

    predictor.switch_version(1, wait=True)

    assert second == "another"
    assert Predictor("echo", session=predictor.session).predict(None)["word"] == "7"
    with pytest.raises(ValueError, match="already"):
        predictor.switch_version(1)
    with pytest.raises(ValueError, match="the latest is 2"):
        predictor.switch_version(9)


def test_many_threads_may_ask_a_predictor_that_has_never_asked(predictor: Predictor) -> None:
    fresh = Predictor("echo", EndpointType.DIRECT, session=predictor.session)
    together = threading.Barrier(8)
    answers: list[int] = []

    def ask() -> None:
        together.wait()
        answers.append(fresh.predict(1)["said"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1] * 8


def test_a_version_that_does_not_get_ready_is_told_and_the_one_before_serves(
    predictor: Predictor, spec: InferenceSpec
) -> None:
    changed = spec.to_dict()["containers"]
    changed[0]["script"] = "echo cannot begin; exit 3"

    with pytest.raises(UnexpectedStatusException, match="cannot begin"):
        predictor.update({"containers": changed})

    assert predictor.predict(4)["said"] == 4
    predictor.switch_version(1, wait=True)


def test_nothing_is_lost_when_an_instance_is_killed_and_nobody_stands_between(predictor: Predictor) -> None:
    predictor.scale(2)
    direct = Predictor("echo", EndpointType.DIRECT, session=predictor.session)
    pids = {direct.predict(k)["pid"] for k in range(4)}
    assert len(pids) == 2

    os.kill(min(pids), signal.SIGKILL)
    answers = [direct.predict(k)["said"] for k in range(50)]

    assert answers == list(range(50))
    predictor.scale(1)


def test_an_unknown_way_to_a_service_is_refused(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="INTERNET, INTRANET, DIRECT are possible"):
        Predictor("echo", "SATELLITE", session=predictor.session)


def test_tasks_are_answered_by_threads(predictor: Predictor) -> None:
    asking = AsyncPredictor("echo", max_workers=3, session=predictor.session)
    heard: list[int] = []

    tasks = [asking.predict(k, callback=lambda answer: heard.append(answer["said"])) for k in range(9)]

    assert [task.result()["said"] for task in tasks] == list(range(9))
    assert sorted(heard) == list(range(9))
    assert asking.raw_predict('"fail"').result().status_code == 500
    assert isinstance(asking.predict('"fail"').exception(), PredictionException)
    asking.max_workers = 2
    assert asyncio.run(asking.predict_async("[1]", WaitConfig(60, 1)))["said"] == [1]
    assert asyncio.run(asking.raw_predict_async("2")).json()["said"] == 2
    with pytest.raises(ValueError, match="interval"):
        WaitConfig(interval=0)


def test_stopping_and_starting_wait_until_it_is_so(predictor: Predictor) -> None:
    predictor.stop_service()
    assert predictor.service_status == "Stopped"
    with pytest.raises(UnexpectedStatusException, match="echo is Stopped"):
        predictor.wait_for_ready()

    predictor.start_service()
    assert Predictor("echo", session=predictor.session).predict(3)["said"] == 3


def test_an_asynchronous_service_is_asked_by_an_asynchronous_predictor(
    session: Session, spec: InferenceSpec, weights: str
) -> None:
    made = Model(weights, spec, session).deploy(
        "queued", service_type=ServiceType.Async, serializer=BytesSerializer()
    )

    assert isinstance(made, AsyncPredictor)
    assert b'"said": 5' in made.predict(b"5").result()
    made.delete_service()


def test_what_ends_at_once_is_told_with_its_reason(session: Session) -> None:
    spec = container_serving_spec("echo no such table; exit 3", "env://python")
    with pytest.raises(UnexpectedStatusException, match="no such table") as raised:
        Model(None, spec, session).deploy("broken")

    assert isinstance(raised.value, RuntimeError)
    assert str(raised.value.status) == "Failed"
    Predictor("broken", session=session).delete_service()
