from __future__ import annotations

import pytest

from recserve.server.lifecycle import Lifecycle, State


def test_a_life_goes_from_loading_to_drained() -> None:
    life = Lifecycle()
    seen = []
    for state in (State.WARMING, State.READY, State.DRAINING):
        seen.append((life.ready, life.draining))
        life.move(state)

    assert seen == [(False, False), (False, False), (True, False)]
    assert (life.ready, life.draining) == (False, True)


@pytest.mark.parametrize("state", [State.LOADING, State.READY])
def test_a_promise_cannot_be_skipped(state: State) -> None:
    with pytest.raises(AssertionError, match="is not followed by"):
        Lifecycle().move(state)
