"""Real parts: servers as processes of their own, and the EAS client in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.end_to_end.echo import service, write_bundle

from recserve.testing import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.testing import RunningServer

ROOT = Path(__file__).parents[2]


def eas_python() -> Path:
    """The Python that has the EAS client."""
    python = ROOT / ".venv-eas/bin/python"
    if not python.is_file():
        pytest.fail(f"{python} is missing; `make .venv-eas/.installed` creates it")
    return python


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client's caller sees; `code` and `message` where it raised."""

    outputs: dict[str, list[Any]] = field(default_factory=dict)  # a row of a 2-D output is a list
    tensors: list[tuple[list[int], list[float]]] = field(default_factory=list)  # shape, flat values
    item_ids: list[str] = field(default_factory=list)
    raw_features: dict[str, str] = field(default_factory=dict)
    generate_features: dict[str, str] = field(default_factory=dict)
    error: str = ""
    code: int = 200
    message: str = ""
    connections: int = 0  # that the client has opened to the server so far
    requests: int = 0


class EasClient:
    """The process that holds the unmodified client."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, client: dict[str, str], request: str, *calls: Any, arguments: Any = ()) -> Answer:
        """Make the calls on a new request and send it."""
        question = {"client": client, "request": request, "arguments": arguments, "calls": calls}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the EAS client ended; its message is above"
        answer = json.loads(line)
        outputs = {name: in_rows(**tensor) for name, tensor in answer.pop("outputs", {}).items()}
        tensors = [(tensor["shape"], tensor["values"]) for tensor in answer.pop("tensors", [])]
        return Answer(outputs, tensors, **answer)


class Eas:
    """The client of one service; settings replace those with which it reaches the service."""

    def __init__(self, client: EasClient, server: RunningServer) -> None:
        self._client = client
        self.server = server
        self._settings = {"endpoint": server.base_url, "service": server.name, "token": server.token}

    def score(self, *calls: Any, **settings: str) -> Answer:
        return self._client.ask({**self._settings, **settings}, "TorchRecRequest", *calls)

    def run_tensors(self, *calls: Any, compressed: bool = False, **settings: str) -> Answer:
        client = {**self._settings, **settings}
        return self._client.ask(client, "TorchRequest", *calls, arguments=[compressed])

    def post(self, text: str) -> Answer:
        return self._client.ask(self._settings, "StringRequest", arguments=[text])


def in_rows(shape: list[int], values: list[float]) -> list[Any]:
    """Flat values of shape [n] or [n, k] as a list of n."""
    if len(shape) == 1:
        assert shape == [len(values)]
        return values
    rows, width = shape
    assert rows * width == len(values)
    return [values[row * width : (row + 1) * width] for row in range(rows)]


@pytest.fixture(scope="session")
def eas_client() -> Iterator[EasClient]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(eas_python()), str(Path(__file__).with_name("eas_session.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        yield EasClient(process)


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("echo")
    bundle = write_bundle(folder)
    with serve(bundle, service(folder)) as server:
        yield server
