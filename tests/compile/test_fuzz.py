"""A quick version of `make fuzz-compile`, and the fuzz itself: it finds what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.compile.families import FAMILIES, STEPS, TABLES, write
from tests.compile.fuzz import Compared, fuzz

from recserve.engines.compiled import FLAT, RATES

if TYPE_CHECKING:
    from pathlib import Path

QUICK = 60


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_at_its_own_rates_answers_what_the_original_answers(family: str, tmp_path: Path) -> None:
    tile = list(FAMILIES).index(family) % 2 == 1  # half of them each
    model = Compared(write(tmp_path / "bundle", family, tile=tile), RATES, tmp_path)

    result = fuzz(model, QUICK)

    assert result.seed is None, f"{result.error}{result.largest}"
    assert result.compared == QUICK
    assert result.refused == 0


def test_a_model_without_its_containers_answers_the_same_bits(tmp_path: Path) -> None:
    model = Compared(write(tmp_path / "bundle", "din"), FLAT, tmp_path)

    result = fuzz(model, QUICK)

    assert (result.seed, result.largest.probability, result.largest.relative) == (None, 0.0, 0.0)


def test_a_difference_ends_the_fuzz_with_its_seed_and_request(tmp_path: Path) -> None:
    model = Compared(write(tmp_path / "bundle", "din"), FLAT, tmp_path)
    right = model.compiled
    model.compiled = lambda tensors: {
        name: found + (len(found) == 3) for name, found in right(tensors).items()
    }

    result = fuzz(model, 1000)

    assert result.seed is not None
    assert result.tensors is not None
    assert len(result.tensors["item_id.lengths"]) == 3
    assert fuzz(model, 1, seed=result.seed).seed == result.seed


def test_what_the_original_refuses_is_not_compared(tmp_path: Path) -> None:
    model = Compared(write(tmp_path / "bundle", "din"), FLAT, tmp_path)

    def refuses(_: object) -> dict[str, np.ndarray]:
        raise RuntimeError("no")

    model.original = refuses

    result = fuzz(model, 3)

    assert (result.compared, result.refused) == (0, 4)


def test_all_that_is_odd_is_drawn(tmp_path: Path) -> None:
    model = Compared(write(tmp_path / "bundle", "din"), FLAT, tmp_path)
    drawn = [model.drawn(seed) for seed in range(200)]

    def any_of(name: str, wanted: object) -> bool:
        return any((np.asarray(tensors[name]) == wanted).any() for tensors in drawn)

    assert any_of("tags.lengths", 0)
    assert any(not len(tensors["tags.values"]) for tensors in drawn)
    assert any_of("clicks__item_id.lengths", 1)
    assert any_of("clicks__item_id.lengths", STEPS)
    assert any((tensors["item_id.values"] < 0).any() for tensors in drawn)
    assert any((tensors["item_id.values"] >= TABLES["item_id"][1]).any() for tensors in drawn)
    assert any(len(tensors["item_id.lengths"]) == 1 for tensors in drawn)
    assert all(len(tensors["user_id.lengths"]) == 1 for tensors in drawn)
