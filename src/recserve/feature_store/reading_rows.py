"""Rows of entities by id: of one view, or all that a model takes of an entity."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve.errors import ConfigError
from recserve.feature_store.feature_table import FeatureTable
from recserve.feature_store.open import views_of
from recserve.feature_store.registry import named
from recserve.feature_store.sequence_table import SequenceTable
from recserve.source import point_reads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.feature_store.places import Tables
    from recserve.feature_store.records import View


def read_rows(
    tables: Tables,
    ids: Sequence[str],
    *,
    view: str = "",
    model: str = "",
    entity: str = "",
    offline: bool = False,
) -> list[dict[str, Any]]:
    """One row per id in their order, its first column the join id; nulls where nothing is known.

    Raises ConfigError for unknown names, and where a model has features of several entities and none is said.
    """
    registry = tables.registry
    if view:
        found: View = named(registry.views, view, "view", str(registry.path))
        wanted = [(found, {name: name for name in found.features})]
    else:
        record = named(registry.models, model, "model", str(registry.path))
        of_all = list(views_of(registry, record))
        entities = sorted({one.entity for one, _ in of_all})
        if not entity and len(entities) > 1:
            raise ConfigError(
                f"model '{model}' has features of {', '.join(entities)}: say whose ids these are (--entity)"
            )
        entity = entity or entities[0]
        wanted = [(one, features) for one, features in of_all if one.entity == entity]
        if not wanted:
            raise ConfigError(
                f"model '{model}' has no features of '{entity}'; it has some of {', '.join(entities)}"
            )
    join_id = registry.entities[wanted[0][0].entity].join_id
    rows: list[dict[str, Any]] = [{join_id: one} for one in ids]
    for one, features in wanted:
        for row, more in zip(rows, _rows(tables, one, features, ids, offline=offline), strict=True):
            row.update({name: value for name, value in more.items() if name != join_id})
    return rows


def _rows(
    tables: Tables, view: View, features: dict[str, str], ids: Sequence[str], *, offline: bool
) -> list[dict[str, Any]]:
    if offline and view.kind == "sequence":
        raise ConfigError(
            f"view '{view.name}': offline it has behaviours, no sequences; ask the online store"
        )
    join_id = tables.registry.entities[view.entity].join_id
    kind = SequenceTable if view.kind == "sequence" else FeatureTable
    with closing(tables.offline(view) if offline else tables.online(view)) as source:
        if point_reads(source) is None:
            raise ConfigError(f"view '{view.name}': {source.name} has no look-up of single rows")
        table = kind(source, view, features, join_id=join_id)
        try:
            keys = pa.array(ids, pa.string()).cast(table.schema().field(join_id).type)
        except pa.ArrowInvalid as error:
            raise ConfigError(f"ids of '{view.entity}' are numbers: {error}") from error
        found: list[dict[str, Any]] = table.get(keys).to_pylist()
    return found
