"""A process that is killed in any phase leaves nothing behind that the next one stumbles over."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from tests.processors.conftest import service_of, write_bundle

import recserve
from recserve.client.request import build_request
from recserve.testing import serve
from recserve.wire.torchrec import decode_response, encode_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASKED = encode_request(build_request(user={"taste": 3}, item_ids=["i1", "i2", "i3"]))
KEPT = encode_request(build_request(user={"taste": 3}, item_ids=["i1"], debug_level=100))
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(recserve.__file__).parents[1])}


class Service:
    """The files of one service; processes come and go."""

    def __init__(self, folder: Path) -> None:
        self.bundle = write_bundle(folder)
        self.captures = folder / "captures"
        self.warm_up = folder / "warm-up"
        self.captures.mkdir()
        self.warm_up.mkdir()
        self.document: dict[str, Any] = service_of(
            request_log_path=str(self.captures),
            warmup_data_path=str(self.warm_up),
            item_snapshot=str(folder / "items.snapshot"),
        )
        self.document["model_config"]["tables"][0]["name"] = str(folder / "items.parquet")
        self.document["metadata"]["rpc"]["drain_ms"] = 10_000
        self.file = folder / "service.json"
        self.file.write_text(json.dumps(self.document))

    @contextmanager
    def process(self) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
        """A server that may not be ready yet, and where its port is; killed at the end."""
        port = free_port()
        command = [sys.executable, "-m", "recserve", "serve", str(self.bundle), "-c", str(self.file)]
        with subprocess.Popen(
            [*command, "--port", str(port)], env=ENVIRON, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield process, f"http://127.0.0.1:{port}"
            finally:
                process.kill()

    def scores(self) -> list[float]:
        """What the next process answers; it is asked to keep the request too, and ends in order."""
        with serve(self.bundle, self.file) as server:
            answer = post(server.base_url, ASKED)
            assert answer.status == 200, answer.data
            assert post(server.base_url, KEPT).status == 200
            wait_until(lambda: any(self.captures.rglob("*.pb")))
            assert server.stop(60) == 0  # it writes what it keeps
        return list(decode_response(answer.data).outputs["score"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def post(url: str, body: bytes) -> urllib3.BaseHTTPResponse:
    headers = {"Authorization": "token"}
    return urllib3.request("POST", f"{url}/api/predict/rank", body=body, headers=headers, retries=False)


def wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def answers(url: str, path: str, status: int | None = None) -> bool:
    try:
        answer = urllib3.request("GET", url + path, retries=False, timeout=5)
    except urllib3.exceptions.HTTPError:
        return False
    return status is None or answer.status == status


def as_soon_as_it_lives(process: subprocess.Popen[bytes], url: str) -> None:
    """While it loads."""
    wait_until(lambda: answers(url, "/healthz"))


def while_it_is_warming(process: subprocess.Popen[bytes], url: str) -> None:
    """Or just after, if the warm-up was too quick to be seen."""

    def warming() -> bool:
        try:
            shown = urllib3.request(
                "GET", url + "/readyz", headers={"Accept": "application/json"}, retries=False
            )
        except urllib3.exceptions.HTTPError:
            return False
        state: str = json.loads(shown.data)["state"]
        return state != "loading"

    wait_until(warming)


def while_requests_are_in_work_and_kept(process: subprocess.Popen[bytes], url: str) -> None:
    wait_until(lambda: answers(url, "/readyz", 200))
    asking = threading.Event()

    def ask() -> None:
        while not asking.is_set():
            try:
                post(url, KEPT)
            except urllib3.exceptions.HTTPError:
                return

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    time.sleep(0.3)  # any moment will do
    process.kill()
    asking.set()
    for client in clients:
        client.join()


def while_it_drains(process: subprocess.Popen[bytes], url: str) -> None:
    wait_until(lambda: answers(url, "/readyz", 200))
    process.terminate()
    wait_until(lambda: answers(url, "/readyz", 503))


@pytest.mark.parametrize(
    "phase",
    [as_soon_as_it_lives, while_it_is_warming, while_requests_are_in_work_and_kept, while_it_drains],
)
def test_a_process_that_is_killed_is_followed_by_one_that_answers(
    phase: Callable[[subprocess.Popen[bytes], str], None], tmp_path: Path
) -> None:
    service = Service(tmp_path)
    with service.process() as (process, url):
        phase(process, url)
        process.kill()
        process.wait()

    assert service.scores() == pytest.approx([1 + 3, 2 + 3, 3 + 3])
    kept = [path for folder in (service.captures, service.warm_up) for path in folder.rglob("*")]
    assert [path.name for path in kept if path.is_file() and path.suffix != ".pb"] == []
    assert all(path.stat().st_size for path in kept if path.is_file())
