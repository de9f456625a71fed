"""Read a feature service of a Feast repository; a program of its own, too.

    python -I feast_reader.py '{"repository": ..., "name": ..., "key": ..., "columns": null}' > rows.arrow

writes an Arrow IPC stream. It imports Feast and pyarrow alone, and nothing of recserve, so that it can run in
the environment of the repository. On an error the last line of its standard error is JSON: {"wrong", "text"}.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Collection

BATCH_ROWS = 1 << 15
_BEGINNING = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 (older Pythons run this file)


class WrongRepositoryError(Exception):
    """The repository is not what the service file says; asking again does not help."""


@dataclass(frozen=True)
class View:
    """What is read of one feature view: the names of columns, after the source's own field mapping."""

    name: str
    definition: Any  # feast.FeatureView
    key: str  # its own name of the key column
    features: tuple[Any, ...]  # feast.Field


@dataclass(frozen=True)
class Repository:
    """A feature service, or a feature view, whose rows are under `key`."""

    store: Any  # feast.FeatureStore
    key: str
    views: tuple[View, ...]

    def schema(self) -> pa.Schema:
        """The key and the features, as the registry declares them."""
        key = _arrow(_key_field(self.views[0])).with_name(self.key)
        return pa.schema([key, *(_arrow(each) for view in self.views for each in view.features)])

    def table(self, columns: Collection[str] | None = None) -> pa.Table:
        """The newest row of each key, of all views: what `feast materialize` would put into an online store.

        A row older than the `ttl` of its view does not count, as in Feast; a key that only some of the views
        have is null in the others.
        """
        now = datetime.now(timezone.utc)  # noqa: UP017
        key_field, *fields = self.schema()
        fields = [each for each in fields if columns is None or each.name in columns]
        tables = [self._latest(view, {each.name for each in fields}, now) for view in self.views]
        keys = pc.unique(pa.chunked_array([_cast(table, key_field) for table in tables], key_field.type))
        arrays = {key_field.name: keys}
        for table in tables:
            places = pc.index_in(keys, value_set=_cast(table, key_field).combine_chunks())
            for each in fields:
                if each.name in table.column_names:
                    arrays[each.name] = _cast(table, each).take(places)
        schema = pa.schema([key_field, *fields])
        return pa.table([arrays[name] for name in schema.names], schema=schema)

    def _latest(self, view: View, wanted: set[str], now: datetime) -> pa.Table:
        from feast.infra.offline_stores.offline_utils import get_offline_store_from_config

        source = view.definition.batch_source
        renamed = dict(source.field_mapping or {})
        stored = {new: old for old, new in renamed.items()}
        features = [each.name for each in view.features if each.name in wanted]
        ttl = view.definition.ttl or timedelta(0)
        latest = get_offline_store_from_config(self.store.config.offline_store)
        table = latest.pull_latest_from_table_or_query(
            config=self.store.config,
            data_source=source,
            join_key_columns=[stored.get(view.key, view.key)],
            feature_name_columns=[stored.get(name, name) for name in features],
            timestamp_field=stored.get(source.timestamp_field, source.timestamp_field),
            created_timestamp_column=source.created_timestamp_column or None,
            start_date=now - ttl if ttl else _BEGINNING,
            end_date=now,
        ).to_arrow()
        table = table.rename_columns([renamed.get(name, name) for name in table.column_names])
        return table.select([view.key, *features]).rename_columns([self.key, *features])


def open_repository(repository: str, name: str, key: str) -> Repository:
    """Open the repository in a folder; WrongRepositoryError when it has not what is asked for."""
    if not os.path.exists(os.path.join(repository, "feature_store.yaml")):
        raise WrongRepositoryError("the folder is no Feast repository: it has no feature_store.yaml")
    from feast import FeatureStore

    store = FeatureStore(repo_path=repository)
    views = tuple(_view(store, each, name, key) for each in _projections(store, name))
    if not views:
        raise WrongRepositoryError(f"feature service '{name}' has no feature views")
    taken: dict[str, str] = {key: "the key"}
    for view in views:
        for each in view.features:
            if each.name in taken:
                raise WrongRepositoryError(
                    f"feature '{each.name}' of feature view '{view.name}' has the name of "
                    f"{taken[each.name]}; features are read without their views' names, so rename one"
                )
            taken[each.name] = f"a feature of feature view '{view.name}'"
    return Repository(store, key, views)


def _projections(store: Any, name: str) -> list[Any]:
    services = {service.name: service for service in store.list_feature_services()}
    if name in services:
        return list(services[name].feature_view_projections)
    views = {view.name: view for view in (*store.list_feature_views(), *store.list_stream_feature_views())}
    if name in views:
        return [views[name].projection]
    raise WrongRepositoryError(
        f"the registry has no feature service or feature view '{name}'; "
        f"known: {', '.join([*services, *views]) or 'none, try: feast apply'}"
    )


def _view(store: Any, projection: Any, service: str, key: str) -> View:
    on_demand = {view.name for view in store.list_on_demand_feature_views()}
    if projection.name in on_demand:
        raise WrongRepositoryError(
            f"on-demand feature view '{projection.name}' of '{service}' is computed at every request; "
            "leave it out of the feature service, and compute it by a feature in fg.json"
        )
    definition = store.get_feature_view(projection.name)
    own = list(definition.join_keys)
    named = [projection.join_key_map.get(each, each) for each in own]
    if named != [key]:
        raise WrongRepositoryError(
            f"no key column '{key}': feature view '{projection.name}' of '{service}' has the join keys "
            f"{', '.join(named) or 'none'} and the features "
            + ", ".join(each.name for each in projection.features)
        )
    return View(projection.name_to_use(), definition, own[0], tuple(projection.features))


def _key_field(view: View) -> Any:
    return next(each for each in view.definition.entity_columns if each.name == view.key)


def _arrow(field: Any) -> pa.Field:
    """A feature as declared. Feast has two tables of types: lists of lists are in one, bytes in the other."""
    from feast.type_map import feast_value_type_to_pa
    from feast.types import from_feast_to_pyarrow_type

    try:
        return pa.field(field.name, from_feast_to_pyarrow_type(field.dtype))
    except Exception:
        return pa.field(field.name, feast_value_type_to_pa(field.dtype.to_value_type()))


def _cast(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    """A column as declared: Feast goes through pandas, where integers with nulls are floats."""
    column = table[field.name]
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise WrongRepositoryError(
            f"column '{field.name}' is declared as {field.type}, its source has {column.type}: {error}"
        ) from error


def main() -> None:
    """Write the rows, or without "columns" the schema alone, to standard output."""
    asked = json.loads(sys.argv[1])
    # What Feast and its plugins print must not get between the rows.
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        try:
            opened = open_repository(asked["repository"], asked["name"], asked["key"])
            table = opened.table(asked["columns"]) if "columns" in asked else opened.schema().empty_table()
        except Exception as error:
            told = {"wrong": isinstance(error, WrongRepositoryError), "text": text_of(error)}
            sys.stderr.write(f"\n{json.dumps(told)}\n")
            sys.exit(1)
        with pa.ipc.new_stream(out, table.schema) as stream:
            stream.write_table(table, BATCH_ROWS)


def text_of(error: Exception) -> str:
    """What an error says; those of Feast and its stores with their type."""
    return str(error) if isinstance(error, WrongRepositoryError) else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
