"""A service whose model is rewritten answers as its export does, and falls back to it."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.engines import models
from tests.processors import rewritten

from recserve.bundle import Bundle
from recserve.client.request import build_request
from recserve.config import service
from recserve.engines.engine import tensors
from recserve.engines.guarded import FIRST_CALLS, Guarded
from recserve.engines.torchscript import tensor_at
from recserve.errors import BundleError
from recserve.messages import TensorRequest
from recserve.observe.trace import Trace
from recserve.processors.bypass import Bypass
from recserve.processors.load import load
from recserve.processors.normal import Normal
from recserve.processors.together import score_together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recserve.messages import ScoreRequest, ScoreResponse


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Callable[..., Normal]]:
    """A service of an export with or without INPUT_TILE, and of what was made of it."""
    with ExitStack() as opened:

        def build(*, tile: bool = False, away: float = 0.0, **model_config: Any) -> Normal:
            folder = tmp_path / f"tile {tile} away {away}"
            bundle = Bundle.open(folder) if folder.exists() else None
            spec = service.load({"model_config": {"fg_mode": "normal", **model_config}}, {})
            bundle = bundle or rewritten.write(folder, tile=tile, away=away)
            normal = opened.enter_context(closing(load(bundle, spec)))
            assert isinstance(normal, Normal)
            return normal

        yield build


def request(rows: int, *, seed: int = 0) -> ScoreRequest:
    rng = np.random.default_rng(seed)
    return build_request(
        user={"user_id": int(rng.integers(50)), "clicks__item_id": "3;17;5"} if seed % 3 else {},
        item_features={
            "item_id": [int(number) for number in rng.integers(0, 40, rows)],
            "tags": [int(number) for number in rng.integers(0, 30, rows)],
        },
    )


def equal(one: ScoreResponse | Exception, other: ScoreResponse | Exception) -> bool:
    assert not isinstance(one, Exception), one
    assert not isinstance(other, Exception), other
    same = (np.array_equal(one.outputs[name], other.outputs[name]) for name in one.outputs)
    return one.outputs.keys() == other.outputs.keys() and all(same)


def figures(normal: Normal) -> Any:
    assert isinstance(normal.engine, Guarded)
    return normal.engine.figures


@pytest.mark.parametrize("tile", [False, True])
def test_users_are_laid_out_once_and_score_as_by_the_export(
    loaded: Callable[..., Normal], *, tile: bool
) -> None:
    export, compiled = loaded(tile=tile, compiled="off"), loaded(tile=tile)

    for seed, rows in enumerate((1, 2, 7, 40, 3)):
        assert equal(export.score(request(rows, seed=seed)), compiled.score(request(rows, seed=seed)))

    assert compiled.features.plan.tile
    assert (figures(compiled).rewritten, figures(compiled).original) == (5, 0)
    assert figures(compiled).alike == FIRST_CALLS


@pytest.mark.parametrize("tile", [False, True])
def test_requests_that_share_a_call_are_scored_by_the_export(
    loaded: Callable[..., Normal], *, tile: bool
) -> None:
    export, compiled = loaded(tile=tile, compiled="off"), loaded(tile=tile)
    requests = [request(rows, seed=rows) for rows in (4, 1, 6)]

    expected = score_together(export, requests, [Trace() for _ in requests])
    together = score_together(compiled, requests, [Trace() for _ in requests])

    assert all(map(equal, expected, together))
    assert figures(compiled).original == 1


def test_a_wrong_rewrite_is_switched_off_and_told(loaded: Callable[..., Normal]) -> None:
    export, compiled = loaded(compiled="off"), loaded(away=1e-3)

    assert equal(export.score(request(5)), compiled.score(request(5)))

    assert compiled.info()["compiled"] == "off"
    gauges = compiled.gauges()
    assert gauges["recserve_compiled_on"][1] == 0.0
    largest = gauges["recserve_compiled_largest_difference"][1]
    assert isinstance(largest, dict)
    assert largest[("kind", "probability"),] > 1e-4


def test_no_items_are_no_rows(loaded: Callable[..., Normal]) -> None:
    compiled = loaded()
    compiled.score(request(2))

    assert all(len(scores) == 0 for scores in compiled.score(request(0)).outputs.values())


def test_eight_threads_get_what_one_gets(loaded: Callable[..., Normal]) -> None:
    compiled = loaded(compiled_check_every=10)
    requests = [request(rows, seed=rows) for rows in range(1, 25)]
    expected = [compiled.score(each) for each in requests]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(compiled.score, requests * 8))

    assert all(equal(*pair) for pair in zip(expected * 8, results, strict=True))
    assert figures(compiled).different == 0


def test_embedding_tables_are_in_memory_once(loaded: Callable[..., Normal]) -> None:
    engine = loaded().engine
    assert isinstance(engine, Guarded)

    original, made = engine.original.module, engine.rewritten.module  # type: ignore[attr-defined]

    assert tensor_at(made, "table_0").ctypes.data == tensor_at(original, "weights").ctypes.data


def test_one_that_does_not_load_is_left_aside_unless_it_is_insisted_on(
    loaded: Callable[..., Normal], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    export = loaded(compiled="off")
    next(tmp_path.rglob("model.pt")).write_bytes(b"no model")

    with caplog.at_level(logging.WARNING, "recserve.load"):
        compiled = loaded()

    assert compiled.info()["compiled"] == "no"
    (warning,) = (each for each in caplog.records if each.levelno == logging.WARNING)
    assert "is not a TorchScript model" in warning.__dict__["reason"]
    assert equal(export.score(request(3)), compiled.score(request(3)))
    with pytest.raises(BundleError, match="is not a TorchScript model"):
        loaded(compiled="require")


def test_tensors_of_one_user_that_a_client_sends_are_answered_by_the_rewritten_model(tmp_path: Path) -> None:
    bundle = rewritten.write(tmp_path / "tile", tile=True)
    once, rows = (tensors(models.rank_inputs(5, tile=tile)) for tile in (True, False))
    offline = {**rows, "batch_size": np.array([1])}
    answers = {}
    for compiled in ("off", "auto"):
        spec = service.load({"model_config": {"fg_mode": "bypass", "compiled": compiled}}, {})
        with closing(load(bundle, spec)) as bypass:
            assert isinstance(bypass, Bypass)
            sent = [TensorRequest([], dict(each)) for each in (once, offline)]
            answers[compiled] = [bypass.predict(each).named_outputs for each in sent]
            gauges = bypass.gauges()

    calls = gauges["recserve_compiled_calls_total"][1]
    assert calls == {(("model", "compiled"),): 1.0, (("model", "original"),): 1.0}
    for expected, result in zip(answers["off"], answers["auto"], strict=True):
        for name, scores in expected.items():
            np.testing.assert_array_equal(result[name], scores)
