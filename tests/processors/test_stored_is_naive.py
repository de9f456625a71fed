"""Item rows that went through the row store give the tensors of the naive row-by-row evaluation, bit for bit.

The journey of a request without wire and engine: pin, gather, gather lists, generate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.features.comparison import evaluation_of, tensor_differences
from tests.features.referee.cells import UnspecifiedError
from tests.features.referee.random_cases import Case, case
from tests.features.staged import array_of, batch_of, generator_of, tensors_of

from recserve.columns import column_from_arrow
from recserve.items.store import ItemStore

if TYPE_CHECKING:
    from tests.features.referee.evaluate import Tensors

    from recserve.features.generator import Generator

SEEDS_PER_TEST = 50


@pytest.mark.parametrize("first", range(0, 300, SEEDS_PER_TEST))
@pytest.mark.parametrize("tile", [False, True])
def test_a_request_over_stored_items_equals_the_referee(first: int, tile: bool) -> None:
    for seed in range(first, first + SEEDS_PER_TEST):
        drawn = case(seed)
        try:
            evaluation = evaluation_of(drawn)
            if tile and not (drawn.request.item_ids and evaluation.config.can_tile()):
                continue
            expected = evaluation.tensors(tile=tile)
        except UnspecifiedError:
            continue
        found = tensor_differences("stored", stored_tensors(drawn, generator_of(drawn, tile=tile)), expected)
        assert not found, f"seed {seed}: {found}"


def stored_tensors(drawn: Case, generator: Generator) -> Tensors:
    """What the generator makes of the rows that the store gathers."""
    request, rows = drawn.request, len(drawn.request.item_ids)
    store = stored(drawn, generator)
    sent = {name: array_of(cells, request.types[name]) for name, cells in request.item_features.items()}
    user = {name: array_of([cell], request.types[name]) for name, cell in request.user.items()}
    context = {name: array_of(cells, request.types[name]) for name, cells in request.context.items()}
    here = batch_of({name: array for name, array in user.items() if name not in drawn.absent}, 1)
    beside = batch_of({name: array for name, array in context.items() if name not in drawn.absent}, rows)
    ids = column_from_arrow(pa.array(request.item_ids, pa.string()), "item_ids")
    with store.pin() as pinned:
        items = pinned.gather(ids, rows=rows, overrides=batch_of(sent, rows))
        clicked = pinned.gather_lists(here, generator.sequence_keys)
    return tensors_of(generator.generate(here, beside, items.raw, items.finished, clicked, rows=rows))


def stored(drawn: Case, generator: Generator) -> ItemStore:
    """The item table of a case in a row store."""
    table = drawn.table
    numbers = bool(table.keys) and all(key.isdecimal() for key in table.keys)
    store = ItemStore(
        "int64" if numbers else "string",
        {name: table.types[name] for name in generator.raw_columns if name in table.types},
        finisher=generator.finisher,
        hides=generator.finished,
        always_raw=generator.pair_columns,
        limits=generator.finished_limits,
    )
    columns = {
        name: array_of(cells, table.types[name])
        for name, cells in table.columns.items()
        if name in generator.raw_columns and name not in drawn.absent
    }
    keys = pa.array(
        [int(key) for key in table.keys] if numbers else list(table.keys),
        pa.int64() if numbers else pa.string(),
    )
    store.upsert(batch_of(columns, len(table.keys)), column_from_arrow(keys, "key"))
    return store
