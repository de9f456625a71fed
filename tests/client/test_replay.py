from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recserve.client.replay import Limits, OutputDifference, Service, compare, overlap, replay, spearman
from recserve.client.replay_plot import draw
from recserve.client.request import build_request
from recserve.columns import to_arrow
from recserve.errors import RequestError
from recserve.messages import ScoreResponse
from recserve.wire import log_data
from recserve.wire.torchrec import Decoder, encode, encode_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.messages import ScoreRequest


@contextmanager
def service(score: Callable[[ScoreRequest], dict[str, Any] | int]) -> Iterator[Service]:
    """A service that answers outputs, or a status; its token is "t"."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = Decoder().decode(self.rfile.read(int(self.headers["Content-Length"])))
            said: Any = score(request) if self.headers["Authorization"] == "t" else 401
            body = b"no" if isinstance(said, int) else encode(ScoreResponse(request.item_ids, said))
            self.send_response(said if isinstance(said, int) else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Service(f"http://127.0.0.1:{server.server_port}/api/predict/rank", "t")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def by_id(request: ScoreRequest, *, plus: float = 0.0) -> dict[str, NDArray[np.float32]]:
    """The number in an item's name."""
    ids = to_arrow(request.item_ids).to_pylist()
    return {"score": np.array([float(item) + plus for item in ids], np.float32)}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three kept requests for ten items each."""
    kept = []
    for number in range(3):
        ids = [str(10 * number + item) for item in range(10)]
        file = tmp_path / f"r{number}_0a.pb"
        request = encode_request(build_request({}, ids, debug_level=100))
        file.write_bytes(log_data.encode(request, {}, {}))
        kept.append(file)
    return kept


def test_requests_are_sent_again_and_ask_for_scores_only(files: list[Path]) -> None:
    levels, steps = [], []

    def score(request: ScoreRequest) -> dict[str, Any]:
        levels.append(request.debug_level)
        return by_id(request)

    with service(score) as one:
        report = replay(files, [one], progress=lambda done, total: steps.append((done, total)))

    assert levels == [0, 0, 0]
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert report.objections() == []
    assert len(report.latencies(0)) == 3
    assert report.to_json()["services"][0]["statuses"] == {"200": 3}
    assert report.to_json()["verdict"] == "yes"


def test_an_answer_other_than_scores_is_an_objection(files: list[Path]) -> None:
    with service(
        lambda request: 500 if "10" in to_arrow(request.item_ids).to_pylist() else by_id(request)
    ) as one:
        report = replay(files, [one])

    assert report.objections() == ["1 of 3 requests could not be answered or compared"]
    assert report.to_json()["services"][0]["statuses"] == {"200": 2, "500": 1}
    (worst,) = report.worst()
    assert worst.name == str(files[1])
    assert "answered 500: no" in worst.problem


def test_two_services_that_answer_the_same_pass(files: list[Path]) -> None:
    asked: list[str] = []

    def noting(name: str) -> Callable[[ScoreRequest], dict[str, Any]]:
        def score(request: ScoreRequest) -> dict[str, Any]:
            asked.append(name)
            return by_id(request)

        return score

    with service(noting("a")) as a, service(noting("b")) as b:
        report = replay(files, [a, b])

    assert asked == ["a", "b", "b", "a", "a", "b"]  # neither is always first
    assert report.objections() == []
    assert report.outputs() == {"score": {"max": 0, "mean": 0, "overlap": 1, "spearman": pytest.approx(1)}}
    assert report.slowdown() > 0
    assert report.worst() == []


def test_differences_beyond_the_limits_are_objections(files: list[Path]) -> None:
    def other(request: ScoreRequest) -> dict[str, Any]:
        outputs = by_id(request)
        if outputs["score"][0] == 20:
            outputs["score"] = outputs["score"][::-1].copy()
        return outputs

    limits = Limits(tolerance=0.5, least_overlap=0.9, top=3)
    with service(by_id) as a, service(other) as b:
        report = replay(files, [a, b], limits=limits)

    assert report.worst()[0].name == str(files[2])
    figures = report.outputs()["score"]
    assert figures["max"] == 9
    assert figures["overlap"] == pytest.approx(2 / 3)
    assert figures["spearman"] == pytest.approx(1 / 3)
    assert report.objections() == [
        "score differs by 9; 0.5 is allowed",
        "score: of the best 3, 66.7% are the same; 90.0% are expected",
    ]
    assert report.to_json()["verdict"] == "no"


def test_a_difference_within_the_tolerance_passes(files: list[Path]) -> None:
    with service(by_id) as a, service(lambda request: by_id(request, plus=0.25)) as b:
        assert replay(files, [a, b], limits=Limits(tolerance=0.25)).objections() == []
        assert replay(files, [a, b], limits=Limits(tolerance=0.2)).objections() != []


def test_a_second_service_that_is_slower_is_an_objection(files: list[Path]) -> None:
    gate = threading.Event()

    def slow(request: ScoreRequest) -> dict[str, Any]:
        gate.wait(0.2)
        return by_id(request)

    with service(by_id) as a, service(slow) as b:
        report = replay(files, [a, b], limits=Limits(most_slowdown=1.5))

    assert len(report.objections()) == 1
    assert "times as slow; 1.5 times is allowed" in report.objections()[0]


def test_services_with_different_outputs_cannot_be_compared(files: list[Path]) -> None:
    with service(by_id) as a, service(lambda request: {"other": np.ones(10)}) as b:
        report = replay(files, [a, b])

    assert "outputs differ: ['score'] and ['other']" in report.requests[0].problem
    assert report.objections() == ["3 of 3 requests could not be answered or compared"]


def test_a_file_that_cannot_be_read_is_a_problem_of_its_own(files: list[Path]) -> None:
    files[0].write_bytes(b"\x0a\x05a")
    with service(by_id) as a:
        report = replay(files, [a])

    assert [bool(request.problem) for request in report.requests] == [True, False, False]


def test_nobody_there_is_a_problem_of_each_request(files: list[Path]) -> None:
    report = replay(files, [Service("http://127.0.0.1:1/api/predict/rank")])

    assert all("cannot be reached" in request.problem for request in report.requests)
    assert report.to_json()["services"][0] == {
        "url": "http://127.0.0.1:1/api/predict/rank",
        "statuses": {"0": 3},
        "p50_ms": None,
        "p99_ms": None,
    }


@pytest.mark.parametrize("count", [0, 3])
def test_one_service_or_two(files: list[Path], count: int) -> None:
    with pytest.raises(RequestError, match="to one, or to two"):
        replay(files, [Service("http://127.0.0.1:1/")] * count)


def values(*numbers: float) -> NDArray[np.float64]:
    return np.array(numbers, np.float64)


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (values(1, 2, 3), values(1, 2, 3), (0, 0, 1, 1)),
        (values(1, 2, 3), values(1, 2, 4), (1, 1 / 3, 1, 1)),
        (values(1, 2, 3), values(3, 2, 1), (2, 4 / 3, 0.5, -1)),
        (values(NAN, 2, 3), values(NAN, 2, 3), (0, 0, 1, 1)),
        (values(NAN, 2, 3), values(1, 2, 3), (INF, INF, 1, 1)),
        (values(INF, 2), values(INF, 2), (0, 0, 1, 1)),
        (values(), values(), (0, 0, 1, 1)),
        (values(5, 5, 5), values(5, 5, 5), (0, 0, 1, 1)),
    ],
)
def test_outputs_are_compared(
    a: NDArray[np.float64], b: NDArray[np.float64], expected: tuple[float, ...]
) -> None:
    result = compare({"y": a}, {"y": b}, top=2)["y"]

    assert (result.largest, result.mean, result.overlap, result.spearman) == pytest.approx(expected)


def test_rows_of_several_scores_are_ordered_by_the_first() -> None:
    a, b = np.array([[1.0, 9], [2, 8]]), np.array([[1.0, 8], [2, 9]])

    assert compare({"y": a}, {"y": b}, top=1) == {"y": OutputDifference(1.0, 0.5, 1.0, 1.0)}


def test_shapes_have_to_be_equal() -> None:
    with pytest.raises(RequestError, match=r"shapes of output 'y' differ: \[2\] and \[3\]"):
        compare({"y": np.zeros(2)}, {"y": np.zeros(3)}, top=1)


def test_items_with_equal_scores_are_equally_good() -> None:
    assert overlap(values(1, 1, 0), values(0, 1, 1), 1) == 0
    assert overlap(values(2, 1, 0), values(1, 1, 0), 1) == 1
    assert overlap(values(1, 1, 1), values(1, 1, 1), 2) == 1


def test_ties_share_their_ranks() -> None:
    assert spearman(values(1, 1, 2, 2), values(5, 5, 9, 9)) == pytest.approx(1)
    assert spearman(values(1, 2, 3, 4), values(1, 2, 2, 4)) == pytest.approx(0.9486833)


@pytest.mark.parametrize("count", [1, 2])
def test_a_report_is_drawn(files: list[Path], tmp_path: Path, count: int) -> None:
    with service(by_id) as a, service(lambda request: by_id(request, plus=0.25)) as b:
        report = replay(files, [a, b][:count])

    draw(report, tmp_path / "replay.png")

    assert (tmp_path / "replay.png").read_bytes().startswith(b"\x89PNG")
