"""The commands against a real server process: serve, score, bench, and predict as the reference."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from tests.cli.conftest import REQUEST, make

from recserve.errors import LoadError
from recserve.testing import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Folder

    from recserve.testing import RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = make(tmp_path_factory.mktemp("served"))
    with serve(folder.bundle, folder.path / "service.json") as running:
        yield running


def test_online_is_offline(call: Callable[..., Any], folder: Folder, server: RunningServer) -> None:
    scored = call("score", "request.json", "--config", "service.json", "--url", server.base_url, "--json")
    call(
        "predict", "bundle", "joined.parquet", "out.parquet", "--config", "service.json", "--keep", "item_id"
    )

    assert scored.exit_code == 0, scored.stderr
    online = json.loads(scored.stdout)["items"]
    offline = pq.read_table(folder.path / "out.parquet").rename_columns({"item_id": "item"}).to_pylist()
    assert online == offline


def test_scores_are_printed_as_a_table_best_first_if_asked(
    call: Callable[..., Any], server: RunningServer
) -> None:
    arguments = ["--url", server.url, "--token", server.token]

    every = call("score", "request.json", *arguments)
    best = call("score", "-", "--top", "1", *arguments, input=json.dumps(REQUEST))

    assert [line.split()[0] for line in every.stdout.splitlines()] == ["item", "i3", "i1", "i2"]
    assert [line.split() for line in best.stdout.splitlines()[1:]] == [["i2", "35.25", "57"]]
    assert "server time in ms: " in every.stderr


def test_a_refused_request_is_one_line(
    call: Callable[..., Any], folder: Folder, server: RunningServer
) -> None:
    folder.write("request.json", {**REQUEST, "context": {"position": [1, 2]}})

    local = call("score", "request.json", "--url", server.url, "--token", "wrong")
    folder.write("request.json", REQUEST)
    remote = call("score", "request.json", "--url", server.url, "--token", "wrong")

    assert "context 'position' has 2 values for 3 items; send 3 or 1" in local.stderr
    assert "answered 401: not authorized" in remote.stderr
    assert local.exit_code == remote.exit_code == 1


def test_bench_measures_a_file_of_requests(
    call: Callable[..., Any], folder: Folder, server: RunningServer
) -> None:
    (folder.path / "requests.jsonl").write_text(json.dumps(REQUEST))
    arguments = ["--config", "service.json", "--url", server.base_url, "--warm-up", "0"]

    closed = call("bench", "requests.jsonl", *arguments, "--count", "50", "--concurrency", "2", "--json")
    opened = call("bench", "requests.jsonl", *arguments, "--rate", "100", "--duration", "0.5", "--constant")

    figures = json.loads(closed.stdout)
    assert (figures["loop"], figures["answered"], figures["failures"]) == ("closed", 50, {})
    shown = dict(line.rsplit(maxsplit=1) for line in opened.stdout.splitlines())
    assert (shown["loop"], shown["answered"], shown["failures"]) == ("open", "50", "none")


def test_bench_makes_requests_up_for_a_bundle(call: Callable[..., Any], server: RunningServer) -> None:
    arguments = [
        "--config",
        "service.json",
        "--url",
        server.base_url,
        "--warm-up",
        "0",
        "--count",
        "20",
        "--json",
    ]

    figures = json.loads(call("bench", "bundle", *arguments).stdout)

    assert (figures["answered"], figures["failures"]) == (20, {})


def test_a_run_without_an_answer_is_exit_code_1(call: Callable[..., Any], server: RunningServer) -> None:
    result = call("bench", "bundle", "--url", server.url, "--warm-up", "0", "--count", "2", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["failures"] == {"401": 2}


def test_what_came_from_the_environment_is_in_no_line_of_a_start_that_fails(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARE", "hidden-1")
    table = {"name": "${SHARE}/items.parquet", "key": "item_id"}
    service = {"model_config": {"fg_mode": "normal", "remote_type": "file", "tables": [table]}}
    folder.write("service.json", service)

    with pytest.raises(LoadError) as raised, serve(folder.bundle, folder.path / "service.json"):
        pass

    assert "hidden" not in str(raised.value)
    assert "***/items.parquet" in str(raised.value)
