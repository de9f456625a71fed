"""A store gives back what its rows do not need any more, while it serves."""

from __future__ import annotations

import pyarrow as pa
from tests.items.scripted import Scripted, contents, eventually, keeper_of, kept

IDS = [f"i{number}" for number in range(2000)]


def texts(version: int) -> pa.Table:
    """A text of a kilobyte for every item, other ones in every version."""
    return pa.table({"id": IDS, "text": [f"{version} {key} " + "x" * 1000 for key in IDS]})


def test_full_refreshes_leave_no_garbage() -> None:
    source = Scripted(texts(0), abilities=frozenset(), batch_rows=500)
    keeper = keeper_of(kept(source, "text"))
    keeper.load()
    first = keeper.figures().arena_bytes

    for version in range(1, 8):
        source.replace_table(texts(version))
        keeper.refresh_now()

    assert contents(keeper)["i7"]["text"].startswith("7 i7 ")
    assert keeper.figures().arena_bytes <= 2 * first
    keeper.close()


def test_following_alone_leaves_no_garbage_either() -> None:
    source = Scripted(texts(0), batch_rows=500)
    keeper = keeper_of(kept(source, "text"))
    keeper.load()
    assert keeper._tidier is not None
    keeper._tidier._many = len(IDS)  # as if so few rows were worth a look
    first = keeper.figures().arena_bytes
    keeper.start()

    for version in range(1, 8):
        source.write(texts(version))
        expected = f"{version} i7 "
        eventually(keeper, lambda expected=expected: contents(keeper)["i7"]["text"].startswith(expected))  # type: ignore[misc]
        eventually(keeper, lambda: keeper.figures().arena_bytes <= 2.5 * first)
        keeper._tidier._many = len(IDS)
    keeper.close()
