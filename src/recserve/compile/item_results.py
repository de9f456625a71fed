"""A model ──▶ two programs: what depends on items alone, and the rest, which reads its results.

second graph ──cut──▶ items.pt, rest.pt ──written, loaded again, compared together, raced──▶ item_results/
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from recserve.compile import gate
from recserve.compile.rates.frontier import cut
from recserve.compile.rates.rewrite import rewrite
from recserve.compile.rates.values import Rate
from recserve.compile.rates.walk import Options
from recserve.compile.script import write_script
from recserve.engines.flat_script import load_with_tables
from recserve.engines.item_programs import FOLDER, ITEMS, REST, ItemPrograms, Program
from recserve.engines.torch_arrays import device_of
from recserve.engines.torchscript import TorchScript

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.compile.asked import Drawn, Given
    from recserve.compile.export import Exported
    from recserve.compile.sources.source import Source
    from recserve.engines.compiled import Speed

    Tensors = Mapping[str, NDArray[Any]]


def write_item_programs(
    source: Source, first: Exported, requests: Drawn | Given, folder: Path, *, reproducer: Path
) -> ItemPrograms:
    """Write `folder`/item_results; BundleError where items cannot be told apart, or answers differ.

    `first`: the flat graph of the model.
    """
    rates = {name: Rate[rate.upper()] for name, rate in requests.rates.items()}
    example = requests.example(users_once=True)
    second = rewrite(
        first,
        source.module,
        example=example,
        alike=requests.alike(users_once=True),
        rates=rates,
        options=Options(interpreted=True, items_apart=True),
    ).exported
    made = cut(second, rates, example)
    target = folder / FOLDER
    target.mkdir()
    write_script(made.items, target / ITEMS)
    write_script(made.rest, target / REST)
    programs = _Programs(source, target, made.items, made.rest)
    parity = gate.compare(
        source.engine().run_arrays,
        programs.answer,
        requests.compared(users_once=True),
        reproducer=reproducer,
    )
    with ThreadPoolExecutor(1) as worker:  # where servers call models
        speed = worker.submit(programs.raced, requests).result()
    users = tuple(name for name in made.rest.inputs if name in requests.users)
    record = ItemPrograms(
        target,
        Program(tuple(made.items.inputs), made.items.tables),
        Program(tuple(made.rest.inputs), made.rest.tables),
        made.widths,
        users,
        asdict(parity),
        speed,
    )
    record.write()
    return record


class _Programs:
    """Both, loaded as servers load them."""

    def __init__(self, source: Source, folder: Path, items: Exported, rest: Exported) -> None:
        self._source, self._reads = source, rest.inputs
        self._items = _engine(load_with_tables(folder / ITEMS, items.tables, source.module))
        self._rest_script = load_with_tables(folder / REST, rest.tables, source.module)
        self._rest = _engine(self._rest_script)

    def answer(self, tensors: Tensors) -> Tensors:
        """Of both, one behind the other."""
        return self._rest.run_arrays({**tensors, **self._items.run_arrays(tensors)})

    def raced(self, requests: Drawn | Given) -> tuple[Speed, ...]:
        """The rest, which is all that is left of a request whose items have results, and the original."""
        found = []
        for asked in requests.raced():
            results = self._items.run_arrays(asked.compiled)
            given = {**asked.compiled, **results}
            left = gate.laid_out({name: given[name] for name in self._reads})
            found += gate.race(
                asked.rows,
                partial(self._source.engine().run, gate.laid_out(asked.original), rows=asked.rows),
                [partial(_engine(self._rest_script).run, left, rows=asked.rows)],
            )
        return tuple(found)


def _engine(script: Any) -> TorchScript:
    return TorchScript(script, device=device_of("cpu"), outputs=(), features=None, limits={})
