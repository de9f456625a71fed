from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from tests.certificates import Authority
from tests.sdk.conftest import ECHO

from recserve.deploy.backends.processes import identity
from recserve.deploy.background import end, holder
from recserve.deploy.client import ControlClient, ControlError
from recserve.sdk import session as sessions
from recserve.sdk.exception import PAIException, PredictionException
from recserve.sdk.model import Model, container_serving_spec
from recserve.sdk.predictor import Predictor
from recserve.sdk.session import Session, get_default_session, setup_default_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A home of this test's own, with no session yet."""
    for name in ("RECSERVE_ENDPOINT", "RECSERVE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RECSERVE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sessions, "_default", [])
    yield tmp_path / "home"
    for one in sessions._default:
        one.shutdown()


def test_there_is_one_default_session_and_it_starts_nothing(alone: Path) -> None:
    found = get_default_session()

    assert get_default_session() is found
    assert found.home == alone
    assert not alone.exists()


def test_what_only_a_cloud_knows_is_warned_of_by_name(alone: Path) -> None:
    with pytest.warns(UserWarning, match="access_key_id, access_key_secret, quota; endpoint="):
        made = setup_default_session("id", "secret", region_id="here", workspace_id="7", quota="q")

    assert (made.region_id, made.workspace_id) == ("here", "7")
    assert get_default_session() is made


def test_many_that_need_a_control_plane_start_one(alone: Path) -> None:
    several = [Session() for _ in range(3)]
    found: list[ControlClient] = []
    threads = [threading.Thread(target=lambda one=one: found.append(one.client)) for one in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    try:
        assert len({client.url for client in found}) == 1
        assert found[0].services() == []
        assert holder(alone)
    finally:
        for one in several:
            one.shutdown()
    assert not holder(alone)


def test_one_that_runs_is_taken_and_left_running(alone: Path) -> None:
    owner, guest = Session(), Session()
    url = owner.client.url

    assert guest.client.url == url
    guest.shutdown()
    assert holder(alone)
    owner.shutdown()
    assert not holder(alone)
    owner.shutdown()


def test_one_that_was_killed_is_started_anew_with_its_services(alone: Path, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text(ECHO)
    owner = get_default_session()
    spec = container_serving_spec("python app.py", "env://python", str(tmp_path / "src"))
    predictor = Model(None, spec).deploy("stays")
    assert isinstance(predictor, Predictor)
    pid = predictor.predict(1)["pid"]

    killed = identity(holder(alone))
    assert killed is not None
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait(30)
    predictor.wait_for_ready()

    assert holder(alone) != killed.pid
    assert predictor.predict(2)["pid"] == pid
    owner.shutdown()
    assert not holder(alone)


def test_a_session_of_another_machine_asks_there_with_its_token(
    alone: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = Session(home_folder=tmp_path / "there")
    try:
        url, token = here.client.url, (tmp_path / "there" / "token").read_text()
        assert Session(endpoint=url, token=token).client.services() == []
        with pytest.raises(ControlError) as raised:
            Session(endpoint=url, token="wrong").client.services()
        assert raised.value.status in (401, 403)
        monkeypatch.setenv("RECSERVE_ENDPOINT", url)
        monkeypatch.setenv("RECSERVE_TOKEN", token)
        assert Session().client.url == url
        assert token not in repr(Session(endpoint=url, token=token))
    finally:
        here.shutdown()


def test_a_control_plane_that_cannot_begin_is_told(alone: Path) -> None:
    alone.mkdir()
    (alone / "control.db").mkdir()
    (alone / "token").mkdir()

    with pytest.raises(PAIException, match="no control plane could be started"):
        _ = Session().client


def test_uploads_go_where_the_session_says_and_are_served_from_there(alone: Path, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text(ECHO)
    own = Session(storage_root=tmp_path / "a store")
    bucket = Session(oss_bucket_name="mine")
    (tmp_path / "aliased").mkdir()
    alone.mkdir(exist_ok=True)
    (alone / "aliases.json").write_text(json.dumps({"oss://mine": str(tmp_path / "aliased")}))

    assert bucket.upload(tmp_path / "src").startswith("oss://mine/pai/model_data/")
    assert len(list((tmp_path / "aliased").rglob("app.py"))) == 1
    try:
        spec = container_serving_spec("python app.py", "env://python", str(tmp_path / "src"), session=own)
        assert spec.storage[0].host_path.path.startswith(f"file://{tmp_path}/a store/pai/")
        predictor = Model(None, spec, own).deploy("stored")
        assert isinstance(predictor, Predictor)
        assert predictor.predict(1)["said"] == 1
    finally:
        own.shutdown()


def test_a_gateway_with_a_certificate_is_trusted_by_its_authority(alone: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.certify("gateway")
    options = ["--tls-certificate", str(server.certificate), "--tls-key", str(server.key), "--port", "0"]
    command = [sys.executable, "-m", "recserve", "up", "--detach", "--state", str(alone), *options]
    subprocess.run(command, check=True, capture_output=True)
    try:
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "app.py").write_text(ECHO)
        trusting = Session(ca=authority.ca)
        spec = container_serving_spec("python app.py", "env://python", str(tmp_path / "src"))
        predictor = Model(None, spec, trusting).deploy("safe")
        assert isinstance(predictor, Predictor)

        assert predictor.endpoint.startswith("https://")
        assert predictor.predict(6)["said"] == 6
        with pytest.raises(PredictionException, match="CERTIFICATE_VERIFY_FAILED"):
            Predictor("safe", session=Session()).predict(6)
    finally:
        end(alone, 60)


def test_a_store_behind_a_url_is_reached_by_fsspec(alone: Path, tmp_path: Path) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "a").write_text("a")
    (tmp_path / "model" / "b").write_text("b")
    store = Session(storage_root="memory://bucket/prefix").store

    uri = store.put(tmp_path / "model")
    single = store.put(tmp_path / "model" / "b")

    assert uri.startswith("memory://bucket/prefix/pai/model_data/")
    assert list(store.files(uri)) == ["b", "deep/a"]
    store.fetch(uri, tmp_path / "back")
    store.fetch(single, tmp_path / "one")
    assert (tmp_path / "back" / "deep" / "a").read_text() == "a"
    assert [one.name for one in (tmp_path / "one").iterdir()] == ["b"]


def test_a_bucket_that_nobody_knows_is_told_with_the_way_out(alone: Path) -> None:
    with pytest.raises(PAIException, match=r"give nowhere://bucket a directory with `recserve alias`"):
        list(Session().store.files("nowhere://bucket/model"))
