from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import urllib3

from recserve.deploy.backends.processes import family, identity
from recserve.deploy.errors import RefusedError
from recserve.sdk.exception import PAIException, PredictionException, UnexpectedStatusException
from recserve.sdk.model import Model, container_serving_spec
from recserve.sdk.predictor import LocalPredictor
from recserve.sdk.serializers import BytesSerializer

if TYPE_CHECKING:
    from recserve.sdk.session import Session


def deployed(model: Model, **options: object) -> LocalPredictor:
    predictor = model.deploy(instance_type=" local ", **options)  # type: ignore[arg-type]
    assert isinstance(predictor, LocalPredictor)
    return predictor


def test_an_app_runs_with_its_model_and_without_a_control_plane(
    session: Session, app: str, weights: str
) -> None:
    spec = container_serving_spec(
        "python app.py", "env://python", app, environment_variables={"WORD": "local"}, session=session
    )

    predictor = deployed(Model(weights, spec, session))
    answer = predictor.predict({"x": 1})
    below = predictor.raw_predict("[1]", path="deep")
    predictor.delete_service()

    assert (answer["said"], answer["model"], answer["word"]) == ({"x": 1}, "0.5 0.25", "local")
    assert below.json()["path"] == "/deep"
    assert not (session.home / "context.json").exists()
    with pytest.raises(PredictionException, match="cannot be reached"):
        predictor.predict(1)


def test_nothing_is_left_of_what_has_ended(session: Session, app: str) -> None:
    spec = container_serving_spec("sleep 600 &\npython app.py", "env://python", app, session=session)
    predictor = deployed(Model(None, spec, session))
    process = predictor._process
    assert process is not None
    pid, folder = process._supervisor.observed.pid, process._folder
    everybody = family(pid)
    assert len(everybody) >= 2

    predictor.delete_service()

    assert [one for one in everybody if identity(one) is not None] == []
    assert not folder.exists()


def test_an_archive_is_unpacked_and_cannot_leave_its_folder(
    session: Session, app: str, weights: str, tmp_path: Path
) -> None:
    spec = container_serving_spec("python app.py", "env://python", app, session=session)
    good, bad = tmp_path / "good.tar.gz", tmp_path / "bad.tar.gz"
    with tarfile.open(good, "w:gz") as file:
        file.add(Path(weights) / "weights.txt", "weights.txt")
    with tarfile.open(bad, "w:gz") as file:
        file.add(Path(weights) / "weights.txt", "../../escaped.txt")

    predictor = deployed(Model(str(good), spec, session))
    assert predictor.predict(None)["model"] == "0.5 0.25"
    predictor.delete_service()
    with pytest.raises(PAIException, match="cannot be unpacked"):
        deployed(Model(str(bad), spec, session))


def test_what_ends_before_it_is_ready_is_told_with_its_last_words(session: Session) -> None:
    spec = container_serving_spec("echo no such weights; exit 4", "env://python", session=session)

    with pytest.raises(UnexpectedStatusException, match=r"exit code 4\): no such weights"):
        deployed(Model(None, spec, session))


def test_what_never_answers_is_late(session: Session) -> None:
    spec = container_serving_spec("exec sleep 600", "env://python", session=session)

    predictor = deployed(Model(None, spec, session), wait=False)
    with pytest.raises(UnexpectedStatusException, match="not ready after"):
        predictor.wait_for_ready(0.5)
    predictor.delete_service()


def test_what_cannot_run_here_is_refused(session: Session) -> None:
    two = {"containers": [{"script": "a"}, {"script": "b"}]}

    with pytest.raises(RefusedError, match="2 entries"):
        deployed(Model(None, two, session))
    with pytest.raises(RuntimeError, match="does not exist"):
        deployed(Model("no/such/model", {"containers": [{"script": "a"}]}, session))


def test_a_port_alone_is_enough(session: Session, app: str) -> None:
    spec = container_serving_spec("python app.py", "env://python", app, session=session)
    running = deployed(Model(None, spec, session))

    alone = LocalPredictor(running.port, serializer=BytesSerializer())
    alone.wait_for_ready()

    assert b'"said": 8' in alone.predict("8")
    alone.delete_service()
    assert running.predict(9)["said"] == 9
    running.delete_service()


def test_it_ends_with_the_program(session: Session, app: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        f"""
from recserve.sdk.model import Model, container_serving_spec
from recserve.sdk.session import Session
session = Session(home_folder={str(session.home)!r})
spec = container_serving_spec("python app.py", "env://python", {app!r}, session=session)
print(Model(None, spec, session).deploy(instance_type="local").endpoint)
"""
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(program)], env=environ, capture_output=True, text=True, check=True
    )

    with pytest.raises(urllib3.exceptions.HTTPError), urllib3.PoolManager(retries=False) as pool:
        pool.request("GET", done.stdout.strip())
