"""A service of a torch.export archive that was compiled answers as the archive does, and falls back to it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.compile.bundles import features_of
from tests.compile.exported_programs import ranker, up_to, write

from recserve.client.request import build_request
from recserve.compile.bundle import compile_bundle
from recserve.config import service
from recserve.config.model import ModelConfig
from recserve.engines import name_of
from recserve.engines.guarded import FIRST_CALLS, Guarded
from recserve.errors import ConfigError, RequestError
from recserve.processors.choice import choose
from recserve.processors.load import load
from recserve.processors.normal import Normal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.messages import ScoreRequest

ITEMS = 60


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    made = write(tmp_path_factory.mktemp("programs") / "din", ranker("din"))
    compile_bundle(made, features_of(made), graphs=("rates",), item_results=True)
    return made


def write_items(bundle: Bundle) -> dict[str, Any]:
    """Write a table of items beside a bundle; the settings that read it."""
    random = np.random.default_rng(7)
    items = {
        "id": [str(key) for key in range(ITEMS)],
        "item_id": random.integers(0, 40, ITEMS),
        "cate": random.integers(0, 10, ITEMS),
        "tags": random.integers(0, 20, ITEMS),
        "price": [f"{a}\x1d{b}" for a, b in random.normal(size=(ITEMS, 2)).round(3)],
    }
    path = bundle.path / "items.parquet"
    pq.write_table(pa.table(items), path)
    return {"remote_type": "file", "tables": [{"name": str(path), "key": "id"}]}


@pytest.fixture
def loaded() -> Iterator[Callable[..., Normal]]:
    with ExitStack() as opened:

        def build(bundle: Bundle, **model_config: Any) -> Normal:
            spec = service.load({"model_config": {"fg_mode": "normal", **model_config}}, {})
            normal = opened.enter_context(closing(load(bundle, spec)))
            assert isinstance(normal, Normal)
            return normal

        yield build


def request(rows: int, *, seed: int = 0, stored: bool = False) -> ScoreRequest:
    """Of items that are sent, or of those of the store."""
    random = np.random.default_rng(seed)

    def some(limit: int) -> list[int]:
        return [int(number) for number in random.integers(0, limit, rows)]

    items = {"item_id": some(40), "cate": some(10), "tags": some(20), "price": ["1\x1d2"] * rows}
    return build_request(
        user={
            "user_id": int(random.integers(50)),
            "interests": "3\x1d5\x1d7",
            "age": 0.5,
            "clicks__item_id": "3;17;5",
            "clicks__cate": "1;2;3",
        },
        context={"hour": some(24), "position": [float(number) for number in some(9)]},
        item_ids=[str(key) for key in some(ITEMS)] if stored else (),
        item_features=None if stored else items,
    )


def scores(normal: Normal, asked: ScoreRequest) -> dict[str, NDArray[Any]]:
    return dict(normal.score(asked).outputs)


def test_scores_are_those_of_the_archive(bundle: Bundle, loaded: Callable[..., Normal]) -> None:
    compiled, plain = loaded(bundle, compiled="require"), loaded(bundle, compiled="off")
    assert isinstance(compiled.engine, Guarded)
    assert name_of(plain.engine) == "torch_export"

    for seed, rows in enumerate((1, 3, 40, 200, 7)):
        result, expected = (scores(each, request(rows, seed=seed)) for each in (compiled, plain))
        assert list(result) == list(expected)
        for name in expected:
            np.testing.assert_allclose(result[name], expected[name], rtol=0, atol=2e-6)

    figures = compiled.engine.figures
    assert figures.rewritten == 5
    assert figures.alike == FIRST_CALLS
    assert (figures.different, figures.failures, figures.switched_off) == (0, 0, "")


def test_results_of_items_are_kept(bundle: Bundle, loaded: Callable[..., Normal]) -> None:
    store = write_items(bundle)
    kept = loaded(bundle, compiled="require", item_results="full", **store)
    plain = loaded(bundle, compiled="off", **store)

    for rows in (1, 30, 200):
        asked = request(rows, seed=rows, stored=True)
        result, expected = scores(kept, asked), scores(plain, asked)
        for name in expected:
            np.testing.assert_allclose(result[name], expected[name], rtol=0, atol=2e-6)

    assert kept.gauges()["recserve_item_results_bypassed_total"][1] == 0
    assert kept.gauges()["recserve_item_results_on"][1] == 1


def test_beyond_the_limits_of_its_archive_nothing_answers(
    tmp_path: Path, loaded: Callable[..., Normal]
) -> None:
    limited = write(tmp_path / "limited", ranker("din"), sizes=up_to(50))
    compile_bundle(limited, features_of(limited), graphs=("rates",), item_results=True)
    store = write_items(limited)
    plain = loaded(limited, compiled="off", **store)
    compiled = loaded(limited, compiled="require", **store)
    kept = loaded(limited, compiled="require", item_results="full", **store)
    assert isinstance(compiled.engine, Guarded)

    for rows in (1, 40, 50):
        expected = scores(plain, request(rows, stored=True))
        for normal in (compiled, kept):
            result = scores(normal, request(rows, stored=True))
            for name in expected:
                np.testing.assert_allclose(result[name], expected[name], rtol=0, atol=2e-6)
    for normal in (plain, compiled, kept):
        with pytest.raises(RequestError, match=r"for these 51 candidates, .* exported for at most 50"):
            scores(normal, request(51, stored=True))

    assert compiled.engine.figures.rewritten == 3
    assert kept.gauges()["recserve_item_results_bypassed_total"][1] == 1


def test_the_service_file_says_what_runs(bundle: Bundle) -> None:
    made = choose(bundle, ModelConfig(compiled="require")).made
    assert made is not None
    assert choose(bundle, ModelConfig(engine="torch_export")).why_not == "model_config.engine is torch_export"
    with pytest.raises(ConfigError, match=r"engine 'torchscript' does not run exported_model\.pt2; use auto"):
        choose(bundle, ModelConfig(engine="torchscript"))
    with pytest.raises(ConfigError, match="which exclude one another"):
        service.load({"model_config": {"engine": "torch_export", "compiled": "require"}}, {})
