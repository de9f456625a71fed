"""A rewritten model answers what it was made for, and its original everything else."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from tests.engines import models
from tests.engines.contract import EngineContract

from recserve.bundle import Bundle
from recserve.columns import ModelInputs
from recserve.engines.engine import tensors
from recserve.engines.guarded import FIRST_CALLS, MOST_FAILURES, Guarded, Users
from recserve.engines.torchscript import TorchScript
from recserve.errors import DeadlineError, ModelError, RequestError
from recserve.messages import TensorRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.engines.engine import Engine

USERS = Users(
    frozenset({"user_id.values", "user_id.lengths", "clicks__item_id.values", "clicks__item_id.lengths"}),
    frozenset({"clicks__item_id.lengths"}),
)


class Away(models.Rank):
    """`Rank` with another bias: what a wrong rewrite would be."""

    def __init__(self, away: float) -> None:
        super().__init__(tile=True)
        with torch.no_grad():
            self.head.bias.add_(away)


def script(folder: Path, model: torch.nn.Module) -> TorchScript:
    return TorchScript.load(Bundle.open(models.write(folder, model, traced=True)))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TorchScript]:
    """An export without INPUT_TILE, one with it, and the latter with weights that are a little wrong."""
    folder = tmp_path_factory.mktemp("guarded")
    return {
        "base": script(folder / "base", models.Rank()),
        "tile": script(folder / "tile", models.Rank(tile=True)),
        "wrong": script(folder / "wrong", Away(1e-3)),
    }


@pytest.fixture
def guarded(engines: dict[str, TorchScript]) -> Callable[..., Guarded]:
    def build(original: str = "base", rewritten: str = "tile", **options: Any) -> Guarded:
        return Guarded(
            engines[original],
            engines[rewritten],
            USERS,
            repeats=original == "base",
            **options,
        )

    return build


def equal(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("original", ["base", "tile"])
def test_a_request_of_one_user_is_answered_by_the_rewritten_model(
    engines: dict[str, TorchScript], guarded: Callable[..., Guarded], original: str
) -> None:
    engine = guarded(original)

    for rows in (1, 2, 9):
        result = engine.run(models.rank_inputs(rows, tile=True), rows=rows)

        expected = engines["base"].run(models.rank_inputs(rows), rows=rows)
        assert equal(result, expected)
    assert (engine.figures.rewritten, engine.figures.original) == (3, 0)
    assert (engine.figures.alike, engine.figures.largest.probability) == (3, 0.0)


@pytest.mark.parametrize("original", ["base", "tile"])
def test_users_that_are_repeated_are_left_to_the_original(
    engines: dict[str, TorchScript], guarded: Callable[..., Guarded], original: str
) -> None:
    engine = guarded(original, "wrong")
    once = models.rank_inputs(9, tile=True)
    engine_inputs = once.repeated([0, 1, 2, 3], 9)

    result = engine.run(engine_inputs, rows=9)

    assert equal(result, engines["base"].run(models.rank_inputs(9), rows=9))
    assert (engine.figures.rewritten, engine.figures.original) == (0, 1)


def test_a_sequence_without_steps_is_left_to_the_original(
    engines: dict[str, TorchScript], guarded: Callable[..., Guarded]
) -> None:
    engine = guarded("base", "wrong")
    given = tensors(models.rank_inputs(3, tile=True))
    given["clicks__item_id.values"] = np.zeros(0, np.int64)
    given["clicks__item_id.lengths"] = np.zeros(1, np.int64)
    ints = {name: array for name, array in given.items() if array.dtype == np.int64}
    inputs = ModelInputs(list(ints), list(ints.values()), ["price.values"], [given["price.values"]])

    result = engine.run(inputs, rows=3)

    assert engine.figures.original == 1
    assert equal(result, engines["tile"].run(inputs, rows=3))


def test_what_is_repeated_is_what_an_export_without_tile_reads() -> None:
    once, rows = models.rank_inputs(5, tile=True), models.rank_inputs(5)

    result = tensors(once.repeated([0, 1, 2, 3], 5))

    assert result.pop("batch_size").tolist() == [1]
    assert result.keys() == tensors(rows).keys()
    for name, array in tensors(rows).items():
        np.testing.assert_array_equal(result[name], array)
    assert once.repeated([0], 5).names is once.names


def test_a_wrong_rewrite_is_found_by_its_first_call_and_never_answers(
    engines: dict[str, TorchScript], guarded: Callable[..., Guarded], caplog: pytest.LogCaptureFixture
) -> None:
    engine = guarded("base", "wrong")

    with caplog.at_level(logging.ERROR, "recserve.compiled"):
        results = [engine.run(models.rank_inputs(4, tile=True), rows=4) for _ in range(3)]

    expected = engines["base"].run(models.rank_inputs(4), rows=4)
    assert all(equal(result, expected) for result in results)
    assert engine.runs is engines["base"]
    assert [record.message for record in caplog.records] == [
        "the compiled model is switched off, the original answers"
    ]
    assert "differs from the original's for a request of 4 rows" in engine.figures.switched_off


def test_one_request_in_n_is_re_scored_beside_the_others(guarded: Callable[..., Guarded]) -> None:
    engine = guarded(check_every=5)

    for seed in range(20):
        engine.run(models.rank_inputs(3, tile=True, seed=seed), rows=3)
    engine.close()
    engine.close()  # as often as somebody likes

    figures = engine.figures
    assert figures.alike + figures.dropped == FIRST_CALLS + 4
    assert (figures.rewritten, figures.original, figures.different) == (20, 0, 0)


def test_a_rewrite_that_goes_wrong_later_is_switched_off_by_a_re_scored_request(
    engines: dict[str, TorchScript], guarded: Callable[..., Guarded]
) -> None:
    engine = guarded(check_every=5)
    for _ in range(FIRST_CALLS):
        engine.run(models.rank_inputs(3, tile=True), rows=3)

    engine.rewritten = engines["wrong"]
    for _ in range(2):
        engine.run(models.rank_inputs(3, tile=True), rows=3)
    engine.close()
    result = engine.run(models.rank_inputs(3, tile=True), rows=3)

    assert engine.figures.different == 1
    assert engine.figures.largest.probability > 1e-4
    assert equal(result, engines["base"].run(models.rank_inputs(3), rows=3))


def test_a_request_never_waits_for_one_that_is_re_scored(
    engines: dict[str, TorchScript], guarded: Callable[..., Guarded]
) -> None:
    engine = guarded(check_every=1)
    inputs = models.rank_inputs(3, tile=True)
    for _ in range(FIRST_CALLS):
        engine.run(inputs, rows=3)
    slow = Slow(engines["base"])
    engine.original = slow  # type: ignore[assignment]

    for _ in range(10):
        engine.run(inputs, rows=3)

    assert engine.figures.dropped == 9
    slow.go.set()
    engine.close()
    assert engine.figures.alike == FIRST_CALLS + 1
    engine.run(inputs, rows=3)
    assert engine.figures.dropped == 10


class Slow:
    """An original that waits until it is told to go on."""

    def __init__(self, engine: TorchScript) -> None:
        self.go = threading.Event()
        self._engine = engine

    def run(self, *arguments: Any, **named: Any) -> dict[str, NDArray[Any]]:
        assert self.go.wait(30)
        return self._engine.run(*arguments, **named)


def test_what_the_rewritten_model_fails_for_is_answered_by_the_original(
    engines: dict[str, TorchScript], guarded: Callable[..., Guarded], tmp_path: Path
) -> None:
    engine = guarded("base")
    engine.rewritten = script(tmp_path, Failing())

    result = engine.run(models.rank_inputs(3, tile=True), rows=3)

    assert equal(result, engines["base"].run(models.rank_inputs(3), rows=3))
    assert (engine.figures.failures, engine.figures.original, engine.figures.switched_off) == (1, 1, "")


def test_a_rewritten_model_that_fails_for_one_after_the_other_is_switched_off(
    engines: dict[str, TorchScript], guarded: Callable[..., Guarded], tmp_path: Path
) -> None:
    engine, failing = guarded("base"), script(tmp_path, Failing())
    inputs = models.rank_inputs(3, tile=True)

    for failures in (MOST_FAILURES - 1, MOST_FAILURES):
        engine.rewritten = engines["tile"]
        engine.run(inputs, rows=3)  # one that it answers, and all is forgotten
        engine.rewritten = failing
        for _ in range(failures):
            assert not engine.figures.switched_off
            engine.run(inputs, rows=3)

    assert engine.figures.switched_off.startswith(f"it failed for {MOST_FAILURES} requests, one after the")
    assert engine.figures.failures == 2 * MOST_FAILURES - 1
    assert equal(engine.run(inputs, rows=3), engines["base"].run(models.rank_inputs(3), rows=3))


class Failing(models.Rank):
    def __init__(self) -> None:
        super().__init__(tile=True)
        self.head = torch.nn.Linear(3, 2)


def test_a_request_that_both_fail_for_is_told_as_by_the_original(
    guarded: Callable[..., Guarded], tmp_path: Path
) -> None:
    engine = guarded("tile", "tile")
    engine.original = engine.rewritten = script(tmp_path, Failing())

    with pytest.raises(ModelError, match="the model failed"):
        engine.run(models.rank_inputs(3, tile=True), rows=3)
    assert engine.figures.failures == 0  # it is the request's
    with pytest.raises(DeadlineError):
        engine.run(models.rank_inputs(3, tile=True), rows=3, deadline=0.0)


def test_a_callers_tensors_of_one_user_run_the_rewritten_model(
    engines: dict[str, TorchScript], guarded: Callable[..., Guarded]
) -> None:
    tiled, base = guarded("tile"), guarded("base")
    once, rows = tensors(models.rank_inputs(4, tile=True)), tensors(models.rank_inputs(4))
    offline = {**rows, "batch_size": np.array([1])}

    results = [
        tiled.run_tensors(TensorRequest([], once)),
        tiled.run_tensors(TensorRequest([], offline)),
        base.run_tensors(TensorRequest([], rows)),
    ]

    for result in results:
        assert equal(dict(result.named_outputs), engines["base"].run(models.rank_inputs(4), rows=4))
    assert (tiled.figures.rewritten, tiled.figures.original) == (1, 1)
    assert (base.figures.rewritten, base.figures.original) == (0, 1)
    with pytest.raises(RequestError, match=r"missing \{'batch_size'\}"):
        tiled.run_tensors(TensorRequest([], rows))


def test_a_callers_tensors_are_scored_by_both_as_often_as_features(
    engines: dict[str, TorchScript], guarded: Callable[..., Guarded]
) -> None:
    engine = guarded("tile", check_every=5)
    asked = TensorRequest([], tensors(models.rank_inputs(4, tile=True)))
    for _ in range(FIRST_CALLS):
        engine.run_tensors(asked)
    assert engine.figures.alike == FIRST_CALLS

    engine.rewritten = engines["wrong"]
    for _ in range(2):
        engine.run_tensors(asked)
    engine.close()

    assert engine.figures.different == 1
    result = dict(engine.run_tensors(asked).named_outputs)
    assert equal(result, engines["base"].run(models.rank_inputs(4), rows=4))


class TestContract(EngineContract):
    """What every engine promises, of a tiled export beside itself."""

    name: ClassVar[str] = "torchscript"
    outputs: ClassVar[tuple[str, ...]] = ("logits", "probs_ctr", "probs_cvr")
    broken_file: ClassVar[str] = "scripted_model.pt"
    many_rows: ClassVar[int] = 400_000

    @classmethod
    def write(cls, folder: Path) -> Path:
        return models.write_rank(folder, tile=True)

    @classmethod
    def inputs(cls, rows: int, seed: int = 0) -> ModelInputs:
        return models.rank_inputs(rows, tile=True, seed=seed)

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, bundle: Bundle) -> Engine:
        engine = Guarded(TorchScript.load(bundle), TorchScript.load(bundle), USERS, check_every=7)
        engine.warm_up([(cls.inputs(rows), rows) for rows in (1, 5)])
        return engine
