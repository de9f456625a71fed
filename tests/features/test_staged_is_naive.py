"""Any staging gives bit for bit what the naive row-by-row evaluation gives, on random configs and data.

A failure prints its seed and the smallest case that still fails; run more with
`python -m tests.features.referee compare FROM TO`.
"""

from __future__ import annotations

import pytest
from tests.features.comparison import differences, smallest
from tests.features.referee.random_cases import case

SEEDS_PER_TEST = 100


@pytest.mark.parametrize("first", range(0, 2000, SEEDS_PER_TEST))
def test_staged_and_joined_equal_the_referee(first: int) -> None:
    for seed in range(first, first + SEEDS_PER_TEST):
        found = differences(case(seed))
        assert not found, f"seed {seed}: {found}\n{smallest(case(seed))}"
