from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import urllib3
from tests.processors.conftest import service_of, write_bundle

from recserve import testing
from recserve.client.request import build_request
from recserve.errors import LoadError
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from pathlib import Path


def test_a_test_gets_a_running_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_bundle(tmp_path)
    monkeypatch.chdir(tmp_path)

    with testing.serve(bundle, service_of()) as server:
        response = urllib3.request("GET", server.url, headers={"Authorization": server.token})
        ready = urllib3.request("GET", f"{server.base_url}/readyz")
        status = server.stop()

    assert (server.name, server.token) == ("rank", "token")
    assert response.status == ready.status == 200
    assert status == 0


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="does not exist"), testing.serve(tmp_path / "nowhere"):
        pass


def test_requests_are_kept_where_a_test_says_and_used_by_the_next_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = write_bundle(tmp_path)
    config = {**service_of(), "warm_up_data_path": "mine.bin"}
    config["model_config"] |= {"warmup_data_path": "warm", "request_log_path": "log"}
    body = encode_request(build_request({"taste": "5"}, ["i1"]))
    (tmp_path / "mine.bin").write_bytes(body)
    with testing.serve(bundle, config) as server:
        headers = {"Authorization": server.token}
        assert urllib3.request("POST", server.url, body=body, headers=headers).status == 200
        server.stop()

    assert len(list((tmp_path / "warm").glob("*.pb"))) == 1
    with testing.serve(bundle, config) as server:
        # Found by both paths; a thread reads the log.
        while not any('"warmed up", "requests": 2' in line for line in server.log):
            assert server.process.poll() is None
            time.sleep(0.01)
