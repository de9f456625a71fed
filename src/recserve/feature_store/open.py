"""From the `fs_*` keys of a service file to the tables that the item store is kept equal to."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from recserve.errors import ConfigError
from recserve.feature_store.feature_table import FeatureTable
from recserve.feature_store.places import Tables
from recserve.feature_store.registry import load, named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recserve.config.items import FeatureStoreSettings
    from recserve.feature_store.places import OpenSource
    from recserve.feature_store.records import Model, Registry, View
    from recserve.source import Source

logger = logging.getLogger("recserve.feature_store")

#: Settings that places of the registry may ask for as ${name}.
PASSED_ON = ("region", "access_key_id", "access_key_secret", "featuredb_username", "featuredb_password")


@dataclass(frozen=True, slots=True)
class OpenedTable:
    """One table for the item store."""

    source: Source
    columns: frozenset[str]  # by their aliases
    static: bool = False


def open_tables(settings: FeatureStoreSettings, base_dir: Path, open_source: OpenSource) -> list[OpenedTable]:
    """Open the views that the model takes of the entities, in the order of the registry.

    A stream view always comes from the online store, whose changes are followed; the others from the store
    that `load_feature_from_offlinestore` says. Raises ConfigError, with the names that are known, for a
    project, model or entity that the registry lacks.
    """
    registry = open_registry(settings, base_dir)
    model = named(registry.models, settings.model, "model", f"{registry.path}: fs_model")
    for entity in settings.entities:
        named(registry.entities, entity, "entity", f"{registry.path}: fs_entity")
    tables = tables_of(registry, settings, open_source)
    with ExitStack() as closed:  # unless all is well
        opened = []
        for view, features in views_of(registry, model):
            if view.entity in settings.entities:
                opened.append(_opened(tables, view, features, offline=settings.offline))
                closed.callback(opened[-1].source.close)
        if not opened:
            takes = ", ".join(sorted({view.entity for view, _ in views_of(registry, model)}))
            raise ConfigError(
                f"{registry.path}: model '{model.name}' has no feature of {', '.join(settings.entities)} "
                f"(fs_entity); it has features of: {takes}"
            )
        closed.pop_all()
    warn_of_unused(settings, tables)
    return opened


def _opened(tables: Tables, view: View, features: dict[str, str], *, offline: bool) -> OpenedTable:
    registry = tables.registry
    if view.kind == "sequence":
        raise ConfigError(
            f"{registry.path}: '{view.name}' is a sequence view of '{view.entity}'; sequences are looked up "
            "by user (fs_user_entity), not kept in memory"
        )
    source = tables.offline(view) if offline and view.kind != "stream" else tables.online(view)
    table = FeatureTable(source, view, features, join_id=registry.entities[view.entity].join_id)
    return OpenedTable(table, frozenset(features))


def open_registry(settings: FeatureStoreSettings, base_dir: Path) -> Registry:
    """Read the registry file; raises ConfigError when it is another project's."""
    registry = load(base_dir / settings.registry)
    if registry.project.name != settings.project:
        raise ConfigError(
            f"{registry.path}: there is no project '{settings.project}' (fs_project); "
            f"known: {registry.project.name}"
        )
    return registry


def tables_of(registry: Registry, settings: FeatureStoreSettings, open_source: OpenSource) -> Tables:
    """The tables, opened with what the service file says about their places."""
    return Tables(registry, open_source, {name: getattr(settings, name) for name in PASSED_ON})


def views_of(registry: Registry, model: Model) -> Iterator[tuple[View, dict[str, str]]]:
    """The views of a model, and of each its features by alias."""
    for view in registry.views.values():
        features = {f.alias: f.feature for f in model.features if f.view == view.name}
        if features:
            yield view, features


def warn_of_unused(settings: FeatureStoreSettings, tables: Tables) -> None:
    """Say once which of the settings no place of the registry asks for."""
    default = {entry.name: entry.default for entry in fields(settings)}
    unused = [
        name for name in PASSED_ON if getattr(settings, name) != default[name] and name not in tables.used
    ]
    if unused:
        logger.warning(
            "settings of the feature store have no effect: no url or path of the registry asks for them",
            extra={"settings": ", ".join(unused), "registry": str(tables.registry.path)},
        )
