"""What a request is scored beside never shows."""

from __future__ import annotations

import math
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.end_to_end import echo
from tests.end_to_end import test_tile as tiled
from tests.processors.conftest import service_of, write_bundle

from recserve.bundle import Bundle
from recserve.client.request import build_request
from recserve.config import service
from recserve.errors import ModelError, RequestError
from recserve.observe.trace import Trace
from recserve.processors.load import load
from recserve.processors.normal import Normal
from recserve.processors.together import TRIED_ROWS, Sharing, score_together, try_sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.messages import ScoreRequest, ScoreResponse

#: Which requests, and where the queue is cut into calls.
INTERLEAVINGS = st.lists(
    st.lists(
        st.builds(
            lambda user, ids, hours: build_request(
                user={name: value for name, value in user.items() if value is not None},
                item_ids=ids,
                context={"hour": [hours] * len(ids)} if hours is not None else {},
            ),
            st.fixed_dictionaries(
                {
                    "user_id": st.none() | st.integers(0, 99),
                    "liked": st.none() | st.lists(st.integers(0, 49), max_size=5),
                    "age": st.none() | st.integers(0, 120).map(float),
                    "taste": st.none() | st.integers(0, 99),
                    "likes": st.none() | st.dictionaries(st.sampled_from("ab"), st.floats(-4, 4, width=16)),
                }
            ),
            st.lists(st.sampled_from(["i1", "i2", "i3", "unknown"]), min_size=1, max_size=12),
            st.none() | st.integers(0, 23).map(float),
        ),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Normal]]:
    """Sums without torch, and a TorchScript model for every INPUT_TILE."""
    with ExitStack() as opened:

        def loaded(bundle: Path, document: dict[str, Any] | Path) -> Normal:
            spec = service.load(document, {}, base_dir=bundle.parent)
            normal = opened.enter_context(closing(load(Bundle.open(bundle), spec)))
            assert isinstance(normal, Normal)
            return normal

        folder = tmp_path_factory.mktemp("sums")
        normals = {"sums": loaded(write_bundle(folder), service_of())}
        for tile in (0, 2, 3):
            folder = tmp_path_factory.mktemp(f"tile{tile}")
            tiled.export(folder / "bundle", tile)
            pq.write_table(tiled.ITEMS, folder / "items.parquet")
            normals[f"tile {tile}"] = loaded(folder / "bundle", echo.service(folder))
        yield normals


def traces(count: int) -> list[Trace]:
    return [Trace() for _ in range(count)]


def equal(one: ScoreResponse, other: ScoreResponse | Exception) -> bool:
    assert not isinstance(other, Exception), other
    same = (np.array_equal(one.outputs[name], other.outputs[name]) for name in one.outputs)
    return one.outputs.keys() == other.outputs.keys() and all(same)


@pytest.mark.parametrize("model", ["sums", "tile 0", "tile 2", "tile 3"])
@settings(max_examples=25, deadline=None)
@given(calls=INTERLEAVINGS)
def test_requests_that_share_calls_get_the_bits_that_they_get_alone(
    served: dict[str, Normal], model: str, calls: list[list[ScoreRequest]]
) -> None:
    normal = served[model]

    for requests in calls:
        together = score_together(normal, requests, traces(len(requests)))
        for request, answer in zip(requests, together, strict=True):
            assert equal(normal.score(request), answer)


def test_an_error_is_that_of_its_request_alone(served: dict[str, Normal]) -> None:
    normal = served["sums"]
    good = build_request(user={"taste": 3}, item_ids=["i1", "i3"])

    def refuse(request: ScoreRequest, trace: Trace, *, shared: bool = False) -> Any:
        if "poison" in request.meta:
            raise RequestError("poison")
        return prepare(request, trace, shared=shared)

    prepare = normal.prepare
    bad = build_request(item_ids=["i1"], meta={"poison": "1"})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(normal, "prepare", refuse)
        first, second, third = score_together(normal, [good, bad, good], traces(3))

    assert equal(normal.score(good), first)
    assert isinstance(second, RequestError)
    assert equal(normal.score(good), third)


@pytest.mark.parametrize("error", [ModelError, RequestError])
def test_a_model_that_fails_for_one_of_them_answers_the_others(
    served: dict[str, Normal], error: type[Exception]
) -> None:
    normal = served["sums"]
    requests = [build_request(item_ids=["i1"] * rows) for rows in (2, 7, 3)]
    run = normal.engine.run

    def fail(inputs: Any, *, rows: int, deadline: float | None = None) -> Mapping[str, NDArray[Any]]:
        if rows in (7, 12):
            raise error("seven rows are too many")
        return run(inputs, rows=rows, deadline=deadline)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(normal.engine, "run", fail)
        first, second, third = score_together(normal, requests, traces(3))

    assert equal(normal.score(requests[0]), first)
    assert isinstance(second, error)
    assert equal(normal.score(requests[2]), third)


def test_the_model_is_called_once_for_all(served: dict[str, Normal]) -> None:
    normal = served["tile 2"]
    called: list[int] = []
    run = normal.engine.run

    def count(inputs: Any, *, rows: int, deadline: float | None = None) -> Mapping[str, NDArray[Any]]:
        called.append(rows)
        return run(inputs, rows=rows, deadline=deadline)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(normal.engine, "run", count)
        score_together(normal, [build_request(item_ids=["i1"] * rows) for rows in (4, 1, 2)], traces(3))

    assert called == [7]


def test_unknown_items_are_counted_for_the_request_that_asked(served: dict[str, Normal]) -> None:
    watched = traces(2)

    score_together(
        served["sums"],
        [build_request(item_ids=["i1", "nobody"]), build_request(item_ids=["i2"])],
        watched,
    )

    assert [trace.missing_items for trace in watched] == [1, 0]
    assert all({"look_up", "generate", "run"} <= trace.wall_ns.keys() for trace in watched)


@pytest.mark.parametrize("model", ["sums", "tile 3"])
def test_a_model_whose_rows_do_not_look_at_one_another_shares_all_sizes(
    served: dict[str, Normal], model: str
) -> None:
    normal = served[model]

    assert try_sharing(normal, normal.made_up().of, tolerance=0.0) == Sharing(TRIED_ROWS[0], 0.0)


def other_bits(normal: Normal, from_rows: int) -> Callable[..., dict[str, NDArray[Any]]]:
    """The engine's answers, with another last bit for calls of fewer rows."""
    run = normal.engine.run

    def answer(inputs: Any, *, rows: int, deadline: float | None = None) -> dict[str, NDArray[Any]]:
        outputs = run(inputs, rows=rows, deadline=deadline)
        small = rows < from_rows
        return {name: np.nextafter(v, np.float32(9)) if small else v for name, v in outputs.items()}

    return answer


@pytest.mark.parametrize(("from_rows", "found"), [(4, 4), (9, 12), (60, 64), (70, None)])
def test_requests_too_small_to_keep_their_bits_are_scored_alone(
    served: dict[str, Normal], from_rows: int, found: int | None
) -> None:
    normal = served["sums"]
    with pytest.MonkeyPatch.context() as patched:
        # Calls of shared requests have 53 rows and more: "beside others" is what is large here.
        patched.setattr(normal.engine, "run", other_bits(normal, from_rows))
        tried = try_sharing(normal, normal.made_up().of, tolerance=0.0)
        tolerated = try_sharing(normal, normal.made_up().of, tolerance=1.0)

    assert tried.least_rows == found
    assert 0 < tried.difference < 1
    assert tolerated.least_rows == TRIED_ROWS[0]


def test_a_model_that_takes_no_shared_inputs_shares_nothing(served: dict[str, Normal]) -> None:
    normal = served["tile 3"]
    run = normal.engine.run

    def one_user_only(inputs: Any, *, rows: int, deadline: float | None = None) -> dict[str, NDArray[Any]]:
        if rows > max(TRIED_ROWS):
            raise RequestError("input 'age.values' has more rows than 1")
        return run(inputs, rows=rows, deadline=deadline)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(normal.engine, "run", one_user_only)
        tried = try_sharing(normal, normal.made_up().of, tolerance=1e-6)

    assert tried == Sharing(None, math.inf)
