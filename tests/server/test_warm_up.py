from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uvloop
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import Doubler, Rank, running, running_bundle

from recserve.client.request import build_request
from recserve.config import service
from recserve.errors import BundleError, RequestError
from recserve.messages import TensorRequest
from recserve.server.serve import Server
from recserve.server.warm_up import ROWS
from recserve.wire import tensors
from recserve.wire.torchrec import encode_request

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.messages import TensorResponse
    from recserve.observe.trace import Trace


class Refusing(Doubler):
    """Takes nothing that was made up."""

    def sample(self, rows: int) -> TensorRequest:
        raise RequestError(f"{rows} rows of what?")


class Noting(Doubler):
    """Notes which thread was asked for how many rows."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, int]] = []
        self._lock = threading.Lock()

    def predict(self, request: TensorRequest, trace: Trace | None = None) -> TensorResponse:
        response = super().predict(request, trace)
        rows = len(response.named_outputs["y"])
        with self._lock:
            self.asked.append((threading.current_thread().name, rows))
        if trace is not None:
            trace.rows = rows
        return response


@pytest.fixture
def warm(tmp_path: Path) -> Path:
    """A folder of kept requests of 1, 2, 3, 50 and 60 rows, three of each."""
    for rows in (1, 2, 3, 50, 60):
        body = tensors.encode_request(TensorRequest((), {"x": np.ones(rows, np.float32)}))
        for copy in range(3):
            (tmp_path / f"{rows}-{copy}.pb").write_bytes(body)
    return tmp_path


def served(processor: Doubler, **model_config: Any) -> Rank:
    """A server that is ready."""
    document = {"name": "rank", "token": "token", "metadata": {"rpc": {"drain_ms": 0}}}
    ready = threading.Event()
    spec = service.load({**document, "model_config": model_config}, {})
    rank = Rank(Server(spec, lambda progress: processor, on_ready=lambda _: ready.set()), processor)
    assert ready.wait(20)
    return rank


def test_a_model_that_does_not_take_made_up_tensors_is_served_without_warm_up() -> None:
    with running(Refusing) as rank:
        assert rank.post().status == 200


def test_a_model_with_features_that_cannot_answer_unknown_items_is_refused() -> None:
    class Strict(Refusing):
        answers: Any = "features"
        schema = None
        types_if_missing = None

    server = Server(service.load({"name": "rank"}, {}), lambda progress: Strict())

    with pytest.raises(BundleError, match="cannot answer a request of 1 unknown items"):
        uvloop.run(server.main())


def test_warm_up_is_not_counted_as_requests(tmp_path: Path) -> None:
    with running_bundle(write_bundle(tmp_path), service_of()) as rank:
        assert rank.metric("recserve_requests_total") == 0
        assert rank.metric("recserve_item_rows") == 3


def test_without_files_every_thread_answers_made_up_requests_of_every_size() -> None:
    processor = Noting()
    rank = served(processor)
    try:
        threads = {thread for thread, _ in processor.asked}
        assert len(threads) == rank.metric("recserve_worker_threads")
        for thread in threads:
            assert {rows for name, rows in processor.asked if name == thread} == set(ROWS)
    finally:
        rank.stop()


def test_every_thread_replays_each_kept_request_as_often_as_configured(warm: Path) -> None:
    processor = Noting()
    rank = served(processor, warmup_data_path=str(warm), warmup_cnt_per_file=4)
    rank.stop()

    replays = processor.asked[1:]  # the first proved that the model answers
    for thread in {thread for thread, _ in replays}:
        assert sorted(rows for name, rows in replays if name == thread) == sorted([1, 2, 3, 50, 60] * 3 * 4)


def test_sizes_take_turns(warm: Path) -> None:
    processor = Noting()
    rank = served(processor, warmup_data_path=str(warm), warmup_cnt_per_file=2)
    rank.stop()

    thread = processor.asked[1][0]
    second_round = [rows for name, rows in processor.asked[1:] if name == thread][15:]
    assert len(second_round) == 15
    assert {rows.bit_length() for rows in second_round[:6]} == {1, 2, 6}


def test_the_time_of_a_warm_up_is_bounded(warm: Path, caplog: pytest.LogCaptureFixture) -> None:
    processor = Noting()
    rank = served(processor, warmup_data_path=str(warm), warmup_cnt_per_file=10**9, warmup_max_seconds=0.2)
    rank.stop()

    assert "the warm-up is cut short" in caplog.messages
    assert {rows for _, rows in processor.asked} == {1, 2, 3, 50, 60}


def test_what_cannot_be_answered_is_left_out_with_one_warning(
    warm: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (warm / "a.pb").write_bytes(b"\x0a\x05broken")
    other = tensors.encode_request(TensorRequest((), {"z": np.ones(3, np.float32)}))
    (warm / "b.pb").write_bytes(other)
    processor = Noting()
    rank = served(processor, warmup_data_path=str(warm), warmup_cnt_per_file=3)
    rank.stop()

    (warning,) = [record for record in caplog.records if "left out" in record.message]
    assert f"{warm}/a.pb, {warm}/b.pb" in warning.message
    assert processor.calls == 1 + (15 * 3 + 1) * len({thread for thread, _ in processor.asked})


def test_a_replayed_request_is_not_kept_again(tmp_path: Path) -> None:
    folder = tmp_path / "warm"
    folder.mkdir()
    chosen = build_request({"taste": "5"}, ["i1"], debug_level=100)
    (folder / "chosen.pb").write_bytes(encode_request(chosen))
    config = service_of(warmup_data_path="warm", warmup_pb_files_count=5, request_log_path="log")

    with running_bundle(write_bundle(tmp_path), config) as rank:
        assert rank.metric("recserve_captures_written_total") == 0

    assert len(list(tmp_path.rglob("*.pb"))) == 1


def test_requests_that_one_start_keeps_warm_the_next_one_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = write_bundle(tmp_path)
    config = service_of(warmup_data_path="warm", warmup_pb_files_count=2)
    body = encode_request(build_request({"taste": "5"}, ["i1", "i2", "i3"]))
    with running_bundle(bundle, config) as rank:
        for _ in range(3):
            assert rank.post(body).status == 200
    caplog.clear()
    caplog.set_level("INFO", logger="recserve")

    with running_bundle(bundle, config):
        (line,) = [record for record in caplog.records if record.message == "warmed up"]

    assert vars(line)["requests"] == 2
    assert vars(line)["calls"] == 40
    assert vars(line)["sizes"] == [3]


def test_made_up_requests_that_a_model_refuses_do_not_stop_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Picky(Doubler):
        def predict(self, request: TensorRequest, trace: Trace | None = None) -> TensorResponse:
            if len(request.named_inputs["x"]) > 8:
                raise RequestError("more than 8 rows")
            return super().predict(request, trace)

    with running(Picky) as rank:
        assert rank.post().status == 200

    assert any("left out: made up" in message for message in caplog.messages)
