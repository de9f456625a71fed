"""An online request, joined with the item table into the rows of a training table, then evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.features.referee.cells import Cell, elements, is_missing
from tests.features.referee.config import Config, Spec, read
from tests.features.referee.evaluate import Evaluation, evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Table:
    """An item table: its key and its columns, cell by cell, with their types."""

    keys: Sequence[str]
    columns: Mapping[str, Sequence[Cell]]
    types: Mapping[str, str]

    def cell(self, name: str, key: str) -> Cell:
        """What the row of `key` has; nothing when there is none."""
        return self.columns[name][self.keys.index(key)] if key in self.keys else None


@dataclass(frozen=True)
class Request:
    """One user, the items to score, and what the request itself brings."""

    user: Mapping[str, Cell]
    context: Mapping[str, Sequence[Cell]]  # one cell per item, or one for all
    item_ids: Sequence[str]
    item_features: Mapping[str, Sequence[Cell]]  # these hide the table's columns
    types: Mapping[str, str]  # of all these columns


def join(config: Config, request: Request, table: Table) -> tuple[dict[str, Sequence[Cell]], dict[str, str]]:
    """The columns of the training table that this request would have become, and their types."""
    columns: dict[str, Sequence[Cell]] = {name: [cell] for name, cell in request.user.items()}
    columns |= request.context
    for name in table.columns:
        columns[name] = [table.cell(name, key) for key in request.item_ids]
    columns |= request.item_features
    types = {**table.types, **request.types}
    for group in config.groups:
        prefix = f"{group.name}__"
        for name in _item_sequences(config, group.name):
            if name in columns:  # sent by the request: used instead of the table (7.5)
                continue
            column = name.removeprefix(prefix)
            pk = request.user[group.pk]
            columns[name] = [clicked(pk, group.delimiter, group.length, table, column)]
            types[name] = f"list<{table.types[column]}>"
    return columns, types


def clicked(pk: Cell, delimiter: str, length: int, table: Table, column: str) -> Cell:
    """What the item table has for every id of the user's list; unknown and null ids are missing (7.5)."""
    ids = elements(pk, delimiter, length)
    return [None if is_missing(key) else table.cell(column, str(key)) for key in ids]


def _item_sequences(config: Config, group: str) -> list[str]:
    return sorted(
        {
            source.name
            for feature in config.features
            for source in feature.inputs
            if feature.group == group and source.side == "item" and source.sequence
        }
    )


def evaluate_online(
    fg: Spec,
    request: Request,
    table: Table,
    *,
    farm_hash: bool = False,
    files: Mapping[str, str] = MappingProxyType({}),
) -> Evaluation:
    """What a request must give: joined naively, then evaluated."""
    columns, types = join(read(fg), request, table)
    return evaluate(fg, columns, types, len(request.item_ids), farm_hash=farm_hash, files=files)
