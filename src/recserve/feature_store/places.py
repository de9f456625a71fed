"""Opens the tables that a registry names, in its offline and its online store."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from recserve.config.concealed import Concealed, kept
from recserve.config.environment import process_environ
from recserve.errors import ConfigError
from recserve.source import TableSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from recserve.feature_store.records import Labels, Place, Registry, View
    from recserve.source import Source

    OpenSource = Callable[[str, TableSpec], Source]
    MakeTable = Callable[[str, TableSpec, pa.Schema], Source]

_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)\}")


@dataclass(slots=True)
class Tables:
    """The tables of a registry. `${NAME}` in a place is a value of `variables`, else of the environment."""

    registry: Registry
    open_source: OpenSource
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    used: set[str] = field(default_factory=set)  # names of variables that places asked for

    def offline(self, view: View) -> Source:
        """The table with the view's history."""
        place = self.registry.project.offline
        return self._open(place, "offline", view.offline_table or view.name, view.key)

    def online(self, view: View) -> Source:
        """The table with the view's present rows; of a stream view, one that tells its changes."""
        if not view.online:
            raise ConfigError(
                f"{self.registry.path}: view '{view.name}' is not in the online store ('online' is false); "
                'ask the offline store: "load_feature_from_offlinestore": true'
            )
        timekey = (view.timekey or view.event_time) if view.kind == "stream" else ""
        place = self.registry.project.online
        return self._open(place, "online", view.online_table or view.name, view.key, timekey)

    def make_online(self, view: View, schema: pa.Schema, make_table: MakeTable) -> None:
        """Make the empty online table of a view."""
        maker = replace(self, open_source=lambda kind, spec: make_table(kind, spec, schema))
        maker.online(view).close()

    def labels(self, labels: Labels) -> Source:
        """The label table. Its rows have no key of their own: a column that is never null stands for one."""
        place = self.registry.project.offline
        key = labels.event_time
        if place.kind != "file":  # keys of databases are texts or integers
            ids = [entity.join_id for entity in self.registry.entities.values()]
            key = next((name for name in ids if name in labels.fields), key)
        return self._open(place, "offline", labels.table or labels.name, key)

    def _open(self, place: Place, role: str, table: str, key: str, timekey: str = "") -> Source:
        path = self._expanded(place.path, f"project.{role}.path")
        in_folder = place.kind == "file" and path
        name = kept(f"{path.rstrip('/')}/{table}", path) if in_folder else table
        return self.open_source(
            place.kind,
            TableSpec(
                name=name,
                key=key,
                url=self._expanded(place.url, f"project.{role}.url"),
                timekey=timekey,
                base_dir=self.registry.path.absolute().parent,
            ),
        )

    def _expanded(self, text: str, where: str) -> str:
        secrets = []

        def value(found: re.Match[str]) -> str:
            name = found[1]
            given = self.variables.get(name) or process_environ().get(name)
            if given is None:
                raise ConfigError(
                    f"{self.registry.path}: {where} needs ${{{name}}}, which is not set; "
                    f"set the environment variable {name}"
                )
            self.used.add(name)
            if name not in self.variables:  # those of the service file are known to be secret, or not to be
                secrets.append(given)
            return given

        return Concealed.of(_VARIABLE.sub(value, text), secrets)
