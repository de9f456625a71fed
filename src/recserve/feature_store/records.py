"""What a registry file says, as records; a key of the file is one line here.

    project ── entities ── views (batch, stream, sequence) ── models ── labels

`registry.py` reads them, `schema.py` makes the JSON Schema of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recserve.config.settings import setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KINDS = ("file", "postgresql", "hologres", "redis", "feast")
"""Where tables can be; the names are those of `remote_type`."""


@dataclass(frozen=True, slots=True)
class Place:
    """A store: where the tables of its views are."""

    kind: str = setting("file", "What holds the tables.", choices=KINDS)
    url: str = setting(
        "",
        "How a database is reached, or the folder of a Feast repository; ${NAME} is of the environment.",
        secret=True,
    )
    path: str = setting("", "The folder or object-store URL of files, relative to the registry file.")


@dataclass(frozen=True, slots=True)
class Project:
    """What belongs together: one registry file is one project."""

    name: str = setting("", "The name, as `fs_project` asks for it.", required=True)
    offline: Place = field(default_factory=Place)  # history, for training sets and full loads
    online: Place = field(default_factory=Place)  # the present, for look-ups and real-time features


@dataclass(frozen=True, slots=True)
class Entity:
    """What features are about, such as users or items."""

    name: str
    join_id: str = setting("", "The column that holds its id in label tables and requests.", required=True)


@dataclass(frozen=True, slots=True)
class Sequence:
    """One list of the newest behaviours of a user, as a sequence view gives it."""

    name: str  # online: the columns are <name>, <name>__item_id, <name>__event, …
    events: tuple[str, ...] = setting((), "Which events count; none named = all.")
    length: int = setting(50, "How many behaviours, the newest first.", least=1)
    offline_name: str = setting("", "What the sequence is called in training sets, where that differs.")
    columns: tuple[str, ...] = setting(
        (), "Fields of the behaviours to give beside id, event and time, as <name>__<field>."
    )

    @property
    def offline(self) -> str:
        """What it is called in training sets."""
        return self.offline_name or self.name


@dataclass(frozen=True, slots=True)
class View:
    """Features of one entity that are in one table."""

    name: str
    fields: Mapping[str, str]  # name -> type, as `types.TYPES` spells it
    entity: str = setting("", "The entity that the rows are about.", required=True)
    kind: str = setting(
        "batch",
        "batch: written from time to time; stream: its changes are followed; sequence: behaviours of users.",
        choices=("batch", "stream", "sequence"),
    )
    key: str = setting("", "The field with the entity's id; empty = the entity's join id.")
    event_time: str = setting("", "The field that says since when a row is true, or when it happened.")
    time_unit: str = setting(
        "s", "What an event time that is an integer counts since 1970.", choices=("s", "ms", "us")
    )
    timekey: str = setting(
        "", "The column by which databases are asked for newer rows; empty = the event time."
    )
    ttl_s: float = setting(
        0.0, "Rows older than this count as missing; 0 = never.", unit="s", key="ttl", least=0
    )
    offline_table: str = setting("", "The table in the offline store; empty = the name of the view.")
    online_table: str = setting("", "The table in the online store; empty = the name of the view.")
    online: bool = setting(True, "Whether the view is in the online store.")
    item: str = setting("", "Sequences: the field with the item id.")
    event: str = setting("", "Sequences: the field with the kind of the event, such as click.")
    play_time: str = setting("", "Sequences: the field with the play time.")
    unique_by: tuple[str, ...] = setting(
        (), "Sequences: of behaviours equal in these fields the newest counts; empty = item and event."
    )
    play_time_over: Mapping[str, float] = field(default_factory=dict)  # event -> play time to be over
    sequences: Mapping[str, Sequence] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """What an event time counts where a table keeps it as an integer; a timestamp is milliseconds."""
        return "ms" if self.fields.get(self.event_time) == "timestamp" else self.time_unit

    @property
    def features(self) -> tuple[str, ...]:
        """What models may take: sequences by name, or fields other than the key."""
        if self.kind == "sequence":
            return tuple(self.sequences)
        return tuple(name for name in self.fields if name != self.key)

    def outputs(self, feature: str, alias: str) -> tuple[str, ...]:
        """The columns that a feature becomes under its alias: of a sequence several."""
        sequence = self.sequences.get(feature)
        if sequence is None:
            return (alias,)
        parts = ["item_id", *(["event"] if self.event else []), "event_time", "ts", *sequence.columns]
        return (alias, *(f"{alias}__{part}" for part in parts))

    @property
    def distinct(self) -> tuple[str, ...]:
        """The fields by which behaviours are de-duplicated."""
        return self.unique_by or tuple(name for name in (self.item, self.event) if name)


@dataclass(frozen=True, slots=True)
class Labels:
    """A label table: what happened, to whom and when."""

    name: str
    fields: Mapping[str, str]
    event_time: str = setting("", "The field that says when it happened.", required=True)
    time_unit: str = setting(
        "s", "What an event time that is an integer counts since 1970.", choices=("s", "ms", "us")
    )
    table: str = setting("", "The table in the offline store; empty = the name.")

    @property
    def unit(self) -> str:
        """What an event time counts where a table keeps it as an integer; a timestamp is milliseconds."""
        return "ms" if self.fields.get(self.event_time) == "timestamp" else self.time_unit


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of a model; without a feature it stands for all of the view."""

    view: str = setting("", "The view that has it.", required=True)
    feature: str = setting("", "A field, or a sequence; empty = all of the view.")
    alias: str = setting("", "What the model calls it; empty = its own name.")


@dataclass(frozen=True, slots=True)
class Model:
    """A model feature: what one model reads, of all entities."""

    name: str
    features: tuple[Feature, ...]  # one entry for each feature, in the order of the file
    label: str = setting("", "The label table of its training sets.")
    label_priority: bool = setting(
        False, "Whether a column of the label table wins over a feature of the same name."
    )
    training_set: str = setting("", "The file or folder of training sets, relative to the registry file.")


@dataclass(frozen=True, slots=True)
class Registry:
    """All of a registry file, checked."""

    path: Path
    project: Project
    entities: Mapping[str, Entity] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)
    labels: Mapping[str, Labels] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
