"""A service that keeps item results answers as it does without, also for items that change."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.compile.bundles import features_of, write_rank

from recserve.client.request import build_request
from recserve.compile.bundle import compile_bundle
from recserve.config import service
from recserve.config.model import ModelConfig
from recserve.engines.guarded import FIRST_CALLS, MOST_FAILURES
from recserve.errors import BundleError, ConfigError
from recserve.items.keeper import Keeper
from recserve.processors import result_tables
from recserve.processors.load import load
from recserve.processors.normal import Normal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.messages import ScoreRequest

ITEMS = 300
KNOWN = [str(key) for key in range(ITEMS)]


def table(keys: Sequence[int], seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "id": [str(key) for key in keys],
            "item_id": random.integers(0, 40, len(keys)),
            "tags": random.integers(0, 30, len(keys)),
            "price": [f"{a}\x1d{b}" for a, b in random.normal(size=(len(keys), 2)).round(3)],
        }
    )


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tile"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model that was compiled for item results, and its items."""
    folder = tmp_path_factory.mktemp("bundle")
    made = write_rank(folder, tile=request.param)
    if request.param:
        (folder / "model_acc.json").write_text(json.dumps({"INPUT_TILE": "3"}))
    compile_bundle(made, features_of(made), item_results=True)
    pq.write_table(table(range(ITEMS)), folder / "items.parquet")
    return made


@pytest.fixture
def loaded(bundle: Bundle) -> Iterator[Callable[..., Normal]]:
    with ExitStack() as opened:

        def build(progress: Any = lambda *_: None, **model_config: Any) -> Normal:
            settings = {
                "fg_mode": "normal",
                "compiled": "require",
                "remote_type": "file",
                "tables": [{"name": str(bundle.path / "items.parquet"), "key": "id"}],
                **model_config,
            }
            normal = load(bundle, service.load({"model_config": settings}, {}), progress)
            assert isinstance(normal, Normal)
            opened.enter_context(closing(normal))
            return normal

        yield build


def asked(rows: int, *, seed: int = 0, **item_features: Any) -> ScoreRequest:
    random = np.random.default_rng(seed)
    ids = [str(number) for number in random.integers(0, ITEMS + 20, rows)]  # some are unknown
    return build_request(
        user={"user_id": int(random.integers(50)), "clicks__item_id": "3;17;5"},
        item_ids=ids,
        item_features=item_features or None,
    )


def scores(normal: Normal, request: ScoreRequest) -> dict[str, NDArray[Any]]:
    return dict(normal.score(request).outputs)


def counted(normal: Normal, name: str, **labels: str) -> float:
    value = normal.gauges()[f"recserve_item_results{name}"][1]
    return value if isinstance(value, float) else value[tuple(labels.items())]


def test_scores_are_those_of_the_model_without(loaded: Callable[..., Normal]) -> None:
    plain, kept = loaded(), loaded(item_results="full")

    for seed, rows in enumerate((1, 2, 7, 150, 3, 40)):
        result = scores(kept, asked(rows, seed=seed))
        expected = scores(plain, asked(rows, seed=seed))
        for name in expected:
            np.testing.assert_allclose(result[name], expected[name], rtol=0, atol=2e-6)

    assert counted(kept, "_bypassed_total") == 0
    assert counted(kept, "_asked_total", outcome="hit") >= 180
    assert counted(kept, "_on") == 1
    assert kept.item_results is not None
    assert kept.item_results._counts["calls"] > FIRST_CALLS


def test_all_items_have_results_when_the_service_starts(loaded: Callable[..., Normal]) -> None:
    told: list[tuple[str, int, int]] = []

    normal = loaded(lambda step, done, total, *_: told.append((step, done, total)), item_results="full")

    mine = [(done, total) for step, done, total in told if step.startswith("computing item results")]
    assert mine[0] == (0, ITEMS)
    assert mine[-1] == (ITEMS, ITEMS)
    assert counted(normal, "") == ITEMS


def test_an_item_that_changes_is_scored_as_it_is_now(loaded: Callable[..., Normal]) -> None:
    plain, kept = loaded(), loaded(item_results="full")
    request = asked(60, seed=5)
    before = scores(kept, request)

    for normal in (plain, kept):
        assert isinstance(normal.items, Keeper)
        normal.items.upsert(table(range(0, ITEMS, 2), seed=9))
        normal.items.delete(pa.array([str(key) for key in range(1, ITEMS, 6)]))
    result, expected = scores(kept, request), scores(plain, request)

    np.testing.assert_allclose(result["probs_ctr"], expected["probs_ctr"], rtol=0, atol=2e-6)
    assert not np.allclose(result["probs_ctr"], before["probs_ctr"])
    assert counted(kept, "_asked_total", outcome="miss") > 0
    assert counted(kept, "_on") == 1


def test_item_features_of_a_request_count_and_nothing_is_kept_of_them(loaded: Callable[..., Normal]) -> None:
    plain, kept = loaded(), loaded(item_results="full")
    request = asked(5, tags=[1, 2, 3, 4, 5])

    result, expected = scores(kept, request), scores(plain, request)

    assert np.array_equal(result["probs_ctr"], expected["probs_ctr"])
    assert counted(kept, "_bypassed_total") == 1


def test_a_budget_holds_some_items_and_all_are_scored(loaded: Callable[..., Normal]) -> None:
    plain, kept = loaded(), loaded(item_results="5KB")

    for seed in range(12):
        result, expected = (scores(normal, asked(50, seed=seed)) for normal in (kept, plain))
        np.testing.assert_allclose(result["probs_ctr"], expected["probs_ctr"], rtol=0, atol=2e-6)

    assert counted(kept, "_evicted_total") > 0
    assert counted(kept, "") <= 5000 / kept.item_results.tables.bytes_per_item  # type: ignore[union-attr]


def test_results_that_are_wrong_switch_it_off(loaded: Callable[..., Normal]) -> None:
    plain, kept = loaded(), loaded(item_results="full", compiled_check_every=1)
    assert kept.item_results is not None
    for normal in (plain, kept):
        assert isinstance(normal.items, Keeper)
        normal.items.upsert(table(range(ITEMS)))
    with kept.items.pin() as rows:  # as a wrong program would fill them
        found = rows.find(asked(30).item_ids, rows.store.select([], []))
        widths = kept.item_results._programs.widths
        wrong = {name: np.full((30, width), 9.0) for name, width in widths.items()}
        kept.item_results.tables.table.results.add(found, wrong)

    result, expected = scores(kept, asked(30)), scores(plain, asked(30))

    assert np.allclose(result["probs_ctr"], expected["probs_ctr"], atol=2e-6)
    assert counted(kept, "_on") == 0


def test_later_ones_are_found_after_they_were_answered(loaded: Callable[..., Normal]) -> None:
    kept = loaded(item_results="full", compiled_check_every=1)
    way = kept.item_results
    assert way is not None
    for _ in range(FIRST_CALLS + 1):
        kept.score(asked(30))
    good = way._run_rest.run

    def wrong(*arguments: Any, **named: Any) -> dict[str, NDArray[Any]]:
        return {name: values + 0.1 for name, values in good(*arguments, **named).items()}

    way._run_rest.run = wrong  # type: ignore[method-assign]

    assert eventually(lambda: kept.score(asked(30)) is not None and counted(kept, "_on") == 0)
    assert "differs from the whole model's for 30 rows" in way.switched_off


def test_what_fails_is_left_to_the_whole_model_and_in_a_row_it_is_the_end(
    loaded: Callable[..., Normal],
) -> None:
    plain, kept = loaded(), loaded(item_results="full")
    way = kept.item_results
    assert way is not None
    for normal in (plain, kept):
        assert isinstance(normal.items, Keeper)
        normal.items.upsert(table(range(ITEMS), seed=4))
    program, way.tables._program = way.tables._program, way._run_rest  # reads what items do not have

    for number in range(MOST_FAILURES):
        assert counted(kept, "_on") == 1
        result, expected = scores(kept, asked(30, seed=number)), scores(plain, asked(30, seed=number))
        assert np.array_equal(result["probs_ctr"], expected["probs_ctr"])

    assert counted(kept, "_on") == 0
    assert way.switched_off.startswith(f"they failed for {MOST_FAILURES} requests, one after the other: the")
    assert counted(kept, "_bypassed_total") == MOST_FAILURES
    way.tables._program = program


def test_rows_that_change_have_results_before_long(
    loaded: Callable[..., Normal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_tables, "PERIOD_S", 0.01)
    kept = loaded(item_results="full")
    assert isinstance(kept.items, Keeper)
    kept.items.upsert(table(range(ITEMS), seed=4))
    kept.score(build_request(item_ids=KNOWN[:1]))  # misses it

    assert eventually(lambda: not len(missing(kept)))
    misses = counted(kept, "_asked_total", outcome="miss")
    kept.score(build_request(item_ids=KNOWN))
    assert counted(kept, "_asked_total", outcome="miss") == misses


def test_a_store_that_a_refresh_swapped_in_is_filled_though_nobody_asks(
    loaded: Callable[..., Normal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_tables, "PERIOD_S", 0.01)
    kept = loaded(item_results="full", refresh_mode="swap")
    assert isinstance(kept.items, Keeper)
    before = kept.items.store
    kept.items.refresh_now()

    assert kept.items.store is not before
    assert eventually(lambda: counted(kept, "") == ITEMS and not len(missing(kept)))
    kept.score(build_request(item_ids=KNOWN))
    assert counted(kept, "_asked_total", outcome="miss") == 0
    kept.close()
    kept.close()


def missing(normal: Normal) -> NDArray[np.int64]:
    """Places of items that have no result yet, in the store that serves."""
    assert normal.item_results is not None
    now = normal.item_results.tables.table
    with normal.items.pin() as rows:
        if rows.store is not now.store:
            return np.zeros(1, np.int64)
        keys = build_request(item_ids=KNOWN).item_ids
        return now.results.missing(rows.find(keys, now.items))


def eventually(done: Callable[[], bool]) -> bool:
    until = time.monotonic() + 60
    while not done() and time.monotonic() < until:
        time.sleep(0.01)
    return done()


def test_without_a_compiled_model_nothing_is_kept(loaded: Callable[..., Normal]) -> None:
    assert loaded(item_results="full", compiled="off").item_results is None


def test_a_bundle_that_was_not_compiled_for_it_says_so(loaded: Callable[..., Normal], bundle: Bundle) -> None:
    (folder,) = (bundle.path / "compiled").glob("*/item_results")
    away = folder.rename(folder.with_name("elsewhere"))
    try:
        with pytest.raises(BundleError, match="run `recserve compile --item-results`"):
            loaded(item_results="full")
    finally:
        away.rename(folder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("off", None), ("full", 0), ("2GB", 2 * 10**9), ("500000000", 500000000), ("64 kb", 64000)],
)
def test_budgets_are_bytes(text: str, expected: int | None) -> None:
    assert ModelConfig(item_results=text).item_results_bytes == expected


@pytest.mark.parametrize("text", ["much", "0", "-1", "2 GiB"])
def test_other_texts_are_no_budgets(text: str) -> None:
    with pytest.raises(ConfigError, match="none of off, full and a memory budget"):
        _ = ModelConfig(item_results=text).item_results_bytes
